//! Paths of requests.

/// A path without its dot segments (RFC 3986, section 5.2.4). Begins with a slash.
pub fn without_dots(path: &[u8]) -> Vec<u8> {
    let mut kept: Vec<&[u8]> = Vec::new();
    let mut segments = path.split(|byte| *byte == b'/').skip(1).peekable();
    while let Some(segment) = segments.next() {
        let is_last = segments.peek().is_none();
        match segment {
            b"." => {}
            b".." => {
                kept.pop();
            }
            _ => {
                kept.push(segment);
                continue;
            }
        }
        if is_last {
            kept.push(b"");
        }
    }
    [b"/", kept.join(&b'/').as_slice()].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dots_are_taken_out_as_in_rfc_3986() {
        for (path, expected) in [
            ("/", "/"),
            ("/a/b", "/a/b"),
            ("/a/./b", "/a/b"),
            ("/a/b/..", "/a/"),
            ("/a/.", "/a/"),
            ("/../a", "/a"),
            ("/a//../b", "/a/b"),
            ("/a/..b/.c", "/a/..b/.c"),
            ("//a", "//a"),
        ] {
            assert_eq!(without_dots(path.as_bytes()), expected.as_bytes(), "{path}");
        }
    }
}

//! Pieces of request targets and cookies.

/// The target without query and fragment.
pub(super) fn path(target: &[u8]) -> &[u8] {
    let end = target.iter().position(|byte| matches!(byte, b'?' | b'#'));
    target
        .get(..end.unwrap_or(target.len()))
        .unwrap_or_default()
}

/// The first value of a query parameter, decoded, so that another spelling of the same value is the same key.
pub(super) fn query(target: &[u8], name: &[u8]) -> Option<Vec<u8>> {
    let start = target
        .iter()
        .position(|byte| *byte == b'?')?
        .saturating_add(1);
    let text = target.get(start..)?;
    let text = text.split(|byte| *byte == b'#').next()?;
    text.split(|byte| *byte == b'&').find_map(|pair| {
        let mut halves = pair.splitn(2, |byte| *byte == b'=');
        let found = decode(halves.next()?) == name;
        found.then(|| decode(halves.next().unwrap_or_default()))
    })
}

/// Percent-decoding, and `+` for a space. What is not an escape stays as it is.
fn decode(text: &[u8]) -> Vec<u8> {
    let digit = |byte: Option<&u8>| byte.and_then(|byte| char::from(*byte).to_digit(16));
    let mut decoded = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((first, after)) = rest.split_first() {
        rest = after;
        match (first, digit(after.first()), digit(after.get(1))) {
            (b'%', Some(high), Some(low)) => {
                decoded.push((high << 4 | low) as u8);
                rest = after.get(2..).unwrap_or_default();
            }
            (b'+', ..) => decoded.push(b' '),
            (byte, ..) => decoded.push(*byte),
        }
    }
    decoded
}

/// The first cookie of this name.
pub(super) fn cookie<'a>(field: &'a [u8], name: &[u8]) -> Option<&'a [u8]> {
    field.split(|byte| *byte == b';').find_map(|pair| {
        let mut halves = pair.trim_ascii().splitn(2, |byte| *byte == b'=');
        // Servers trim both: a space more is to make no other client.
        let found = halves.next()?.trim_ascii_end() == name;
        let value = halves.next()?.trim_ascii_start();
        found.then(|| {
            let quoted = value
                .strip_prefix(b"\"")
                .and_then(|value| value.strip_suffix(b"\""));
            quoted.unwrap_or(value)
        })
    })
}

/// The path up to the end of its segment of this number.
pub(super) fn first_segments(path: &[u8], segments: usize) -> Option<&[u8]> {
    let mut ends = path
        .iter()
        .enumerate()
        .skip(1)
        .filter(|(_, byte)| **byte == b'/')
        .map(|(at, _)| at)
        .chain([path.len()]);
    let end = ends.nth(segments.saturating_sub(1))?;
    path.get(..end)
}

/// The segment of this number, counted from 1; `None` for an empty one.
pub(super) fn segment(path: &[u8], number: usize) -> Option<&[u8]> {
    path.split(|byte| *byte == b'/')
        .nth(number)
        .filter(|segment| !segment.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn query_parameters_are_decoded_and_the_first_counts() {
        let of = |target: &str, name: &str| {
            query(target.as_bytes(), name.as_bytes()).map(|value| String::from_utf8(value).unwrap())
        };
        assert_eq!(of("/a?t=1&t=2", "t").as_deref(), Some("1"));
        assert_eq!(of("/a?x=1&%74=a%62+c", "t").as_deref(), Some("ab c"));
        assert_eq!(of("/a?t", "t").as_deref(), Some(""));
        assert_eq!(of("/a?t=1#t=2", "t").as_deref(), Some("1"));
        assert_eq!(of("/a?t=%4&u=%zz%", "u").as_deref(), Some("%zz%"));
        assert_eq!(of("/a", "t"), None);
        assert_eq!(of("/a?tt=1", "t"), None);
    }

    #[test]
    fn cookies() {
        assert_eq!(cookie(b"a=1; sid=x=y; sid=z", b"sid"), Some(&b"x=y"[..]));
        assert_eq!(cookie(b"sid=\"q\"", b"sid"), Some(&b"q"[..]));
        assert_eq!(cookie(b"a=1; sid = x", b"sid"), Some(&b"x"[..]));
        assert_eq!(cookie(b"asid=1; sid", b"sid"), None);
        assert_eq!(cookie(b"", b"sid"), None);
    }

    #[test]
    fn paths() {
        assert_eq!(path(b"/a/b?c#d"), b"/a/b");
        assert_eq!(path(b"*"), b"*");
        assert_eq!(first_segments(b"/a/b/c", 1), Some(&b"/a"[..]));
        assert_eq!(first_segments(b"/a/b/c", 3), Some(&b"/a/b/c"[..]));
        assert_eq!(first_segments(b"/a/b/c", 4), None);
        assert_eq!(first_segments(b"", 1), Some(&b""[..]));
        assert_eq!(segment(b"/a/b/c", 2), Some(&b"b"[..]));
        assert_eq!(segment(b"/a//c", 2), None);
        assert_eq!(segment(b"/a", 2), None);
    }
}

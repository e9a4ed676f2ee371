//! Texts with `*` at an end: `/api/*`, `*.example.com`, `*internal*`, `*`.

/// A text to compare with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pattern {
    text: Vec<u8>,
    open_start: bool,
    open_end: bool,
}

impl Pattern {
    /// Reads a pattern. `None` for a `*` in the middle, which would be taken for more than it can do.
    pub fn read(text: &str) -> Option<Self> {
        if text == "*" {
            return Some(Pattern {
                text: Vec::new(),
                open_start: true,
                open_end: true,
            });
        }
        let (open_start, rest) = match text.strip_prefix('*') {
            Some(rest) => (true, rest),
            None => (false, text),
        };
        let (open_end, rest) = match rest.strip_suffix('*') {
            Some(rest) => (true, rest),
            None => (false, rest),
        };
        (!rest.contains('*')).then(|| Pattern {
            text: rest.as_bytes().to_vec(),
            open_start,
            open_end,
        })
    }

    /// In lower case.
    pub fn lower(mut self) -> Self {
        self.text.make_ascii_lowercase();
        self
    }

    /// Compares.
    pub fn matches(&self, value: &[u8]) -> bool {
        match (self.open_start, self.open_end) {
            (false, false) => value == self.text,
            (false, true) => value.starts_with(&self.text),
            (true, false) => value.ends_with(&self.text),
            (true, true) => {
                self.text.is_empty()
                    || value
                        .windows(self.text.len())
                        .any(|window| window == self.text)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Pattern;

    #[test]
    fn stars_stand_at_the_ends() {
        for (pattern, yes, no) in [
            ("/a", "/a", "/ab"),
            ("/a*", "/ab", "/b"),
            ("*.example.com", "x.example.com", "example.com"),
            ("*bot*", "a bot!", "bo"),
            ("*", "", ""),
            ("", "", "x"),
        ] {
            let read = Pattern::read(pattern).unwrap();
            assert!(read.matches(yes.as_bytes()), "{pattern} {yes}");
            assert!(
                pattern == "*" || !read.matches(no.as_bytes()),
                "{pattern} {no}"
            );
        }
        assert!(Pattern::read("*").unwrap().matches(b"anything"));
        assert_eq!(Pattern::read("/a*/b"), None);
        assert_eq!(Pattern::read("**x"), None);
    }
}

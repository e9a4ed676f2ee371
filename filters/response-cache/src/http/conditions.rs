//! Conditional requests against a stored response (RFC 9110, section 13; RFC 9111, section 4.3.2).

use super::directives::list_of;
use seawall_core::date;
use seawall_core::headers::Headers;
use seawall_core::time::Timestamp;

/// The conditions of a request that a cache evaluates.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Conditions {
    /// All lines of `If-None-Match`.
    pub none_match: Vec<Vec<u8>>,
    /// `If-Modified-Since`
    pub modified_since: Option<Vec<u8>>,
    /// `If-Range`
    pub range: Option<Vec<u8>>,
}

/// An entity tag without its weakness mark.
fn opaque(tag: &[u8]) -> &[u8] {
    tag.strip_prefix(b"W/").unwrap_or(tag)
}

fn is_weak(tag: &[u8]) -> bool {
    tag.starts_with(b"W/")
}

/// Weak comparison (RFC 9110, section 8.8.3.2).
pub fn weakly_equal(a: &[u8], b: &[u8]) -> bool {
    opaque(a) == opaque(b)
}

/// Strong comparison.
pub fn strongly_equal(a: &[u8], b: &[u8]) -> bool {
    a == b && !is_weak(a)
}

impl Conditions {
    /// True when the request has one of the conditions that can be answered with 304.
    pub fn any(&self) -> bool {
        !self.none_match.is_empty() || self.modified_since.is_some()
    }

    /// True for `If-None-Match: *`, which asks whether there is anything at all.
    pub fn asks_for_none(&self) -> bool {
        let mut lines = self.none_match.iter();
        lines.any(|line| line.trim_ascii() == b"*")
    }

    /// True when the client already has what is stored: the answer is 304.
    pub fn not_modified(&self, stored: &Headers, stored_at: Timestamp) -> bool {
        if !self.none_match.is_empty() {
            // `If-None-Match` takes precedence (RFC 9110, section 13.1.3).
            return self.matches_tag(stored.get("etag"));
        }
        let Some(since) = &self.modified_since else {
            return false;
        };
        let Some(since) = date::parse(since, stored_at) else {
            return false;
        };
        // Without `Last-Modified`, `Date` and then the time of arrival stand in (RFC 9111, section 4.3.2).
        let modified = ["last-modified", "date"]
            .iter()
            .find_map(|field| date::parse(stored.get(field)?, stored_at))
            .unwrap_or(stored_at);
        modified <= since
    }

    fn matches_tag(&self, stored: Option<&[u8]>) -> bool {
        self.none_match
            .iter()
            .flat_map(|line| list_of(line))
            .any(|tag| tag == b"*" || stored.is_some_and(|stored| weakly_equal(tag, stored)))
    }

    /// True when a range of what is stored may be sent: there is no `If-Range`, or it holds (RFC 9110, section 13.1.5).
    pub fn range_holds(&self, stored: &Headers, stored_at: Timestamp) -> bool {
        let Some(condition) = &self.range else {
            return true;
        };
        let condition = condition.trim_ascii();
        if condition.starts_with(b"\"") || is_weak(condition) {
            return stored
                .get("etag")
                .is_some_and(|tag| strongly_equal(condition, tag));
        }
        // A date must be the stored one exactly, and old enough to be a strong validator (section 8.8.2.2).
        let (Some(wanted), Some(modified)) = (
            date::parse(condition, stored_at),
            stored
                .get("last-modified")
                .and_then(|text| date::parse(text, stored_at)),
        ) else {
            return false;
        };
        let sent = stored
            .get("date")
            .and_then(|text| date::parse(text, stored_at))
            .unwrap_or(stored_at);
        wanted == modified && sent.since(modified).as_secs() >= 1
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const AT: Timestamp = Timestamp::from_secs(784_111_777);
    const THEN: &str = "Sun, 06 Nov 1994 08:49:37 GMT";
    const BEFORE: &str = "Sun, 06 Nov 1994 08:00:00 GMT";

    fn none_match(lines: &[&str]) -> Conditions {
        Conditions {
            none_match: lines.iter().map(|line| line.as_bytes().to_vec()).collect(),
            ..Conditions::default()
        }
    }

    fn since(text: &str) -> Conditions {
        Conditions {
            modified_since: Some(text.as_bytes().to_vec()),
            ..Conditions::default()
        }
    }

    #[test]
    fn tags_are_compared_weakly_over_all_lines() {
        let stored = Headers::from_pairs(&[("etag", "W/\"a,b\"")]);
        for lines in [
            vec!["\"a,b\""],
            vec!["W/\"a,b\""],
            vec!["\"x\", \"a,b\""],
            vec!["\"x\"", "\"a,b\""],
            vec!["*"],
        ] {
            assert!(none_match(&lines).not_modified(&stored, AT), "{lines:?}");
        }
        for lines in [vec!["\"a\""], vec!["a,b"], vec!["w/\"a,b\""]] {
            assert!(!none_match(&lines).not_modified(&stored, AT), "{lines:?}");
        }
        assert!(!none_match(&["\"a\""]).not_modified(&Headers::default(), AT));
    }

    #[test]
    fn a_tag_takes_precedence_over_a_date() {
        let stored = Headers::from_pairs(&[("etag", "\"a\""), ("last-modified", BEFORE)]);
        let mut both = none_match(&["\"b\""]);
        both.modified_since = Some(THEN.into());
        assert!(!both.not_modified(&stored, AT));
    }

    #[test]
    fn dates_in_every_form_with_date_as_the_last_resort() {
        let stored = Headers::from_pairs(&[("last-modified", BEFORE)]);
        assert!(since(THEN).not_modified(&stored, AT));
        assert!(since("Sunday, 06-Nov-94 08:00:00 GMT").not_modified(&stored, AT));
        assert!(!since("Sun, 06 Nov 1994 07:00:00 GMT").not_modified(&stored, AT));
        assert!(!since("yesterday").not_modified(&stored, AT));
        let dated = Headers::from_pairs(&[("date", THEN)]);
        assert!(since(THEN).not_modified(&dated, AT));
        assert!(!since(BEFORE).not_modified(&dated, AT));
    }

    #[test]
    fn if_range_needs_a_strong_match() {
        let with = |text: &str| Conditions {
            range: Some(text.into()),
            ..Conditions::default()
        };
        let stored =
            Headers::from_pairs(&[("etag", "\"a\""), ("last-modified", BEFORE), ("date", THEN)]);
        assert!(with("\"a\"").range_holds(&stored, AT));
        assert!(!with("W/\"a\"").range_holds(&stored, AT));
        assert!(!with("\"b\"").range_holds(&stored, AT));
        assert!(with(BEFORE).range_holds(&stored, AT));
        assert!(!with(THEN).range_holds(&stored, AT));
        assert!(Conditions::default().range_holds(&stored, AT));
    }
}

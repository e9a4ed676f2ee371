//! Rules that choose requests by header, cookie or path.

use crate::http::request::Request;
use crate::key::cookie_values;

/// Chooses requests; everything that is given must hold.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Rule {
    /// A field is there (with `value`: one of its lines is that).
    pub header: Option<String>,
    /// A cookie is there (with `value`: one of that name is that).
    pub cookie: Option<String>,
    /// The value.
    pub value: Option<String>,
    /// The path, without the query.
    pub path: Option<String>,
    /// The beginning of the path.
    pub path_prefix: Option<String>,
}

/// What rules look at.
pub type RuleRequest = Request;

impl Rule {
    /// True when the rule holds for the request.
    pub fn holds(&self, request: &RuleRequest) -> bool {
        let path = request
            .path()
            .split(|byte| *byte == b'?')
            .next()
            .unwrap_or_default();
        let value = self.value.as_deref().map(str::as_bytes);
        let header = self.header.as_deref().is_none_or(|name| {
            let mut lines = request.headers.all(name);
            lines.any(|line| value.is_none_or(|value| line == value))
        });
        let cookie = self.cookie.as_deref().is_none_or(|name| {
            let mut found = cookie_values(&request.headers, name);
            found.any(|found| value.is_none_or(|value| found == value))
        });
        header
            && cookie
            && self
                .path
                .as_deref()
                .is_none_or(|wanted| path == wanted.as_bytes())
            && self
                .path_prefix
                .as_deref()
                .is_none_or(|prefix| path.starts_with(prefix.as_bytes()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use seawall_core::headers::Headers;

    #[test]
    fn everything_given_must_hold() {
        let request = Request::read(Headers::from_pairs(&[
            (":path", "/admin/x?y"),
            ("x-debug", "0"),
            ("x-debug", "1"),
            ("cookie", "session=abc; a=c; a=b"),
        ]));
        let rule = Rule::default();
        for (rule, expected) in [
            (
                Rule {
                    header: Some("x-debug".into()),
                    ..rule.clone()
                },
                true,
            ),
            (
                Rule {
                    header: Some("x-debug".into()),
                    value: Some("1".into()),
                    ..rule.clone()
                },
                true,
            ),
            (
                Rule {
                    header: Some("x-debug".into()),
                    value: Some("2".into()),
                    ..rule.clone()
                },
                false,
            ),
            (
                Rule {
                    cookie: Some("session".into()),
                    ..rule.clone()
                },
                true,
            ),
            (
                Rule {
                    cookie: Some("sess".into()),
                    ..rule.clone()
                },
                false,
            ),
            (
                Rule {
                    path: Some("/admin/x".into()),
                    ..rule.clone()
                },
                true,
            ),
            (
                Rule {
                    path_prefix: Some("/admin/".into()),
                    cookie: Some("a".into()),
                    value: Some("b".into()),
                    ..rule.clone()
                },
                true,
            ),
            (
                Rule {
                    path_prefix: Some("/other".into()),
                    cookie: Some("a".into()),
                    ..rule
                },
                false,
            ),
        ] {
            assert_eq!(rule.holds(&request), expected, "{rule:?}");
        }
    }
}

//! Header fields that a configuration has an answer carry.

use super::ConfigErrors;
use crate::headers::{is_field_name, is_field_value};
use std::collections::{BTreeMap, BTreeSet};

/// Frame the message, or are of one connection (RFC 9110, sections 7.6.1, 7.8 and 8.6): Envoy sets them, or leaves them out.
const OF_THE_MESSAGE: [&str; 8] = [
    "connection",
    "content-length",
    "keep-alive",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

/// Whether a name, in lower case, is that of a field that frames the message or is of the connection.
pub fn is_of_the_message(name: &str) -> bool {
    OF_THE_MESSAGE.contains(&name)
}

/// The fields with their names in lower case, as HTTP/2 and Envoy have them. What cannot be one, what Envoy sets by itself and what is
/// `taken` for fields that the filter makes is an error.
pub fn of_answer(
    raw: BTreeMap<String, String>,
    path: &str,
    taken: &[&str],
    errors: &mut ConfigErrors,
) -> Vec<(String, String)> {
    let mut fields = Vec::with_capacity(raw.len());
    let mut names = BTreeSet::new();
    for (name, value) in raw {
        let place = format!("{path}.{name}");
        let lower = name.to_ascii_lowercase();
        if !is_field_name(&lower) {
            errors.add(
                place.clone(),
                format!("must be the name of a header, got {name:?}"),
            );
        }
        if is_of_the_message(&lower) || taken.contains(&lower.as_str()) {
            errors.add(
                place.clone(),
                "must be a header that the answer does not get anyway",
            );
        }
        if !names.insert(lower.clone()) {
            errors.add(place.clone(), "must be there once, in whatever case");
        }
        if !is_field_value(&value) {
            errors.add(
                place,
                format!("must not hold control characters, got {value:?}"),
            );
        }
        fields.push((lower, value));
    }
    fields
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(fields: &[(&str, &str)], taken: &[&str]) -> (Vec<(String, String)>, Vec<String>) {
        let raw = fields
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect();
        let mut errors = ConfigErrors::default();
        let fields = of_answer(raw, "headers", taken, &mut errors);
        (fields, errors.iter().map(ToString::to_string).collect())
    }

    #[test]
    fn names_are_in_lower_case() {
        let (fields, errors) = read(&[("X-Reason", "busy"), ("link", "<a>;rel=help\t")], &[]);
        assert!(errors.is_empty(), "{errors:?}");
        let expected = [("x-reason", "busy"), ("link", "<a>;rel=help\t")];
        assert!(fields
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str()))
            .eq(expected));
    }

    #[test]
    fn what_is_no_field_or_not_for_the_answer_is_an_error() {
        for (name, value, problem) in [
            ("", "a", "headers.: must be the name of a header, got \"\""),
            (
                "a b",
                "a",
                "headers.a b: must be the name of a header, got \"a b\"",
            ),
            (
                ":status",
                "200",
                "headers.:status: must be the name of a header, got \":status\"",
            ),
            (
                "a",
                "b\r\nc: d",
                "headers.a: must not hold control characters, got \"b\\r\\nc: d\"",
            ),
            (
                "Content-Length",
                "3",
                "headers.Content-Length: must be a header that the answer does not get anyway",
            ),
            (
                "retry-after",
                "3",
                "headers.retry-after: must be a header that the answer does not get anyway",
            ),
        ] {
            assert_eq!(read(&[(name, value)], &["retry-after"]).1, [problem]);
        }
        let (_, errors) = read(&[("A", "1"), ("a", "2")], &[]);
        assert_eq!(errors, ["headers.a: must be there once, in whatever case"]);
    }
}

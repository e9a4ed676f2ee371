//! Texts and numbers that a type reads by itself, known by the words with which it refuses others.

use serde_json::{json, Value};

/// A form: what its type says is expected, the pattern of its texts, and the numbers it takes.
struct Form {
    expected: &'static str,
    pattern: &'static str,
    numbers: Option<(u64, u64)>,
}

fn forms() -> [Form; 5] {
    [
        Form {
            expected: "a duration such as \"500ms\", \"10s\", \"1m\", \"2h\" or \"1d\"",
            pattern: "^[0-9]+(ns|us|ms|s|m|h|d)$",
            numbers: None,
        },
        Form {
            expected: "a duration such as \"500ms\", \"10s\", \"1m\", \"2h\" or \"1d\", or one of \"second\", \"minute\", \"hour\", \"day\", \"week\", \"month\", \"year\"",
            pattern: "^([0-9]+(ns|us|ms|s|m|h|d)|second|minute|hour|day|week|month|year)$",
            numbers: None,
        },
        Form {
            expected: "a number of bytes such as 65536, \"64KiB\", \"16MiB\" or \"1GiB\"",
            pattern: "^[0-9]+(B|KiB|MiB|GiB)?$",
            numbers: Some((0, u64::MAX)),
        },
        Form {
            expected: "a status from 100 to 599, or a class such as \"5xx\"",
            pattern: "^([1-5]xx|\\+?0*[1-5][0-9][0-9])$",
            numbers: Some((100, 599)),
        },
        Form {
            expected: "one of \"client_address\", \"path\", \"method\", \"host\", \"route\", \"cluster\", or an object with one of `header`, `cookie`, `query`, `client_address`, `path_prefix`, `path_segment`, `jwt_claim`, `constant`",
            pattern: "^(client_address|path|method|host|route|cluster)$",
            numbers: None,
        },
    ]
}

fn find(expected: &str) -> Option<Form> {
    forms().into_iter().find(|form| form.expected == expected)
}

/// Whether a form is known by these words.
pub fn known(expected: &str) -> bool {
    find(expected).is_some()
}

/// The schema of a text in a form of its own. One that nobody has described here is any text, and says what it should be.
pub(super) fn text(expected: &str) -> Value {
    match find(expected) {
        Some(form) if form.pattern.contains("client_address") => {
            let words = form.pattern.trim_matches(['^', '$', '(', ')']);
            json!({"type": "string", "enum": words.split('|').collect::<Vec<_>>()})
        }
        Some(form) => json!({"type": "string", "pattern": form.pattern}),
        None => json!({"type": "string", "$comment": expected}),
    }
}

/// The schema of a number in such a form.
pub(super) fn number(expected: &str) -> Value {
    match find(expected).and_then(|form| form.numbers) {
        Some((least, most)) => json!({"type": "integer", "minimum": least, "maximum": most}),
        None => json!({"type": "integer", "$comment": expected}),
    }
}

/// A number that may have a fraction; Envoy makes a text of it when it reads YAML, so a text will do as well.
pub(super) fn fraction() -> Value {
    json!({"anyOf": [
        {"type": "number"},
        {"type": "string", "pattern": "^-?(0|[1-9][0-9]*)(\\.[0-9]+)?([eE][+-]?[0-9]+)?$"},
    ]})
}

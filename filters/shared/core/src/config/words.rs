//! What errors say, in words of who writes YAML rather than of serde and of Rust.

use super::decimal;
use serde::de::{Expected, Unexpected};

/// A value of another kind than is allowed.
pub(super) fn mismatch(what: &str, found: &Unexpected<'_>, expected: &dyn Expected) -> String {
    let found = match found {
        Unexpected::Bool(value) => format!("boolean `{value}`"),
        Unexpected::Unsigned(number) => format!("integer `{number}`"),
        Unexpected::Signed(number) => format!("integer `{number}`"),
        Unexpected::Float(number) => format!("number `{}`", decimal(*number)),
        Unexpected::Str(text) => format!("string {text:?}"),
        Unexpected::Unit => "null".to_owned(),
        Unexpected::Seq => "a list".to_owned(),
        Unexpected::Map => "an object".to_owned(),
        _ => "something else".to_owned(),
    };
    let expected = expected.to_string();
    let expected = in_words(&expected);
    format!("invalid {what}: {found}, expected {expected}")
}

fn in_words(expected: &str) -> &str {
    match expected {
        "u8" | "u16" | "u32" | "u64" | "usize" => "a whole number from 0 on",
        "i8" | "i16" | "i32" | "i64" | "isize" => "a whole number",
        "f32" | "f64" => "a number",
        "a sequence" => "a list",
        "a map" => "an object",
        "unit variant" => "the word alone",
        other if other.starts_with("struct ") => "an object of settings",
        other => other,
    }
}

/// A name that is none of those that are known, with the one that was probably meant.
#[cold]
#[inline(never)]
pub fn unknown(what: &str, name: &str, known: &[&str]) -> String {
    let mut text = format!("unknown {what} `{name}`");
    if let Some(meant) = meant(name, known) {
        text.push_str(" (did you mean `");
        text.push_str(meant);
        text.push_str("`?)");
    }
    text.push_str(", expected ");
    if known.len() > 2 {
        text.push_str("one of ");
    }
    let between = if known.len() == 2 { " or " } else { ", " };
    for (at, name) in known.iter().enumerate() {
        if at > 0 {
            text.push_str(between);
        }
        text.push('`');
        text.push_str(name);
        text.push('`');
    }
    text
}

/// The nearest of the names, where it is near enough to be no other word: a letter in four may differ.
fn meant<'k>(name: &str, known: &[&'k str]) -> Option<&'k str> {
    let near = known.iter().map(|known| (distance(name, known), *known));
    let (apart, known) = near.min_by_key(|(apart, _)| *apart)?;
    (apart <= (known.len() / 4).max(1)).then_some(known)
}

/// Letters to be put in, left out or replaced, whatever the case, and with `-` for `_`. What is long is far from everything, so
/// that a configuration cannot make this take time.
fn distance(one: &str, other: &str) -> usize {
    const LONG: usize = 64;
    if one.len() > LONG || other.len() > LONG {
        return usize::MAX;
    }
    let plain = |name: &str| name.to_ascii_lowercase().replace('-', "_");
    strsim::levenshtein(&plain(one), &plain(other))
}

#[cfg(test)]
mod tests {
    use super::{distance, meant, unknown};

    #[test]
    fn distances() {
        for (one, other, apart) in [
            ("", "", 0),
            ("", "abc", 3),
            ("abc", "", 3),
            ("kitten", "sitting", 3),
            ("bust", "burst", 1),
            ("GCRA", "gcra", 0),
            ("connect-failure", "connect_failure", 0),
            ("ä", "a", 1),
        ] {
            assert_eq!(distance(one, other), apart, "{one} {other}");
            assert_eq!(distance(other, one), apart, "{other} {one}");
        }
        assert_eq!(distance(&"a".repeat(65), "a"), usize::MAX);
    }

    #[test]
    fn what_was_meant() {
        let known = [
            "per",
            "requests",
            "per_route",
            "failure_threshold",
            "uuidv4",
            "uuidv7",
        ];
        for (name, likely) in [
            ("request", Some("requests")),
            ("Per", Some("per")),
            ("per-route", Some("per_route")),
            ("failureThreshold", Some("failure_threshold")),
            ("failure_treshhold", Some("failure_threshold")),
            ("uuid4", Some("uuidv4")),
            ("uuid", None),
            ("rate", None),
            ("", None),
            ("timeout", None),
        ] {
            assert_eq!(meant(name, &known), likely, "{name}");
        }
        assert_eq!(meant("any", &[]), None);
    }

    #[test]
    fn what_is_known_is_said() {
        assert_eq!(
            unknown("field", "bust", &["burst"]),
            "unknown field `bust` (did you mean `burst`?), expected `burst`"
        );
        assert_eq!(
            unknown("variant", "loud", &["enforce", "shadow"]),
            "unknown variant `loud`, expected `enforce` or `shadow`"
        );
        assert_eq!(
            unknown("field", "x", &["one", "two", "three"]),
            "unknown field `x`, expected one of `one`, `two`, `three`"
        );
    }
}

//! What a plain scalar means to Envoy: the rules of its YAML reader, not those of YAML 1.2. So `yes` is a boolean, and `0.25` a
//! text, which a filter reads as a number where it expects one.

use super::Content;
use serde_json::Number;

const TRUE: [&str; 4] = ["y", "yes", "true", "on"];
const FALSE: [&str; 4] = ["n", "no", "false", "off"];

/// A scalar without quotes. In JSON, which Envoy reads by other means, a fraction is a number.
pub(super) fn plain(text: &str, json: bool) -> Content {
    if matches!(text, "" | "~" | "null" | "Null" | "NULL") {
        return Content::Null;
    }
    if let Some(truth) = boolean(text) {
        return Content::Bool(truth);
    }
    if let Some(number) = integer(text) {
        return Content::Number(Number::from(number));
    }
    match double(text).filter(|_| json) {
        Some(number) => Content::Number(number),
        None => Content::Text {
            text: text.to_owned(),
            literal: false,
        },
    }
}

fn boolean(text: &str) -> Option<bool> {
    let lower = text.to_ascii_lowercase();
    let rest = text.get(1..).unwrap_or_default();
    let even = text == lower
        || text == text.to_ascii_uppercase()
        || (rest == rest.to_ascii_lowercase()
            && text.starts_with(|c: char| c.is_ascii_uppercase()));
    match lower.as_str() {
        word if even && TRUE.contains(&word) => Some(true),
        word if even && FALSE.contains(&word) => Some(false),
        _ => None,
    }
}

fn integer(text: &str) -> Option<i64> {
    let (negative, digits) = match text.strip_prefix('-') {
        Some(digits) => (true, digits),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    let (digits, radix) = match digits.strip_prefix("0x") {
        Some(digits) => (digits, 16),
        None if digits.len() > 1 && digits.starts_with('0') => (digits, 8),
        None => (digits, 10),
    };
    if !digits.starts_with(|c: char| c.is_ascii_hexdigit()) {
        return None;
    }
    let number = i64::from_str_radix(digits, radix).ok()?;
    let number = if negative { -number } else { number };
    // The bounds themselves are texts to it.
    (number != i64::MIN && number != i64::MAX).then_some(number)
}

fn double(text: &str) -> Option<Number> {
    serde_json::from_str(text).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str, json: bool) -> serde_json::Value {
        super::super::Node {
            at: super::super::Position { line: 1, column: 1 },
            content: plain(text, json),
        }
        .json()
    }

    #[test]
    fn scalars_mean_what_they_mean_to_envoy() {
        for (text, value) in [
            ("", "null"),
            ("~", "null"),
            ("yes", "true"),
            ("On", "true"),
            ("OFF", "false"),
            ("yEs", "\"yEs\""),
            ("12", "12"),
            ("-12", "-12"),
            ("0x10", "16"),
            ("010", "8"),
            ("0", "0"),
            ("-0x10", "-16"),
            ("+1", "1"),
            ("08", "\"08\""),
            ("1.5", "\"1.5\""),
            ("1e3", "\"1e3\""),
            ("9223372036854775807", "\"9223372036854775807\""),
            ("10s", "\"10s\""),
            ("1.2.3", "\"1.2.3\""),
            ("-", "\"-\""),
            ("nan", "\"nan\""),
            ("x-tenant-id", "\"x-tenant-id\""),
        ] {
            assert_eq!(read(text, false).to_string(), value, "{text:?}");
        }
        assert_eq!(read("1.5", true).to_string(), "1.5");
    }
}

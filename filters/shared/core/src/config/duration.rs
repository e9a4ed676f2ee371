//! Durations as text: `500ms`, `10s`, `1m`, `2h`, `1d`.

use crate::time::Span;
use serde::de::{Deserialize, Deserializer, Error, Unexpected, Visitor};
use std::fmt;

const ALLOWED: &str = "a duration such as \"500ms\", \"10s\", \"1m\", \"2h\" or \"1d\"";

const UNITS: [(&str, u64); 7] = [
    ("ns", 1),
    ("us", 1_000),
    ("ms", 1_000_000),
    ("s", 1_000_000_000),
    ("m", 60_000_000_000),
    ("h", 3_600_000_000_000),
    ("d", 86_400_000_000_000),
];

/// Reads one whole number and its unit.
fn parse(text: &str) -> Option<Span> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at_checked(digits)?;
    let number: u64 = number.parse().ok()?;
    let (_, nanos) = UNITS.iter().find(|(name, _)| *name == unit)?;
    number.checked_mul(*nanos).map(Span)
}

struct Text;

impl Visitor<'_> for Text {
    type Value = Span;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(ALLOWED)
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Span, E> {
        parse(text).ok_or_else(|| E::invalid_value(Unexpected::Str(text), &self))
    }
}

impl<'de> Deserialize<'de> for Span {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_str(Text)
    }
}

impl fmt::Display for Span {
    /// The shortest text that means the same.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_zero() {
            return f.write_str("0s");
        }
        for (unit, nanos) in UNITS.iter().rev() {
            if self.0.checked_rem(*nanos) == Some(0) {
                return write!(
                    f,
                    "{}{unit}",
                    self.0.checked_div(*nanos).unwrap_or_default()
                );
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn reads_every_unit() {
        for (text, nanos) in [
            ("0s", 0),
            ("7ns", 7),
            ("3us", 3_000),
            ("500ms", 500_000_000),
            ("10s", 10_000_000_000),
            ("1m", 60_000_000_000),
            ("2h", 7_200_000_000_000),
            ("1d", 86_400_000_000_000),
        ] {
            let span: Span = serde_json::from_value(json!(text)).unwrap();
            assert_eq!(span.as_nanos(), nanos, "{text}");
            assert_eq!(span.to_string(), text);
        }
    }

    #[test]
    fn refuses_everything_else_and_says_what_is_allowed() {
        for value in [
            json!("10"),
            json!("s"),
            json!("1.5s"),
            json!("-1s"),
            json!("10 s"),
            json!("1s "),
            json!("99999999999999d"),
            json!("٣s"),
            json!(10),
            json!(null),
        ] {
            let error = serde_json::from_value::<Span>(value.clone())
                .unwrap_err()
                .to_string();
            assert!(error.contains("\"500ms\", \"10s\""), "{value}: {error}");
        }
    }
}

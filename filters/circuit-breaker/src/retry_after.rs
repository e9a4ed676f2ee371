//! When the upstream says to come back: `Retry-After` (RFC 9110, section 10.2.3), in seconds or as a date.

use seawall_core::date;
use seawall_core::time::{Span, Timestamp};

/// The time that is asked for; `None` for what is neither seconds nor a date.
pub fn parse(value: &[u8], now: Timestamp) -> Option<Span> {
    let text = std::str::from_utf8(value).ok()?.trim();
    if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) {
        // More digits than fit are a long time.
        return Some(Span::from_secs(text.parse().unwrap_or(u64::MAX)));
    }
    Some(date::parse(text.as_bytes(), now)?.since(now))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn seconds_and_all_three_forms_of_dates() {
        let now = Timestamp::from_secs(784_111_770);
        for (text, seconds) in [
            ("7", Some(7)),
            (" 120 ", Some(120)),
            ("0", Some(0)),
            ("Sun, 06 Nov 1994 08:49:37 GMT", Some(7)),
            ("Sunday, 06-Nov-94 08:49:37 GMT", Some(7)),
            ("Sun Nov  6 08:49:37 1994", Some(7)),
            ("Sun, 06 Nov 1993 08:49:37 GMT", Some(0)),
            ("soon", None),
            ("-1", None),
            ("1.5", None),
            ("", None),
            ("Sun, 32 Nov 1994 08:49:37 GMT", None),
        ] {
            assert_eq!(
                parse(text.as_bytes(), now),
                seconds.map(Span::from_secs),
                "{text}"
            );
        }
        assert_eq!(parse(b"99999999999999999999999", now), Some(Span::MAX));
    }

    proptest! {
        #[test]
        fn nothing_that_an_upstream_sends_panics(bytes in proptest::collection::vec(any::<u8>(), 0..64)) {
            let _ = parse(&bytes, Timestamp::from_secs(1));
        }

        #[test]
        fn nor_what_looks_like_a_date(text in "[a-z]{3},? [0-9]{1,3} [A-Z][a-z]{2} [0-9]{2,5} [0-9]{1,2}:[0-9]{2}:[0-9]{2} GMT") {
            let _ = parse(text.as_bytes(), Timestamp::from_secs(1));
        }
    }
}

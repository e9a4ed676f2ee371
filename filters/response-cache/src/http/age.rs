//! The age of a response (RFC 9111, section 4.2.3), saturating whatever the clocks say.

use super::directives::{list_of, seconds};
use seawall_core::date;
use seawall_core::headers::Headers;
use seawall_core::time::{Span, Timestamp};

/// When a request went out and its response came in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Times {
    /// `request_time`
    pub request: Timestamp,
    /// `response_time`
    pub response: Timestamp,
}

/// `age_value`: the first member of the first `Age` line, if it is a number (RFC 9111, section 5.1).
pub fn field(headers: &Headers) -> Option<Span> {
    let first = list_of(headers.get("age")?).next()?;
    seconds(first).map(Span::from_secs)
}

/// `date_value`: when the origin says it answered; the time of arrival where it does not say (RFC 9110, section 6.6.1).
pub fn date_value(headers: &Headers, arrived: Timestamp) -> Timestamp {
    headers
        .get("date")
        .and_then(|text| date::parse(text, arrived))
        .unwrap_or(arrived)
}

/// `corrected_initial_age`: how old the response already was when it arrived; `sent` is its [`date_value`].
pub fn initial(headers: &Headers, sent: Timestamp, times: Times) -> Span {
    // In whole seconds, as the section has it: a `Date` has no fractions, so those of the arrival say nothing.
    let apparent = Span::from_secs(times.response.as_secs().saturating_sub(sent.as_secs()));
    let delay = times.response.since(times.request);
    let corrected = field(headers).unwrap_or_default().saturating_add(delay);
    apparent.max(corrected)
}

/// `current_age`
pub fn current(initial: Span, response: Timestamp, now: Timestamp) -> Span {
    initial.saturating_add(now.since(response))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const NOW: Timestamp = Timestamp::from_secs(1_000_000);

    fn age(pairs: &[(&str, &str)]) -> u64 {
        let times = Times {
            request: NOW,
            response: NOW,
        };
        let headers = Headers::from_pairs(pairs);
        initial(&headers, date_value(&headers, times.response), times).as_secs()
    }

    #[test]
    fn odd_values() {
        for (text, expected) in [
            ("7200", 7200),
            ("abc", 0),
            ("-7200", 0),
            ("7200.0", 0),
            ("7200, 0", 7200),
            ("0, 7200", 0),
            ("99999999999999999999", 1 << 31),
            ("", 0),
            ("7200;foo=bar", 0),
        ] {
            assert_eq!(age(&[("age", text)]), expected, "{text}");
        }
        assert_eq!(age(&[("age", "7200"), ("age", "0")]), 7200);
    }

    #[test]
    fn the_greater_of_what_the_date_and_the_age_say() {
        let old = date::format(NOW.saturating_sub(Span::from_secs(100)));
        let ahead = date::format(NOW.saturating_add(Span::from_secs(100)));
        assert_eq!(age(&[("date", &old)]), 100);
        assert_eq!(age(&[("date", &old), ("age", "300")]), 300);
        assert_eq!(age(&[("date", &ahead)]), 0);
        assert_eq!(age(&[("date", "foo")]), 0);
    }

    #[test]
    fn the_time_on_the_way_counts() {
        let times = Times {
            request: NOW,
            response: NOW.saturating_add(Span::from_secs(5)),
        };
        assert_eq!(
            initial(
                &Headers::from_pairs(&[("age", "10")]),
                times.response,
                times
            )
            .as_secs(),
            15
        );
        let back = Times {
            request: NOW.saturating_add(Span::from_secs(5)),
            response: NOW,
        };
        assert_eq!(
            initial(&Headers::default(), back.response, back),
            Span::ZERO
        );
    }

    #[test]
    fn what_a_date_leaves_out_is_no_age() {
        let response = Timestamp(NOW.0.saturating_add(999_999_999));
        let times = Times {
            request: response,
            response,
        };
        let headers = Headers::from_pairs(&[("date", date::format(NOW).as_str())]);
        let sent = date_value(&headers, response);
        assert_eq!(initial(&headers, sent, times), Span::ZERO);
    }

    proptest! {
        #[test]
        fn it_grows_with_time_and_never_panics(initial in any::<u64>(), response in any::<u64>(), now in any::<u64>(), later in any::<u64>()) {
            let at = |now| current(Span(initial), Timestamp(response), Timestamp(now));
            prop_assert!(at(now.max(later)) >= at(now.min(later)));
        }
    }
}

//! Ends of what the specifications of HTTP say, each with the other side of it.
#![cfg(not(target_arch = "wasm32"))]
#![allow(
    clippy::unwrap_used,
    clippy::arithmetic_side_effects,
    reason = "test code"
)]

use seawall_core::date;
use seawall_core::headers::Headers;
use seawall_core::time::{Span, Timestamp};
use seawall_response_cache::http::conditions::Conditions;
use seawall_response_cache::http::directives::{Qualified, RequestDirectives, ResponseDirectives};
use seawall_response_cache::http::freshness::{lifetime, Policy, Source};
use seawall_response_cache::http::range::{read, Ranged};
use seawall_response_cache::http::request::{Method, Request};
use seawall_response_cache::http::vary;

/// In 2026.
const NOW: Timestamp = Timestamp::from_secs(1_780_000_000);
const MODIFIED: &str = "Sun, 06 Nov 1994 08:00:00 GMT";

fn parse(text: &str) -> Option<u64> {
    date::parse(text.as_bytes(), NOW).map(Timestamp::as_secs)
}

#[test]
fn every_day_of_four_hundred_years_there_and_back() {
    let (day, mut weekday) = (86_400, 3);
    let days = ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"];
    for number in 0..=146_097 + 800 {
        let at = number * day + number % day;
        let text = date::format(Timestamp::from_secs(at));
        assert_eq!(parse(&text), Some(at), "{text}");
        assert_eq!(days.get(weekday), text.get(..3).as_ref(), "{text}");
        weekday = (weekday + 1) % 7;
    }
}

/// RFC 9110, section 5.6.7.
#[test]
fn dates_that_are_and_those_that_are_not() {
    for (text, same) in [
        ("Wed, 31 Apr 2026 00:00:00 GMT", None),
        ("Wed, 31 Jun 2026 00:00:00 GMT", None),
        ("Wed, 29 Feb 2026 00:00:00 GMT", None),
        (
            "Thu, 29 Feb 2024 00:00:00 GMT",
            Some("Thu, 29 Feb 2024 00:00:00 GMT"),
        ),
        ("Thu, 30 Feb 2024 00:00:00 GMT", None),
        ("Mon, 29 Feb 2100 00:00:00 GMT", None),
        ("Sat, 00 Jan 2028 00:00:00 GMT", None),
        (
            "Tue, 29 Feb 2000 00:00:00 GMT",
            Some("Tue, 29 Feb 2000 00:00:00 GMT"),
        ),
        // A leap second, and no second after it.
        (
            "Sat, 31 Dec 2016 23:59:60 GMT",
            Some("Sun, 01 Jan 2017 00:00:00 GMT"),
        ),
        ("Sat, 31 Dec 2016 23:59:61 GMT", None),
        ("Sat, 31 Dec 2016 24:00:00 GMT", None),
        ("Sat, 31 Dec 2016 23:60:00 GMT", None),
        // Two digits: more than 50 years ahead is long ago.
        (
            "Wednesday, 01-Jan-76 00:00:00 GMT",
            Some("Wed, 01 Jan 2076 00:00:00 GMT"),
        ),
        (
            "Saturday, 01-Jan-77 00:00:00 GMT",
            Some("Sat, 01 Jan 1977 00:00:00 GMT"),
        ),
        ("Sunday, 06-Nov-94 08:00:00 GMT", Some(MODIFIED)),
        ("Sunday, 06-Nov-94-95 08:00:00 GMT", None),
        ("Sun Nov  6 08:00:00 1994", Some(MODIFIED)),
        ("Sun Nov 06 08:00:00 1994", Some(MODIFIED)),
        ("Sun Nov 6 08:00:00 1994", None),
        ("Sun Nov  6 08:00:00 1994 GMT", None),
    ] {
        assert_eq!(parse(text), same.map(|same| parse(same).unwrap()), "{text}");
    }
}

/// RFC 9110, section 13.1.5: the comparison is strong, and a date is as good as a strong tag where a second lies between it and
/// `Date`.
#[test]
fn if_range_with_what_is_weak() {
    let holds = |condition: &str, stored: &[(&str, &str)]| {
        let conditions = Conditions {
            range: Some(condition.into()),
            ..Conditions::default()
        };
        conditions.range_holds(&Headers::from_pairs(stored), NOW)
    };
    assert!(holds("\"a\"", &[("etag", "\"a\"")]));
    assert!(!holds("W/\"a\"", &[("etag", "W/\"a\"")]));
    assert!(!holds("\"a\"", &[("etag", "W/\"a\"")]));
    for (sent, expected) in [
        ("Sun, 06 Nov 1994 08:00:00 GMT", false),
        ("Sun, 06 Nov 1994 08:00:01 GMT", true),
    ] {
        let stored = [("last-modified", MODIFIED), ("date", sent)];
        assert_eq!(holds(MODIFIED, &stored), expected, "{sent}");
    }
}

/// RFC 9110, section 14.1.2.
#[test]
fn a_range_may_be_one_byte() {
    let part = |first, last| Ranged::Part { first, last };
    assert_eq!(read(b"bytes=5-5", 10), part(5, 5));
    assert_eq!(read(b"bytes=9-9", 10), part(9, 9));
    assert_eq!(read(b"bytes=10-10", 10), Ranged::Unsatisfiable);
    assert_eq!(read(b"bytes=0-0", 1), part(0, 0));
}

/// RFC 9110, section 15.1; RFC 9111, section 4.2.2.
#[test]
fn what_is_fresh_by_heuristics() {
    let policy = Policy {
        heuristic: Some((0.1, Span::from_secs(3_600))),
        ..Policy::default()
    };
    let headers = Headers::from_pairs(&[("last-modified", MODIFIED)]);
    let source = |status: u16, public: bool| {
        let directives = ResponseDirectives {
            public,
            ..ResponseDirectives::default()
        };
        lifetime(status, &headers, &directives, false, NOW, &policy).source
    };
    let by_definition = [200, 203, 204, 300, 301, 308, 404, 405, 410, 414, 501];
    for status in 200..=599 {
        let expected = if by_definition.contains(&status) {
            Source::Heuristic
        } else {
            Source::None
        };
        assert_eq!(source(status, false), expected, "{status}");
        assert_eq!(source(status, true), Source::Heuristic, "{status}");
    }
}

fn directives(lines: &[&str]) -> ResponseDirectives {
    let pairs: Vec<_> = lines.iter().map(|line| ("cache-control", *line)).collect();
    ResponseDirectives::read(&Headers::from_pairs(&pairs), "cache-control").unwrap()
}

#[test]
fn what_is_forbidden_twice_is_forbidden_for_all_that_is_named() {
    let named = |names: &[&str]| Qualified::Fields(names.iter().map(ToString::to_string).collect());
    for (lines, expected) in [
        (&["private=\"a\", private=\"b\""][..], named(&["a", "b"])),
        (
            &["private=\"a\"", "private=\"b, c\""],
            named(&["a", "b", "c"]),
        ),
        (&["private=\"a\"", "private"], Qualified::Whole),
        (&["private", "private=\"a\""], Qualified::Whole),
    ] {
        assert_eq!(directives(lines).private, expected, "{lines:?}");
    }
}

/// Commas that were forgotten.
#[test]
fn what_a_member_may_have_meant_to_forbid_is_forbidden() {
    for separator in [" ", ";", "; ", "\t"] {
        let found = directives(&[&format!("public{separator}no-cache")]);
        assert_eq!(found.no_cache, Qualified::Whole, "{separator:?}");
        assert!(!found.public, "what cannot be read permits nothing");
        assert!(directives(&[&format!("public{separator}no-store")]).no_store);
        let private = directives(&[&format!("max-age=9{separator}private")]).private;
        assert_eq!(private, Qualified::Whole, "{separator:?}");
    }
}

#[test]
fn methods_and_names_at_their_ends() {
    let method = |name: &str| Request::read(Headers::from_pairs(&[(":method", name)])).method;
    assert_eq!(method("CONNECT"), Method::Connect);
    assert_eq!(method("connect"), Method::Unsafe);
    let varies = |count: usize| {
        let names: Vec<_> = (0..count).map(|n| format!("f{n}")).collect();
        vary::is_star(&Headers::from_pairs(&[("vary", names.join(", "))]))
    };
    assert!(!varies(vary::MOST_FIELDS));
    assert!(varies(vary::MOST_FIELDS + 1));
}

#[test]
fn requests_that_say_a_thing_twice_or_in_other_words() {
    let mut asked = RequestDirectives::default();
    asked.add(b"max-age=1, min-fresh=2, max-age=5");
    asked.add(b"min-fresh=0");
    assert_eq!((asked.max_age, asked.min_fresh), (Some(1), Some(2)));
    let language = |value: &str| {
        let headers = Headers::from_pairs(&[("accept-language", value)]);
        vary::normalised(&headers, "accept-language").unwrap()
    };
    for same in ["de;q=1", "DE; q=1.000", "de, de", "de,de;q=1.0"] {
        assert_eq!(language(same), b"de", "{same}");
    }
    assert_ne!(language("de;q=0.1"), b"de");
}

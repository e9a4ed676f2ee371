//! HTTP's own languages: Cache-Control, target fields, dates, ranges, addresses.

use crate::input::lines;
use seawall_core::date;
use seawall_core::headers::Headers;
use seawall_core::time::Timestamp;
use seawall_rate_limit::key::address;
use seawall_response_cache::http::directives::{ResponseDirectives, Seconds, MOST_SECONDS};
use seawall_response_cache::http::range::{self, Ranged};
use seawall_response_cache::http::target;
use std::net::IpAddr;
use std::time::{Duration, UNIX_EPOCH};

/// Any lines of Cache-Control: numbers are bounded, and what one line says another does not unsay.
pub fn cache_control(bytes: &[u8]) {
    let pairs: Vec<_> = lines(bytes).map(|line| ("cache-control", line)).collect();
    let Some(all) = ResponseDirectives::read(&Headers::from_pairs(&pairs), "cache-control") else {
        return;
    };
    for seconds in [all.max_age, all.s_maxage].into_iter().flatten() {
        if let Seconds::Of(seconds) = seconds {
            assert!(seconds <= MOST_SECONDS);
        }
    }
    let first = Headers::from_pairs(pairs.get(..1).unwrap_or_default());
    if let Some(first) = ResponseDirectives::read(&first, "cache-control") {
        assert!(all.no_store || !first.no_store, "no-store was lost");
        if let Some(age) = first.max_age {
            assert_eq!(all.max_age, Some(age), "the first max-age counts");
        }
    }
}

/// Any lines of a target field: what sfv does not take is as if it were not there, and what it takes is read alike.
pub fn target_fields(bytes: &[u8]) {
    let pairs: Vec<_> = lines(bytes)
        .map(|line| ("cdn-cache-control", line))
        .collect();
    let headers = Headers::from_pairs(&pairs);
    let ours = target::read(&headers, &["cdn-cache-control".to_owned()]);
    let joined = headers.joined("cdn-cache-control").unwrap_or_default();
    let theirs = sfv::Parser::new(&joined).parse::<sfv::Dictionary>();
    match (ours, theirs) {
        (Some(ours), Err(problem)) => panic!("{ours:?} though {problem}"),
        (None, Ok(theirs)) => assert!(theirs.is_empty(), "not taken: {theirs:?}"),
        (Some(ours), Ok(theirs)) => {
            let number = |name: &str| match theirs.get(name) {
                Some(sfv::ListEntry::Item(item)) => item.bare_item.as_integer(),
                _ => None,
            };
            let age = number("max-age").map(|integer| i64::from(integer).max(0).unsigned_abs());
            let expected = age.map(|age| Seconds::Of(age.min(MOST_SECONDS)));
            assert_eq!(ours.max_age, expected);
        }
        (None, Err(_)) => {}
    }
}

/// Any bytes as a date: what httpdate takes in the one form that is to be sent, is read alike; and every date that is
/// read can be written and read again.
pub fn dates(bytes: &[u8]) {
    // 2026-11-25T12:00:00Z
    let now = Timestamp::from_secs(1_795_608_000);
    let ours = date::parse(bytes, now);
    if let Ok(text) = std::str::from_utf8(bytes) {
        let preferred = text.len() == 29 && text.is_ascii() && text.ends_with(" GMT");
        if let (Ok(theirs), true) = (httpdate::parse_http_date(text), preferred) {
            let secs = theirs.duration_since(UNIX_EPOCH).map_or(0, |t| t.as_secs());
            assert_eq!(ours, Some(Timestamp::from_secs(secs)), "{text}");
        }
    }
    if let Some(time) = ours {
        let secs = time.as_nanos() / 1_000_000_000;
        if secs < 253_402_300_800 {
            let text = date::format(time);
            let theirs = httpdate::fmt_http_date(UNIX_EPOCH + Duration::from_secs(secs));
            assert_eq!(text, theirs);
            let again = date::parse(text.as_bytes(), now);
            assert_eq!(again, Some(Timestamp::from_secs(secs)));
        }
    }
}

/// Any bytes as a range of bodies of any length: a part lies within the body.
pub fn ranges(bytes: &[u8]) {
    let length = bytes.first().map_or(0, |byte| usize::from(*byte));
    for length in [0, 1, length, usize::MAX] {
        if let Ranged::Part { first, last } = range::read(bytes, length) {
            assert!(first <= last && last < length, "{first}-{last} of {length}");
        }
    }
}

/// Any bytes as an address: what std takes is read alike, an IPv4-mapped address as its IPv4.
pub fn addresses(bytes: &[u8]) {
    let ours = address::read(bytes);
    let text = std::str::from_utf8(bytes).ok();
    if let Some(theirs) = text.and_then(|text| text.trim().parse::<IpAddr>().ok()) {
        let plain = theirs.to_canonical();
        assert_eq!(ours, Some(plain), "{text:?}");
    }
    for hops in 0..4 {
        if let Some(peer) = address::Source::read(b"192.0.2.1:80") {
            peer.behind(bytes, hops);
        }
    }
}

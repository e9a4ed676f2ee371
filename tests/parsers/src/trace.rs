//! Identity: trace contexts of all kinds, and request ids.

use crate::input::{fields, lines};
use seawall_core::headers::Headers;
use seawall_trace_headers::ids::request_id;
use seawall_trace_headers::interop::{extract, Inbound, ALL};
use seawall_trace_headers::w3c::baggage::{self, Baggage};
use seawall_trace_headers::w3c::traceparent::parse;
use seawall_trace_headers::w3c::tracestate::{self, Tracestate};

const MOST: usize = 512;

/// Any bytes as a `traceparent`: what is taken is written in the one form that everybody reads, and read again alike.
pub fn traceparent(bytes: &[u8]) {
    if let Some(parent) = parse(bytes) {
        let value = parent.value();
        assert_eq!(parse(&value), Some(parent));
        let form = |(at, byte): (usize, &u8)| match at {
            2 | 35 | 52 => *byte == b'-',
            _ => matches!(byte, b'0'..=b'9' | b'a'..=b'f'),
        };
        assert!(value.iter().enumerate().all(form), "{value:?}");
        assert!(value[3..35].iter().any(|byte| *byte != b'0'), "no trace");
        assert!(value[36..52].iter().any(|byte| *byte != b'0'), "no parent");
    }
}

/// Any lines of `tracestate`: what goes on is within its limits, and nobody after us has to change it again.
pub fn tracestate(bytes: &[u8]) {
    let lines: Vec<&[u8]> = lines(bytes).collect();
    if let Tracestate::Rewritten { value, .. } = tracestate::receive(&lines, MOST) {
        assert!(value.len() <= MOST, "{} bytes", value.len());
        assert!(value.split(|byte| *byte == b',').count() <= 32);
        let again = tracestate::receive(&[&value], MOST);
        assert_eq!(again, Tracestate::Unchanged);
    }
}

/// Any lines of `baggage`: what goes on is within its limits, and nobody after us has to change it again.
pub fn baggage(bytes: &[u8]) {
    let lines: Vec<&[u8]> = lines(bytes).collect();
    if let Baggage::Rewritten { value, .. } = baggage::receive(&lines, 16, MOST) {
        assert!(value.len() <= MOST, "{} bytes", value.len());
        if !value.is_empty() {
            assert_eq!(baggage::receive(&[&value], 16, MOST), Baggage::Unchanged);
        }
    }
}

/// Any fields, read in all formats: what is found names a trace, whichever format comes first.
pub fn formats(bytes: &[u8]) {
    let headers = Headers::from_pairs(&fields(bytes));
    let inbound = Inbound::find(&headers, "x-request-id");
    let found = extract(&ALL, &inbound);
    if let Some((format, remote)) = found.remote {
        let alone = extract(&[format], &inbound);
        assert_eq!(alone.remote, Some((format, remote)));
    }
    let mut reversed = ALL;
    reversed.reverse();
    let other = extract(&reversed, &inbound);
    assert_eq!(other.remote.is_some(), found.remote.is_some());
    assert_eq!(other.invalid, found.invalid);
}

/// Any bytes as an id: a UUID is what the uuid crate takes for one, and a safe id is safe in a log.
pub fn request_ids(bytes: &[u8]) {
    let ours = request_id::bytes_of(bytes);
    if bytes.len() == 36 || bytes.len() == 32 {
        let theirs = std::str::from_utf8(bytes).ok();
        let theirs = theirs.and_then(|text| uuid::Uuid::try_parse(text).ok());
        assert_eq!(ours, theirs.map(uuid::Uuid::into_bytes));
    }
    if request_id::is_safe(bytes) {
        let text = std::str::from_utf8(bytes).expect("safe ids are text");
        assert_eq!(
            serde_json::to_string(text).ok(),
            Some(format!("\"{text}\""))
        );
        assert!(text.len() <= 128);
    }
}

//! W3C Trace Context Level 2 and W3C Baggage, each rule as the specifications' text has it.

pub mod baggage;
pub mod traceparent;
pub mod tracestate;

/// Takes optional whitespace (RFC 9110, section 5.6.3: spaces and tabs) off both ends.
#[inline]
pub(crate) fn trim(bytes: &[u8]) -> &[u8] {
    match bytes {
        // Nearly always.
        [first, .., last] if *first > b' ' && *last > b' ' => bytes,
        _ => trim_any(bytes),
    }
}

#[inline(never)]
fn trim_any(mut bytes: &[u8]) -> &[u8] {
    while let [b' ' | b'\t', rest @ ..] = bytes {
        bytes = rest;
    }
    while let [rest @ .., b' ' | b'\t'] = bytes {
        bytes = rest;
    }
    bytes
}

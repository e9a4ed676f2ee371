//! The fields of a request that carry an identity, found in one pass over its headers.

use seawall_core::bytes::same;
use seawall_core::headers::Headers;

/// A field that matters here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Field {
    /// The request id.
    RequestId,
    /// `cookie`.
    Cookie,
    /// `traceparent`.
    Traceparent,
    /// `tracestate`.
    Tracestate,
    /// `baggage`.
    Baggage,
    /// `b3`.
    B3,
    /// `x-b3-traceid`.
    B3Trace,
    /// `x-b3-spanid`.
    B3Span,
    /// `x-b3-parentspanid`.
    B3Parent,
    /// `x-b3-sampled`.
    B3Sampled,
    /// `x-b3-flags`.
    B3Flags,
    /// `uber-trace-id`.
    Jaeger,
    /// `x-amzn-trace-id`.
    Aws,
    /// `x-datadog-trace-id`.
    DatadogTrace,
    /// `x-datadog-parent-id`.
    DatadogParent,
    /// `x-datadog-sampling-priority`.
    DatadogPriority,
    /// `x-datadog-tags`.
    DatadogTags,
    /// `x-datadog-origin`.
    DatadogOrigin,
}

const FIELDS: usize = 18;

/// Every name is shorter.
const LONGEST: usize = 28;

/// A name, and what it stands for.
type Known = (&'static str, Field);

/// The names by their length: most fields of a request are sorted out by that alone.
const fn names(length: usize) -> &'static [Known] {
    match length {
        2 => &[("b3", Field::B3)],
        6 => &[("cookie", Field::Cookie)],
        7 => &[("baggage", Field::Baggage)],
        10 => &[
            ("tracestate", Field::Tracestate),
            ("x-b3-flags", Field::B3Flags),
        ],
        11 => &[
            ("traceparent", Field::Traceparent),
            ("x-b3-spanid", Field::B3Span),
        ],
        12 => &[
            ("x-b3-traceid", Field::B3Trace),
            ("x-b3-sampled", Field::B3Sampled),
        ],
        13 => &[("uber-trace-id", Field::Jaeger)],
        14 => &[("x-datadog-tags", Field::DatadogTags)],
        15 => &[("x-amzn-trace-id", Field::Aws)],
        16 => &[("x-datadog-origin", Field::DatadogOrigin)],
        17 => &[("x-b3-parentspanid", Field::B3Parent)],
        18 => &[("x-datadog-trace-id", Field::DatadogTrace)],
        19 => &[("x-datadog-parent-id", Field::DatadogParent)],
        27 => &[("x-datadog-sampling-priority", Field::DatadogPriority)],
        _ => &[],
    }
}

static NAMES: [&[Known]; LONGEST] = {
    let mut all: [&[Known]; LONGEST] = [&[]; LONGEST];
    let (mut rest, mut length): (&mut [&[Known]], usize) = (&mut all, 0);
    while let [first, others @ ..] = rest {
        *first = names(length);
        rest = others;
        length = length.saturating_add(1);
    }
    all
};

/// Lengths as bits; what is longer than there are bits shares one with something shorter.
const LENGTHS: u64 = {
    let (mut bits, mut length) = (0, 0);
    while length < LONGEST {
        if !names(length).is_empty() {
            bits |= 1 << length;
        }
        length = length.saturating_add(1);
    }
    bits
};

/// Whether two names of one length are the same. Nearly all that are not differ in their third letter, after any `x-`.
#[inline(always)]
fn is(known: &[u8], name: &[u8]) -> bool {
    known.get(2) == name.get(2) && all_the_same(known, name)
}

#[inline(never)]
fn all_the_same(known: &[u8], name: &[u8]) -> bool {
    same(known, name)
}

/// The fields of a request that carry an identity.
#[derive(Debug)]
pub struct Inbound<'a> {
    headers: &'a Headers,
    request_id: &'a str,
    first: [Option<&'a [u8]>; FIELDS],
    /// A bit for each field that is there, and for each that is there more than once.
    found: u32,
    several: u32,
}

/// Copied, which is one instruction; made in place it is a loop.
const NONE: [Option<&[u8]>; FIELDS] = [None; FIELDS];

const NO_TRACE: u32 = bit(Field::RequestId) | bit(Field::Cookie);

/// The bit of a field.
const fn bit(field: Field) -> u32 {
    1 << field as u32
}

impl<'a> Inbound<'a> {
    /// Finds them.
    pub fn find(headers: &'a Headers, request_id: &'a str) -> Self {
        let mut inbound = Inbound {
            headers,
            request_id,
            first: NONE,
            found: 0,
            several: 0,
        };
        let request_id = request_id.as_bytes();
        let lengths = LENGTHS | 1u64.wrapping_shl(request_id.len() as u32);
        let wanted = move |length: usize| lengths.wrapping_shr(length as u32) & 1 != 0;
        for (name, value) in headers.of_lengths(wanted) {
            let names = NAMES.get(name.len()).copied().unwrap_or_default();
            let known = names.iter().find(|(known, _)| is(known.as_bytes(), name));
            let field = match known {
                Some((_, field)) => *field,
                None if is(request_id, name) => Field::RequestId,
                None => continue,
            };
            inbound.add(field, value);
        }
        inbound
    }

    fn add(&mut self, field: Field, value: &'a [u8]) {
        if self.found & bit(field) != 0 {
            self.several |= bit(field);
            return;
        }
        self.found |= bit(field);
        if let Some(first) = self.first.get_mut(field as usize) {
            *first = Some(value);
        }
    }

    /// Whether there is such a field.
    #[inline(always)]
    pub fn has(&self, field: Field) -> bool {
        self.found & bit(field) != 0
    }

    /// The first line of a field.
    #[inline(always)]
    pub fn first(&self, field: Field) -> Option<&'a [u8]> {
        self.first.get(field as usize).copied().flatten()
    }

    /// The line of a field, where there is exactly one.
    #[inline(always)]
    pub fn only(&self, field: Field) -> Option<&'a [u8]> {
        self.first(field).filter(|_| self.several & bit(field) == 0)
    }

    /// All lines of a field, in order.
    pub fn all(&self, field: Field) -> Vec<&'a [u8]> {
        if self.several & bit(field) != 0 {
            return self.headers.all(self.name(field)).collect();
        }
        self.first(field).into_iter().collect()
    }

    #[cold]
    #[inline(never)]
    fn name(&self, field: Field) -> &'a str {
        let mut all = (0..LONGEST).flat_map(names);
        let known = all.find(|(_, known)| *known == field);
        known.map_or(self.request_id, |(name, _)| name)
    }

    /// True when there is no trace in any format, nor what travels along with one.
    pub fn has_no_trace(&self) -> bool {
        self.found & !NO_TRACE == 0
    }

    /// True when there is nothing of a trace but what the W3C specifies.
    pub fn has_w3c_only(&self) -> bool {
        const W3C: u32 = bit(Field::Traceparent) | bit(Field::Tracestate) | bit(Field::Baggage);
        self.found & !(NO_TRACE | W3C) == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::interop::ALL;

    #[test]
    fn every_field_of_every_format_is_seen() {
        let fields = ALL.iter().flat_map(|format| format.headers());
        for name in fields.chain(&["baggage"]) {
            let headers = Headers::from_pairs(&[("x-request-id", "a"), (name, "1"), (name, "2")]);
            let inbound = Inbound::find(&headers, "x-request-id");
            assert!(!inbound.has_no_trace(), "{name}");
            let (_, field) = names(name.len())
                .iter()
                .find(|(known, _)| known == name)
                .unwrap();
            assert_eq!(inbound.all(*field), [b"1", b"2"], "{name}");
            assert!(inbound.has(*field));
            assert_eq!(inbound.first(*field), Some(&b"1"[..]));
            assert_eq!(inbound.only(*field), None);
        }
    }

    #[test]
    fn ids_and_cookies_are_no_trace() {
        let pairs = [
            ("x-id", "a"),
            ("cookie", "b=1"),
            ("x-id", "c"),
            ("x-b3", "d"),
        ];
        let headers = Headers::from_pairs(&pairs);
        let inbound = Inbound::find(&headers, "x-id");
        assert!(inbound.has_no_trace());
        assert_eq!(inbound.all(Field::RequestId), [b"a", b"c"]);
        assert_eq!(inbound.only(Field::Cookie), Some(&b"b=1"[..]));
        assert!(!inbound.has(Field::Traceparent));
    }
}

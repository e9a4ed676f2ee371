//! `envoy.service.ratelimit.v3` in the protobuf wire format: the few fields that are needed, by hand, for generated code
//! would ship whole messages in every module.
//!
//! Numbers of the fields: `RateLimitRequest.{domain = 1, descriptors = 2, hits_addend = 3}`;
//! `RateLimitDescriptor.{entries = 1, limit = 2, hits_addend = 3}`, `Entry.{key = 1, value = 2}`,
//! `RateLimitOverride.{requests_per_unit = 1, unit = 2}`; `RateLimitResponse.{overall_code = 1, statuses = 2}`,
//! `DescriptorStatus.{code = 1, current_limit = 2, limit_remaining = 3, duration_until_reset = 4}`,
//! `RateLimit.requests_per_unit = 1`, `Duration.{seconds = 1, nanos = 2}`.

use seawall_core::time::Span;
use seawall_core::wire::{Decoded, Field, Message};

/// `RateLimitResponse.Code`.
const OK: u64 = 1;
const OVER_LIMIT: u64 = 2;

/// More statuses than a request can have limits are not read.
const MOST_STATUSES: usize = 64;

/// The units of `envoy.type.v3.RateLimitUnit`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unit {
    /// A second.
    Second = 1,
    /// A minute.
    Minute = 2,
    /// An hour.
    Hour = 3,
    /// A day.
    Day = 4,
    /// A month.
    Month = 5,
    /// A year.
    Year = 6,
}

fn varint(out: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        out.push((number as u8) | 0x80);
        number >>= 7;
    }
    out.push(number as u8);
}

fn number(out: &mut Vec<u8>, field: u8, number: u64) {
    out.push(field << 3);
    varint(out, number);
}

fn bytes(out: &mut Vec<u8>, field: u8, bytes: &[u8]) {
    out.push(field << 3 | 2);
    varint(out, bytes.len() as u64);
    out.extend_from_slice(bytes);
}

/// Adds an entry to a descriptor.
pub fn entry(descriptor: &mut Vec<u8>, key: &str, value: &str) {
    let mut entry = Vec::with_capacity(key.len().saturating_add(value.len()).saturating_add(8));
    bytes(&mut entry, 1, key.as_bytes());
    bytes(&mut entry, 2, value.as_bytes());
    bytes(descriptor, 1, &entry);
}

/// Adds the numbers of its limit to a descriptor.
pub fn numbers(descriptor: &mut Vec<u8>, requests: u32, unit: Unit) {
    let mut limit = Vec::with_capacity(8);
    number(&mut limit, 1, u64::from(requests));
    number(&mut limit, 2, unit as u64);
    bytes(descriptor, 2, &limit);
}

/// A whole request. Where all descriptors cost the same, the request says it, as older services need it; else each says
/// its own.
pub fn request(domain: &str, descriptors: &[(&[u8], u64)]) -> Vec<u8> {
    let common = match descriptors.split_first() {
        Some(((_, first), rest)) if rest.iter().all(|(_, cost)| cost == first) => Some(*first),
        _ => None,
    };
    let mut out = Vec::with_capacity(256);
    bytes(&mut out, 1, domain.as_bytes());
    for (descriptor, cost) in descriptors {
        if common.is_some() {
            bytes(&mut out, 2, descriptor);
            continue;
        }
        let mut whole = descriptor.to_vec();
        let mut value = Vec::with_capacity(10);
        number(&mut value, 1, *cost);
        bytes(&mut whole, 3, &value);
        bytes(&mut out, 2, &whole);
    }
    if let Some(cost) = common.filter(|cost| *cost != 1) {
        number(&mut out, 3, cost.min(u64::from(u32::MAX)));
    }
    out
}

/// What a service answered.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Answer {
    /// The request is over a limit.
    pub over: bool,
    /// Each descriptor's status in the order of the request; a service may leave them out.
    pub statuses: Vec<Status>,
}

/// No window of the protocol is longer than a year: a service that is wrong about that shuts nobody out for ever.
const LONGEST: Span = Span::from_secs(366 * 86_400);

/// The status of one descriptor.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Status {
    /// It is over its limit.
    pub over: bool,
    /// The limit's number, where the service knows one.
    pub requests: Option<u64>,
    /// What is left.
    pub remaining: u64,
    /// The time until the service's window ends.
    pub reset: Option<Span>,
}

/// Reads an answer. `None` for what is not one, and for one that says neither yes nor no.
pub fn answer(message: &[u8]) -> Option<Answer> {
    let mut answer = Answer::default();
    let mut code = 0;
    for field in Message(message) {
        match field.ok()? {
            (1, Field::Varint(number)) => code = number,
            (2, Field::Bytes(bytes)) if answer.statuses.len() < MOST_STATUSES => {
                answer.statuses.push(status(bytes).ok()?);
            }
            _ => {}
        }
    }
    answer.over = code == OVER_LIMIT;
    (answer.over || code == OK).then_some(answer)
}

fn status(message: &[u8]) -> Decoded<Status> {
    let mut status = Status::default();
    for field in Message(message) {
        match field? {
            (1, Field::Varint(code)) => status.over = code == OVER_LIMIT,
            (2, Field::Bytes(limit)) => {
                for field in Message(limit) {
                    if let (1, Field::Varint(requests)) = field? {
                        status.requests = Some(requests);
                    }
                }
            }
            (3, Field::Varint(remaining)) => status.remaining = remaining,
            (4, Field::Bytes(duration)) => status.reset = Some(span(duration)?.min(LONGEST)),
            _ => {}
        }
    }
    Ok(status)
}

fn span(message: &[u8]) -> Decoded<Span> {
    let (mut seconds, mut nanos) = (0, 0);
    for field in Message(message) {
        match field? {
            (1, Field::Varint(number)) => seconds = number,
            (2, Field::Varint(number)) => nanos = number,
            _ => {}
        }
    }
    // A negative number has its highest bit set.
    let positive = |number: u64| u64::try_from(number as i64).unwrap_or(0);
    Ok(Span::from_secs(positive(seconds)).saturating_add(Span(positive(nanos))))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_as_a_generated_encoder_writes_it() {
        let mut descriptor = Vec::new();
        entry(&mut descriptor, "limit", "a");
        numbers(&mut descriptor, 300, Unit::Minute);
        assert_eq!(
            descriptor,
            [
                b"\x0a\x0a\x0a\x05limit\x12\x01a".as_slice(),
                b"\x12\x05\x08\xac\x02\x10\x02"
            ]
            .concat()
        );
        let same = request("d", &[(b"\x0a\x00", 5), (b"", 5)]);
        assert_eq!(same, b"\x0a\x01d\x12\x02\x0a\x00\x12\x00\x18\x05");
        let one = request("d", &[(b"", 1)]);
        assert_eq!(one, b"\x0a\x01d\x12\x00");
        let differing = request("d", &[(b"", 1), (b"", 0)]);
        assert_eq!(
            differing,
            b"\x0a\x01d\x12\x04\x1a\x02\x08\x01\x12\x04\x1a\x02\x08\x00"
        );
    }

    #[test]
    fn an_answer_with_statuses() {
        // The limit's unit and name, and a header to add, stand in between.
        let over = answer(
            b"\x08\x02\x12\x11\x08\x02\x12\x07\x08\x64\x10\x02\x1a\x01n\x22\x04\x08\x1e\x10\x05\x1a\x00",
        );
        let status = Status {
            over: true,
            requests: Some(100),
            remaining: 0,
            reset: Some(Span(30_000_000_005)),
        };
        assert_eq!(
            over,
            Some(Answer {
                over: true,
                statuses: vec![status]
            })
        );
        let for_ever =
            answer(b"\x08\x02\x12\x0b\x22\x09\x08\xff\xff\xff\xff\xff\xff\xff\x7f").unwrap();
        assert_eq!(for_ever.statuses[0].reset, Some(LONGEST));
        let fine = answer(b"\x08\x01\x12\x04\x08\x01\x18\x07").unwrap();
        let status = Status {
            remaining: 7,
            ..Status::default()
        };
        assert_eq!((fine.over, fine.statuses), (false, vec![status]));
    }

    #[test]
    fn what_is_no_answer_is_none() {
        for message in [
            b"".as_slice(),
            b"\x08\x00",
            b"\x08\x03",
            b"\x08",
            b"\x12\x05\x08",
            b"\x0b",
            b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff",
            b"hello",
        ] {
            assert_eq!(answer(message), None, "{message:?}");
        }
    }

    #[test]
    fn negative_durations_are_none_at_all() {
        let minus_one = b"\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01";
        assert_eq!(span(minus_one), Ok(Span::ZERO));
    }
}

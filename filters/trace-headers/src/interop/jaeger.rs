//! Jaeger's `uber-trace-id: {trace}:{span}:{parent}:{flags}`, each a hexadecimal number without leading zeros.

use super::{single, Decision, Field, Fields, Found, Inbound, Outbound, Remote};
use crate::ids::{hex, SpanId, TraceId};

const SAMPLED: u8 = 1;
const DEBUG: u8 = 2;

pub(super) fn read(inbound: &Inbound<'_>) -> Found {
    match single(inbound, Field::Jaeger) {
        Ok(Some(value)) => parse(value).map_or(Found::Invalid, Found::Remote),
        Ok(None) => Found::Absent,
        Err(found) => found,
    }
}

/// The parts between colons that are percent-encoded, as some clients do.
struct Encoded<'a>(Option<&'a [u8]>);

impl<'a> Iterator for Encoded<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        let rest = self.0.take()?;
        let colon = rest
            .windows(3)
            .position(|three| matches!(three, b"%3A" | b"%3a"));
        let Some(at) = colon else {
            return Some(rest);
        };
        let (part, after) = rest.split_at_checked(at)?;
        self.0 = after.get(3..);
        Some(part)
    }
}

fn parse(value: &[u8]) -> Option<Remote> {
    let mut parts = value
        .split(|byte| *byte == b':')
        .flat_map(|part| Encoded(Some(part)));
    let trace_id = TraceId::new(hex::decode_padded(parts.next()?)?)?;
    let span_id = SpanId::new(hex::decode_padded(parts.next()?)?);
    let _deprecated_parent = parts.next()?;
    let [0, 0, 0, flags] = hex::decode_padded(parts.next()?)? else {
        return None;
    };
    if parts.next().is_some() {
        return None;
    }
    Some(Remote {
        trace_id,
        // A client may start a trace with a span of zero, to choose its id only.
        span_id,
        // Debug means something only beside the flag that says that the trace is recorded.
        decision: match (flags & SAMPLED != 0, flags & DEBUG != 0) {
            (true, true) => Decision::Debug,
            (sampled, _) => Decision::of(sampled),
        },
        random: false,
    })
}

pub(super) fn write(out: &Outbound, fields: &mut Fields<'_>) {
    let (trace, span) = (out.trace_id.digits(), out.span_id.digits());
    let parent = out.parent.map(|parent| parent.digits());
    let parent: &[u8] = parent.as_ref().map_or(b"0", |digits| digits);
    let flags = match (out.debug, out.sampled) {
        (true, _) => b"3",
        (false, true) => b"1",
        (false, false) => b"0",
    };
    let value = [&trace[..], b":", &span, b":", parent, b":", flags].concat();
    fields.push(("uber-trace-id", value.into()));
}

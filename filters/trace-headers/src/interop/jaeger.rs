//! Jaeger's `uber-trace-id: {trace}:{span}:{parent}:{flags}`, each a hexadecimal number without leading zeros.

use super::{single, Decision, Fields, Found, Inbound, Outbound, Remote};
use crate::ids::{hex, SpanId, TraceId};

const SAMPLED: u8 = 1;
const DEBUG: u8 = 2;

pub(super) fn read(inbound: &Inbound<'_>) -> Found {
    match single(&inbound.jaeger) {
        Ok(Some(value)) => parse(value).map_or(Found::Invalid, Found::Remote),
        Ok(None) => Found::Absent,
        Err(found) => found,
    }
}

fn parse(value: &[u8]) -> Option<Remote> {
    // Some clients percent-encode the colons. No value that is readable is longer than this.
    let value = std::str::from_utf8(value).ok().filter(|v| v.len() <= 128)?;
    let value = value.replace("%3A", ":").replace("%3a", ":");
    let mut parts = value.split(':');
    let trace_id = TraceId::new(hex::decode_padded(parts.next()?.as_bytes())?)?;
    let span_id = SpanId::new(hex::decode_padded(parts.next()?.as_bytes())?);
    let _deprecated_parent = parts.next()?;
    let [flags] = hex::decode_padded::<1>(parts.next()?.as_bytes())?;
    if parts.next().is_some() {
        return None;
    }
    Some(Remote {
        trace_id,
        // A client may start a trace with a span of zero, to choose its id only.
        span_id,
        decision: if flags & DEBUG != 0 {
            Decision::Debug
        } else {
            Decision::of(flags & SAMPLED != 0)
        },
        random: false,
    })
}

pub(super) fn write(out: &Outbound, fields: &mut Fields) {
    let mut value = Vec::with_capacity(70);
    out.trace_id.write(&mut value);
    value.push(b':');
    out.span_id.write(&mut value);
    value.push(b':');
    match out.parent {
        Some(parent) => parent.write(&mut value),
        None => value.push(b'0'),
    }
    value.push(b':');
    value.push(match (out.debug, out.sampled) {
        (true, _) => b'3',
        (false, true) => b'1',
        (false, false) => b'0',
    });
    fields.push(("uber-trace-id", value));
}

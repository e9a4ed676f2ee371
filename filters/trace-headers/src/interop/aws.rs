//! AWS X-Ray: `x-amzn-trace-id: Root=1-{8 digits}-{24 digits};Parent={16 digits};Sampled={0|1}`, in any order, with fields
//! of others between.

use super::{single, Decision, Field, Fields, Found, Inbound, Outbound, Remote};
use crate::ids::{hex, SpanId, TraceId};
use crate::w3c::trim;

/// Fields of others go on as long as they fit into this; load balancers of AWS drop them at 7 KB.
const MOST_CARRIED: usize = 1024;

pub(super) fn read(inbound: &Inbound<'_>) -> Found {
    match single(inbound, Field::Aws) {
        Ok(Some(value)) => parse(value).unwrap_or(Found::Invalid),
        Ok(None) => Found::Absent,
        Err(found) => found,
    }
}

/// The parts of the value: name, `=`, text.
fn parts(value: &[u8]) -> impl Iterator<Item = (&[u8], &[u8])> {
    value.split(|byte| *byte == b';').filter_map(|part| {
        let part = trim(part);
        let at = part.iter().position(|byte| *byte == b'=')?;
        Some((part.get(..at)?, part.get(at.checked_add(1)?..)?))
    })
}

fn parse(value: &[u8]) -> Option<Found> {
    let (mut root, mut parent, mut decision) = (None, None, Decision::Defer);
    for (name, text) in parts(value) {
        match name {
            b"Root" => root = Some(trace_id(text)?),
            b"Parent" => parent = Some(SpanId::new(hex::decode_padded(text)?)?),
            b"Sampled" => {
                decision = match text {
                    b"1" => Decision::Keep,
                    b"0" => Decision::Drop,
                    // "?" asks to be told; anything else says nothing.
                    _ => Decision::Defer,
                }
            }
            _ => {}
        }
    }
    Some(match (root, decision) {
        (Some(trace_id), _) => Found::Remote(Remote {
            trace_id,
            span_id: parent,
            decision,
            random: false,
        }),
        // Without a root there is no trace to go on with, but perhaps a decision about the one that begins.
        (None, Decision::Defer) => Found::Absent,
        (None, decision) => Found::Decision(decision),
    })
}

fn trace_id(text: &[u8]) -> Option<TraceId> {
    let mut parts = text.splitn(3, |byte| *byte == b'-');
    let (version, time, unique) = (parts.next()?, parts.next()?, parts.next()?);
    // The time may lack zeros in front, as in OpenTelemetry's own reader.
    let time: [u8; 4] = hex::decode_padded(time).filter(|_| version == b"1")?;
    let unique: [u8; 12] = hex::decode_padded(unique).filter(|_| unique.len() == 24)?;
    let mut bytes = [0; 16];
    for (to, from) in bytes.iter_mut().zip(time.iter().chain(unique.iter())) {
        *to = *from;
    }
    TraceId::new(bytes)
}

pub(super) fn write(out: &Outbound, inbound: Option<&Inbound<'_>>, fields: &mut Fields<'_>) {
    let (trace, span) = (out.trace_id.digits(), out.span_id.digits());
    let (time, unique) = trace.split_at_checked(8).unwrap_or_default();
    let sampled = if out.sampled { b"1" } else { b"0" };
    let ours: [&[u8]; 8] = [
        b"Root=1-",
        time,
        b"-",
        unique,
        b";Parent=",
        &span,
        b";Sampled=",
        sampled,
    ];
    let mut value = ours.concat();
    let line = inbound.and_then(|inbound| inbound.first(Field::Aws));
    for (name, text) in line.into_iter().flat_map(parts) {
        let length = value
            .len()
            .saturating_add(name.len())
            .saturating_add(text.len());
        let ours = matches!(name, b"Root" | b"Parent" | b"Sampled");
        if !ours && length < MOST_CARRIED && name.iter().chain(text).all(u8::is_ascii_graphic) {
            value.push(b';');
            value.extend_from_slice(name);
            value.push(b'=');
            value.extend_from_slice(text);
        }
    }
    fields.push(("x-amzn-trace-id", value.into()));
}

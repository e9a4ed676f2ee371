//! B3 (openzipkin/b3-propagation), on one line and on several.

use super::{first, single, Decision, Field, Fields, Found, Inbound, Outbound, Remote};
use crate::ids::{hex, SpanId, TraceId};
use std::borrow::Cow;

/// 16 or 32 digits.
fn trace_id(text: &[u8]) -> Option<TraceId> {
    matches!(text.len(), 16 | 32)
        .then(|| hex::decode_padded(text))?
        .and_then(TraceId::new)
}

fn span_id(text: &[u8]) -> Option<SpanId> {
    digits(text).and_then(SpanId::new)
}

/// 16 digits. Of a parent, all zeros say that there is none.
fn digits(text: &[u8]) -> Option<[u8; 8]> {
    (text.len() == 16).then(|| hex::decode_padded(text))?
}

/// `true` and `false` come from senders older than the specification, which it asks to understand; as Python and others
/// write them, too.
fn decision(text: &[u8]) -> Option<Decision> {
    let is = |word: &[u8]| text.eq_ignore_ascii_case(word);
    match text {
        b"1" => Some(Decision::Keep),
        b"0" => Some(Decision::Drop),
        b"d" => Some(Decision::Debug),
        _ if is(b"true") => Some(Decision::Keep),
        _ if is(b"false") => Some(Decision::Drop),
        _ => None,
    }
}

fn remote(trace: &[u8], span: &[u8], decision: Decision) -> Found {
    match (trace_id(trace), span_id(span)) {
        (Some(trace_id), Some(span)) => Found::Remote(Remote {
            trace_id,
            span_id: Some(span),
            decision,
            random: false,
        }),
        _ => Found::Invalid,
    }
}

/// `{trace}-{span}[-{decision}][-{parent}]`, or a decision alone.
pub(super) fn read_single(inbound: &Inbound<'_>) -> Found {
    let value = match single(inbound, Field::B3) {
        Ok(Some(value)) => value,
        Ok(None) => return Found::Absent,
        Err(found) => return found,
    };
    let mut parts = value.split(|byte| *byte == b'-');
    let fields = [parts.next(), parts.next(), parts.next(), parts.next()];
    if parts.next().is_some() {
        return Found::Invalid;
    }
    match fields {
        [Some(alone), None, ..] => decision(alone).map_or(Found::Invalid, Found::Decision),
        [Some(trace), Some(span), None, _] => remote(trace, span, Decision::Defer),
        [Some(trace), Some(span), Some(parent), None] if digits(parent).is_some() => {
            remote(trace, span, Decision::Defer)
        }
        [Some(trace), Some(span), Some(sampled), parent] => {
            let parent_fits = parent.is_none_or(|parent| digits(parent).is_some());
            match decision(sampled).filter(|_| parent_fits) {
                Some(decision) => remote(trace, span, decision),
                None => Found::Invalid,
            }
        }
        [None, ..] => Found::Invalid,
    }
}

pub(super) fn read_multi(inbound: &Inbound<'_>) -> Found {
    // Of several lines, the specification takes the first.
    let field = |field| first(inbound, field);
    let (trace, span) = (field(Field::B3Trace), field(Field::B3Span));
    let flags = field(Field::B3Flags);
    let sampled = match field(Field::B3Sampled).map(decision) {
        None => Decision::Defer,
        Some(Some(decision)) => decision,
        Some(None) => return Found::Invalid,
    };
    // Debug is carried by flags alone; it implies that the trace is kept.
    let decision = if flags == Some(b"1") {
        Decision::Debug
    } else {
        sampled
    };
    match (trace, span) {
        (Some(trace), Some(span)) => remote(trace, span, decision),
        (None, None) if decision == Decision::Defer => Found::Absent,
        (None, None) => Found::Decision(decision),
        _ => Found::Invalid,
    }
}

pub(super) fn write_single(out: &Outbound, fields: &mut Fields<'_>) {
    let (trace, span) = (out.trace_id.digits(), out.span_id.digits());
    let decision = match (out.debug, out.sampled) {
        (true, _) => b"d",
        (false, true) => b"1",
        (false, false) => b"0",
    };
    let mut value = [&trace[..], b"-", &span, b"-", decision].concat();
    if let Some(parent) = out.parent {
        value.push(b'-');
        value.extend_from_slice(&parent.digits());
    }
    fields.push(("b3", value.into()));
}

pub(super) fn write_multi(out: &Outbound, fields: &mut Fields<'_>) {
    fields.push(("x-b3-traceid", out.trace_id.digits().to_vec().into()));
    fields.push(("x-b3-spanid", out.span_id.digits().to_vec().into()));
    if let Some(parent) = out.parent {
        fields.push(("x-b3-parentspanid", parent.digits().to_vec().into()));
    }
    if out.debug {
        fields.push(("x-b3-flags", Cow::Borrowed(b"1")));
    } else {
        let sampled: &'static [u8] = if out.sampled { b"1" } else { b"0" };
        fields.push(("x-b3-sampled", Cow::Borrowed(sampled)));
    }
}

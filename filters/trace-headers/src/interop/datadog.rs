//! Datadog: `x-datadog-trace-id` and `-parent-id` in decimal, the upper half of the trace id as `_dd.p.tid` among
//! `x-datadog-tags`, the decision as `x-datadog-sampling-priority`.

use super::{single, Decision, Field, Fields, Found, Inbound, Outbound, Remote};
use crate::bytes::{all, PRINTABLE};
use crate::ids::{hex, SpanId, TraceId};
use crate::w3c::trim;

const UPPER: &[u8] = b"_dd.p.tid";
/// Who decided that the trace is kept.
const DECIDED_BY: &[u8] = b"_dd.p.dm";
/// The digits of a number, and its sign: what follows it goes on.
const LONGEST_PRIORITY: usize = 11;
/// Datadog's own limit for the tags it propagates.
const MOST_TAGS: usize = 512;

fn decimal(text: &[u8]) -> Option<u64> {
    // No sign: `parse` would take one.
    let digits = !text.is_empty() && text.iter().all(u8::is_ascii_digit);
    digits.then(|| std::str::from_utf8(text).ok()?.parse().ok())?
}

/// Whatever is above zero keeps the trace: there are more priorities than the four that are documented.
fn priority(text: &[u8]) -> Option<Decision> {
    let plain = (1..=LONGEST_PRIORITY).contains(&text.len()) && !text.starts_with(b"+");
    let number: i64 = plain.then(|| std::str::from_utf8(text).ok()?.parse().ok())??;
    Some(Decision::of(number > 0))
}

/// The tags: name, `=`, value.
fn tags(line: &[u8]) -> impl Iterator<Item = (&[u8], &[u8])> {
    line.split(|byte| *byte == b',').filter_map(|tag| {
        let tag = trim(tag);
        let at = tag.iter().position(|byte| *byte == b'=')?;
        Some((tag.get(..at)?, tag.get(at.checked_add(1)?..)?))
    })
}

pub(super) fn read(inbound: &Inbound<'_>) -> Found {
    let fields = [
        single(inbound, Field::DatadogTrace),
        single(inbound, Field::DatadogParent),
        single(inbound, Field::DatadogPriority),
        single(inbound, Field::DatadogTags),
    ];
    let [Ok(trace), Ok(parent), Ok(sampling), Ok(carried)] = fields else {
        return Found::Invalid;
    };
    let decision = sampling.and_then(priority).unwrap_or(Decision::Defer);
    let Some(trace) = trace else {
        return match decision {
            Decision::Defer => Found::Absent,
            decision => Found::Decision(decision),
        };
    };
    let upper = carried
        .into_iter()
        .flat_map(tags)
        .find(|(name, _)| *name == UPPER)
        // A malformed upper half is as good as none: the lower one identifies the trace.
        .and_then(|(_, text)| hex::decode::<8>(text))
        .map_or(0, u64::from_be_bytes);
    let trace_id = decimal(trace)
        // Half an id that is zero is no id.
        .filter(|low| *low != 0)
        .and_then(|low| TraceId::from_halves(upper, low));
    let parent = match parent.map(decimal) {
        None => None,
        Some(None) => return Found::Invalid,
        Some(Some(number)) => SpanId::new(number.to_be_bytes()),
    };
    trace_id.map_or(Found::Invalid, |trace_id| {
        Found::Remote(Remote {
            trace_id,
            span_id: parent,
            decision,
            random: false,
        })
    })
}

pub(super) fn write(out: &Outbound, inbound: Option<&Inbound<'_>>, fields: &mut Fields<'_>) {
    fields.push((
        "x-datadog-trace-id",
        out.trace_id.low().to_string().into_bytes().into(),
    ));
    fields.push((
        "x-datadog-parent-id",
        out.span_id.number().to_string().into_bytes().into(),
    ));
    // A user's own decision (2 or -1) stays one as long as it is followed.
    let kept = inbound
        .and_then(|inbound| inbound.first(Field::DatadogPriority))
        .map(trim)
        .filter(|text| priority(text).and_then(Decision::sampled) == Some(out.sampled));
    let plain: &[u8] = if out.sampled { b"1" } else { b"0" };
    fields.push((
        "x-datadog-sampling-priority",
        kept.unwrap_or(plain).to_vec().into(),
    ));
    let mut carried = Vec::new();
    if out.trace_id.high() != 0 {
        carried.extend_from_slice(UPPER);
        carried.push(b'=');
        let digits = out.trace_id.digits();
        carried.extend_from_slice(digits.get(..16).unwrap_or_default());
    }
    let line = inbound.and_then(|inbound| inbound.first(Field::DatadogTags));
    for (name, text) in line.into_iter().flat_map(tags) {
        let length = carried
            .len()
            .saturating_add(name.len())
            .saturating_add(text.len());
        let printable = all(PRINTABLE, name) && all(PRINTABLE, text);
        // A decision that was not followed takes along who made it.
        let ours = name == UPPER || (name == DECIDED_BY && kept.is_none());
        if !ours && printable && length.saturating_add(2) <= MOST_TAGS {
            if !carried.is_empty() {
                carried.push(b',');
            }
            carried.extend_from_slice(name);
            carried.push(b'=');
            carried.extend_from_slice(text);
        }
    }
    if !carried.is_empty() {
        fields.push(("x-datadog-tags", carried.into()));
    }
}

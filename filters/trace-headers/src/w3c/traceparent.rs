//! The `traceparent` header (W3C Trace Context Level 2, section 3.2).

use super::trim;
use crate::ids::{hex, SpanId, TraceId};

/// The `sampled` flag: the caller may have recorded this trace.
const SAMPLED: u8 = 1;
/// The `random-trace-id` flag: the right-most 7 bytes of the trace id are random.
const RANDOM: u8 = 2;

/// What version 00 takes.
const LENGTH: usize = 55;

/// A position in a trace.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Traceparent {
    /// The trace.
    pub trace_id: TraceId,
    /// Whoever made the request, as it calls itself.
    pub parent_id: SpanId,
    /// The `sampled` flag.
    pub sampled: bool,
    /// The `random-trace-id` flag.
    pub random: bool,
}

/// What a request says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Received {
    /// No `traceparent` at all.
    Absent,
    /// One that can be continued.
    Valid(Traceparent),
    /// One that cannot be read, or more than one: the trace starts anew, and `tracestate` is dropped.
    Invalid,
}

/// Reads the field lines of `traceparent`. The header has exactly one; two are ambiguous.
pub fn receive<'a>(mut lines: impl Iterator<Item = &'a [u8]>) -> Received {
    match (lines.next(), lines.next()) {
        (None, _) => Received::Absent,
        (Some(line), None) => parse(line).map_or(Received::Invalid, Received::Valid),
        (Some(_), Some(_)) => Received::Invalid,
    }
}

/// Reads one value: version 00 exactly, higher versions as far as they are known (section 3.2.4).
pub fn parse(value: &[u8]) -> Option<Traceparent> {
    let value = trim(value);
    let (known, rest) = value.split_at_checked(LENGTH)?;
    let mut fields = known.split(|byte| *byte == b'-');
    let [version] = hex::decode::<1>(fields.next()?)?;
    let trace_id = TraceId::new(hex::decode(fields.next()?)?)?;
    let parent_id = SpanId::new(hex::decode(fields.next()?)?)?;
    let [flags] = hex::decode::<1>(fields.next()?)?;
    let complete = fields.next().is_none();
    let fits = match version {
        0xff => false,
        0 => rest.is_empty(),
        // What a future version adds follows another dash; nothing of it is looked at.
        _ => rest.is_empty() || rest.starts_with(b"-"),
    };
    (complete && fits).then_some(Traceparent {
        trace_id,
        parent_id,
        sampled: flags & SAMPLED != 0,
        random: flags & RANDOM != 0,
    })
}

impl Traceparent {
    /// The value in version 00. Flags that are not known are sent as zero.
    pub fn value(&self) -> [u8; LENGTH] {
        let mut out = *b"00-00000000000000000000000000000000-0000000000000000-00";
        hex::write(self.trace_id.bytes(), &mut out, 3);
        hex::write(self.parent_id.bytes(), &mut out, 36);
        let sampled = if self.sampled { SAMPLED } else { 0 };
        let random = if self.random { RANDOM } else { 0 };
        hex::write(&[sampled | random], &mut out, 53);
        out
    }
}

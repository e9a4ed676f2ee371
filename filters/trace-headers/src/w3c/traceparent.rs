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

/// Reads one value: version 00 exactly, higher versions as far as they are known (section 3.2.4).
pub fn parse(value: &[u8]) -> Option<Traceparent> {
    let (known, rest) = trim(value).split_first_chunk::<LENGTH>()?;
    let [v, w, b'-', ids @ .., b'-', f, g] = known else {
        return None;
    };
    let (trace_id, ids) = ids.split_first_chunk::<32>()?;
    let [b'-', parent_id @ ..] = ids else {
        return None;
    };
    let [.., version, flags] = hex::four([b'0', b'0', b'0', b'0', *v, *w, *f, *g])?;
    let fits = match version {
        0xff => false,
        0 => rest.is_empty(),
        // What a future version adds follows another dash; nothing of it is looked at.
        _ => rest.is_empty() || rest.starts_with(b"-"),
    };
    if !fits {
        return None;
    }
    Some(Traceparent {
        trace_id: TraceId::new(hex::decode(trace_id)?)?,
        parent_id: SpanId::new(hex::decode(parent_id)?)?,
        sampled: flags & SAMPLED != 0,
        random: flags & RANDOM != 0,
    })
}

impl Traceparent {
    /// The value in version 00. Flags that are not known are sent as zero.
    pub fn value(&self) -> [u8; LENGTH] {
        let mut out = *b"00-00000000000000000000000000000000-0000000000000000-00";
        hex::write(self.trace_id.bytes(), out.get_mut(3..).unwrap_or_default());
        hex::write(
            self.parent_id.bytes(),
            out.get_mut(36..).unwrap_or_default(),
        );
        let sampled = if self.sampled { SAMPLED } else { 0 };
        let random = if self.random { RANDOM } else { 0 };
        let [.., flags] = &mut out;
        *flags = b'0' | sampled | random;
        out
    }
}

//! Which of the formats of a request counts.

use super::{read, Decision, Field, Format, Found, Inbound, Remote};
use crate::w3c::traceparent::parse;

/// What a request says, over all formats that are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Extracted {
    /// The first position in a trace, in the configured order, and its format.
    pub remote: Option<(Format, Remote)>,
    /// The first decision that came without a trace; counts where there is no position, or one that decides nothing.
    pub decision: Decision,
    /// A format could not be read.
    pub invalid: bool,
    /// Two formats name different traces.
    pub conflict: bool,
}

impl Extracted {
    /// What a request without a trace says.
    pub const NOTHING: Extracted = Extracted {
        remote: None,
        decision: Decision::Defer,
        invalid: false,
        conflict: false,
    };
}

/// Reads the formats in order: the first that names a trace wins.
pub fn extract(order: &[Format], inbound: &Inbound<'_>) -> Extracted {
    let mut all = Extracted::NOTHING;
    for format in order {
        match (read(*format, inbound), all.remote) {
            (Found::Absent, _) => {}
            (Found::Invalid, _) => all.invalid = true,
            (Found::Decision(decision), _) => all.decision = all.decision.or(decision),
            (Found::Remote(remote), None) => all.remote = Some((*format, remote)),
            (Found::Remote(remote), Some((_, first))) if !same(&first, &remote) => {
                all.conflict = true;
            }
            (Found::Remote(remote), Some((known, first))) => {
                all.remote = Some((known, completed(known, first, &remote)));
            }
        }
    }
    all
}

/// A later format may know what the first leaves open: the other half of the id, the caller's span, its decision.
#[cold]
#[inline(never)]
fn completed(known: Format, mut first: Remote, later: &Remote) -> Remote {
    if known != Format::W3c && first.trace_id.high() == 0 {
        first.trace_id = later.trace_id;
    }
    first.span_id = first.span_id.or(later.span_id);
    first.decision = first.decision.or(later.decision);
    first
}

/// True where this format names the trace that goes on, so that what it carries beside the ids belongs to that.
pub fn names(format: Format, inbound: &Inbound<'_>, chosen: &(Format, Remote)) -> bool {
    format == chosen.0
        || matches!(read(format, inbound), Found::Remote(remote) if same(&chosen.1, &remote))
}

/// The same trace, where one side may know only its lower 64 bits.
fn same(one: &Remote, other: &Remote) -> bool {
    let (one, other) = (one.trace_id, other.trace_id);
    one == other || (one.low() == other.low() && (one.high() == 0 || other.high() == 0))
}

/// The header has exactly one line; two are ambiguous.
pub(super) fn w3c(inbound: &Inbound<'_>) -> Found {
    if !inbound.has(Field::Traceparent) {
        return Found::Absent;
    }
    match inbound.only(Field::Traceparent).and_then(parse) {
        None => Found::Invalid,
        Some(parent) => Found::Remote(Remote {
            trace_id: parent.trace_id,
            span_id: Some(parent.parent_id),
            decision: Decision::of(parent.sampled),
            random: parent.random,
        }),
    }
}

//! The formats in which a trace context travels: read in a configured order, written in any number at once.

mod aws;
mod b3;
mod datadog;
mod extract;
mod inbound;
mod jaeger;

pub use extract::{extract, names, Extracted};
pub use inbound::{Field, Inbound};

use crate::ids::{SpanId, TraceId};
use crate::w3c::traceparent::Traceparent;
use std::borrow::Cow;

seawall_core::words! {
    /// A format.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub enum Format {
        /// `traceparent` and `tracestate` (W3C Trace Context).
        W3c = "w3c",
        /// `b3`, one line.
        B3 = "b3",
        /// `x-b3-traceid`, `x-b3-spanid`, `x-b3-parentspanid`, `x-b3-sampled`, `x-b3-flags`.
        B3multi = "b3multi",
        /// `uber-trace-id`.
        Jaeger = "jaeger",
        /// `x-amzn-trace-id`.
        Aws = "aws",
        /// `x-datadog-trace-id` and its companions.
        Datadog = "datadog",
    }
}

/// Every format there is.
pub const ALL: [Format; 6] = [
    Format::W3c,
    Format::B3,
    Format::B3multi,
    Format::Jaeger,
    Format::Aws,
    Format::Datadog,
];

impl Format {
    /// The headers of this format, lower case.
    pub fn headers(self) -> &'static [&'static str] {
        match self {
            Format::W3c => &["traceparent", "tracestate"],
            Format::B3 => &["b3"],
            Format::B3multi => &[
                "x-b3-traceid",
                "x-b3-spanid",
                "x-b3-parentspanid",
                "x-b3-sampled",
                "x-b3-flags",
            ],
            Format::Jaeger => &["uber-trace-id"],
            Format::Aws => &["x-amzn-trace-id"],
            Format::Datadog => &[
                "x-datadog-trace-id",
                "x-datadog-parent-id",
                "x-datadog-sampling-priority",
                "x-datadog-tags",
                "x-datadog-origin",
            ],
        }
    }
}

/// What a caller says about recording a trace.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Decision {
    /// Nothing: the next one decides.
    Defer,
    /// It is not recorded.
    Drop,
    /// It is recorded.
    Keep,
    /// It is recorded by all means (B3 and Jaeger).
    Debug,
}

impl Decision {
    pub(crate) fn of(sampled: bool) -> Self {
        if sampled {
            Decision::Keep
        } else {
            Decision::Drop
        }
    }

    /// This decision, or another one where it is none.
    pub fn or(self, other: Self) -> Self {
        if self == Decision::Defer {
            other
        } else {
            self
        }
    }

    /// The decision as the `sampled` flag, where there is one.
    pub fn sampled(self) -> Option<bool> {
        match self {
            Decision::Defer => None,
            Decision::Drop => Some(false),
            Decision::Keep | Decision::Debug => Some(true),
        }
    }
}

/// A position in a trace that a caller sent, in whatever format.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Remote {
    /// The trace. Ids of 64 bits are padded on the left.
    pub trace_id: TraceId,
    /// The caller's span; some formats may leave it out.
    pub span_id: Option<SpanId>,
    /// What it decided.
    pub decision: Decision,
    /// The random flag. Only the W3C format has one; an id from another format must not claim it.
    pub random: bool,
}

/// What one format of a request says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Found {
    /// Nothing.
    Absent,
    /// Something that cannot be read.
    Invalid,
    /// A decision without a trace (`b3: 0`).
    Decision(Decision),
    /// A position in a trace.
    Remote(Remote),
}

/// The position that goes to the next hop.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Outbound {
    /// The trace.
    pub trace_id: TraceId,
    /// Our span: the next hop's parent.
    pub span_id: SpanId,
    /// The span of whoever called us.
    pub parent: Option<SpanId>,
    /// Whether the trace is recorded.
    pub sampled: bool,
    /// Whether the right-most 7 bytes of the trace id are random.
    pub random: bool,
    /// Whether it is to be recorded by all means.
    pub debug: bool,
}

impl Outbound {
    /// As `traceparent` has it.
    pub fn traceparent(&self) -> Traceparent {
        Traceparent {
            trace_id: self.trace_id,
            parent_id: self.span_id,
            sampled: self.sampled,
            random: self.random,
        }
    }
}

/// Header fields to be set.
pub type Fields<'a> = Vec<(&'a str, Cow<'a, [u8]>)>;

/// Reads one format.
pub fn read(format: Format, inbound: &Inbound<'_>) -> Found {
    match format {
        Format::W3c => extract::w3c(inbound),
        Format::B3 => b3::read_single(inbound),
        Format::B3multi => b3::read_multi(inbound),
        Format::Jaeger => jaeger::read(inbound),
        Format::Aws => aws::read(inbound),
        Format::Datadog => datadog::read(inbound),
    }
}

/// Writes one format. `inbound` gives what travels along beside the ids, where its trace goes on.
pub fn write(
    format: Format,
    out: &Outbound,
    inbound: Option<&Inbound<'_>>,
    fields: &mut Fields<'_>,
) {
    match format {
        Format::W3c => {
            let value = out.traceparent().value();
            fields.push(("traceparent", Cow::Owned(value.to_vec())));
        }
        Format::B3 => b3::write_single(out, fields),
        Format::B3multi => b3::write_multi(out, fields),
        Format::Jaeger => jaeger::write(out, fields),
        Format::Aws => aws::write(out, inbound, fields),
        Format::Datadog => datadog::write(out, inbound, fields),
    }
}

/// The value of a field of which there must be one line; `Err` when there are more, whose meaning nobody defines.
pub(crate) fn single<'a>(inbound: &Inbound<'a>, field: Field) -> Result<Option<&'a [u8]>, Found> {
    match (inbound.has(field), inbound.only(field)) {
        (true, None) => Err(Found::Invalid),
        _ => Ok(first(inbound, field)),
    }
}

/// The value of the first line. An empty one says as little as none: services that pass on the fields of a list send those
/// that they did not get as empty ones.
pub(crate) fn first<'a>(inbound: &Inbound<'a>, field: Field) -> Option<&'a [u8]> {
    let value = inbound.first(field).map(crate::w3c::trim);
    value.filter(|value| !value.is_empty())
}

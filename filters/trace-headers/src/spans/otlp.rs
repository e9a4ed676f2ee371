//! Spans in OTLP's protobuf form (opentelemetry-proto, trace/v1). Field numbers:
//! `ExportTraceServiceRequest.resource_spans = 1`; `ResourceSpans.{resource = 1, scope_spans = 2}`;
//! `Resource.attributes = 1`; `ScopeSpans.{scope = 1, spans = 2}`; `InstrumentationScope.{name = 1, version = 2}`;
//! `KeyValue.{key = 1, value = 2}`; `AnyValue.{string_value = 1, int_value = 3}`; `Span.{trace_id = 1, span_id = 2,
//! trace_state = 3, parent_span_id = 4, name = 5, kind = 6, start_time_unix_nano = 7, end_time_unix_nano = 8, attributes = 9,
//! status = 15, flags = 16}`; `Status.code = 3`.

use super::protobuf::Message;
use crate::interop::Outbound;
use seawall_core::time::Timestamp;

const KIND_SERVER: u64 = 2;
const STATUS_ERROR: u64 = 2;
/// `SPAN_FLAGS_CONTEXT_HAS_IS_REMOTE_MASK` and `SPAN_FLAGS_CONTEXT_IS_REMOTE_MASK`.
const PARENT_IS_REMOTE: u32 = 0x300;

/// What is known about a span, written as it becomes known: kept as values until then, each would be copied twice.
#[derive(Debug)]
pub struct Attributes(Message);

/// The field of a span that has them.
const ATTRIBUTES: u32 = 9;

impl Attributes {
    /// None yet, and room for those of most spans.
    pub fn none() -> Self {
        Attributes(Message::with_room(512))
    }

    /// Adds a string.
    #[inline(never)]
    pub fn text(&mut self, key: &str, value: &str) {
        text(&mut self.0, ATTRIBUTES, key, value);
    }

    /// Adds a whole number.
    #[inline(never)]
    pub fn number(&mut self, key: &str, value: u64) {
        self.0.message(ATTRIBUTES, |pair| {
            pair.bytes(1, key.as_bytes());
            pair.message(2, |any| any.number(3, value));
        });
    }
}

fn text(message: &mut Message, field: u32, key: &str, value: &str) {
    message.message(field, |pair| {
        pair.bytes(1, key.as_bytes());
        pair.message(2, |any| any.bytes(1, value.as_bytes()));
    });
}

/// A span that has ended.
#[derive(Debug)]
pub struct Span {
    /// Its ids.
    pub position: Outbound,
    /// The `tracestate` that went on with it; empty where there was none.
    pub state: String,
    /// Its name: method and route.
    pub name: String,
    /// When it began.
    pub start: Timestamp,
    /// When it ended.
    pub end: Timestamp,
    /// What is known about it.
    pub attributes: Attributes,
    /// Whether the request failed for a reason on this side of it.
    pub failed: bool,
}

/// The span as a message.
pub fn encode(span: &Span) -> Vec<u8> {
    let texts = span.state.len().saturating_add(span.name.len());
    let known = span.attributes.0.size().saturating_add(texts);
    // And for the ids and times.
    let mut message = Message::with_room(known.saturating_add(96));
    message.bytes(1, span.position.trace_id.bytes());
    message.bytes(2, span.position.span_id.bytes());
    if !span.state.is_empty() {
        message.bytes(3, span.state.as_bytes());
    }
    if let Some(parent) = span.position.parent {
        message.bytes(4, parent.bytes());
    }
    message.bytes(5, span.name.as_bytes());
    message.number(6, KIND_SERVER);
    message.fixed64(7, span.start.as_nanos());
    message.fixed64(8, span.end.later(span.start).as_nanos());
    message.fields_of(&span.attributes.0);
    if span.failed {
        message.message(15, |status| status.number(3, STATUS_ERROR));
    }
    let sampled = u32::from(span.position.sampled);
    let random = u32::from(span.position.random) << 1;
    let remote = if span.position.parent.is_some() {
        PARENT_IS_REMOTE
    } else {
        0
    };
    message.fixed32(16, sampled | random | remote);
    message.finish()
}

/// A request to the collector with these spans.
pub fn export(service: &str, spans: &[Vec<u8>]) -> Vec<u8> {
    let mut request = Message::default();
    request.message(1, |resource_spans| {
        resource_spans.message(1, |resource| {
            text(resource, 1, "service.name", service);
        });
        resource_spans.message(2, |scope_spans| {
            scope_spans.message(1, |scope| {
                scope.bytes(1, b"seawall.trace_headers");
                scope.bytes(2, env!("CARGO_PKG_VERSION").as_bytes());
            });
            for span in spans {
                scope_spans.bytes(2, span);
            }
        });
    });
    request.finish()
}

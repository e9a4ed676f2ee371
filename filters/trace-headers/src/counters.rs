//! What is counted. Counts are kept here and handed to the host by the timer, so that a request pays no host call for
//! them.

use seawall_core::host::Host;
use seawall_core::metrics::Counter;
use std::cell::Cell;

/// What is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(usize)]
pub enum Count {
    /// A trace was started: the request had none.
    TracesStarted,
    /// A trace was continued.
    TracesContinued,
    /// A trace was started because whoever sent one is not trusted.
    TracesUntrusted,
    /// A trace header could not be read.
    TraceparentInvalid,
    /// A `tracestate` broke the grammar and was dropped.
    TracestateInvalid,
    /// A member of `tracestate` was dropped to keep the length.
    TracestateTruncated,
    /// A member of `baggage` was malformed or above the limits.
    BaggageDropped,
    /// Two formats named different traces.
    Conflicts,
    /// A request id was made: the request had none.
    RequestIdsCreated,
    /// A request id was taken over.
    RequestIdsKept,
    /// A request id was replaced: not safe, or not trusted.
    RequestIdsReplaced,
    /// The host failed, and something was left undone.
    Errors,
    /// A span was sent to the collector.
    SpansSent,
    /// A span was dropped: no room, or the collector did not take it.
    SpansDropped,
}

const NAMES: [&str; 14] = [
    "traces_started",
    "traces_continued",
    "traces_untrusted",
    "traceparent_invalid",
    "tracestate_invalid",
    "tracestate_truncated",
    "baggage_dropped",
    "conflicts",
    "request_ids_created",
    "request_ids_kept",
    "request_ids_replaced",
    "errors",
    "spans_sent",
    "spans_dropped",
];

/// The counts of one worker.
#[derive(Debug, Default)]
pub struct Counters {
    metrics: [Counter; NAMES.len()],
    pending: [Cell<u64>; NAMES.len()],
}

impl Counters {
    /// Makes them known to the host.
    pub fn define(host: &dyn Host) -> Self {
        Counters {
            metrics: NAMES
                .map(|name| Counter::define(host, &format!("seawall.trace_headers.{name}"))),
            pending: Default::default(),
        }
    }

    /// Counts one.
    pub fn increment(&self, what: Count) {
        self.add(what, 1);
    }

    /// Counts several.
    pub fn add(&self, what: Count, amount: u64) {
        if let Some(pending) = self.pending.get(what as usize) {
            pending.set(pending.get().saturating_add(amount));
        }
    }

    /// Hands the counts to the host.
    pub fn flush(&self, host: &dyn Host) {
        for (metric, pending) in self.metrics.iter().zip(&self.pending) {
            metric.add(host, pending.take());
        }
    }
}

//! The spans of a worker on their way to the collector.
//!
//! A request only puts its span into a queue of limited length. The timer sends the whole queue in one call, and no
//! second one before the first is answered. What does not fit or is not taken is dropped and counted: spans are never
//! worth a request.

use super::otlp::{encode, export, Span};
use crate::config::Spans;
use crate::counters::{Count, Counters};
use seawall_core::host::{Host, Map};
use seawall_core::time::Timestamp;
use std::cell::RefCell;

/// The spans of a worker.
#[derive(Debug)]
pub struct Exporter {
    settings: Spans,
    queue: RefCell<Queue>,
}

#[derive(Debug, Default)]
struct Queue {
    waiting: Vec<Vec<u8>>,
    sent: Option<Sent>,
    /// When something was sent last.
    last: Option<Timestamp>,
}

/// A call that is not answered yet.
#[derive(Debug)]
struct Sent {
    token: u32,
    spans: u64,
    at: Timestamp,
}

impl Exporter {
    /// An empty queue.
    pub fn new(settings: Spans) -> Self {
        Exporter {
            settings,
            queue: RefCell::default(),
        }
    }

    /// Whether failed requests have a span even when their trace is not sampled.
    pub fn wants_errors(&self) -> bool {
        self.settings.errors
    }

    /// Puts a span into the queue.
    pub fn push(&self, counters: &Counters, span: Span) {
        match self.queue.try_borrow_mut() {
            Ok(mut queue) if queue.waiting.len() < self.settings.max_spans => {
                queue.waiting.push(encode(&span));
            }
            _ => counters.increment(Count::SpansDropped),
        }
    }

    /// Sends the queue, unless the last time was less than an interval ago or the collector still owes an answer.
    pub fn flush(&self, host: &dyn Host, counters: &Counters, now: Timestamp) {
        let Ok(mut queue) = self.queue.try_borrow_mut() else {
            return;
        };
        if let Some(sent) = &queue.sent {
            // The host answers after its timeout at the latest. If it does not, the spans are lost, not the exporter.
            let patience = self.settings.timeout.saturating_mul(2);
            if now < sent.at || now.since(sent.at) < patience {
                return;
            }
            counters.add(Count::SpansDropped, sent.spans);
            queue.sent = None;
        }
        let early = queue
            .last
            .is_some_and(|last| now >= last && now.since(last) < self.settings.interval);
        if queue.waiting.is_empty() || early {
            return;
        }
        queue.last = Some(now);
        let spans = std::mem::take(&mut queue.waiting);
        let body = export(&self.settings.service, &spans);
        let headers: [(&str, &[u8]); 6] = [
            (":method", b"POST"),
            (":scheme", b"http"),
            (":authority", self.settings.authority.as_bytes()),
            (":path", self.settings.path.as_bytes()),
            ("content-type", b"application/x-protobuf"),
            ("user-agent", b"seawall"),
        ];
        let count = spans.len() as u64;
        match host.http_call(
            &self.settings.cluster,
            &headers,
            &body,
            self.settings.timeout,
        ) {
            Ok(token) => {
                queue.sent = Some(Sent {
                    token,
                    spans: count,
                    at: now,
                });
            }
            Err(_) => counters.add(Count::SpansDropped, count),
        }
    }

    /// The collector's answer; no header at all means that there was none.
    pub fn done(&self, host: &dyn Host, counters: &Counters, token: u32, headers: usize) {
        let Ok(mut queue) = self.queue.try_borrow_mut() else {
            return;
        };
        let Some(sent) = queue.sent.take_if(|sent| sent.token == token) else {
            return;
        };
        let status = (headers > 0).then(|| host.header(Map::CallResponse, ":status"));
        let taken = matches!(status, Some(Ok(Some(status))) if status.starts_with(b"2"));
        counters.add(
            if taken {
                Count::SpansSent
            } else {
                Count::SpansDropped
            },
            sent.spans,
        );
    }
}

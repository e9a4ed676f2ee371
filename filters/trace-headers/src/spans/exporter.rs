//! The spans of a worker on their way to the collector.
//!
//! A request only puts its span into a queue of limited length. The timer sends what is in there in one call, every interval
//! or once it is half full, and no second one before the first is answered. What a collector cannot take now is sent again a few times, ever later. What does
//! not fit or is not taken is dropped and counted: spans are never worth a request.

use super::answer::{self, Verdict};
use super::otlp::{encode, export, Span};
use crate::config::Spans;
use crate::counters::{Count, Counters};
use seawall_core::host::{Failure, Host, Level};
use seawall_core::log::{printable, Throttle};
use seawall_core::time::{self, Timestamp};
use std::cell::RefCell;

/// The most spans in one call: with every attribute as long as it may be they stay below the 20 MiB that a collector takes by
/// default.
const MOST_AT_ONCE: usize = 2048;
/// How often the same spans are sent.
const MOST_TRIES: u32 = 5;
/// The longest pause between two tries, where the collector does not ask for another.
const LONGEST_PAUSE: time::Span = time::Span::from_secs(30);

/// The spans of a worker.
#[derive(Debug)]
pub struct Exporter {
    settings: Spans,
    queue: RefCell<Queue>,
    throttle: Throttle,
}

#[derive(Debug, Default)]
struct Queue {
    waiting: Vec<Vec<u8>>,
    /// What the collector has not answered for, or is to get again.
    batch: Vec<Vec<u8>>,
    /// How often that was sent.
    tries: u32,
    sent: Option<Sent>,
    /// When something was sent or answered last, and how long to wait from then on.
    pause: Option<(Timestamp, time::Span)>,
}

/// A call that is not answered yet.
#[derive(Debug)]
struct Sent {
    token: u32,
    at: Timestamp,
}

/// Up to a quarter of a pause, so that workers which a collector left at one moment do not all come back at one: the
/// microseconds of the clock are as good as random for that.
fn jitter(pause: time::Span, now: Timestamp) -> time::Span {
    let part = (now.as_nanos() / 1000) % 256;
    time::Span::from_nanos((pause.as_nanos() / 1024).saturating_mul(part))
}

impl Queue {
    /// The spans of the call are done with; how many they were.
    fn clear(&mut self) -> u64 {
        self.tries = 0;
        std::mem::take(&mut self.batch).len() as u64
    }
}

impl Exporter {
    /// An empty queue.
    pub fn new(settings: Spans) -> Self {
        Exporter {
            settings,
            queue: RefCell::default(),
            throttle: Throttle::default(),
        }
    }

    /// Whether failed requests have a span even when their trace is not sampled.
    pub fn wants_errors(&self) -> bool {
        self.settings.errors
    }

    /// Puts a span into the queue. True when that should not wait for the end of the interval.
    pub fn push(&self, counters: &Counters, span: Span) -> bool {
        if let Ok(mut queue) = self.queue.try_borrow_mut() {
            let kept = queue.waiting.len().saturating_add(queue.batch.len());
            if kept < self.settings.max_spans {
                queue.waiting.push(encode(&span));
                return self.is_filling(&queue);
            }
        }
        counters.increment(Count::SpansDropped);
        false
    }

    /// Half of the room, or a whole call, is taken by spans that nothing keeps from being sent: traffic would fill the rest
    /// within the interval.
    fn is_filling(&self, queue: &Queue) -> bool {
        let many = self.settings.max_spans.div_ceil(2).min(MOST_AT_ONCE);
        queue.batch.is_empty() && queue.waiting.len() >= many
    }

    /// Sends the queue, unless the collector still owes an answer, or the last time was less than an interval ago and there
    /// is room for more.
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
            queue.sent = None;
            self.drop(host, counters, queue.clear(), "the host gave no answer");
        }
        let early = queue
            .pause
            .is_some_and(|(last, pause)| now >= last && now.since(last) < pause);
        if early && !self.is_filling(&queue) {
            return;
        }
        if queue.batch.is_empty() {
            let count = queue.waiting.len().min(MOST_AT_ONCE);
            let rest = queue.waiting.split_off(count);
            queue.batch = std::mem::replace(&mut queue.waiting, rest);
        }
        if queue.batch.is_empty() {
            return;
        }
        queue.pause = Some((now, self.settings.interval));
        queue.tries = queue.tries.saturating_add(1);
        let body = export(&self.settings.service, &queue.batch);
        let headers: [(&str, &[u8]); 6] = [
            (":method", b"POST"),
            (":scheme", b"http"),
            (":authority", self.settings.authority.as_bytes()),
            (":path", self.settings.path.as_bytes()),
            ("content-type", b"application/x-protobuf"),
            ("user-agent", b"seawall"),
        ];
        match host.http_call(
            &self.settings.cluster,
            &headers,
            &body,
            self.settings.timeout,
        ) {
            Ok(token) => queue.sent = Some(Sent { token, at: now }),
            // The cluster has no host now.
            Err(Failure::Status(10)) => self.later(host, counters, &mut queue, None, Some(None)),
            Err(failure) => {
                let reason = format!("cluster {:?}: {failure:?}", self.settings.cluster);
                self.drop(host, counters, queue.clear(), &reason);
            }
        }
    }

    /// The collector's answer; no header at all means that there was none.
    pub fn done(
        &self,
        host: &dyn Host,
        counters: &Counters,
        token: u32,
        headers: usize,
        size: usize,
    ) {
        let Ok(mut queue) = self.queue.try_borrow_mut() else {
            return;
        };
        if queue.sent.take_if(|sent| sent.token == token).is_none() {
            return;
        }
        let (status, pause) = match answer::read(host, headers, size) {
            Verdict::Taken { rejected, message } => {
                let spans = queue.clear();
                let rejected = rejected.min(spans);
                counters.add(Count::SpansSent, spans.saturating_sub(rejected));
                if rejected > 0 || !message.is_empty() {
                    let reason = format!("the collector says {:?}", printable(&message, 256));
                    self.drop(host, counters, rejected, &reason);
                }
                return;
            }
            Verdict::Again { status, pause } => (status, Some(pause)),
            Verdict::Refused { status } => (Some(status), None),
        };
        self.later(host, counters, &mut queue, status, pause);
    }

    /// Another try, after a pause that the collector may have asked for; or none, or no more.
    fn later(
        &self,
        host: &dyn Host,
        counters: &Counters,
        queue: &mut Queue,
        status: Option<Vec<u8>>,
        pause: Option<Option<time::Span>>,
    ) {
        match pause {
            Some(asked) if queue.tries < MOST_TRIES => {
                let doubled = 1u64.checked_shl(queue.tries.saturating_sub(1));
                let usual = self.settings.interval;
                let usual = usual.saturating_mul(doubled.unwrap_or(u64::MAX));
                let usual = usual.min(LONGEST_PAUSE).max(self.settings.interval);
                let now = host.now().unwrap_or_default();
                let pause = asked.unwrap_or_else(|| usual.saturating_add(jitter(usual, now)));
                queue.pause = Some((now, pause.max(self.settings.interval)));
            }
            _ => {
                let reason = match status {
                    Some(status) => format!("the collector answers {}", printable(&status, 8)),
                    None => "the collector does not answer".to_owned(),
                };
                self.drop(host, counters, queue.clear(), &reason);
            }
        }
    }

    /// Gives up what is left, for the host ends a call with the configuration that made it.
    #[cold]
    pub fn end(&self, host: &dyn Host, counters: &Counters) {
        let Ok(mut queue) = self.queue.try_borrow_mut() else {
            return;
        };
        let waiting = std::mem::take(&mut queue.waiting).len() as u64;
        let spans = waiting.saturating_add(queue.clear());
        if spans > 0 {
            self.drop(host, counters, spans, "their configuration is gone");
        }
    }

    #[cold]
    #[inline(never)]
    fn drop(&self, host: &dyn Host, counters: &Counters, spans: u64, reason: &str) {
        counters.add(Count::SpansDropped, spans);
        self.throttle.log(host, Level::Warn, || {
            format!("trace-headers: {spans} spans were dropped: {reason}")
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_differ_by_up_to_a_quarter() {
        let pause = time::Span::from_secs(4);
        let at = |micros: u64| {
            let now = Timestamp::from_secs(7).saturating_add(time::Span::from_nanos(micros * 1000));
            jitter(pause, now)
        };
        let mut found: Vec<_> = (0..1000).map(at).collect();
        found.sort_unstable();
        found.dedup();
        assert_eq!(found.len(), 256);
        assert!(found.iter().all(|more| *more < time::Span::from_secs(1)));
    }
}

//! One call: admitted or refused, then judged once.

use crate::breaker::{Admission, Reason, Refusal};
use crate::evidence::Evidence;
use crate::failed::Standby;
use crate::filter::{Call, Shared, Ticket, TICK};
use crate::outcome::{classify, Kind, Outcome, Signals, Verdict, REDIRECTED};
use crate::overdue::Watched;
use crate::refusal::{is_grpc, Refused};
use crate::retry_after;
use crate::settings::{Mode, Settings};
use seawall_core::host::{Host, Map};
use seawall_core::log::identity;
use seawall_core::plugin::{Flow, Stream};
use seawall_core::time::{Span, Timestamp};
use std::rc::Rc;

/// The status by which an upstream agrees to an upgrade, such as to WebSocket (RFC 9110, section 15.2.2).
const SWITCHING_PROTOCOLS: u32 = 101;

/// The status by which an upstream says that it is asked too much (RFC 6585, section 4), and that of gRPC.
const TOO_MANY: u32 = 429;
const EXHAUSTED: u32 = 8;

/// The gRPC status of what has none that is known.
const UNKNOWN: u32 = 2;

/// One request.
#[derive(Debug)]
pub struct CircuitBreakerStream {
    context: u32,
    shared: Option<Rc<Shared>>,
    call: Option<Call>,
    watched: Option<Watched>,
    /// What this request gets if it fails.
    standby: Option<Standby>,
    status: u32,
    grpc_status: Option<u32>,
    /// True once the request has come to its end.
    sent: bool,
    /// True once the answer has a body.
    said: bool,
    /// True once the answer has come to its end.
    whole: bool,
    /// True once the answer's headers have gone on, whose end is awaited.
    begun: bool,
    evidence: Option<Box<Evidence>>,
}

fn number(bytes: Option<Vec<u8>>) -> Option<u64> {
    Some(u64::from_le_bytes(bytes?.try_into().ok()?))
}

fn header_number(host: &dyn Host, map: Map, name: &str) -> Option<u32> {
    let text = host.header(map, name).ok().flatten()?;
    std::str::from_utf8(&text).ok()?.parse().ok()
}

/// The gRPC status, where there is one. What is no status of gRPC is told to its caller as UNKNOWN.
fn grpc_status(host: &dyn Host, map: Map) -> Option<u32> {
    let text = host.header(map, "grpc-status").ok().flatten()?;
    let text = std::str::from_utf8(&text).ok();
    let status = text.and_then(|text| text.parse().ok());
    Some(status.filter(|status| *status <= 16).unwrap_or(UNKNOWN))
}

/// Whether what has ended was a tunnel (RFC 9110, section 9.3.6), which is no HTTP once it stands. Only who broke off is asked.
fn is_tunnel(host: &dyn Host) -> bool {
    let method = host.property("request\0method").ok().flatten();
    method.as_deref() == Some(b"CONNECT")
}

/// Whether the request at hand, which goes on after its headers, never comes to an end of its own: an upgrade, or a tunnel. Envoy
/// takes `upgrade` away from whatever is none, and gives the upgrades of HTTP/2 and HTTP/3 the form of HTTP/1. What has a body
/// costs one read.
fn is_open_ended(host: &dyn Host) -> bool {
    let header = |name| host.header(Map::Request, name).ok().flatten();
    match header(":method").as_deref() {
        Some(b"CONNECT") => true,
        Some(b"GET") => header("upgrade").is_some(),
        _ => false,
    }
}

impl CircuitBreakerStream {
    pub(crate) fn new(context: u32, shared: Option<Rc<Shared>>) -> Self {
        CircuitBreakerStream {
            context,
            shared,
            call: None,
            watched: None,
            standby: None,
            status: 0,
            grpc_status: None,
            sent: false,
            said: false,
            whole: false,
            begun: false,
            evidence: None,
        }
    }

    fn see(&mut self, callback: &'static str) {
        if let Some(evidence) = &mut self.evidence {
            evidence.callback(callback);
        }
    }

    /// What Envoy says of the call now, judged. Where the answer came from is read only where it matters, and flags only where
    /// they can say something: what came whole broke off nowhere, and to learn that from the body costs a fraction of the read.
    fn judge(&mut self, host: &dyn Host, call: &Call, details: bool) -> Verdict {
        let speaks_for_itself = self.whole && !details;
        let flags = if speaks_for_itself && self.evidence.is_none() {
            None
        } else {
            number(host.property("response\0flags").ok().flatten())
        };
        // Without an answer and without a flag: what came did not come by here.
        let silent = self.status == 0 && flags == Some(0);
        let details = if details || silent || self.evidence.is_some() {
            host.property("response\0code_details").ok().flatten()
        } else {
            None
        };
        if silent && details.as_deref() == Some(REDIRECTED) {
            let code = number(host.property("response\0code").ok().flatten());
            self.status = code.and_then(|code| code.try_into().ok()).unwrap_or(0);
        }
        let signals = Signals {
            status: self.status,
            flags: flags.unwrap_or_default(),
            details: details.as_deref(),
            grpc_status: self.grpc_status,
            sent: self.sent,
            begun: self.begun,
        };
        let flags = if speaks_for_itself { 0 } else { signals.flags };
        let verdict = classify(&call.settings.rules, &Signals { flags, ..signals });
        if let Some(evidence) = &mut self.evidence {
            evidence.signals(&signals);
        }
        verdict
    }

    /// Watches the call from the end of its request on, as Envoy's own timeouts do: how fast a client sends is its own affair.
    fn watch(&mut self, host: &dyn Host, shared: &Shared, call: &Call, sent_at: Timestamp) {
        if let Some(slow_after) = call.settings.policy.slow_after {
            let deadline = sent_at.saturating_add(slow_after);
            self.watched = shared.watch(host, deadline, call.clone());
        }
    }

    /// Stops watching. False when the call has been counted while it was under way, or here, where the timer has not come by
    /// since it became overdue.
    fn in_time(&mut self, host: &dyn Host, shared: &Shared, call: &Call) -> bool {
        let Some(watched) = self.watched.take() else {
            return true;
        };
        let now = shared.now(host).ok().filter(|_| !call.answered);
        let over = shared.watch.try_borrow_mut().ok().and_then(|mut watch| {
            watch.remove(watched)?;
            Some(now.is_some_and(|now| watch.is_over(watched, now)))
        });
        let Some(over) = over else {
            return !call.answered && shared.is_held_up(host, call);
        };
        let overdue = over && !shared.is_held_up(host, call);
        if overdue {
            shared.count_late(host, call);
        }
        !overdue
    }

    /// Whether the answer matters enough to ask where it came from: it would close a breaker, or end a row of failures.
    fn matters(&self, host: &dyn Host, shared: &Shared, call: &mut Call) -> bool {
        call.tell = call.tell || call.lease.is_none() && shared.ends_a_row(host, call);
        call.tell || call.lease.is_some()
    }

    /// Counts the call, once.
    fn settle(&mut self, host: &dyn Host, shared: &Shared, call: &Call, verdict: Verdict) {
        let counted = self.in_time(host, shared, call);
        if let Some(evidence) = &mut self.evidence {
            let (why, outcome) = match (counted, call.answered) {
                (true, _) => (verdict.why, verdict.outcome),
                (false, true) => ("streams", Outcome::Success),
                (false, false) => ("overdue", Outcome::Slow),
            };
            evidence.verdict(why, outcome);
        }
        if !counted {
            return;
        }
        match verdict.outcome {
            Outcome::Success => shared.succeeded(host, call),
            // An answer that blames the request has been accepted, unless it says that it was one too many.
            Outcome::Neutral
                if call.settings.policy.adaptive.is_some()
                    && call.lease.is_none()
                    && self.status != TOO_MANY
                    && self.grpc_status != Some(EXHAUSTED) =>
            {
                shared.succeeded(host, call);
            }
            // Only a probe has something to give back, or to say.
            Outcome::Ignored | Outcome::Neutral if call.lease.is_none() => {}
            outcome => {
                let (asked, opens) = self.asked(host, shared, call, outcome);
                shared.settle(host, call, outcome, asked, opens);
            }
        }
    }

    /// The call is over.
    fn end(&mut self, host: &dyn Host) {
        if let (Some(shared), Some(mut call)) = (self.shared.clone(), self.call.take()) {
            let details = self.matters(host, &shared, &mut call);
            let mut verdict = self.judge(host, &call, details);
            if verdict.why == Kind::ResetAfterHeaders.word() && is_tunnel(host) {
                verdict = Verdict {
                    outcome: Outcome::Success,
                    why: "tunnel",
                };
            }
            self.settle(host, &shared, &call, verdict);
        }
    }

    /// When the upstream that failed says to come back, and whether that alone opens.
    fn asked(
        &self,
        host: &dyn Host,
        shared: &Shared,
        call: &Call,
        outcome: Outcome,
    ) -> (Option<Span>, bool) {
        let opens = call.settings.opening_statuses.contains(&self.status);
        if outcome != Outcome::Failure
            || !(opens || matches!(self.status, TOO_MANY | 503))
            || call.settings.policy.retry_after_max.is_zero()
        {
            return (None, false);
        }
        let field = host.header(Map::Response, "retry-after").ok().flatten();
        let asked = field.and_then(|value| {
            let now = shared.now(host).unwrap_or(call.at);
            retry_after::parse(&value, now)
        });
        (asked, opens && asked.is_some())
    }

    fn forward(&mut self, host: &dyn Host, shared: &Shared, call: Call) -> Flow {
        // Of what has no end the time runs from its beginning on.
        if self.sent || call.settings.policy.slow_after.is_some() && is_open_ended(host) {
            self.watch(host, shared, &call, call.at);
        }
        if call.settings.fallback.on_failure
            && call.settings.mode == Mode::Enforce
            && !is_grpc(host)
        {
            self.standby = Standby::of(host, &call.settings);
        }
        shared.admitted.set(call.order);
        self.call = Some(call);
        Flow::Continue
    }

    fn decide(
        &mut self,
        host: &dyn Host,
        shared: &Shared,
        settings: Rc<Settings>,
        ticket: Rc<Ticket>,
        now: Timestamp,
    ) -> Flow {
        let Some(admitted) = shared.admit(host, &settings, &ticket, now, self.sent) else {
            return Flow::Continue;
        };
        let mut call = Call {
            context: self.context,
            settings,
            ticket,
            epoch: admitted.epoch,
            lease: None,
            at: now,
            order: shared.next_order(),
            tell: false,
            rough: false,
            answered: false,
            seen: admitted.seen,
            whose: None,
        };
        match admitted.admission {
            Admission::Pass { tell, rough } => {
                (call.tell, call.rough) = (tell, rough);
                if tell {
                    call.whose = Some(identity(host).into());
                }
            }
            Admission::Probe { lease, replaces } => {
                shared.metrics.probes.sent.increment(host);
                if replaces {
                    shared.metrics.probes.expired.increment(host);
                }
                call.lease = Some(lease);
                call.whose = Some(identity(host).into());
            }
            Admission::Refuse { after, on } => {
                let settings = Rc::clone(&call.settings);
                if on == Refusal::Overload {
                    let due = shared.is_due(host, &settings, &call.ticket, call.epoch, now);
                    if due {
                        return self.forward(host, shared, call);
                    }
                }
                if settings.mode == Mode::Shadow {
                    // What it would have refused goes through, and says nothing.
                    shared.metrics.shadow_refused.increment(host);
                    return Flow::Continue;
                }
                return shared.refuse(
                    host,
                    Refused {
                        settings: &settings,
                        values: &call.ticket.values,
                        on,
                        reason: admitted.reason,
                        after,
                    },
                );
            }
        }
        self.forward(host, shared, call)
    }
}

impl Stream for CircuitBreakerStream {
    fn request_headers(&mut self, host: &dyn Host, end_of_stream: bool) -> Flow {
        self.sent = end_of_stream;
        let Some(shared) = self.shared.clone() else {
            return Flow::Continue;
        };
        let settings = shared.settings(host);
        if !settings.enabled || settings.mode == Mode::ForcedClosed {
            return Flow::Continue;
        }
        if settings.access_log {
            self.evidence = Some(Box::default());
            self.see("request");
        }
        if settings.mode == Mode::ForcedOpen {
            let refused = Refused {
                settings: &settings,
                values: &[],
                on: Refusal::Forced,
                reason: Reason::None,
                after: settings.policy.open_for,
            };
            return shared.refuse(host, refused);
        }
        let Ok(now) = shared.now(host) else {
            shared.report(host, "the clock");
            return Flow::Continue;
        };
        if shared.count_overdue(host, now) {
            let _ = host.act_on(self.context);
        }
        let ticket = match shared.tickets.of_request(host, &shared.secret, &settings) {
            Ok(ticket) => ticket,
            Err(part) => {
                shared.report_keyless(host, part);
                return Flow::Continue;
            }
        };
        self.decide(host, &shared, settings, ticket, now)
    }

    fn request_body(&mut self, host: &dyn Host, _size: usize, end_of_stream: bool) -> Flow {
        self.sent |= end_of_stream;
        // Once there is an answer, nothing is left to wait for.
        if end_of_stream && self.status == 0 && self.watched.is_none() {
            if let (Some(shared), Some(mut call)) = (self.shared.clone(), self.call.take()) {
                if let Ok(now) = shared.now(host) {
                    if call.lease.is_some() {
                        shared.sent(host, &mut call, now);
                    }
                    self.watch(host, &shared, &call, now);
                }
                self.call = Some(call);
            }
        }
        Flow::Continue
    }

    /// A failure is counted before its client can send the next request.
    fn response_headers(&mut self, host: &dyn Host, end_of_stream: bool) -> Flow {
        self.see("response");
        let (Some(shared), Some(mut call)) = (self.shared.clone(), self.call.take()) else {
            return Flow::Continue;
        };
        self.status = header_number(host, Map::Response, ":status").unwrap_or_default();
        // What follows a change of protocol is not HTTP: Envoy has no way to tell how it should have ended.
        self.whole = end_of_stream || self.status == SWITCHING_PROTOCOLS;
        if end_of_stream && matches!(self.status, 200 | 204) {
            // A gRPC response without a message has its status here; from nginx, which makes it of an error of its own, with 204.
            self.grpc_status = grpc_status(host, Map::Response);
        }
        // An answer that is Envoy's own, such as of another filter, looks like the upstream's to a gRPC client.
        let failing = self.status >= 500
            || call.settings.rules.is_failure(self.status)
            || self.grpc_status.is_some_and(|status| status != 0);
        if failing || self.whole {
            let details = failing || self.matters(host, &shared, &mut call);
            let verdict = self.judge(host, &call, details);
            self.settle(host, &shared, &call, verdict);
            return match &self.standby {
                Some(standby) if verdict.outcome == Outcome::Failure => {
                    shared.answer_failure(host, &call.settings, standby, self.status)
                }
                _ => Flow::Continue,
            };
        }
        self.begun = true;
        // In time; what hangs from here on is a long body.
        if self.in_time(host, &shared, &call) {
            if let Some(lease) = call.lease {
                // A stream that is still open when the lease ends has worked, or its probe would never say so.
                call.answered = true;
                let deadline = lease.saturating_sub(TICK);
                self.watched = shared.watch(host, deadline, call.clone());
            }
            self.call = Some(call);
        } else if let Some(evidence) = &mut self.evidence {
            evidence.verdict("overdue", Outcome::Slow);
        }
        Flow::Continue
    }

    fn response_body(&mut self, _host: &dyn Host, size: usize, end_of_stream: bool) -> Flow {
        self.whole |= end_of_stream;
        self.said |= size > 0;
        Flow::Continue
    }

    /// A gRPC status is counted before its client sees it.
    fn response_trailers(&mut self, host: &dyn Host) -> Flow {
        self.see("trailers");
        self.whole = true;
        self.grpc_status = grpc_status(host, Map::ResponseTrailers);
        if self.grpc_status.is_some() {
            self.end(host);
        }
        Flow::Continue
    }

    fn log(&mut self, host: &dyn Host) {
        self.see("log");
        if self.call.is_some() && self.whole && !self.said && self.grpc_status.is_none() {
            // Nothing but headers, which did not say so: a gRPC response without a message, of some servers.
            self.grpc_status = grpc_status(host, Map::Response);
        }
        self.end(host);
        if let Some(evidence) = &self.evidence {
            evidence.leave(host);
        }
    }
}

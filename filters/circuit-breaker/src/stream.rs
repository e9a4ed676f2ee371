//! One call: admitted or refused, then judged once.

use crate::breaker::Admission;
use crate::filter::{Shared, Ticket};
use crate::outcome::{classify, Outcome, Signals};
use crate::overdue::Watched;
use crate::refusal::refuse;
use crate::settings::{Mode, Part, Settings};
use seawall_core::hash::{Fingerprint, KeyHasher};
use seawall_core::host::{Host, Map};
use seawall_core::plugin::{Flow, Stream};
use std::rc::Rc;

/// A call that is under way.
#[derive(Debug, Clone)]
pub(crate) struct Call {
    pub(crate) settings: Rc<Settings>,
    pub(crate) ticket: Ticket,
}

/// One request.
#[derive(Debug)]
pub struct CircuitBreakerStream {
    shared: Option<Rc<Shared>>,
    call: Option<Call>,
    watched: Option<Watched>,
    /// Whether a success would change anything: failures are being counted, or it is a probe.
    success_counts: bool,
    grpc: bool,
    status: u32,
}

fn number(bytes: Option<Vec<u8>>) -> Option<u64> {
    Some(u64::from_le_bytes(bytes?.try_into().ok()?))
}

impl CircuitBreakerStream {
    pub(crate) fn new(shared: Option<Rc<Shared>>) -> Self {
        CircuitBreakerStream {
            shared,
            call: None,
            watched: None,
            success_counts: false,
            grpc: false,
            status: 0,
        }
    }

    /// Judges the call, once: what was counted as overdue is not counted again.
    fn settle(&mut self, host: &dyn Host, outcome: Outcome) {
        let (Some(shared), Some(call)) = (&self.shared, self.call.take()) else {
            return;
        };
        if let Some(watched) = self.watched.take() {
            let pending = shared
                .watch
                .try_borrow_mut()
                .ok()
                .and_then(|mut watch| watch.remove(watched));
            if pending.is_none() {
                return;
            }
        }
        let counts = match outcome {
            Outcome::Failure => true,
            Outcome::Success => self.success_counts,
            // Only a probe has something to give back.
            Outcome::Ignored => call.ticket.lease.is_some(),
        };
        if counts {
            shared.settle(host, &call.settings.policy, &call.ticket, outcome);
        }
    }

    fn forward(
        &mut self,
        host: &dyn Host,
        shared: &Rc<Shared>,
        call: Call,
        success_counts: bool,
    ) -> Flow {
        self.success_counts = success_counts;
        if let Some(slow_after) = call.settings.policy.slow_after {
            if let Ok(now) = host.now() {
                self.watched = shared.watch(host, now.saturating_add(slow_after), call.clone());
            }
        }
        self.call = Some(call);
        Flow::Continue
    }
}

/// The key of a call and its name for the log; `None` when a part is missing, and the call has no breaker.
fn key_of(host: &dyn Host, shared: &Shared, parts: &[Part]) -> Option<(Fingerprint, String)> {
    let mut hasher = KeyHasher::new(&shared.secret);
    let mut name = String::new();
    for part in parts {
        let (kind, value) = match part {
            Part::Cluster => ("cluster", host.property(&["xds", "cluster_name"]).ok()?),
            Part::Route => ("route", host.property(&["xds", "route_name"]).ok()?),
            Part::Host => ("host", host.header(Map::Request, ":authority").ok()?),
            Part::Header(field) => (field.as_str(), host.header(Map::Request, field).ok()?),
        };
        let value = value.filter(|value| !value.is_empty())?;
        hasher.part(kind.as_bytes()).part(&value);
        if !name.is_empty() {
            name.push(' ');
        }
        name.push_str(kind);
        name.push('=');
        name.push_str(&String::from_utf8_lossy(&value));
    }
    Some((hasher.finish(), name))
}

impl Stream for CircuitBreakerStream {
    fn request_headers(&mut self, host: &dyn Host, _end_of_stream: bool) -> Flow {
        let Some(shared) = self.shared.clone() else {
            return Flow::Continue;
        };
        let settings = shared.layers.of_request(host);
        if !settings.enabled || settings.mode == Mode::ForcedClosed {
            return Flow::Continue;
        }
        let content_type = host.header(Map::Request, "content-type").ok().flatten();
        self.grpc = content_type.is_some_and(|kind| kind.starts_with(b"application/grpc"));
        if settings.mode == Mode::ForcedOpen {
            shared.metrics.refused.increment(host);
            let sent = refuse(
                host,
                &settings.fallback,
                self.grpc,
                settings.policy.open_for,
            );
            return if sent { Flow::Pause } else { Flow::Continue };
        }
        shared.count_overdue(host);
        let Some((key, name)) = key_of(host, &shared, &settings.key) else {
            return Flow::Continue;
        };
        let Ok(now) = host.now() else {
            shared.report(host, "the clock");
            return Flow::Continue;
        };
        let Some(admission) = shared.admit(host, &settings.policy, key, &name, now) else {
            return Flow::Continue;
        };
        let call = |epoch, lease| Call {
            settings: Rc::clone(&settings),
            ticket: Ticket {
                key,
                name,
                epoch,
                lease,
            },
        };
        match admission {
            Admission::Pass { epoch, failing } => {
                self.forward(host, &shared, call(epoch, None), failing)
            }
            Admission::Probe { epoch, lease } => {
                shared.metrics.probes.increment(host);
                self.forward(host, &shared, call(epoch, Some(lease)), true)
            }
            // What it would have refused goes through, and says nothing.
            Admission::Refuse { .. } if settings.mode == Mode::Shadow => {
                shared.metrics.shadow_refused.increment(host);
                Flow::Continue
            }
            Admission::Refuse { after } => {
                shared.metrics.refused.increment(host);
                if refuse(host, &settings.fallback, self.grpc, after) {
                    Flow::Pause
                } else {
                    shared.report(host, "the host sends no reply");
                    Flow::Continue
                }
            }
        }
    }

    /// A failure is counted before its client can send the next request.
    fn response_headers(&mut self, host: &dyn Host, _end_of_stream: bool) -> Flow {
        if self.call.is_none() {
            return Flow::Continue;
        }
        let status = host.header(Map::Response, ":status").ok().flatten();
        let status = status.and_then(|text| std::str::from_utf8(&text).ok()?.parse().ok());
        self.status = status.unwrap_or_default();
        if self.status < 500 {
            // In time; what hangs from here on is a long body.
            if let (Some(shared), Some(watched)) = (&self.shared, self.watched.take()) {
                let pending = shared
                    .watch
                    .try_borrow_mut()
                    .ok()
                    .and_then(|mut watch| watch.remove(watched));
                if pending.is_none() {
                    self.call = None;
                }
            }
            return Flow::Continue;
        }
        let flags =
            number(host.property(&["response", "flags"]).ok().flatten()).unwrap_or_default();
        let details = host.property(&["response", "code_details"]).ok().flatten();
        let outcome = classify(&Signals {
            status: self.status,
            flags,
            details: details.as_deref(),
            grpc_status: None,
        });
        self.settle(host, outcome);
        Flow::Continue
    }

    fn log(&mut self, host: &dyn Host) {
        if self.call.is_none() {
            return;
        }
        let flags =
            number(host.property(&["response", "flags"]).ok().flatten()).unwrap_or_default();
        // Where the answer came from matters only where a success would count.
        let details = if self.success_counts {
            host.property(&["response", "code_details"]).ok().flatten()
        } else {
            None
        };
        let grpc_status = if self.grpc {
            number(host.property(&["response", "grpc_status"]).ok().flatten())
                .and_then(|status| u32::try_from(status).ok())
        } else {
            None
        };
        let outcome = classify(&Signals {
            status: self.status,
            flags,
            details: details.as_deref(),
            grpc_status,
        });
        self.settle(host, outcome);
    }
}

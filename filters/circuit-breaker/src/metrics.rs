//! What an operator sees: a fixed set of metrics, and one gauge for each breaker that the configuration names.

use crate::breaker::{Reason, State, Transition};
use seawall_core::host::Host;
use seawall_core::metrics::{Counter, Gauge};
use std::cell::RefCell;
use std::collections::BTreeMap;

/// Breakers with a gauge of their own.
const MOST_GAUGES: usize = 256;

/// The metrics of the filter, over all breakers.
#[derive(Debug, Default)]
pub(crate) struct Metrics {
    open: Gauge,
    half_open: Gauge,
    opened: [Counter; Reason::ALL.len()],
    probing: Counter,
    closed: Counter,
    /// Calls refused.
    pub(crate) refused: Counter,
    /// Calls that would have been refused in mode `enforce`.
    pub(crate) shadow_refused: Counter,
    /// Refused or failed calls by what was answered.
    pub(crate) fallback: Fallbacks,
    /// Probes by what became of them.
    pub(crate) probes: Probes,
    /// Calls that counted as failures.
    pub(crate) failures: Counter,
    /// Calls that counted while they still hung.
    pub(crate) overdue: Counter,
    /// Calls that found no place for their breaker.
    pub(crate) table_full: Counter,
    /// Calls whose key could not be read: they passed.
    pub(crate) no_key: Counter,
    /// Updates run again because another worker was faster.
    pub(crate) swap_retries: Counter,
    /// Host trouble: the call passed.
    pub(crate) errors: Counter,
    /// Route settings that were ignored.
    pub(crate) config_errors: Counter,
    gauges: RefCell<BTreeMap<String, Gauge>>,
}

/// What was answered.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Fallbacks {
    /// An answer from the configuration.
    pub(crate) answer: Counter,
    /// The same for a call that failed while closed.
    pub(crate) on_failure: Counter,
    /// Another route.
    pub(crate) route: Counter,
    /// 503, or UNAVAILABLE.
    pub(crate) unavailable: Counter,
}

/// What became of probes.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Probes {
    /// They were let through.
    pub(crate) sent: Counter,
    /// They succeeded.
    pub(crate) succeeded: Counter,
    /// They failed.
    pub(crate) failed: Counter,
    /// They ended without a verdict.
    pub(crate) ignored: Counter,
    /// Their lease ended first.
    pub(crate) expired: Counter,
}

fn name(rest: &str) -> String {
    format!("seawall.circuit_breaker.{rest}")
}

impl Metrics {
    pub(crate) fn define(host: &dyn Host) -> Self {
        let counter = |rest: &str| Counter::define(host, &name(rest));
        Metrics {
            open: Gauge::define(host, &name("open")),
            half_open: Gauge::define(host, &name("half_open")),
            opened: Reason::ALL.map(|reason| counter(&format!("opened.{}", reason.word()))),
            probing: counter("probing"),
            closed: counter("closed"),
            refused: counter("refused"),
            shadow_refused: counter("shadow_refused"),
            fallback: Fallbacks {
                answer: counter("fallback.answer"),
                on_failure: counter("fallback.on_failure"),
                route: counter("fallback.route"),
                unavailable: counter("fallback.unavailable"),
            },
            probes: Probes {
                sent: counter("probe.sent"),
                succeeded: counter("probe.succeeded"),
                failed: counter("probe.failed"),
                ignored: counter("probe.ignored"),
                expired: counter("probe.expired"),
            },
            failures: counter("failures"),
            overdue: counter("overdue"),
            table_full: counter("table_full"),
            no_key: counter("no_key"),
            swap_retries: counter("swap_retries"),
            errors: counter("errors"),
            config_errors: counter("config_errors"),
            gauges: RefCell::default(),
        }
    }

    /// A breaker in this state gave its place up.
    pub(crate) fn forgotten(&self, host: &dyn Host, state: State) {
        match state {
            State::Closed => {}
            State::Open => self.open.add(host, -1),
            State::HalfOpen => self.half_open.add(host, -1),
        }
    }

    /// Counts a change of state. `breaker` is the name of the breaker, where the configuration gives it one.
    pub(crate) fn transition(
        &self,
        host: &dyn Host,
        transition: Transition,
        breaker: Option<&str>,
    ) {
        let state = match transition {
            Transition::Opened { reason, .. } => {
                let at = Reason::ALL.iter().position(|known| *known == reason);
                if let Some(counter) = at.and_then(|at| self.opened.get(at)) {
                    counter.increment(host);
                }
                self.open.add(host, 1);
                if reason == Reason::ProbeFailed {
                    self.half_open.add(host, -1);
                }
                2
            }
            Transition::Probing => {
                self.probing.increment(host);
                self.open.add(host, -1);
                self.half_open.add(host, 1);
                1
            }
            Transition::Closed => {
                self.closed.increment(host);
                self.half_open.add(host, -1);
                0
            }
        };
        if let Some(breaker) = breaker {
            self.set_state(host, breaker, state);
        }
    }

    /// 0 is closed, 1 half-open, 2 open.
    fn set_state(&self, host: &dyn Host, breaker: &str, state: u64) {
        let Ok(mut gauges) = self.gauges.try_borrow_mut() else {
            return;
        };
        if !gauges.contains_key(breaker) {
            if gauges.len() >= MOST_GAUGES {
                return;
            }
            let gauge = Gauge::define(host, &name(&format!("breaker.{breaker}.state")));
            gauges.insert(breaker.to_owned(), gauge);
        }
        if let Some(gauge) = gauges.get(breaker) {
            gauge.set(host, state);
        }
    }
}

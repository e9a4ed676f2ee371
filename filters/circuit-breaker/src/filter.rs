//! The filter in one VM: its settings, the secret of its fingerprints, and the breakers in shared data.

use crate::breaker::{Admission, Record, Transition};
use crate::metrics::Metrics;
use crate::outcome::Outcome;
use crate::overdue::Watch;
use crate::settings::{Policy, Settings};
use crate::stream::Call;
use crate::table::{slot_name, slots, Slot};
use seawall_core::config::ConfigErrors;
use seawall_core::hash::{Fingerprint, Secret};
use seawall_core::host::{Host, Level};
use seawall_core::log::{printable, Throttle};
use seawall_core::plugin::Plugin;
use seawall_core::route::Layers;
use seawall_core::shared::{secret, update, Step, UpdateError};
use seawall_core::time::{Span, Timestamp};
use std::cell::{Cell, RefCell};
use std::rc::Rc;

/// How often the timer looks for calls that hang.
const TICK: Span = Span::from_millis(100);

/// A lost race is tried again as often; with a few workers more than two in a row are rare.
const ATTEMPTS: u32 = 64;

/// The key of the secret in shared data.
const SECRET: &str = "seawall.circuit_breaker.secret";

/// The circuit breaker.
#[derive(Debug, Default)]
pub struct CircuitBreaker(Option<Rc<Shared>>);

/// What the streams of a VM share.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) layers: Layers<Settings>,
    pub(crate) secret: Secret,
    pub(crate) metrics: Metrics,
    pub(crate) watch: RefCell<Watch<Call>>,
    slots: u32,
    ticking: Cell<bool>,
    trouble: Throttle,
    full: Throttle,
}

/// A call as its breaker knows it.
#[derive(Debug, Clone)]
pub(crate) struct Ticket {
    pub(crate) key: Fingerprint,
    pub(crate) name: String,
    pub(crate) epoch: u32,
    pub(crate) lease: Option<Timestamp>,
}

impl Plugin for CircuitBreaker {
    type Stream = crate::stream::CircuitBreakerStream;

    fn configure(&mut self, host: &dyn Host, configuration: &[u8]) -> Result<(), ConfigErrors> {
        let mut layers = Layers::<Settings>::new(configuration)?;
        let metrics = Metrics::define(host);
        layers.count_errors_in(metrics.config_errors);
        let secret = secret(host, SECRET).map_err(|failure| {
            ConfigErrors::one("", format!("the host keeps no shared data: {failure:?}"))
        })?;
        let slots = slots(layers.plugin().max_keys);
        self.0 = Some(Rc::new(Shared {
            layers,
            secret,
            metrics,
            watch: RefCell::default(),
            slots,
            ticking: Cell::new(false),
            trouble: Throttle::default(),
            full: Throttle::default(),
        }));
        Ok(())
    }

    fn stream(&self, _context: u32) -> Self::Stream {
        crate::stream::CircuitBreakerStream::new(self.0.clone())
    }

    fn tick(&mut self, host: &dyn Host) {
        if let Some(shared) = &self.0 {
            shared.count_overdue(host);
        }
    }
}

impl Shared {
    /// Decides on a call. `None` when the host fails: the call passes.
    pub(crate) fn admit(
        &self,
        host: &dyn Host,
        policy: &Policy,
        key: Fingerprint,
        name: &str,
        now: Timestamp,
    ) -> Option<Admission> {
        self.change(host, policy, key, name, now, |record| {
            let (next, admission, transition) = record.admit(policy, now);
            (next, admission, transition)
        })
    }

    /// Takes the result of a call.
    pub(crate) fn settle(
        &self,
        host: &dyn Host,
        policy: &Policy,
        ticket: &Ticket,
        outcome: Outcome,
    ) {
        if outcome == Outcome::Failure {
            self.metrics.failures.increment(host);
        }
        let Ok(now) = host.now() else {
            return self.report(host, "the clock");
        };
        let mut bits = [0; 4];
        // Without randomness the open time has no jitter.
        let chance = host.random(&mut bits).map_or(0.5, |()| {
            f64::from(u32::from_le_bytes(bits)) / 4_294_967_296.0
        });
        self.change(host, policy, ticket.key, &ticket.name, now, |record| {
            let (next, transition) =
                record.settle(policy, ticket.epoch, ticket.lease, outcome, now, chance);
            (next, (), transition)
        });
    }

    fn change<R>(
        &self,
        host: &dyn Host,
        policy: &Policy,
        key: Fingerprint,
        name: &str,
        now: Timestamp,
        decide: impl Fn(&Record) -> (Record, R, Option<Transition>),
    ) -> Option<R> {
        let updated = update(host, &slot_name(key.slot(self.slots)), ATTEMPTS, |bytes| {
            let mut slot = Slot::decode(bytes);
            let record = slot.get(key);
            let (next, result, transition) = decide(&record);
            if next == record {
                return Step::Keep((result, transition, true));
            }
            if slot.put(key, next, policy, now) {
                Step::Write(slot.encode(), (result, transition, true))
            } else {
                Step::Keep((result, None, false))
            }
        });
        match updated {
            Ok(updated) => {
                let (result, transition, placed) = updated.result;
                if !placed {
                    self.metrics.table_full.increment(host);
                    self.full.log(host, Level::Warn, || {
                        "all breakers are in use, further keys have none: raise max_keys".to_owned()
                    });
                }
                if let Some(transition) = transition {
                    self.announce(host, name, transition);
                }
                Some(result)
            }
            Err(UpdateError::Contended) => {
                self.report(host, "too many workers at once");
                None
            }
            Err(UpdateError::Host(failure)) => {
                self.report(host, &format!("shared data: {failure:?}"));
                None
            }
        }
    }

    /// Watches a call that must have an answer by `deadline`.
    pub(crate) fn watch(
        &self,
        host: &dyn Host,
        deadline: Timestamp,
        call: Call,
    ) -> Option<crate::overdue::Watched> {
        if !self.ticking.replace(true) && host.set_tick(TICK).is_err() {
            self.ticking.set(false);
        }
        self.watch.try_borrow_mut().ok()?.add(deadline, call)
    }

    /// Counts the calls that hang. Also before a call is admitted, so that a busy worker does not wait for its timer.
    pub(crate) fn count_overdue(&self, host: &dyn Host) {
        if self
            .watch
            .try_borrow()
            .map_or(true, |watch| watch.is_empty())
        {
            return;
        }
        let Ok(now) = host.now() else { return };
        // Taken one by one: counting calls the host, and nothing may be borrowed meanwhile.
        while let Some(call) = self
            .watch
            .try_borrow_mut()
            .ok()
            .and_then(|mut watch| watch.take_overdue(now))
        {
            self.metrics.overdue.increment(host);
            self.settle(host, &call.settings.policy, &call.ticket, Outcome::Failure);
        }
    }

    fn announce(&self, host: &dyn Host, name: &str, transition: Transition) {
        self.metrics.transition(host, transition);
        let name = printable(name.as_bytes(), 128);
        let text = match transition {
            Transition::Tripped { open_for } => {
                format!(
                    "breaker {name}: opened for {} ms, too many failures",
                    open_for.as_millis()
                )
            }
            Transition::Probing => format!("breaker {name}: half-open, probing"),
            Transition::Recovered => format!("breaker {name}: closed, the probes succeeded"),
            Transition::Relapsed { open_for } => {
                format!(
                    "breaker {name}: opened for {} ms, a probe failed",
                    open_for.as_millis()
                )
            }
        };
        host.log(Level::Info, &text);
    }

    pub(crate) fn report(&self, host: &dyn Host, what: &str) {
        self.metrics.errors.increment(host);
        self.trouble.log(host, Level::Error, || {
            format!("calls pass without a breaker: {what}")
        });
    }
}

//! The filter in one VM: what its streams share.

use crate::announce::Lines;
use crate::copies::Copies;
use crate::key::Tickets;
use crate::metrics::Metrics;
use crate::overdue::Watch;
use crate::settings::{Part, Settings};
use crate::table::slots;
use crate::tallies::Tallies;
use seawall_core::config::ConfigErrors;
use seawall_core::hash::{Fingerprint, Secret};
use seawall_core::host::{Failure, Host, Level};
use seawall_core::log::Throttle;
use seawall_core::plugin::Plugin;
use seawall_core::route::Layers;
use seawall_core::shared::secret;
use seawall_core::time::{Span, Timestamp};
use std::cell::{Cell, RefCell};
use std::rc::Rc;

/// How often the timer looks for calls that hang, and tells what was counted.
pub(crate) const TICK: Span = Span::from_millis(100);

/// The key of the secret in shared data.
const SECRET: &str = "seawall.cb.secret";

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
    pub(crate) tallies: RefCell<Tallies>,
    pub(crate) copies: Copies,
    pub(crate) tickets: Tickets,
    pub(crate) slots: u32,
    pub(crate) alarm: Cell<u64>,
    /// How many calls have been let through.
    pub(crate) admitted: Cell<u64>,
    /// What the clock said last.
    pub(crate) looked: Cell<Timestamp>,
    pub(crate) full: Throttle,
    pub(crate) lines: Lines,
    ticking: Cell<bool>,
    /// Whether the timer has come by, so that looks at the clock are never far apart.
    ticked: Cell<bool>,
    trouble: Throttle,
    keyless: Throttle,
}

/// Whose breaker a call has.
#[derive(Debug)]
pub(crate) struct Ticket {
    pub(crate) key: Fingerprint,
    /// The values of the key's parts.
    pub(crate) values: Vec<Vec<u8>>,
}

/// A call that is under way.
#[derive(Debug, Clone)]
pub(crate) struct Call {
    /// The context of its request.
    pub(crate) context: u32,
    pub(crate) settings: Rc<Settings>,
    pub(crate) ticket: Rc<Ticket>,
    /// The epoch of the breaker that admitted it.
    pub(crate) epoch: u32,
    /// The lease by which it is a probe.
    pub(crate) lease: Option<Timestamp>,
    /// When it was let through.
    pub(crate) at: Timestamp,
    /// As which of this worker's calls.
    pub(crate) order: u64,
    /// Whether a success is to be told at once.
    pub(crate) tell: bool,
    /// Whether there were failures in the window.
    pub(crate) rough: bool,
    /// Whether a probe has its response headers, and only its end is open.
    pub(crate) answered: bool,
    /// The generation that admitted it.
    pub(crate) seen: Option<u64>,
    /// What leads to its request, where its end may change the breaker: by then its headers are gone.
    pub(crate) whose: Option<Rc<str>>,
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
            tallies: RefCell::default(),
            copies: Copies::define(host),
            tickets: Tickets::default(),
            slots,
            alarm: Cell::new(0),
            admitted: Cell::new(0),
            looked: Cell::default(),
            full: Throttle::default(),
            lines: Lines::default(),
            ticking: Cell::new(false),
            ticked: Cell::new(false),
            trouble: Throttle::default(),
            keyless: Throttle::default(),
        }));
        Ok(())
    }

    fn stream(&self, context: u32) -> Self::Stream {
        crate::stream::CircuitBreakerStream::new(context, self.0.clone())
    }

    fn ended(&mut self, host: &dyn Host) {
        if let Some(shared) = &self.0 {
            if let Ok(now) = shared.now(host) {
                shared.tell(host, now, true);
            }
        }
        let _ = host.set_tick(Span::ZERO);
    }

    fn tick(&mut self, host: &dyn Host) {
        let Some(shared) = &self.0 else { return };
        if let Ok(now) = shared.now(host) {
            let _ = shared.count_overdue(host, now);
            shared.tell(host, now, false);
        }
        shared.ticked.set(true);
    }
}

impl Shared {
    /// The settings of the route of the request at hand.
    pub(crate) fn settings(&self, host: &dyn Host) -> Rc<Settings> {
        if self.layers.plugin().per_route {
            self.layers.of_request(host)
        } else {
            Rc::clone(self.layers.plugin())
        }
    }

    /// What the clock says.
    pub(crate) fn now(&self, host: &dyn Host) -> Result<Timestamp, Failure> {
        let now = host.now()?;
        let last = self.looked.replace(now);
        if self.ticked.get() {
            if let Ok(mut watch) = self.watch.try_borrow_mut() {
                watch.look(last, now);
            }
        }
        Ok(now)
    }

    /// Starts the timer, unless it runs.
    pub(crate) fn keep_ticking(&self, host: &dyn Host) {
        if !self.ticking.get() {
            match host.set_tick(TICK) {
                Ok(()) => self.ticking.set(true),
                Err(_) => self.report(host, "the timer"),
            }
        }
    }

    /// Chance in `[0, 1)`. Without randomness it is always the middle: open times have no jitter.
    pub(crate) fn chance(host: &dyn Host) -> f64 {
        let mut bits = [0; 4];
        host.random(&mut bits).map_or(0.5, |()| {
            f64::from(u32::from_le_bytes(bits)) / 4_294_967_296.0
        })
    }

    /// The host has failed: calls pass.
    pub(crate) fn report(&self, host: &dyn Host, what: &str) {
        self.metrics.errors.increment(host);
        self.trouble.log(host, Level::Error, || {
            format!("calls pass without a breaker: {what}")
        });
    }

    /// A call has no breaker, because this part of its key is missing.
    pub(crate) fn report_keyless(&self, host: &dyn Host, part: &Part) {
        self.metrics.no_key.increment(host);
        self.keyless.log(host, Level::Warn, || {
            format!(
                "a call passes without a breaker: its key has no {}",
                part.name()
            )
        });
    }
}

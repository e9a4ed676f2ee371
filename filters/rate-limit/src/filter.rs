//! The filter in one VM: its configuration, its table, its counters.

use crate::config::{Limit, Settings};
use crate::fleet::{self, Waiting};
use crate::metrics::{FilterMetrics, LimitMetrics};
use crate::stream::Request;
use crate::table::{self, Before, Table};
use seawall_core::config::ConfigErrors;
use seawall_core::hash::Secret;
use seawall_core::host::{Answer, Host, Level};
use seawall_core::log::Throttle;
use seawall_core::metrics::Counter;
use seawall_core::plugin::Plugin;
use seawall_core::route::Layers;
use seawall_core::shared;
use std::cell::{OnceCell, RefCell};
use std::collections::BTreeMap;
use std::rc::Rc;

/// The secret of the fingerprints, the same for all workers.
const SECRET: &str = "seawall.rl.secret";

/// Limits that routes add beyond this have no counters of their own.
const MOST_COUNTED: usize = 1_024;

/// The rate limiter of one VM.
#[derive(Debug, Default)]
pub struct RateLimit {
    filter: Option<Rc<Filter>>,
}

/// What the requests of a VM share.
#[derive(Debug)]
pub(crate) struct Filter {
    layers: Layers<Settings>,
    table: Table,
    before: OnceCell<Option<Before>>,
    secret: OnceCell<Secret>,
    pub(crate) metrics: FilterMetrics,
    counted: RefCell<BTreeMap<String, LimitMetrics>>,
    trouble: Throttle,
    service: Throttle,
    /// The requests that wait for a service.
    pub(crate) waiting: Waiting,
}

impl Plugin for RateLimit {
    type Stream = Request;

    fn configure(&mut self, host: &dyn Host, configuration: &[u8]) -> Result<(), ConfigErrors> {
        let mut layers = Layers::<Settings>::new(configuration)?;
        layers.count_errors_in(Counter::define(host, "seawall.rate_limit.config_errors"));
        let filter = Filter {
            table: Table::for_keys(layers.plugin().max_keys),
            layers,
            before: OnceCell::new(),
            secret: OnceCell::new(),
            metrics: FilterMetrics::define(host),
            counted: RefCell::default(),
            trouble: Throttle::default(),
            service: Throttle::default(),
            waiting: Waiting::default(),
        };
        // Tried again with the first request where it fails.
        let _ = filter.secret(host);
        for limit in &filter.layers.plugin().limits {
            filter.counters(host, limit);
        }
        self.filter = Some(Rc::new(filter));
        Ok(())
    }

    fn stream(&self, context: u32) -> Request {
        Request::new(self.filter.clone(), context)
    }

    fn grpc_done(&mut self, host: &dyn Host, token: u32, status: u32, message_size: usize) {
        if let Some(filter) = &self.filter {
            fleet::answered(host, filter, token, status, message_size);
        }
    }
}

impl Filter {
    /// The table.
    pub(crate) fn table(&self, host: &dyn Host) -> Table {
        let before = match self.before.get() {
            Some(before) => *before,
            None => self.find_before(host),
        };
        Table {
            before,
            ..self.table
        }
    }

    /// Looks for a table before this one. Tried again with the next request where it fails.
    #[cold]
    fn find_before(&self, host: &dyn Host) -> Option<Before> {
        let before = table::before(host, self.table.slots).ok()?;
        *self.before.get_or_init(|| before)
    }

    /// The settings for the request at hand.
    pub(crate) fn settings(&self, host: &dyn Host) -> Rc<Settings> {
        if self.layers.plugin().per_route {
            self.layers.of_request(host)
        } else {
            Rc::clone(self.layers.plugin())
        }
    }

    pub(crate) fn secret(&self, host: &dyn Host) -> Answer<Secret> {
        if let Some(secret) = self.secret.get() {
            return Ok(*secret);
        }
        let secret = shared::secret(host, SECRET)?;
        Ok(*self.secret.get_or_init(|| secret))
    }

    /// The counters of a limit, the same for all limits of this name.
    pub(crate) fn counters(&self, host: &dyn Host, limit: &Limit) -> LimitMetrics {
        match limit.metrics.get() {
            Some(metrics) => *metrics,
            None => *limit.metrics.get_or_init(|| self.define(host, limit)),
        }
    }

    #[cold]
    fn define(&self, host: &dyn Host, limit: &Limit) -> LimitMetrics {
        let Ok(mut counted) = self.counted.try_borrow_mut() else {
            return LimitMetrics::default();
        };
        if let Some(known) = counted.get(&limit.name) {
            return *known;
        }
        if counted.len() >= MOST_COUNTED {
            return LimitMetrics::default();
        }
        let metrics = LimitMetrics::define(host, &limit.name);
        counted.insert(limit.name.clone(), metrics);
        metrics
    }

    /// Counts and reports that something could not be done.
    #[cold]
    pub(crate) fn trouble(&self, host: &dyn Host, text: impl FnOnce() -> String) {
        self.metrics.errors.increment(host);
        self.trouble.log(host, Level::Error, text);
    }

    /// Reports that the service that keeps limits for the fleet did not answer.
    pub(crate) fn service_trouble(&self, host: &dyn Host) {
        self.service.log(host, Level::Warn, || {
            "the rate limit service does not answer, or too many requests wait for it: `fleet.on_error` is in force".to_owned()
        });
    }
}

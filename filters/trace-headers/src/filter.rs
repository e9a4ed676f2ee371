//! The filter in one VM.

use crate::clock::Clock;
use crate::config::Settings;
use crate::counters::Counters;
use crate::latency::Histograms;
use crate::request::identity::{Identity, Ids, Judged};
use crate::request::Request;
use crate::spans::Exporter;
use seawall_core::config::ConfigErrors;
use seawall_core::host::{Answer, Failure, Host};
use seawall_core::log::Throttle;
use seawall_core::metrics::Counter;
use seawall_core::plugin::Plugin;
use seawall_core::route::Layers;
use seawall_core::time::Span;
use std::cell::RefCell;
use std::rc::Rc;

/// How often counts go to the host at least.
const FLUSH: Span = Span::from_secs(1);

/// The filter.
#[derive(Debug, Default)]
pub struct TraceHeaders {
    shared: Option<Rc<Shared>>,
}

/// What the requests of a worker share.
#[derive(Debug)]
pub struct Shared {
    layers: Layers<Settings>,
    pub(crate) counters: Counters,
    pub(crate) throttle: Throttle,
    pub(crate) routes: Option<Histograms>,
    pub(crate) upstreams: Option<Histograms>,
    pub(crate) spans: Option<Exporter>,
    clock: Clock,
    idle: Span,
    ids: RefCell<Ids>,
}

impl Shared {
    /// The settings of the route of the request at hand.
    pub(crate) fn settings(&self, host: &dyn Host) -> Rc<Settings> {
        let plugin = self.layers.plugin();
        if plugin.per_route {
            self.layers.of_request(host)
        } else {
            Rc::clone(plugin)
        }
    }

    /// Has the timer come soon.
    pub(crate) fn hurry(&self, host: &dyn Host) {
        // Whoever reads the clock makes it a fast one.
        let _ = self.clock.now(host);
    }

    pub(crate) fn identify(
        &self,
        host: &dyn Host,
        settings: &Settings,
        judged: &Judged<'_>,
    ) -> Answer<Identity> {
        let mut ids = self
            .ids
            .try_borrow_mut()
            .map_err(|_| Failure::BadArgument)?;
        ids.identify(host, settings, judged, &|| self.clock.now(host))
    }
}

impl Plugin for TraceHeaders {
    type Stream = Request;

    fn configure(&mut self, host: &dyn Host, configuration: &[u8]) -> Result<(), ConfigErrors> {
        let mut layers = Layers::<Settings>::new(configuration)?;
        layers.count_errors_in(Counter::define(host, "seawall.trace_headers.config_errors"));
        let settings = Rc::clone(layers.plugin());
        let histograms = |kind: &str, names: &Option<Vec<String>>| {
            names
                .as_ref()
                .map(|names| Histograms::define(host, kind, names))
        };
        let idle = settings
            .spans
            .as_ref()
            .map_or(FLUSH, |spans| spans.interval.min(FLUSH));
        self.shared = Some(Rc::new(Shared {
            layers,
            counters: Counters::define(host),
            throttle: Throttle::default(),
            routes: histograms("route", &settings.latency_routes),
            upstreams: histograms("upstream", &settings.latency_upstreams),
            spans: settings.spans.clone().map(Exporter::new),
            clock: Clock::default(),
            idle,
            ids: RefCell::default(),
        }));
        // Without a timer the counts stay here; requests are served as ever.
        let _ = host.set_tick(idle);
        Ok(())
    }

    fn stream(&self, _context: u32) -> Request {
        Request::new(self.shared.clone())
    }

    fn ended(&mut self, host: &dyn Host) {
        if let Some(shared) = &self.shared {
            if let Some(spans) = &shared.spans {
                spans.end(host, &shared.counters);
            }
            shared.counters.flush(host);
        }
        let _ = host.set_tick(Span::ZERO);
    }

    fn tick(&mut self, host: &dyn Host) {
        if let Some(shared) = &self.shared {
            let now = shared.clock.tick(host, shared.idle);
            if let Some(spans) = &shared.spans {
                spans.flush(host, &shared.counters, now.unwrap_or_default());
            }
            shared.counters.flush(host);
        }
    }

    fn call_done(&mut self, host: &dyn Host, token: u32, headers: usize, body_size: usize) {
        if let Some(shared) = &self.shared {
            if let Some(spans) = &shared.spans {
                spans.done(host, &shared.counters, token, headers, body_size);
            }
        }
    }
}

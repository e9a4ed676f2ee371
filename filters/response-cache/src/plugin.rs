//! The filter as the host runs it.

use crate::config::Settings;
use crate::flow::answer::{Retouch, Retype};
use crate::flow::exchange::{Exchange, Phase, Shared};
use crate::flow::origin::Begun;
use crate::flow::request::{begin, Next};
use crate::flow::worker::{drain, end, put, take, tick, TICK};
use crate::flow::{background, filling, origin, Core, Cx};
use crate::metrics::Metrics;
use crate::store::Changes;
use seawall_core::config::ConfigErrors;
use seawall_core::host::{Host, Map};
use seawall_core::plugin::{Flow, Plugin, Stream};
use seawall_core::route::Layers;
use seawall_core::time::Span;
use std::rc::Rc;

/// The filter.
#[derive(Debug, Default)]
pub struct ResponseCache {
    core: Option<Rc<Core>>,
}

impl Plugin for ResponseCache {
    type Stream = CacheStream;

    fn configure(&mut self, host: &dyn Host, configuration: &[u8]) -> Result<(), ConfigErrors> {
        let mut layers = Layers::<Settings>::new(configuration)?;
        let metrics = Metrics::define(host);
        layers.count_errors_in(metrics.config_errors);
        // Without a timer requests would wait for as long as their route allows.
        if host.set_tick(TICK).is_err() {
            return Err(ConfigErrors::one("", "the host does not give us a timer"));
        }
        self.core = Some(Rc::new(Core::new(layers, metrics, Changes::define(host))));
        Ok(())
    }

    fn stream(&self, context: u32) -> CacheStream {
        CacheStream {
            core: self.core.clone(),
            context,
            exchange: Shared::default(),
        }
    }

    fn ended(&mut self, host: &dyn Host) {
        if let Some(core) = &self.core {
            core.metrics.flush(host);
            if let Some(worker) = core.present_worker() {
                end(host, core, &worker);
                core.report(host, &worker);
            }
        }
        let _ = host.set_tick(Span::ZERO);
    }

    fn tick(&mut self, host: &dyn Host) {
        if let Some((core, worker)) = self
            .core
            .as_ref()
            .and_then(|core| Some((core, core.present_worker()?)))
        {
            tick(host, core, &worker);
        }
    }

    fn queue_ready(&mut self, host: &dyn Host, queue: u32) {
        if let Some((core, worker)) = self
            .core
            .as_ref()
            .and_then(|core| Some((core, core.present_worker()?)))
        {
            drain(host, core, &worker, queue);
        }
    }

    fn call_done(&mut self, host: &dyn Host, token: u32, headers: usize, body_size: usize) {
        if let Some((core, worker)) = self
            .core
            .as_ref()
            .and_then(|core| Some((core, core.present_worker()?)))
        {
            let now = host.now().unwrap_or_default();
            background::done(
                Cx {
                    host,
                    core,
                    worker: &worker,
                    now,
                },
                token,
                headers,
                body_size,
            );
        }
    }
}

/// One request.
#[derive(Debug)]
pub struct CacheStream {
    core: Option<Rc<Core>>,
    context: u32,
    exchange: Shared,
}

impl CacheStream {
    /// Runs a step on the request's state, if the cache has anything to do with it.
    fn step<R>(&self, host: &dyn Host, act: impl FnOnce(Cx<'_>, &mut Exchange) -> R) -> Option<R> {
        let core = self.core.as_ref()?;
        let mut exchange = take(&self.exchange)?;
        let result = core.present_worker().map(|worker| {
            let now = host.now().unwrap_or_default();
            act(
                Cx {
                    host,
                    core,
                    worker: &worker,
                    now,
                },
                &mut exchange,
            )
        });
        put(&self.exchange, exchange);
        result
    }
}

/// Whether a request on a route without a cache is one to purge: it has the secret with it, which is none of the upstream's
/// business.
#[cold]
fn is_purge(host: &dyn Host, core: &Core) -> bool {
    let plugin = core.layers.plugin();
    let Some(rules) = plugin.purge.as_ref().filter(|_| plugin.enabled) else {
        return false;
    };
    let method = host.header(Map::Request, ":method").ok().flatten();
    method.as_deref() == Some(rules.method.as_bytes())
}

impl Stream for CacheStream {
    fn request_headers(&mut self, host: &dyn Host, end_of_stream: bool) -> Flow {
        let Some(core) = &self.core else {
            return Flow::Continue;
        };
        let settings = if core.layers.plugin().per_route {
            core.layers.of_request(host)
        } else {
            Rc::clone(core.layers.plugin())
        };
        if !settings.enabled && !is_purge(host, core) {
            return Flow::Continue;
        }
        let Some(worker) = core.worker(host) else {
            return Flow::Continue;
        };
        let Ok(now) = host.now() else {
            core.failed(host, "the clock cannot be read; the request passes");
            return Flow::Continue;
        };
        let cx = Cx {
            host,
            core,
            worker: &worker,
            now,
        };
        let mut exchange = Box::new(Exchange::new(self.context, settings, now));
        let next = begin(cx, &self.exchange, &mut exchange, !end_of_stream);
        put(&self.exchange, exchange);
        match next {
            Next::Forward => Flow::Continue,
            Next::Wait | Next::Replied => Flow::Pause,
        }
    }

    fn response_headers(&mut self, host: &dyn Host, end_of_stream: bool) -> Flow {
        // Our own answers pass here, too, and need not even the time.
        let answered = match self.exchange.try_borrow() {
            Ok(exchange) => match exchange.as_ref() {
                None => Some(Retouch::default()),
                Some(exchange) if matches!(exchange.phase, Phase::Answered) => {
                    Some(exchange.retouch.clone())
                }
                Some(_) => None,
            },
            Err(_) => None,
        };
        if let Some(Retouch { kind, empty }) = answered {
            // What the host makes of type and length is no claim of the origin's; where it stays so, it does no other harm.
            let _ = match kind {
                Retype::No => Ok(()),
                Retype::Remove => host.remove_header(Map::Response, "content-type"),
                Retype::Restore(kind) => host.set_header(Map::Response, "content-type", &kind),
            };
            if empty {
                let _ = host.set_header(Map::Response, "content-length", b"0");
            }
            return Flow::Continue;
        }
        let Some(core) = self.core.as_ref() else {
            return Flow::Continue;
        };
        let Some(mut exchange) = take(&self.exchange) else {
            return Flow::Continue;
        };
        let begun = origin::begin(host, core, &mut exchange);
        put(&self.exchange, exchange);
        match begun {
            Begun::Passes => Flow::Continue,
            Begun::Goes(headers, said) => self
                .step(host, |cx, exchange| {
                    origin::headers(cx, exchange, headers, said, end_of_stream)
                })
                .unwrap_or(Flow::Continue),
        }
    }

    fn response_body(&mut self, host: &dyn Host, size: usize, end_of_stream: bool) -> Flow {
        let concerns = self.exchange.try_borrow().is_ok_and(|exchange| {
            exchange.as_ref().is_some_and(|exchange| {
                matches!(exchange.phase, Phase::Filling(_) | Phase::Replacing(_))
            })
        });
        if !concerns {
            return Flow::Continue;
        }
        self.step(host, |cx, exchange| {
            filling::body(cx, exchange, size, end_of_stream)
        })
        .unwrap_or(Flow::Continue)
    }

    fn response_trailers(&mut self, host: &dyn Host) -> Flow {
        self.step(host, filling::trailers);
        Flow::Continue
    }

    fn log(&mut self, host: &dyn Host) {
        let (Some(core), Some(mut exchange)) = (self.core.as_ref(), take(&self.exchange)) else {
            return;
        };
        let Some(worker) = core.present_worker() else {
            return;
        };
        match (&exchange.phase, exchange.flight()) {
            (Phase::Waiting, Some(fingerprint)) => worker.unpark(fingerprint, &self.exchange),
            (Phase::Fetching(_) | Phase::Filling(_), _) => {
                let now = host.now().unwrap_or_default();
                filling::abandoned(
                    Cx {
                        host,
                        core,
                        worker: &worker,
                        now,
                    },
                    &mut exchange,
                );
            }
            _ => {}
        }
    }
}

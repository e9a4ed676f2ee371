//! The four filters in one VM.

use crate::chain::Chain;
use crate::config::{below, blocks, BLOCKS};
use crate::link::Link;
use crate::memo::Memo;
use crate::stages::{Place, Stages};
use seawall_circuit_breaker::CircuitBreaker;
use seawall_core::config::ConfigErrors;
use seawall_core::host::Host;
use seawall_core::plugin::{Flow, Plugin, Stream};
use seawall_rate_limit::RateLimit;
use seawall_response_cache::ResponseCache;
use seawall_trace_headers::TraceHeaders;
use std::cell::RefCell;
use std::rc::Rc;

/// All filters whose blocks the configuration has.
#[derive(Default)]
pub struct Seawall {
    trace: Option<TraceHeaders>,
    limit: Option<RateLimit>,
    cache: Option<ResponseCache>,
    breaker: Option<CircuitBreaker>,
    chain: Rc<Chain>,
}

impl Seawall {
    /// Runs something in every filter, with the host as that filter sees it.
    fn each(&mut self, host: &dyn Host, mut act: impl FnMut(usize, &mut dyn Filter, &Link<'_>)) {
        let chain = Rc::clone(&self.chain);
        let filters: [Option<&mut dyn Filter>; 4] = [
            self.trace.as_mut().map(|filter| filter as &mut dyn Filter),
            self.limit.as_mut().map(|filter| filter as &mut dyn Filter),
            self.cache.as_mut().map(|filter| filter as &mut dyn Filter),
            self.breaker
                .as_mut()
                .map(|filter| filter as &mut dyn Filter),
        ];
        for (stage, filter) in filters.into_iter().enumerate() {
            if let Some(filter) = filter {
                act(stage, filter, &Link::of_filter(host, &chain, stage));
            }
        }
    }
}

/// What a filter does apart from requests.
trait Filter {
    fn configure(&mut self, host: &dyn Host, configuration: &[u8]) -> Result<(), ConfigErrors>;
    fn ended(&mut self, host: &dyn Host);
    fn tick(&mut self, host: &dyn Host);
    fn queue_ready(&mut self, host: &dyn Host, queue: u32);
    fn call_done(&mut self, host: &dyn Host, token: u32, headers: usize, body_size: usize);
    fn grpc_done(&mut self, host: &dyn Host, token: u32, status: u32, message_size: usize);
}

impl<P: Plugin> Filter for P {
    fn configure(&mut self, host: &dyn Host, configuration: &[u8]) -> Result<(), ConfigErrors> {
        Plugin::configure(self, host, configuration)
    }

    fn ended(&mut self, host: &dyn Host) {
        Plugin::ended(self, host);
    }

    fn tick(&mut self, host: &dyn Host) {
        Plugin::tick(self, host);
    }

    fn queue_ready(&mut self, host: &dyn Host, queue: u32) {
        Plugin::queue_ready(self, host, queue);
    }

    fn call_done(&mut self, host: &dyn Host, token: u32, headers: usize, body_size: usize) {
        Plugin::call_done(self, host, token, headers, body_size);
    }

    fn grpc_done(&mut self, host: &dyn Host, token: u32, status: u32, message_size: usize) {
        Plugin::grpc_done(self, host, token, status, message_size);
    }
}

impl Plugin for Seawall {
    type Stream = Request;

    fn configure(&mut self, host: &dyn Host, configuration: &[u8]) -> Result<(), ConfigErrors> {
        let blocks = blocks(configuration)?;
        let [trace, limit, cache, breaker] = &blocks;
        let mut fresh = Seawall {
            trace: trace.as_ref().map(|_| TraceHeaders::default()),
            limit: limit.as_ref().map(|_| RateLimit::default()),
            cache: cache.as_ref().map(|_| ResponseCache::default()),
            breaker: breaker.as_ref().map(|_| CircuitBreaker::default()),
            chain: Rc::default(),
        };
        let mut errors = ConfigErrors::default();
        fresh.each(host, |stage, filter, link| {
            let (Some(Some(block)), Some(name)) = (blocks.get(stage), BLOCKS.get(stage)) else {
                return;
            };
            if let Err(found) = filter.configure(link, block) {
                below(name, found, &mut errors);
            }
        });
        errors.or(())?;
        *self = fresh;
        Ok(())
    }

    fn stream(&self, context: u32) -> Request {
        let stages = Stages::new(
            self.trace.as_ref().map(|filter| filter.stream(context)),
            self.limit.as_ref().map(|filter| filter.stream(context)),
            self.cache.as_ref().map(|filter| filter.stream(context)),
            self.breaker.as_ref().map(|filter| filter.stream(context)),
        );
        Request {
            stages: Rc::new(RefCell::new(stages)),
            chain: Rc::clone(&self.chain),
            context,
        }
    }

    fn ended(&mut self, host: &dyn Host) {
        self.each(host, |_, filter, link| filter.ended(link));
    }

    fn tick(&mut self, host: &dyn Host) {
        let chain = Rc::clone(&self.chain);
        let Ok(now) = host.now() else {
            return;
        };
        self.each(host, |stage, filter, link| {
            if chain.due(stage, now) {
                filter.tick(link);
            }
        });
    }

    fn queue_ready(&mut self, host: &dyn Host, queue: u32) {
        self.each(host, |_, filter, link| filter.queue_ready(link, queue));
    }

    // A filter knows its own calls by their tokens.
    fn call_done(&mut self, host: &dyn Host, token: u32, headers: usize, body_size: usize) {
        self.each(host, |_, filter, link| {
            filter.call_done(link, token, headers, body_size);
        });
    }

    fn grpc_done(&mut self, host: &dyn Host, token: u32, status: u32, message_size: usize) {
        self.each(host, |_, filter, link| {
            filter.grpc_done(link, token, status, message_size);
        });
    }
}

/// One request.
pub struct Request {
    stages: Rc<RefCell<Stages>>,
    chain: Rc<Chain>,
    context: u32,
}

impl Request {
    fn step<R>(&self, host: &dyn Host, act: impl FnOnce(&mut Stages, Place<'_>) -> R) -> Option<R> {
        let memo = Memo::default();
        let mut stages = self.stages.try_borrow_mut().ok()?;
        Some(act(&mut stages, self.place(host, &memo)))
    }

    fn place<'a>(&'a self, host: &'a dyn Host, memo: &'a Memo) -> Place<'a> {
        Place {
            host,
            chain: &self.chain,
            context: self.context,
            memo,
        }
    }
}

impl Stream for Request {
    fn request_headers(&mut self, host: &dyn Host, end_of_stream: bool) -> Flow {
        let memo = Memo::default();
        Stages::begin(&self.stages, self.place(host, &memo), end_of_stream)
    }

    fn request_body(&mut self, host: &dyn Host, size: usize, end_of_stream: bool) -> Flow {
        self.step(host, |stages, place| {
            stages.request_body(place, size, end_of_stream);
        });
        Flow::Continue
    }

    fn response_headers(&mut self, host: &dyn Host, end_of_stream: bool) -> Flow {
        self.step(host, |stages, place| {
            stages.response_headers(place, end_of_stream)
        })
        .unwrap_or(Flow::Continue)
    }

    fn response_body(&mut self, host: &dyn Host, size: usize, end_of_stream: bool) -> Flow {
        self.step(host, |stages, place| {
            stages.response_body(place, size, end_of_stream)
        })
        .unwrap_or(Flow::Continue)
    }

    fn response_trailers(&mut self, host: &dyn Host) -> Flow {
        self.step(host, |stages, place| stages.response_trailers(place))
            .unwrap_or(Flow::Continue)
    }

    fn log(&mut self, host: &dyn Host) {
        self.chain.take(self.context);
        self.step(host, |stages, place| stages.log(place));
    }
}

impl Drop for Request {
    fn drop(&mut self) {
        // Without this a request that is gone without a word would keep its stages.
        self.chain.take(self.context);
    }
}

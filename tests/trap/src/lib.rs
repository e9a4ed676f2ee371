//! rate-limit, or circuit-breaker where the configuration is `{"breaker": …}`, response-cache where it is `{"cache": …}`, which traps when a request has the header
//! `x-trap`, in the callback that the header names.
//!
//! What ships cannot trap, so the tests of what happens when a VM is lost need one that can.

use seawall_circuit_breaker::CircuitBreaker;
use seawall_core::config::{parse, ConfigErrors};
use seawall_core::host::{Host, Map};
use seawall_core::plugin::{Flow, Plugin, Stream};
use seawall_rate_limit::RateLimit;
use seawall_response_cache::ResponseCache;

/// The filter.
#[derive(Debug)]
pub enum Trap {
    /// rate-limit.
    Limit(RateLimit),
    /// circuit-breaker.
    Breaker(CircuitBreaker),
    /// response-cache.
    Cache(ResponseCache),
}

impl Default for Trap {
    fn default() -> Self {
        Trap::Limit(RateLimit::default())
    }
}

/// One request.
pub struct TrapStream {
    inner: Box<dyn Stream>,
    at: Vec<u8>,
}

impl Plugin for Trap {
    type Stream = TrapStream;

    fn configure(&mut self, host: &dyn Host, configuration: &[u8]) -> Result<(), ConfigErrors> {
        let parsed = parse(configuration)?;
        if let Some(cache) = parsed.get("cache") {
            let mut filter = ResponseCache::default();
            filter.configure(host, cache.to_string().as_bytes())?;
            *self = Trap::Cache(filter);
            return Ok(());
        }
        if let Some(breaker) = parsed.get("breaker") {
            let mut filter = CircuitBreaker::default();
            filter.configure(host, breaker.to_string().as_bytes())?;
            *self = Trap::Breaker(filter);
            return Ok(());
        }
        let mut filter = RateLimit::default();
        filter.configure(host, configuration)?;
        *self = Trap::Limit(filter);
        Ok(())
    }

    fn stream(&self, context: u32) -> TrapStream {
        TrapStream {
            inner: match self {
                Trap::Limit(filter) => Box::new(filter.stream(context)),
                Trap::Breaker(filter) => Box::new(filter.stream(context)),
                Trap::Cache(filter) => Box::new(filter.stream(context)),
            },
            at: Vec::new(),
        }
    }

    fn tick(&mut self, host: &dyn Host) {
        match self {
            Trap::Limit(filter) => filter.tick(host),
            Trap::Breaker(filter) => filter.tick(host),
            Trap::Cache(filter) => filter.tick(host),
        }
    }

    fn queue_ready(&mut self, host: &dyn Host, queue: u32) {
        if let Trap::Cache(filter) = self {
            filter.queue_ready(host, queue);
        }
    }
}

impl TrapStream {
    fn trap(&self, callback: &[u8]) {
        assert!(self.at != callback, "trapped on purpose");
    }
}

impl Stream for TrapStream {
    fn request_headers(&mut self, host: &dyn Host, end_of_stream: bool) -> Flow {
        if let Ok(Some(at)) = host.header(Map::Request, "x-trap") {
            self.at = at;
        }
        self.trap(b"request");
        self.inner.request_headers(host, end_of_stream)
    }

    fn response_headers(&mut self, host: &dyn Host, end_of_stream: bool) -> Flow {
        self.trap(b"response");
        self.inner.response_headers(host, end_of_stream)
    }

    fn response_body(&mut self, host: &dyn Host, size: usize, end_of_stream: bool) -> Flow {
        self.inner.response_body(host, size, end_of_stream)
    }

    fn response_trailers(&mut self, host: &dyn Host) -> Flow {
        self.inner.response_trailers(host)
    }

    fn log(&mut self, host: &dyn Host) {
        self.trap(b"log");
        self.inner.log(host);
    }
}

seawall_host::plugin!(Trap);

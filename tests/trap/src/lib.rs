//! rate-limit, which traps when a request has the header `x-trap`, in the callback that the header names.
//!
//! What ships cannot trap, so the tests of what happens when a VM is lost need one that can.

use seawall_core::config::ConfigErrors;
use seawall_core::host::{Host, Map};
use seawall_core::plugin::{Flow, Plugin, Stream};
use seawall_rate_limit::RateLimit;

/// The filter.
#[derive(Debug, Default)]
pub struct Trap(RateLimit);

/// One request.
#[derive(Debug)]
pub struct TrapStream {
    inner: <RateLimit as Plugin>::Stream,
    at: Vec<u8>,
}

impl Plugin for Trap {
    type Stream = TrapStream;

    fn configure(&mut self, host: &dyn Host, configuration: &[u8]) -> Result<(), ConfigErrors> {
        self.0.configure(host, configuration)
    }

    fn stream(&self, context: u32) -> TrapStream {
        TrapStream {
            inner: self.0.stream(context),
            at: Vec::new(),
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

    fn log(&mut self, host: &dyn Host) {
        self.trap(b"log");
        self.inner.log(host);
    }
}

seawall_host::plugin!(Trap);

//! What a filter is: one [`Plugin`] per VM, and one [`Stream`] per request.
//!
//! The same implementation runs in Envoy and on the fake host; neither side knows which.

use crate::config::ConfigErrors;
use crate::host::Host;

/// Whether a request or response goes on after a callback.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Flow {
    /// On to the next filter.
    Continue,
    /// Held until it is resumed or answered. In a headers callback the body is held, too.
    Pause,
}

/// One filter in one VM. There is a VM per worker, and one more on the main thread that serves no traffic.
pub trait Plugin: Default + 'static {
    /// What a request needs.
    type Stream: Stream;

    /// Called when a configuration arrives; also on a trial VM, so it must not change shared data that traffic uses,
    /// beyond creating what is absent. Errors refuse the configuration.
    fn configure(&mut self, host: &dyn Host, configuration: &[u8]) -> Result<(), ConfigErrors>;

    /// Called for every request, without any host call allowed. `context` is the id for [`Host::act_on`].
    fn stream(&self, context: u32) -> Self::Stream;

    /// Called when nothing uses this configuration any more: another one is there, and its last request is over. The host lets a
    /// timer run on for ever that is not stopped by now.
    fn ended(&mut self, _host: &dyn Host) {}

    /// Called at the period set by [`Host::set_tick`].
    fn tick(&mut self, _host: &dyn Host) {}

    /// Called when a queue of this VM has something; perhaps once more than it has.
    fn queue_ready(&mut self, _host: &dyn Host, _queue: u32) {}

    /// The answer to [`Host::http_call`]; no header at all means that the call failed.
    fn call_done(&mut self, _host: &dyn Host, _token: u32, _headers: usize, _body_size: usize) {}

    /// The answer to [`Host::grpc_call`]: the status code, and the size of the message where there is one.
    fn grpc_done(&mut self, _host: &dyn Host, _token: u32, _status: u32, _message_size: usize) {}
}

/// One request.
pub trait Stream: 'static {
    /// The request headers are here.
    fn request_headers(&mut self, _host: &dyn Host, _end_of_stream: bool) -> Flow {
        Flow::Continue
    }
    /// A part of the request body is here; `size` is what is buffered.
    fn request_body(&mut self, _host: &dyn Host, _size: usize, _end_of_stream: bool) -> Flow {
        Flow::Continue
    }
    /// The response headers are here: the upstream's, or those of a local reply.
    fn response_headers(&mut self, _host: &dyn Host, _end_of_stream: bool) -> Flow {
        Flow::Continue
    }
    /// A part of the response body is here; `size` is what is buffered.
    fn response_body(&mut self, _host: &dyn Host, _size: usize, _end_of_stream: bool) -> Flow {
        Flow::Continue
    }
    /// The response trailers are here.
    fn response_trailers(&mut self, _host: &dyn Host) -> Flow {
        Flow::Continue
    }
    /// The request is over, however it ended. May be all that a stream ever sees.
    fn log(&mut self, _host: &dyn Host) {}
}

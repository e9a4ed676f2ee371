//! The port to the proxy: everything a filter may ask of the host it runs in, and nothing that can panic.
//!
//! A filter is written against `&dyn Host`. In Envoy that is the raw proxy-wasm ABI (crate `seawall-host`), in tests the
//! fake host of `testing`. Every answer is a value; what a failure means is the caller's decision.

use crate::headers::Headers;
use crate::reply::Reply;
use crate::time::{Span, Timestamp};

/// Why the host did not do what it was asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Failure {
    /// What was asked for does not exist (status 1).
    NotFound,
    /// The call makes no sense now: a header map that is gone, a context that ended, a cluster nobody knows (status 2).
    BadArgument,
    /// Any other status, by its number; also an answer that cannot be decoded.
    Status(u32),
}

/// A host's answer.
pub type Answer<T> = Result<T, Failure>;

/// The header maps of a request and of a callout.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Map {
    /// Request headers; gone once the request-headers callback has let them continue.
    Request,
    /// Request trailers.
    RequestTrailers,
    /// Response headers; gone once the response-headers callback has let them continue.
    Response,
    /// Response trailers.
    ResponseTrailers,
    /// Headers of a callout's answer, inside its callback.
    CallResponse,
    /// Trailers of a callout's answer, inside its callback.
    CallResponseTrailers,
}

/// The buffers of a request and of a callout.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Buffer {
    /// What is buffered of the request body, inside its callback.
    RequestBody,
    /// What is buffered of the response body, inside its callback.
    ResponseBody,
    /// The body of an HTTP callout's answer, inside its callback.
    CallResponse,
    /// The message of a gRPC callout's answer, inside its callback.
    GrpcReceive,
}

/// The version of a shared value, as the host's compare-and-swap knows it; never zero.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Version(pub u32);

/// What a write to shared data expects to find.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Expect {
    /// Nothing in particular: overwrite.
    Anything,
    /// No value under that key.
    Absent,
    /// The value that was read with this version.
    Version(Version),
}

/// How a write to shared data ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Swap {
    /// Written.
    Done,
    /// Somebody else was faster; nothing was written.
    Conflict,
}

/// A metric that the host knows, by its number in this VM.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MetricId(pub u32);

/// What a metric can do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MetricKind {
    /// Counts up.
    Counter,
    /// Goes up and down.
    Gauge,
    /// Collects values into a distribution.
    Histogram,
}

/// How much a log line matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// For somebody who follows one request.
    Debug,
    /// A change worth knowing: a breaker opened.
    Info,
    /// Something is wrong but traffic is served.
    Warn,
    /// Something is wrong and a setting or a filter has no effect.
    Error,
}

/// Everything a filter may ask of the proxy.
pub trait Host {
    /// The wall clock. It may step back.
    fn now(&self) -> Answer<Timestamp>;
    /// Fills `out` from the host's cryptographic source.
    fn random(&self, out: &mut [u8]) -> Answer<()>;
    /// Writes a line to the host's log.
    fn log(&self, level: Level, message: &str);

    /// All fields of a header map in one call. Missing maps answer an empty one or `BadArgument`.
    fn headers(&self, map: Map) -> Answer<Headers>;
    /// The first value of a field; names are lower case. A repeated field needs [`Host::headers`].
    fn header(&self, map: Map, name: &str) -> Answer<Option<Vec<u8>>>;
    /// Replaces all values of a field by one, or adds it.
    fn set_header(&self, map: Map, name: &str, value: &[u8]) -> Answer<()>;
    /// Adds one more field line.
    fn add_header(&self, map: Map, name: &str, value: &[u8]) -> Answer<()>;
    /// Removes all values of a field.
    fn remove_header(&self, map: Map, name: &str) -> Answer<()>;
    /// Replaces a whole map. The host takes at most 1,024 fields and 1 MiB.
    fn set_headers(&self, map: Map, headers: &Headers) -> Answer<()>;

    /// At most `max` bytes of a buffer from `start` on.
    fn body(&self, buffer: Buffer, start: usize, max: usize) -> Answer<Vec<u8>>;
    /// Replaces everything in a buffer.
    fn replace_body(&self, buffer: Buffer, bytes: &[u8]) -> Answer<()>;

    /// A property of the request, the connection or the route; absent ones are `None`. The parts of a path have zeros between
    /// them, as in the ABI: `"xds\0route_name"`.
    fn property(&self, path: &str) -> Answer<Option<Vec<u8>>>;
    /// Sets a property; the access log sees it as `%FILTER_STATE(wasm.<path>:PLAIN)%`.
    fn set_property(&self, path: &str, value: &[u8]) -> Answer<()>;

    /// Reads a shared value. An empty value counts as absent only to its reader.
    fn shared_get(&self, key: &str) -> Answer<Option<(Vec<u8>, Version)>>;
    /// Writes a shared value if it still is what is expected.
    fn shared_set(&self, key: &str, value: &[u8], expect: Expect) -> Answer<Swap>;

    /// Registers a queue of this name; its receiver is this VM, whoever it was before.
    fn queue_register(&self, name: &str) -> Answer<u32>;
    /// Puts a message into a queue and wakes its receiver.
    fn queue_send(&self, queue: u32, message: &[u8]) -> Answer<()>;
    /// Takes the oldest message out of a queue.
    fn queue_take(&self, queue: u32) -> Answer<Option<Vec<u8>>>;

    /// Answers the request from here. The reply is sent when the callback returns, which must return
    /// [`crate::plugin::Flow::Pause`].
    fn reply(&self, reply: &Reply<'_>) -> Answer<()>;
    /// The same with the fields of a map before those of the reply: a host that takes such maps as they are need not be shown
    /// each field. Names that are no text are left out there.
    fn reply_after(&self, first: &Headers, reply: &Reply<'_>) -> Answer<()> {
        let named = first
            .iter()
            .filter_map(|(name, value)| Some((std::str::from_utf8(name).ok()?, value)));
        let fields: Vec<_> = named.chain(reply.headers.iter().copied()).collect();
        self.reply(&Reply {
            headers: &fields,
            ..*reply
        })
    }
    /// Lets a paused request continue.
    fn resume_request(&self) -> Answer<()>;
    /// Lets a paused response continue.
    fn resume_response(&self) -> Answer<()>;
    /// Makes the calls that follow, until the callback returns, act on another context of this VM.
    /// `BadArgument` when it has ended.
    fn act_on(&self, context: u32) -> Answer<()>;
    /// Calls the plugin's `tick` at this period in whole milliseconds; zero stops it.
    fn set_tick(&self, period: Span) -> Answer<()>;
    /// Calls a function that only some hosts have, such as `clear_route_cache`.
    fn foreign(&self, name: &str, argument: &[u8]) -> Answer<Vec<u8>>;

    /// Starts an HTTP request to a cluster. The answer comes to the plugin's `call_done` with the token returned.
    fn http_call(
        &self,
        cluster: &str,
        headers: &[(&str, &[u8])],
        body: &[u8],
        timeout: Span,
    ) -> Answer<u32>;
    /// Starts a unary gRPC call to a cluster. The answer comes to the plugin's `grpc_done`.
    fn grpc_call(
        &self,
        cluster: &str,
        service: &str,
        method: &str,
        message: &[u8],
        timeout: Span,
    ) -> Answer<u32>;

    /// Makes a metric known and gives its number in this VM.
    fn metric_define(&self, kind: MetricKind, name: &str) -> Answer<MetricId>;
    /// Changes a counter (upwards only) or a gauge.
    fn metric_add(&self, metric: MetricId, amount: i64) -> Answer<()>;
    /// Sets a gauge or records a value in a histogram.
    fn metric_record(&self, metric: MetricId, value: u64) -> Answer<()>;
    /// The value of a counter or gauge, over all workers. Gives no bytes away, so it costs a fraction of reading shared data.
    fn metric_value(&self, metric: MetricId) -> Answer<u64>;
}

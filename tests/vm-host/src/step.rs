//! What happens in a life.

use crate::state::Pairs;

/// The root context.
pub const ROOT: u32 = 1;

/// One thing that happens. What cannot happen (a response to a request that is held or was answered) does not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// The VM starts and is configured.
    Start,
    /// Time passes, in milliseconds, and the timer runs once if it is set and due.
    Wait(u64),
    /// The clock is set, in milliseconds since 1970.
    Clock(u64),
    /// A property that all contexts have changes.
    Property(&'static str, Vec<u8>),
    /// Request headers of a new context; true when nothing follows.
    Request(u32, Pairs, bool),
    /// A part of the request body.
    RequestBody(u32, Vec<u8>, bool),
    /// The upstream's response headers; true when nothing follows.
    Response(u32, Pairs, bool),
    /// A part of the response body.
    ResponseBody(u32, Vec<u8>, bool),
    /// The response trailers.
    ResponseTrailers(u32, Pairs),
    /// The context ends, whatever was going on.
    End(u32),
    /// The queues have something.
    Queues,
    /// HTTP callouts are answered with these fields and this body, gRPC calls with this body.
    CallsAnswered(Pairs, Vec<u8>),
    /// Callouts fail: no field at all; the gRPC status `unavailable`.
    CallsFailed,
}

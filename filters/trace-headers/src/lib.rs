//! A request id and a trace context that follow each request through every hop and into every log.
//!
//! What arrives is judged ([`request::identity`]): an id that is safe and comes from a trusted sender is kept as it is,
//! anything else is replaced. What goes on ([`request::propagate`]) is a trace that was continued or started, with a new
//! parent id, in the formats that the configuration names ([`interop`]). The rules of W3C Trace Context and Baggage are in
//! [`w3c`], ids in [`ids`], spans in [`spans`].

mod bytes;
mod clock;
pub mod config;
pub mod counters;
mod filter;
pub mod ids;
pub mod interop;
pub mod latency;
pub mod request;
pub mod response;
pub mod sampling;
pub mod spans;
pub mod trust;
pub mod w3c;

pub use filter::TraceHeaders;

//! The four filters as one HTTP filter: trace-headers, rate-limit, response-cache, circuit-breaker, in this order.
//!
//! Four filters in a chain are four contexts, each told of every phase, and each asks the host for the same headers and
//! the same route. Here they are one: a phase is one call into the module, and what one filter has read the others find in
//! its `memo`. Requests pass the filters in order and responses the other way, a filter that answers or waits holds those
//! behind it, as Envoy does with filters of its own (`stages`, `link`).
//!
//! What each filter decides is untouched: the same crates, the same settings, the same metadata namespaces and metrics.

mod chain;
mod config;
mod filter;
mod link;
mod memo;
mod stages;

pub use filter::{Request, Seawall};

//! A circuit breaker for a dependency: fails fast while it is dead or hanging, recovers by itself, degrades as defined.
//!
//! # Why a breaker beside Envoy's own features
//!
//! Envoy's `circuit_breakers` are caps on concurrency, its outlier detection ejects single hosts. Neither says "this
//! dependency is down, do not wait for it": with one address, or with all hosts bad, Envoy keeps calling. This filter keeps one
//! breaker per dependency (the cluster, by default) in data that all workers share:
//!
//! - *closed*: calls go through, and consecutive failures are counted;
//! - *open*: calls are refused at once, with the time to come back;
//! - *half-open*: a few calls, the probes, go through and decide. Their right to do so is a lease that expires by itself, so
//!   that a probe whose client leaves, whose upstream hangs or whose worker dies gives its place back.
//!
//! Every call carries the epoch in which it was admitted; a result from another epoch says nothing about this one and is
//! dropped. A success resets the count of failures if its call began after the first of them: what began before says nothing
//! about the state since. So a healthy call costs one read of shared data and no write.
//!
//! # What it does not do
//!
//! Hosts stay with native outlier detection. Two Envoys know nothing of each other's breakers.

pub mod breaker;
mod filter;
mod metrics;
mod outcome;
mod overdue;
mod refusal;
mod settings;
mod stream;
pub mod table;

pub use filter::CircuitBreaker;
pub use outcome::{classify, Outcome, Signals};
pub use settings::{Mode, Part, Policy, Settings};

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
//! dropped. A success resets the count of failures, also where its call was under way before they began. A healthy call
//! writes nothing; and it reads nothing either while nobody has changed a breaker, for workers keep copies and know by a gauge
//! that they still hold (`copies`).
//!
//! # What it does not do
//!
//! Hosts stay with native outlier detection. Two Envoys know nothing of each other's breakers.

mod accept;
mod announce;
pub mod breaker;
mod copies;
mod evidence;
mod failed;
mod filter;
mod key;
mod metrics;
mod outcome;
mod overdue;
mod policy;
mod refusal;
mod retry_after;
mod settings;
mod shared;
mod store;
mod stream;
pub mod table;
mod tallies;

pub use filter::CircuitBreaker;
pub use outcome::{classify, Kind, Outcome, Rules, Signals, Verdict};
pub use policy::{Adaptive, Policy};
pub use settings::{Answer, Explain, Fallback, Mode, Part, Reroute, Settings};

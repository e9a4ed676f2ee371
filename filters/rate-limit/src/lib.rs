//! The rate limiter: so many requests per key and time, exact over all workers of an Envoy.
//!
//! - [`config`]: what a user writes, and the settings made of it;
//! - [`key`]: whose quota a request uses;
//! - [`rules`]: which requests a limit is for;
//! - [`quota`]: the arithmetic of GCRA, windows, concurrency and penalties;
//! - [`table`]: the counters in shared data, and all-or-nothing charges over several limits;
//! - [`fleet`]: limits that a service keeps for many Envoys;
//! - [`answer`]: what clients are told;
//! - [`metrics`]: what operators see.

pub mod answer;
mod claims;
pub mod config;
mod decide;
mod exchange;
mod few;
mod filter;
pub mod fleet;
pub mod key;
pub mod metrics;
mod outcome;
pub mod quota;
pub mod rules;
mod sole;
mod stream;
pub mod table;

pub use filter::RateLimit;
pub use stream::Request;

//! The rate limiter: so many requests per key and time, exact over all workers of an Envoy.
//!
//! - [`quota`]: the arithmetic of GCRA, windows, concurrency and penalties;
//! - [`table`]: the counters in shared data, and all-or-nothing charges over several limits;
//! - [`key`]: whose quota a request uses;
//! - [`rules`]: which requests a limit is for.

pub mod key;
pub mod quota;
pub mod rules;
pub mod table;

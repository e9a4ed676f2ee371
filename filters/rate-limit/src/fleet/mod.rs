//! Limits that a service keeps for a whole fleet of Envoys, by Envoy's rate limit protocol (`envoy.service.ratelimit.v3`).
//!
//! The limits that are kept here are asked first, and together with them what the table remembers of the service's last
//! answers. Only who passes all of that waits for the service. What it says is final; when it fails, `on_error` says what
//! happens.

mod conclude;
mod descriptor;
mod waiting;
pub mod wire;

pub(crate) use conclude::{answered, ask};
pub(crate) use descriptor::descriptor;
pub(crate) use waiting::{Asked, Ticket, Waiting};

/// The service and its method, as they are called.
const SERVICE: &str = "envoy.service.ratelimit.v3.RateLimitService";
const METHOD: &str = "ShouldRateLimit";

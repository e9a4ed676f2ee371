//! A real Envoy with the built modules, and an upstream that misbehaves on demand.
//!
//! ```no_run
//! # async fn example() {
//! use seawall_tests::prelude::*;
//!
//! let upstream = Upstream::start().await;
//! let envoy = Envoy::to(&upstream).filter("trace-headers", json!({})).start().await;
//! let answer = envoy.get("/orders").await;
//! assert_eq!(answer.status, 200);
//! assert!(answer.header("x-request-id").is_some());
//! # }
//! ```

pub mod client;
pub mod demo;
pub mod docs;
pub mod envoy;
pub mod live;
pub mod upstream;
mod wait;

pub use wait::{eventually, within};

/// What a test needs.
pub mod prelude {
    pub use crate::client::{Answer, Client};
    pub use crate::envoy::{Envoy, EnvoyBuilder, Route};
    pub use crate::upstream::{Gate, Reply, Seen, Upstream};
    pub use crate::{eventually, within};
    pub use serde_json::{json, Value};
    pub use std::time::Duration;
}

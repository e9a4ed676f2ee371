//! A real Envoy.

mod builder;
mod chain;
mod config;
mod find;
mod process;
mod shipped;

pub use builder::{free_address, EnvoyBuilder};
pub use chain::{clock_library, trapping_module, FILTERS};
pub use config::{wasm_filter, Route};
pub use find::{dist, envoy_binary, envoy_has, envoy_minor, repository};
pub use process::{validate, Envoy};
pub use shipped::Shipped;

//! A shared HTTP cache that never stampedes its origin.
pub mod config;
pub mod entry;
pub mod flight;
mod flow;
pub mod http;
pub mod key;
pub mod marks;
pub mod metrics;
mod plugin;
pub mod purge;
pub mod refresh;
pub mod reuse;
pub mod store;
mod text;

pub use plugin::{CacheStream, ResponseCache};

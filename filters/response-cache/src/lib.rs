//! A shared HTTP cache that never stampedes its origin.
pub mod entry;
pub mod flight;
pub mod http;
pub mod key;
pub mod purge;
pub mod refresh;
pub mod reuse;
pub mod store;

//! The `seawall` command: checks, explains and converts configurations, with the code of the filters themselves.
//!
//! - [`document`]: YAML and JSON with positions, read as Envoy reads it;
//! - [`envoy`]: the Seawall blocks of an Envoy configuration or of a Kubernetes manifest, and the routes they are for;
//! - [`layers`]: plugin, virtual host and route laid over each other;
//! - [`check`]: what is wrong;
//! - [`explain`]: what happens to a request;
//! - [`convert`]: limits of other proxies as those of rate-limit;
//! - [`schema`]: what a filter reads, as JSON Schema.

#![allow(
    clippy::extra_unused_type_parameters,
    reason = "`dispatch` names a filter's settings and its plugin, and few functions need both"
)]

pub mod args;
pub mod check;
pub mod chosen;
pub mod convert;
pub mod document;
pub mod envoy;
pub mod explain;
pub mod filters;
pub mod idle;
pub mod layers;
pub mod output;
mod run;
pub mod schema;

pub use run::run;

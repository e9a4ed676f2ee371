//! What every Seawall filter shares, free of any proxy.
//!
//! A filter is a [`plugin::Plugin`] written against the port [`host::Host`]. Time, randomness, headers and storage reach
//! it only through that port, so the same code runs inside Envoy and on the fake host of `testing`, which has the real
//! host's semantics and can be stepped, counted and broken at will.
//!
//! - [`config`]: typed configuration in which every error names its field;
//! - [`route`]: per-route settings from Envoy's route metadata, decoded once per route;
//! - [`shared`]: exact updates of data that all workers share;
//! - [`generation`]: whether shared data has changed since it was read, for a fraction of reading it;
//! - [`hash`]: keyed fingerprints that a client cannot aim at;
//! - [`metrics`], [`log`]: what an operator sees, bounded;
//! - [`contexts`]: what belongs to the ids of requests;
//! - [`path`]: paths of requests;
//! - [`calendar`], [`date`]: days, and dates of HTTP;
//! - [`wire`]: messages in the protobuf wire format;
//! - [`network`]: networks of addresses, and who is at the other end of a connection;
//! - [`time`], [`headers`], [`reply`]: the values in between.

pub mod authority;
pub mod bytes;
pub mod calendar;
pub mod claim;
pub mod config;
pub mod contexts;
pub mod date;
pub mod generation;
pub mod grpc;
pub mod hash;
pub mod headers;
pub mod host;
pub mod log;
pub mod metrics;
pub mod name;
pub mod network;
pub mod path;
pub mod plugin;
pub mod reply;
pub mod route;
pub mod shared;
pub mod time;
pub mod wire;

#[cfg(feature = "testing")]
#[allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::disallowed_types,
    clippy::disallowed_methods,
    reason = "runs in tests only, where a panic is the failure of the test"
)]
pub mod testing;

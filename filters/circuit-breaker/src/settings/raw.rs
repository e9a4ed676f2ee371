//! The configuration as it is written: the serde mirror, every field optional.

use crate::outcome::Kind;
use seawall_core::time::Span;
use serde::Deserialize;
use std::collections::BTreeMap;

/// All fields.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Raw {
    pub(super) enabled: Option<bool>,
    pub(super) mode: Option<Mode>,
    pub(super) key: Option<Vec<Part>>,
    pub(super) failure_threshold: Option<u32>,
    pub(super) failure_percentage: Option<f64>,
    pub(super) slow_percentage: Option<f64>,
    pub(super) minimum_calls: Option<u32>,
    pub(super) window: Option<Span>,
    pub(super) slow_after: Option<Span>,
    pub(super) open_for: Option<Span>,
    pub(super) timeout: Option<Span>,
    pub(super) max_open_for: Option<Span>,
    pub(super) jitter: Option<f64>,
    pub(super) retry_after: Option<RetryAfter>,
    pub(super) probes: Option<u32>,
    pub(super) successes: Option<u32>,
    pub(super) probe_timeout: Option<Span>,
    pub(super) ramp: Option<Span>,
    pub(super) ramp_from: Option<f64>,
    pub(super) adaptive: Option<RawAdaptive>,
    pub(super) failures: Option<Failures>,
    pub(super) fallback: Option<RawFallback>,
    pub(super) response_header: Option<Explain>,
    pub(super) access_log: Option<bool>,
    pub(super) max_keys: Option<u32>,
    pub(super) per_route: Option<bool>,
}

/// What an upstream's own `Retry-After` does.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct RetryAfter {
    pub(super) max: Option<Span>,
    pub(super) opens: Option<Vec<u32>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct RawAdaptive {
    pub(super) k: Option<f64>,
    pub(super) floor: Option<f64>,
}

/// What counts as a failure.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Failures {
    pub(super) statuses: Option<Vec<Number>>,
    pub(super) grpc_statuses: Option<Vec<Number>>,
    pub(super) kinds: Option<Vec<Kind>>,
}

/// A status by number, or several by a word such as `5xx`, `502-504` or `UNAVAILABLE`.
#[derive(Debug, Clone, Deserialize)]
#[serde(untagged, expecting = "a number or a text")]
pub(super) enum Number {
    Number(u32),
    Word(String),
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct RawFallback {
    pub(super) status: Option<u32>,
    pub(super) headers: Option<BTreeMap<String, String>>,
    pub(super) body: Option<String>,
    pub(super) by_type: Option<Vec<RawAnswer>>,
    pub(super) route: Option<RawReroute>,
    pub(super) on_failure: Option<bool>,
}

/// An answer for those who accept its type.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct RawAnswer {
    pub(super) r#type: Option<String>,
    pub(super) status: Option<u32>,
    pub(super) headers: Option<BTreeMap<String, String>>,
    pub(super) body: Option<String>,
}

/// The header by which another route is chosen.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct RawReroute {
    pub(super) header: Option<String>,
    pub(super) value: Option<String>,
}

/// What the breaker does about what it sees.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Mode {
    /// Refuses while open.
    #[default]
    Enforce,
    /// Counts what it would refuse, and refuses nothing.
    Shadow,
    /// Refuses everything.
    ForcedOpen,
    /// Lets everything through and counts nothing.
    ForcedClosed,
}

/// What the response header tells the client of a refused call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Explain {
    /// There is no such header.
    None,
    /// The state.
    #[default]
    State,
    /// The state, the reason, whose breaker it is, and when to come back.
    Full,
}

/// A part of what makes two calls share a breaker.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Part {
    /// The upstream cluster.
    Cluster,
    /// The route, by name.
    Route,
    /// The authority of the request.
    Host,
    /// A request header, such as a tenant.
    Header(String),
}

impl Part {
    /// Its name: of a header, that of the field.
    pub(crate) fn name(&self) -> &str {
        match self {
            Part::Cluster => "cluster",
            Part::Route => "route",
            Part::Host => "host",
            Part::Header(field) => field,
        }
    }
}

//! The configuration.

mod check;
mod failures;
mod fallback;
mod policy;
mod raw;

pub use fallback::{Answer, Fallback, Reroute};
pub use raw::{Explain, Mode, Part, Raw};

use crate::outcome::Rules;
use crate::policy::Policy;
use check::{header_name, within};
use seawall_core::config::{self, ConfigErrors};

/// The validated configuration.
#[derive(Debug, Clone, PartialEq)]
pub struct Settings {
    /// False switches the filter off.
    pub enabled: bool,
    /// What it does about what it sees.
    pub mode: Mode,
    /// What makes two calls share a breaker.
    pub key: Vec<Part>,
    /// When it opens, and how it recovers.
    pub policy: Policy,
    /// What counts as a failure.
    pub rules: Rules,
    /// Statuses that open it at once when they say when to come back.
    pub opening_statuses: Vec<u32>,
    /// What is answered while it is open.
    pub fallback: Fallback,
    /// What the response header tells.
    pub explain: Explain,
    /// Whether verdicts are left for the access log.
    pub access_log: bool,
    /// How many breakers are kept.
    pub max_keys: u32,
    /// Whether routes have settings of their own.
    pub per_route: bool,
}

impl Settings {
    /// True when no part of the key is the client's choice: then there are as many breakers as the configuration names.
    pub fn key_is_configured(&self) -> bool {
        self.key
            .iter()
            .all(|part| matches!(part, Part::Cluster | Part::Route))
    }
}

impl config::Settings for Settings {
    type Raw = Raw;
    const NAMESPACE: &'static str = "seawall.circuit_breaker";
    const PLUGIN_ONLY: &'static [&'static str] = &["max_keys", "per_route"];

    fn validate(mut raw: Raw, errors: &mut ConfigErrors) -> Self {
        let mut key = raw.key.take().unwrap_or_else(|| vec![Part::Cluster]);
        if key.is_empty() || key.len() > 8 {
            errors.add("key", format!("must have 1 to 8 parts, got {}", key.len()));
        }
        for (at, part) in key.iter_mut().enumerate() {
            if let Part::Header(name) = part {
                *name = header_name(name, &format!("key[{at}].header"), errors);
            }
        }
        let opening = raw.retry_after.as_mut().and_then(|r| r.opens.take());
        let opening_statuses = opening.unwrap_or_default();
        for (at, status) in opening_statuses.iter().enumerate() {
            within(
                errors,
                &format!("retry_after.opens[{at}]"),
                *status,
                400,
                599,
            );
        }
        Settings {
            enabled: raw.enabled.unwrap_or(true),
            mode: raw.mode.unwrap_or_default(),
            key,
            policy: policy::validate(&raw, errors),
            rules: failures::validate(raw.failures.take().unwrap_or_default(), errors),
            opening_statuses,
            fallback: fallback::validate(raw.fallback.take().unwrap_or_default(), errors),
            explain: raw.response_header.unwrap_or_default(),
            access_log: raw.access_log.unwrap_or(false),
            max_keys: within(
                errors,
                "max_keys",
                raw.max_keys.unwrap_or(16_384),
                4,
                1 << 20,
            ),
            per_route: raw.per_route.unwrap_or(true),
        }
    }
}

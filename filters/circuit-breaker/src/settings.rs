//! The configuration.

use crate::breaker::MOST_PROBES;
use seawall_core::config::{self, ConfigErrors};
use seawall_core::time::Span;
use serde::Deserialize;
use std::collections::BTreeMap;

/// The configuration as it is written.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Raw {
    enabled: Option<bool>,
    mode: Option<Mode>,
    key: Option<Vec<Part>>,
    failure_threshold: Option<u32>,
    open_for: Option<Span>,
    timeout: Option<Span>,
    max_open_for: Option<Span>,
    jitter: Option<f64>,
    probes: Option<u32>,
    successes: Option<u32>,
    probe_timeout: Option<Span>,
    slow_after: Option<Span>,
    fallback: Option<RawFallback>,
    max_keys: Option<u32>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct RawFallback {
    status: Option<u32>,
    headers: Option<BTreeMap<String, String>>,
    body: Option<String>,
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

/// When it opens, and how it recovers.
#[derive(Debug, Clone, PartialEq)]
pub struct Policy {
    /// Consecutive failures that open it.
    pub failure_threshold: u32,
    /// How long it is open the first time.
    pub open_for: Span,
    /// How long it is open at the most; also how long it must have been healthy to start anew.
    pub max_open_for: Span,
    /// The open time varies by this part of it, both ways.
    pub jitter: f64,
    /// How many probes may be out at once.
    pub probes: usize,
    /// Successful probes that close it.
    pub successes: u32,
    /// When the right of a probe ends.
    pub probe_timeout: Span,
    /// A call without response headers by then counts as a failure, while it still hangs.
    pub slow_after: Option<Span>,
}

impl Policy {
    /// The open time after so many trips without a healthy period. `chance` is in `[0, 1)`.
    pub fn open_time(&self, trips: u8, chance: f64) -> Span {
        let doubled = self
            .open_for
            .saturating_mul(1u64.checked_shl(u32::from(trips)).unwrap_or(u64::MAX));
        let base = Span(doubled.0.min(self.max_open_for.0));
        base.scale(1.0 + self.jitter * (2.0 * chance - 1.0))
    }

    /// The longest time it can be open at once.
    pub fn longest_open(&self) -> Span {
        self.max_open_for.scale(1.0 + self.jitter)
    }
}

/// What is answered instead.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fallback {
    /// The status.
    pub status: u32,
    /// Header fields.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: String,
}

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
    /// What is answered while it is open.
    pub fallback: Fallback,
    /// How many breakers are kept.
    pub max_keys: u32,
}

/// The name of a field may hold these only (RFC 9110, section 5.6.2), in lower case.
fn is_field_name(name: &str) -> bool {
    !name.is_empty()
        && name.bytes().all(|b| {
            b.is_ascii_lowercase() || b.is_ascii_digit() || b"!#$%&'*+-.^_`|~".contains(&b)
        })
}

fn within(errors: &mut ConfigErrors, path: &str, value: u32, least: u32, most: u32) -> u32 {
    if !(least..=most).contains(&value) {
        errors.add(path, format!("must be {least} to {most}, got {value}"));
    }
    value
}

fn positive(errors: &mut ConfigErrors, path: &str, value: Span) -> Span {
    if value.is_zero() {
        errors.add(path, "must be longer than 0s");
    }
    value
}

impl config::Settings for Settings {
    type Raw = Raw;
    const NAMESPACE: &'static str = "seawall.circuit_breaker";
    const PLUGIN_ONLY: &'static [&'static str] = &["max_keys"];

    fn validate(raw: Raw, errors: &mut ConfigErrors) -> Self {
        let open_path = match (raw.open_for, raw.timeout) {
            (Some(_), Some(_)) => {
                errors.add(
                    "timeout",
                    "is another name of open_for: only one of them can be set",
                );
                "open_for"
            }
            (None, Some(_)) => "timeout",
            _ => "open_for",
        };
        let open_for = raw.open_for.or(raw.timeout).unwrap_or(Span::from_secs(5));
        let open_for = positive(errors, open_path, open_for);
        let max_open_for = raw
            .max_open_for
            .unwrap_or(Span(Span::from_secs(60).0.max(open_for.0)));
        if max_open_for < open_for {
            errors.add(
                "max_open_for",
                format!("must be at least {open_path} ({open_for}), got {max_open_for}"),
            );
        }
        let jitter = raw.jitter.unwrap_or(0.2);
        if !(0.0..=0.5).contains(&jitter) {
            errors.add("jitter", format!("must be 0 to 0.5, got {jitter}"));
        }
        let slow_after = raw
            .slow_after
            .map(|span| positive(errors, "slow_after", span));
        let probe_timeout = raw
            .probe_timeout
            .or(slow_after)
            .unwrap_or(Span::from_secs(10));
        let probes = within(
            errors,
            "probes",
            raw.probes.unwrap_or(1),
            1,
            MOST_PROBES as u32,
        );
        let policy = Policy {
            failure_threshold: within(
                errors,
                "failure_threshold",
                raw.failure_threshold.unwrap_or(5),
                1,
                1_000_000,
            ),
            open_for,
            max_open_for,
            jitter,
            probes: probes as usize,
            successes: within(errors, "successes", raw.successes.unwrap_or(2), 1, 1000),
            probe_timeout: positive(errors, "probe_timeout", probe_timeout),
            slow_after,
        };
        let key = raw.key.unwrap_or_else(|| vec![Part::Cluster]);
        if key.is_empty() {
            errors.add("key", "must name at least one part, such as cluster");
        }
        for (at, part) in key.iter().enumerate() {
            if let Part::Header(name) = part {
                if !is_field_name(name) {
                    errors.add(
                        format!("key[{at}].header"),
                        format!("must be a field name in lower case, got {name:?}"),
                    );
                }
            }
        }
        Settings {
            enabled: raw.enabled.unwrap_or(true),
            mode: raw.mode.unwrap_or_default(),
            key,
            policy,
            fallback: fallback(raw.fallback.unwrap_or_default(), errors),
            max_keys: within(errors, "max_keys", raw.max_keys.unwrap_or(1024), 4, 1 << 20),
        }
    }
}

fn fallback(raw: RawFallback, errors: &mut ConfigErrors) -> Fallback {
    let headers: Vec<_> = raw.headers.unwrap_or_default().into_iter().collect();
    for (name, value) in &headers {
        if !is_field_name(name) {
            errors.add(
                format!("fallback.headers.{name}"),
                "is not a field name in lower case",
            );
        }
        if value
            .bytes()
            .any(|byte| byte < b' ' && byte != b'\t' || byte == 0x7f)
        {
            errors.add(
                format!("fallback.headers.{name}"),
                "must not hold control characters",
            );
        }
    }
    Fallback {
        status: within(
            errors,
            "fallback.status",
            raw.status.unwrap_or(503),
            200,
            599,
        ),
        headers,
        body: raw
            .body
            .unwrap_or_else(|| "the service is unavailable\n".to_owned()),
    }
}

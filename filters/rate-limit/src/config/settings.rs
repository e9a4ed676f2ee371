//! What a request is decided by.

use crate::fleet::wire::Unit;
use crate::key::Part;
use crate::metrics::LimitMetrics;
use crate::quota::{Penalty, Quota};
use crate::rules::Rule;
use seawall_core::hash::KeyHasher;
use seawall_core::time::Span;
use serde::Deserialize;
use std::cell::OnceCell;

use super::values::Statuses;

/// The settings of the plugin or of a route.
#[derive(Debug, Default)]
pub struct Settings {
    /// Whether anything is done at all.
    pub enabled: bool,
    /// The limits, in the order of the configuration.
    pub limits: Vec<Limit>,
    /// The hasher for the only limit's key, where there is one limit and it is an ordinary one; made with the first request.
    pub sole: Option<OnceCell<KeyHasher>>,
    /// The hashers for keys otherwise, in the order of the keys; each made with the first request that needs it.
    pub hashers: Vec<OnceCell<KeyHasher>>,
    /// The distinct keys of the limits.
    pub keys: Vec<Vec<Part>>,
    /// The keys of which somebody needs the values, not only their hash.
    pub valued: Vec<bool>,
    /// How many entries of the table a request may need; not more than a slot can hold.
    pub entries: usize,
    /// Requests that no limit is for.
    pub exempt: Vec<Rule>,
    /// For how many keys the table is made.
    pub max_keys: u32,
    /// What happens when the storage fails.
    pub on_error: OnError,
    /// Which fields responses carry.
    pub headers: HeaderFields,
    /// What is answered to a refused request.
    pub answers: Answers,
    /// The service that keeps some limits for a whole fleet.
    pub fleet: Option<Fleet>,
    /// Whether the decision is left for the access log.
    pub access_log: bool,
    /// Whether route metadata is looked at.
    pub per_route: bool,
    /// About how many headers a request's decision reads.
    pub headers_needed: usize,
}

/// What happens when the storage fails.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OnError {
    /// The request passes.
    #[default]
    Allow,
    /// The request is refused with 503.
    Deny,
}

/// The service that keeps limits for a whole fleet of Envoys.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fleet {
    /// The cluster that it is in.
    pub cluster: String,
    /// The domain of its limits.
    pub domain: String,
    /// It must answer within this time.
    pub timeout: Span,
    /// What happens when it does not.
    pub on_error: OnFleetError,
    /// How many requests of a worker may wait for it.
    pub max_waiting: u32,
    /// How long it is remembered that a key is over its limit, where the service does not say when its window ends.
    pub remember: Span,
}

/// What happens when the service does not answer.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OnFleetError {
    /// The request passes.
    Allow,
    /// The request is refused with 503.
    Deny,
    /// Each Envoy keeps the limit for itself.
    #[default]
    Local,
}

/// What a missing part of a key means.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Missing {
    /// The limit is not for this request.
    Skip,
    /// The request is refused.
    Deny,
    /// All requests without it have one quota.
    #[default]
    Shared,
}

/// Which fields responses carry.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct HeaderFields {
    /// `RateLimit` and `RateLimit-Policy`.
    pub ietf: bool,
    /// `X-RateLimit-Limit`, `-Remaining` and `-Reset`.
    pub x_ratelimit: bool,
}

/// What is answered to a refused request.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Answers {
    /// The status.
    pub status: u16,
    /// The body.
    pub body: String,
    /// Its type.
    pub content_type: String,
    /// More header fields, with names in lower case.
    pub headers: Vec<(String, String)>,
    /// A problem document instead, for who accepts it.
    pub problem_json: bool,
    /// Up to so many seconds are added to `Retry-After` by chance.
    pub jitter: Span,
}

/// One limit.
#[derive(Debug)]
pub struct Limit {
    /// Its name in metrics, fields and answers.
    pub name: String,
    /// Which of the settings' keys.
    pub key: usize,
    /// Its numbers.
    pub plan: Plan,
    /// Other numbers for some requests; the first that matches counts.
    pub overrides: Vec<Override>,
    /// What a missing part of the key means.
    pub missing: Missing,
    /// The requests it is for; none for all.
    pub matches: Vec<Rule>,
    /// The requests it is not for.
    pub exempt: Vec<Rule>,
    /// What a request costs.
    pub cost: Cost,
    /// Nothing is refused.
    pub shadow: bool,
    /// How much of what is too much is refused, from 0 to 1.
    pub enforce: f64,
    /// Charging by response.
    pub charge: Option<Charge>,
    /// Refusing for a while.
    pub penalty: Option<Penalty>,
    /// Refused requests cost, too.
    pub count_refused: bool,
    /// Its counters, made with the first request that needs them.
    pub metrics: OnceCell<LimitMetrics>,
}

/// Numbers of a limit.
#[derive(Debug, Clone, PartialEq)]
pub struct Plan {
    /// The numbers; `None` for no limit at all.
    pub quota: Option<Quota>,
    /// What tells this plan's counters from another's: changes with the limit's name, key and numbers.
    pub identity: u64,
    /// Its item in `RateLimit-Policy`.
    pub policy: String,
    /// What belongs to a limit that a service keeps.
    pub fleet: Option<FleetPlan>,
}

/// Numbers of a limit that a service keeps.
#[derive(Debug, Clone, PartialEq)]
pub struct FleetPlan {
    /// What stands before the service.
    pub gate: Quota,
    /// Requests per unit, as they are sent to the service; none where the protocol cannot say them.
    pub numbers: Option<(u32, Unit)>,
    /// The longest that a window can last.
    pub per: Span,
}

/// Other numbers for some requests.
#[derive(Debug)]
pub struct Override {
    /// Values of the key's parts, in their order; `None` for any.
    pub values: Vec<Option<Vec<u8>>>,
    /// Rules of which one must match; none for no rule.
    pub matches: Vec<Rule>,
    /// The numbers.
    pub plan: Plan,
}

/// What a request costs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Cost {
    /// Always the same.
    Fixed(u64),
    /// What a header says.
    Header {
        /// Its name.
        name: String,
        /// Without it, or when it is no number.
        default: u64,
        /// No less than this: whoever writes the header must not make a request free.
        min: u64,
        /// No more than this.
        max: u64,
    },
}

/// Charging by response.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Charge {
    /// Only these cost; none for all.
    pub statuses: Vec<Statuses>,
    /// The response header that says the cost.
    pub header: Option<String>,
    /// What is charged until the response is there; `None` for the request's cost.
    pub reserve: Option<u64>,
}

impl Charge {
    /// Whether a response of this status costs.
    pub fn costs(&self, status: u16) -> bool {
        self.statuses.is_empty() || self.statuses.iter().any(|range| range.contain(status))
    }
}

impl Limit {
    /// The longest that its counters can count.
    pub fn longest(&self, quota: &Quota) -> Span {
        let banned = self.penalty.as_ref().map_or(Span::ZERO, Penalty::longest);
        quota.longest(self.charge.is_some()).max(banned)
    }

    /// Whether nothing but its key and its numbers decides, for every request alike and at once.
    pub fn is_ordinary(&self) -> bool {
        let plain = self.plan.fleet.is_none()
            && matches!(
                self.plan.quota,
                Some(Quota::Gcra(_) | Quota::Sliding(_) | Quota::Fixed(_))
            );
        plain
            && self.overrides.is_empty()
            && self.matches.is_empty()
            && self.exempt.is_empty()
            && matches!(self.cost, Cost::Fixed(_))
            && !self.shadow
            && self.enforce >= 1.0
            && self.charge.is_none()
            && self.penalty.is_none()
    }

    /// Whether somebody needs the values of its key.
    pub fn needs_values(&self) -> bool {
        self.plan.fleet.is_some() || self.overrides.iter().any(|tier| !tier.values.is_empty())
    }
}

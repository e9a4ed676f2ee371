//! The validated configuration and its defaults.

use super::check::{by_status, is_token, names, purge, recipe, refresh, rules};
use super::raw::{Raw, RawCookies};
use super::rules::Rule;
use crate::http::freshness::Policy;
use crate::key::Recipe;
use crate::refresh::Algorithm;
use crate::reuse::StalePolicy;
use crate::store::{buckets_for, Layout};
use seawall_core::config::ConfigErrors;
use seawall_core::network::Cidr;
use seawall_core::time::Span;

const MIB: u64 = 1 << 20;
/// All entries together.
const MAX_BYTES: u64 = 64 * MIB;
/// One entry.
const MAX_ENTRY_BYTES: u64 = MIB;
/// A worker's copies.
const WORKER_MEMORY: u64 = 16 * MIB;
/// One entry per so many bytes, where `max_entries` does not say.
const BYTES_PER_ENTRY: u64 = 2048;
const MOST_ENTRIES: u32 = 1 << 22;
const WAIT: Span = Span::from_secs(5);
const LEASE: Span = Span::from_secs(3);
const UNCACHEABLE_FOR: Span = Span::from_secs(10);

/// What to do with a response that sets cookies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cookies {
    /// Do not store it.
    Refuse,
    /// Store it without them; the client that asked gets them.
    Strip,
    /// Store it with them.
    Store,
}

/// Refreshing in the background.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Background {
    /// The cluster that is asked; `None` is that of the route.
    pub cluster: Option<String>,
    /// How long it may take.
    pub timeout: Span,
}

/// Refreshing.
#[derive(Debug, Clone, PartialEq)]
pub struct Refresh {
    /// When to refresh early.
    pub algorithm: Algorithm,
    /// On its own, without the client's request.
    pub background: Option<Background>,
}

/// Single flight.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Coalesce {
    /// On or off.
    pub enabled: bool,
    /// How long a request waits for another one's answer.
    pub wait: Span,
    /// After this long without a sign of life a leader counts as dead.
    pub lease: Span,
    /// How long a key whose answers are not shared is remembered.
    pub uncacheable_for: Span,
    /// Whether a conditional request may lead: it asks for the whole then.
    pub conditional: bool,
}

/// Who may purge.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Purge {
    /// The method of purge requests.
    pub method: String,
    /// From where.
    pub cidrs: Vec<Cidr>,
    /// A field and the value it must have.
    pub secret: Option<(String, String)>,
}

/// The settings of a route.
#[derive(Debug, Clone, PartialEq)]
pub struct Settings {
    /// On or off.
    pub enabled: bool,
    /// Routes may have settings of their own.
    pub per_route: bool,
    /// The table.
    pub layout: Layout,
    /// The largest body.
    pub max_entry_bytes: usize,
    /// Lifetimes, but for statuses below.
    pub freshness: Policy,
    /// Lifetimes where the origin says nothing, by status; `0` stands for the class in the hundreds.
    pub by_status: Vec<(u16, Span)>,
    /// Stale use that the operator allows.
    pub stale: StalePolicy,
    /// Fields that stand in for `Cache-Control`, lower case.
    pub target_fields: Vec<String>,
    /// `Cache-Control` of requests does not count.
    pub ignore_client_directives: bool,
    /// Cookies.
    pub cookies: Cookies,
    /// Refreshing.
    pub refresh: Refresh,
    /// Single flight.
    pub coalesce: Coalesce,
    /// The key.
    pub key: Recipe,
    /// Requests that pass the cache by.
    pub bypass: Vec<Rule>,
    /// Requests whose answers are not stored.
    pub no_store: Vec<Rule>,
    /// The name in `Cache-Status`; `None` sends none.
    pub cache_status: Option<String>,
    /// Sets the property for the access log.
    pub access_log: bool,
    /// Purging; `None` knows no purge requests.
    pub purge: Option<Purge>,
}

impl Settings {
    /// The policy for a status.
    pub fn policy(&self, status: u16) -> Policy {
        let class = status / 100;
        let named = self
            .by_status
            .iter()
            .find(|(known, _)| *known == status)
            .or_else(|| self.by_status.iter().find(|(known, _)| *known == class));
        let default = match named {
            Some((_, span)) => Some(*span),
            // A default lifetime is for what went well; errors have their own.
            None if (200..400).contains(&status) => self.freshness.default,
            None => None,
        };
        let forced = self
            .freshness
            .forced
            .filter(|_| (200..400).contains(&status));
        Policy {
            default,
            forced,
            ..self.freshness
        }
    }
}

impl seawall_core::config::Settings for Settings {
    type Raw = Raw;
    const NAMESPACE: &'static str = "seawall.response_cache";
    const PLUGIN_ONLY: &'static [&'static str] = &[
        "max_bytes",
        "max_entries",
        "worker_memory",
        "admission",
        "per_route",
        "purge",
    ];

    fn validate(raw: Raw, errors: &mut ConfigErrors) -> Self {
        let max_bytes = raw.max_bytes.map_or(MAX_BYTES, |bytes| bytes.0);
        if !(64 * 1024..=1 << 40).contains(&max_bytes) {
            errors.add(
                "max_bytes",
                format!("must be from 64KiB to 1024GiB, got {max_bytes} bytes"),
            );
        }
        let max_entry = raw
            .max_entry_bytes
            .map_or(MAX_ENTRY_BYTES.min(max_bytes / 4), |bytes| bytes.0);
        if max_entry == 0 || max_entry > max_bytes || max_entry > 256 * MIB {
            errors.add(
                "max_entry_bytes",
                format!("must be from 1 to 256MiB and at most max_bytes ({max_bytes}), got {max_entry} bytes"),
            );
        }
        let by_default = u32::try_from(max_bytes / BYTES_PER_ENTRY).unwrap_or(MOST_ENTRIES);
        let max_entries = raw
            .max_entries
            .unwrap_or(by_default.clamp(64, MOST_ENTRIES));
        if max_entries == 0 || max_entries > MOST_ENTRIES {
            errors.add(
                "max_entries",
                format!("must be from 1 to {MOST_ENTRIES}, got {max_entries}"),
            );
        }
        let worker = raw.worker_memory.map_or(WORKER_MEMORY, |bytes| bytes.0);
        if worker > 512 * MIB {
            errors.add(
                "worker_memory",
                format!("must be at most 512MiB, got {worker} bytes"),
            );
        }
        let layout = Layout {
            buckets: buckets_for(max_entries),
            most_bytes: max_bytes,
            worker_bytes: usize::try_from(worker).unwrap_or(0),
            admission: raw.admission.unwrap_or(true),
        };
        let heuristic = raw.heuristic.unwrap_or_default();
        let fraction = heuristic.fraction.unwrap_or(0.1);
        if !(fraction > 0.0 && fraction <= 1.0) {
            errors.add(
                "heuristic.fraction",
                format!("must be above 0 and at most 1, got {fraction}"),
            );
        }
        let coalesce = raw.coalesce.unwrap_or_default();
        let coalesce = Coalesce {
            enabled: coalesce.enabled.unwrap_or(true),
            wait: coalesce.wait.unwrap_or(WAIT),
            lease: coalesce.lease.unwrap_or(LEASE),
            uncacheable_for: coalesce.uncacheable_for.unwrap_or(UNCACHEABLE_FOR),
            conditional: coalesce.conditional.unwrap_or(true),
        };
        if coalesce.lease < Span::from_secs(1) || coalesce.lease > Span::from_secs(3600) {
            errors.add(
                "coalesce.lease",
                format!("must be from 1s to 1h, got {}", coalesce.lease),
            );
        }
        let status = raw.cache_status.unwrap_or_default();
        let name = status.name.unwrap_or_else(|| "seawall".to_owned());
        if !is_token(&name) {
            errors.add(
                "cache_status.name",
                format!("must be a token (a letter, then letters, digits, - . _), got {name:?}"),
            );
        }
        Settings {
            enabled: raw.enabled.unwrap_or(true),
            per_route: raw.per_route.unwrap_or(true),
            layout,
            max_entry_bytes: usize::try_from(max_entry).unwrap_or(usize::MAX),
            freshness: Policy {
                forced: raw.forced_ttl,
                default: raw.default_ttl,
                heuristic: heuristic
                    .enabled
                    .unwrap_or(false)
                    .then(|| (fraction, heuristic.max.unwrap_or(Span::from_secs(86_400)))),
            },
            by_status: by_status(raw.ttl_by_status, raw.negative_ttl, errors),
            stale: StalePolicy {
                while_revalidate: raw.stale_while_revalidate.unwrap_or_default(),
                if_error: raw.stale_if_error.unwrap_or_default(),
            },
            target_fields: names(
                raw.target_fields
                    .unwrap_or_else(|| vec!["cdn-cache-control".to_owned()]),
                "target_fields",
                errors,
            ),
            ignore_client_directives: raw.ignore_client_directives.unwrap_or(false),
            cookies: match raw.set_cookie {
                None | Some(RawCookies::Refuse) => Cookies::Refuse,
                Some(RawCookies::Strip) => Cookies::Strip,
                Some(RawCookies::Store) => Cookies::Store,
            },
            refresh: refresh(raw.refresh.unwrap_or_default(), errors),
            coalesce,
            key: recipe(raw.key.unwrap_or_default(), errors),
            bypass: rules(raw.bypass, "bypass", errors),
            no_store: rules(raw.no_store, "no_store", errors),
            cache_status: status.enabled.unwrap_or(true).then_some(name),
            access_log: raw.access_log.unwrap_or(false),
            purge: raw.purge.and_then(|raw| purge(raw, errors)),
        }
    }
}

//! The serde mirror of the configuration. Every field is optional; defaults are in [`super::settings`].

use seawall_core::time::Span;
use serde::de::{Deserializer, Error, Unexpected, Visitor};
use serde::Deserialize;
use std::collections::BTreeMap;
use std::fmt;

/// A number of bytes: `65536`, `"64KiB"`, `"16MiB"`, `"1GiB"`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bytes(pub u64);

impl<'de> Deserialize<'de> for Bytes {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(BytesVisitor)
    }
}

struct BytesVisitor;

impl Visitor<'_> for BytesVisitor {
    type Value = Bytes;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a number of bytes such as 65536, \"64KiB\", \"16MiB\" or \"1GiB\"")
    }

    fn visit_u64<E: Error>(self, number: u64) -> Result<Bytes, E> {
        Ok(Bytes(number))
    }

    fn visit_i64<E: Error>(self, number: i64) -> Result<Bytes, E> {
        u64::try_from(number)
            .map(Bytes)
            .map_err(|_| E::invalid_value(Unexpected::Signed(number), &self))
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Bytes, E> {
        let digits = text.bytes().take_while(u8::is_ascii_digit).count();
        let parsed = text.split_at_checked(digits).and_then(|(number, unit)| {
            let factor = match unit {
                "" | "B" => 1,
                "KiB" => 1 << 10,
                "MiB" => 1 << 20,
                "GiB" => 1 << 30,
                _ => return None,
            };
            number.parse::<u64>().ok()?.checked_mul(factor)
        });
        parsed
            .map(Bytes)
            .ok_or_else(|| E::invalid_value(Unexpected::Str(text), &self))
    }
}

/// The configuration.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default, expecting = "an object of settings")]
pub struct Raw {
    pub enabled: Option<bool>,
    pub per_route: Option<bool>,
    pub max_bytes: Option<Bytes>,
    pub max_entries: Option<u32>,
    pub max_entry_bytes: Option<Bytes>,
    pub worker_memory: Option<Bytes>,
    pub admission: Option<bool>,
    pub default_ttl: Option<Span>,
    pub forced_ttl: Option<Span>,
    pub negative_ttl: Option<Span>,
    pub ttl_by_status: Option<BTreeMap<String, Span>>,
    pub heuristic: Option<RawHeuristic>,
    pub stale_while_revalidate: Option<Span>,
    pub stale_if_error: Option<Span>,
    pub target_fields: Option<Vec<String>>,
    pub ignore_client_directives: Option<bool>,
    pub set_cookie: Option<RawCookies>,
    pub refresh: Option<RawRefresh>,
    pub coalesce: Option<RawCoalesce>,
    pub key: Option<RawKey>,
    pub bypass: Option<Vec<RawRule>>,
    pub no_store: Option<Vec<RawRule>>,
    pub cache_status: Option<RawCacheStatus>,
    pub access_log: Option<bool>,
    pub purge: Option<RawPurge>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default, expecting = "an object of settings")]
pub struct RawHeuristic {
    pub enabled: Option<bool>,
    pub fraction: Option<f64>,
    pub max: Option<Span>,
}

#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RawCookies {
    Refuse,
    Strip,
    Store,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default, expecting = "an object of settings")]
pub struct RawRefresh {
    pub algorithm: Option<RawAlgorithm>,
    pub beta: Option<f64>,
    pub window: Option<Span>,
    pub probability: Option<f64>,
    pub background: Option<RawBackground>,
}

#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RawAlgorithm {
    Off,
    Xfetch,
    Window,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default, expecting = "an object of settings")]
pub struct RawBackground {
    pub enabled: Option<bool>,
    pub cluster: Option<String>,
    pub timeout: Option<Span>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default, expecting = "an object of settings")]
pub struct RawCoalesce {
    pub enabled: Option<bool>,
    pub wait: Option<Span>,
    pub lease: Option<Span>,
    pub uncacheable_for: Option<Span>,
    pub conditional: Option<bool>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default, expecting = "an object of settings")]
pub struct RawKey {
    pub scheme: Option<bool>,
    pub host: Option<bool>,
    pub query: Option<RawQuery>,
    pub include: Option<Vec<String>>,
    pub exclude: Option<Vec<String>>,
    pub headers: Option<Vec<String>>,
    pub cookies: Option<Vec<String>>,
    pub method: Option<bool>,
    pub tenant: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RawQuery {
    All,
    Sorted,
    None,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default, expecting = "an object of settings")]
pub struct RawRule {
    pub header: Option<String>,
    pub cookie: Option<String>,
    pub value: Option<String>,
    pub path: Option<String>,
    pub path_prefix: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default, expecting = "an object of settings")]
pub struct RawCacheStatus {
    pub enabled: Option<bool>,
    pub name: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default, expecting = "an object of settings")]
pub struct RawPurge {
    pub method: Option<String>,
    pub cidrs: Option<Vec<String>>,
    pub secret_header: Option<String>,
    pub secret: Option<String>,
}

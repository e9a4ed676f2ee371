//! For each filter: configurations that switch on what there is, and one that is refused.

use super::FILTERS;
use std::sync::LazyLock;

/// A filter and a configuration of it.
#[derive(Debug, Clone, Copy)]
pub struct Configured {
    /// Its name.
    pub filter: &'static str,
    /// What the configuration is there for.
    pub about: &'static str,
    /// JSON.
    pub json: &'static str,
}

const fn of(filter: &'static str, about: &'static str, json: &'static str) -> Configured {
    Configured {
        filter,
        about,
        json,
    }
}

/// Every configuration that is tried.
pub static ALL: LazyLock<Vec<Configured>> = LazyLock::new(|| {
    let mut all = OF_ONE.to_vec();
    all.extend(of_all_four());
    all
});

/// The four filters as one, with configurations of each.
fn of_all_four() -> impl Iterator<Item = Configured> {
    [
        (
            "all, and enough for everybody",
            [
                "the defaults",
                "enough for everybody",
                "everything",
                "another route",
            ],
        ),
        (
            "all, with everything",
            [
                "everything",
                "places and charges by response, refusing on errors",
                "everything",
                "windows, a ramp and fallbacks by kind",
            ],
        ),
        (
            "all, with limits that a service keeps",
            [
                "one id, nobody trusted",
                "limits that a service keeps",
                "everything",
                "a brown-out",
            ],
        ),
    ]
    .into_iter()
    .map(|(about, parts)| {
        let blocks = FILTERS.iter().zip(parts).map(|(filter, part)| {
            let found = OF_ONE
                .iter()
                .find(|one| one.filter == *filter && one.about == part);
            let json = found
                .unwrap_or_else(|| panic!("no {part} of {filter}"))
                .json;
            format!("\"{}\": {json}", filter.replace('-', "_"))
        });
        let blocks: Vec<String> = blocks.collect();
        // For as long as the tests run.
        of(
            "seawall",
            about,
            format!("{{{}}}", blocks.join(", ")).leak(),
        )
    })
}

const OF_ONE: &[Configured] = &[
    of(
        "rate-limit",
        "enough for everybody",
        r#"{"limits": [{"name": "tenant", "key": [{"header": "x-tenant-id"}], "requests": 1000, "per": "1h"}]}"#,
    ),
    of(
        "rate-limit",
        "keys of every kind",
        r#"{"jwt_payload": "jwt_payload", "access_log": true, "headers": "both", "max_keys": 64, "limits": [
            {"name": "client", "key": ["client_address", "method", "host", "route", "cluster", "path"], "requests": 3, "per": "1h",
             "cost": {"header": "x-cost", "default": 1, "max": 5}},
            {"name": "parts", "key": [{"header": "x-tenant-id"}, {"cookie": "sid"}, {"query": "id"}, {"path_prefix": 2},
             {"path_segment": 1}, {"jwt_claim": "sub"}, {"constant": "c"}], "algorithm": "sliding_window", "requests": 4, "per": "1m",
             "overrides": [{"match": {"header": {"x-tier": "gold"}}, "requests": 10000},
                           {"match": {"cidr": "10.0.0.0/8"}, "unlimited": true}]},
            {"name": "window", "key": [{"header": "x-tenant-id"}], "algorithm": "fixed_window", "requests": 4, "per": "1m",
             "penalty": {"refusals": 2, "within": "1m", "block_for": "5m"}, "count_refused": true}],
          "exempt": {"path": "/health", "cidr": "198.51.100.0/24"},
          "answer": {"status": 429, "problem_json": true, "retry_after_jitter": "2s"}}"#,
    ),
    of(
        "rate-limit",
        "places and charges by response, refusing on errors",
        r#"{"on_error": "deny", "client_address": {"trusted_hops": 1}, "limits": [
            {"name": "places", "key": [{"header": "x-tenant-id"}], "concurrent": 2, "lease": "5s"},
            {"name": "failures", "key": ["client_address"], "requests": 3, "per": "1m", "charge": {"status": ["4xx", "5xx"]}},
            {"name": "tokens", "key": [], "requests": 100, "per": "1m", "charge": {"header": "x-tokens", "reserve": 10}},
            {"name": "shadow", "key": ["path"], "requests": 1, "per": "1h", "shadow": true},
            {"name": "half", "key": ["host"], "requests": 1, "per": "1h", "enforce_percent": 50, "missing": "deny"}]}"#,
    ),
    of(
        "rate-limit",
        "limits that a service keeps",
        r#"{"fleet": {"cluster": "ratelimit", "max_waiting": 2}, "access_log": true, "limits": [
            {"name": "tenant", "key": [{"header": "x-tenant-id"}], "scope": "fleet", "requests": 2, "per": "1h",
             "penalty": {"refusals": 2, "within": "1m", "block_for": "5m"}},
            {"name": "quiet", "key": ["client_address"], "scope": "fleet", "requests": 2, "per": "1h", "shadow": true},
            {"name": "places", "key": ["path"], "concurrent": 2}]}"#,
    ),
    of("response-cache", "the defaults", "{}"),
    of(
        "response-cache",
        "everything",
        r#"{"max_bytes": "1MiB", "max_entries": 16, "max_entry_bytes": "64KiB", "worker_memory": "64KiB", "admission": false,
            "default_ttl": "1s", "negative_ttl": "1s", "ttl_by_status": {"404": "1s"}, "stale_while_revalidate": "2s",
            "stale_if_error": "1h", "set_cookie": "strip", "target_fields": ["cdn-cache-control"],
            "heuristic": {"enabled": true}, "refresh": {"algorithm": "window", "window": "1h", "probability": 1.0,
            "background": {"enabled": true}}, "coalesce": {"wait": "1s", "lease": "1s", "uncacheable_for": "1s", "conditional": false},
            "key": {"query": "sorted", "exclude": ["utm_*"], "headers": ["x-variant"], "cookies": ["sid"], "tenant": "x-tenant-id"},
            "bypass": [{"header": "x-bypass"}], "no_store": [{"path_prefix": "/private"}],
            "cache_status": {"name": "edge"}, "access_log": true,
            "purge": {"method": "PURGE", "cidrs": ["192.0.2.0/24"], "secret_header": "x-purge", "secret": "0123456789abcdef"}}"#,
    ),
    of(
        "circuit-breaker",
        "keys, slow calls and a fallback",
        r#"{"failure_threshold": 2, "open_for": "1s", "max_open_for": "4s", "probes": 2, "slow_after": "500ms", "max_keys": 4,
            "key": ["cluster", "route", "host", {"header": "x-tenant-id"}],
            "fallback": {"status": 200, "headers": {"content-type": "application/json"}, "body": "{}"}}"#,
    ),
    of(
        "circuit-breaker",
        "windows, a ramp and fallbacks by kind",
        r#"{"failure_percentage": 50, "slow_percentage": 80, "slow_after": "1s", "minimum_calls": 2, "window": "10s", "open_for": "1s",
            "ramp": "2s", "response_header": "full", "access_log": true, "failures": {"statuses": ["5xx"], "grpc_statuses": [14]},
            "fallback": {"by_type": [{"type": "text/html", "status": 503, "body": "<p>"}], "on_failure": true,
                         "route": {"header": "x-fallback", "value": "1"}}}"#,
    ),
    of(
        "circuit-breaker",
        "a brown-out",
        r#"{"adaptive": {"k": 1.5}, "minimum_calls": 1}"#,
    ),
    of(
        "circuit-breaker",
        "the textbook's",
        r#"{"failure_threshold": 2, "timeout": "1s"}"#,
    ),
    of(
        "circuit-breaker",
        "another route",
        r#"{"failure_threshold": 2, "open_for": "1s", "fallback": {"route": {"header": "x-fallback", "value": "1"}}}"#,
    ),
    of("trace-headers", "the defaults", "{}"),
    of(
        "trace-headers",
        "everything",
        r#"{"read": ["w3c", "b3", "b3multi", "jaeger", "aws", "datadog"],
            "write": ["w3c", "b3", "b3multi", "aws", "datadog"], "clear": ["jaeger"],
            "request_id": {"format": "uuidv4"}, "trust": {"mode": "cidr", "cidrs": ["192.0.2.0/24"]},
            "sampling": {"mode": "ratio", "ratio": 0.5}, "response": {"server_timing": "trace", "traceresponse": true},
            "log": {"tenant_id": {"header": "x-tenant-id"}, "user_id": {"claim": ["jwt_payload", "sub"]}},
            "latency": {"routes": ["checkout"], "upstreams": ["orders"]},
            "spans": {"cluster": "collector", "interval": "1s", "max_spans": 4, "errors": true}}"#,
    ),
    of(
        "trace-headers",
        "one id, nobody trusted",
        r#"{"one_id": true, "trust": {"mode": "never"}, "response": {"server_timing": "traceparent"},
            "sampling": {"mode": "always"}, "baggage": {"propagate": false}, "log": {"user_id": {"cookie": "sid"}}}"#,
    ),
];

/// Those of one filter.
pub fn of_filter(filter: &str) -> impl Iterator<Item = &'static Configured> + '_ {
    ALL.iter()
        .filter(move |configured| configured.filter == filter)
}

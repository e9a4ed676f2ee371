//! What the page shows at one moment.

use crate::demo::Stage;
use serde_json::{json, Map, Value};

/// As much of the end of the log is looked at.
const TAIL: u64 = 64 * 1024;
/// So many traces are shown.
const TRACES: usize = 12;

/// Reads Envoy's statistics and the end of its log.
pub(super) async fn snapshot(stage: &Stage) -> Value {
    let text = stage.envoy.admin("/stats?format=json&filter=seawall").await;
    let stats: Value = serde_json::from_str(&text).unwrap_or_default();
    let stats = stats["stats"].as_array().cloned().unwrap_or_default();
    let count = |name: &str| {
        let name = format!("wasmcustom.seawall.{name}");
        let found = stats.iter().find(|stat| stat["name"] == name.as_str());
        found
            .and_then(|stat| stat["value"].as_u64())
            .unwrap_or_default()
    };
    json!({
        "limits": limits(&stats),
        "cache": {
            "hits": count("response_cache.hits"),
            "misses": count("response_cache.misses"),
            "refreshes": count("response_cache.refreshes"),
            "coalesced": count("response_cache.coalesced"),
            "stored": count("response_cache.stored"),
            "origin": stage.orders.hits(),
        },
        "breaker": {
            "open": count("circuit_breaker.open"),
            "half_open": count("circuit_breaker.half_open"),
            "refused": count("circuit_breaker.refused"),
            "failures": count("circuit_breaker.failures"),
            "dependency": stage.payments.hits(),
        },
        "latency": latency(&stats),
        "traces": traces(&stage.envoy.log_end(TAIL)),
    })
}

/// Admitted and refused, by limit.
fn limits(stats: &[Value]) -> Value {
    let mut limits = Map::new();
    for stat in stats {
        let name = stat["name"].as_str().unwrap_or_default();
        let Some(rest) = name.strip_prefix("wasmcustom.seawall.rate_limit.limit.") else {
            continue;
        };
        let Some((limit, what)) = rest.rsplit_once('.') else {
            continue;
        };
        if ["allowed", "refused", "shadow_refused"].contains(&what) {
            let limit = limits.entry(limit).or_insert_with(|| json!({}));
            limit[what] = stat["value"].clone();
        }
    }
    Value::Object(limits)
}

/// Percentiles of the last interval in which there was something to measure, by route, in milliseconds.
fn latency(stats: &[Value]) -> Value {
    let mut routes = Map::new();
    let histograms = stats.iter().find_map(|stat| stat.get("histograms"));
    let quantiles = histograms.map(|all| &all["supported_quantiles"]);
    let at = |wanted: f64| {
        let quantiles = quantiles?.as_array()?;
        quantiles
            .iter()
            .position(|quantile| quantile.as_f64() == Some(wanted))
    };
    let computed = histograms.and_then(|all| all["computed_quantiles"].as_array());
    for histogram in computed.into_iter().flatten() {
        let name = histogram["name"].as_str().unwrap_or_default();
        let route = name
            .strip_prefix("wasmcustom.seawall.trace_headers.route.")
            .and_then(|rest| rest.strip_suffix(".duration_ms"));
        let Some(route) = route else {
            continue;
        };
        let value = |quantile: f64| {
            let values = &histogram["values"][at(quantile)?];
            values["interval"]
                .as_f64()
                .or(values["cumulative"].as_f64())
        };
        if let (Some(half), Some(most)) = (value(50.0), value(99.0)) {
            routes.insert(route.to_owned(), json!({"p50": half, "p99": most}));
        }
    }
    Value::Object(routes)
}

/// The last lines of the access log, newest first.
fn traces(log: &str) -> Vec<Value> {
    let lines = log.lines().rev().filter(|line| line.starts_with('{'));
    lines
        .filter_map(|line| serde_json::from_str(line).ok())
        .take(TRACES)
        .collect()
}

//! The paths that a request can take through each filter. "Lean" is without settings per route, and without fields on responses.

use seawall_vm_host::ordinary::Exchange;
use serde_json::{json, Value};

/// A way through a filter.
pub struct Path {
    pub filter: &'static str,
    pub what: &'static str,
    pub configuration: Value,
    /// The n-th request; the last one is measured.
    pub exchange: fn(u32) -> Exchange,
    /// The status that the filter answers with itself.
    pub reply: Option<u32>,
}

fn path(
    filter: &'static str,
    what: &'static str,
    configuration: &Value,
    exchange: fn(u32) -> Exchange,
    reply: Option<u32>,
) -> Path {
    Path {
        filter,
        what,
        configuration: configuration.clone(),
        exchange,
        reply,
    }
}

fn ordinary(_: u32) -> Exchange {
    Exchange::default()
}

fn storable(_: u32) -> Exchange {
    Exchange::default().answers("cache-control", "max-age=60")
}

fn elsewhere(number: u32) -> Exchange {
    storable(number).asks(":path", &format!("/orders/{number}"))
}

fn large(number: u32) -> Exchange {
    elsewhere(number).of_size(64 * 1024)
}

fn tagged(number: u32) -> Exchange {
    storable(number)
        .answers("etag", "\"1\"")
        .asks("if-none-match", "\"1\"")
}

/// The first one gets a page, all others learn that it is the same.
fn revalidated(number: u32) -> Exchange {
    let exchange = Exchange::default()
        .answers("cache-control", "no-cache")
        .answers("etag", "\"1\"");
    match number {
        0 => exchange,
        _ => exchange.answers(":status", "304").without_body(),
    }
}

fn posted(number: u32) -> Exchange {
    ordinary(number).asks(":method", "POST")
}

fn failing(number: u32) -> Exchange {
    ordinary(number).answers(":status", "500")
}

fn traced(number: u32) -> Exchange {
    let parent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    ordinary(number)
        .asks("traceparent", parent)
        .asks("tracestate", "vendor=1")
        .asks("x-request-id", "0af76519-16cd-43dd-8448-eb211c80319c")
}

fn limit(requests: u32, per: &str) -> Value {
    let limit =
        json!({"name": "client", "key": ["client_address"], "requests": requests, "per": per});
    json!({"limits": [limit]})
}

fn rate_limit() -> Vec<Path> {
    let filter = "rate-limit";
    let admits = limit(1_000_000, "1s");
    let refuses = limit(1, "1d");
    let mut lean = admits.clone();
    lean["per_route"] = json!(false);
    lean["headers"] = json!("none");
    let two = json!({"limits": [
        {"name": "second", "key": ["client_address"], "requests": 1_000_000, "per": "1s"},
        {"name": "day", "key": [{"header": "x-tenant-id"}], "requests": 1_000_000, "per": "1d"},
    ]});
    vec![
        path(filter, "admitted", &admits, ordinary, None),
        path(filter, "admitted, lean", &lean, ordinary, None),
        path(filter, "admitted by two limits", &two, ordinary, None),
        path(filter, "refused", &refuses, ordinary, Some(429)),
    ]
}

fn response_cache() -> Vec<Path> {
    let filter = "response-cache";
    let plain = json!({});
    vec![
        path(filter, "hit", &plain, storable, Some(200)),
        path(filter, "hit, not modified", &plain, tagged, Some(304)),
        path(filter, "miss, stored", &plain, elsewhere, None),
        path(filter, "miss of 64 KiB, stored", &plain, large, None),
        path(filter, "revalidated", &plain, revalidated, Some(200)),
        path(filter, "not storable", &plain, ordinary, None),
        path(filter, "another method", &plain, posted, None),
    ]
}

fn circuit_breaker() -> Vec<Path> {
    let filter = "circuit-breaker";
    let plain = json!({});
    let patient = json!({"failure_threshold": 1_000});
    let lean = json!({"per_route": false});
    vec![
        path(filter, "closed", &plain, ordinary, None),
        path(filter, "closed, lean", &lean, ordinary, None),
        path(filter, "closed, a failure", &patient, failing, None),
        path(filter, "refused", &plain, failing, Some(503)),
    ]
}

fn trace_headers() -> Vec<Path> {
    let filter = "trace-headers";
    let plain = json!({});
    let lean = json!({"per_route": false});
    let logged = json!({"log": {"properties": true, "tenant_id": {"header": "x-tenant-id"}}});
    let spans = json!({"spans": {"cluster": "collector"}});
    vec![
        path(filter, "new trace", &plain, ordinary, None),
        path(filter, "new trace, lean", &lean, ordinary, None),
        path(filter, "trace goes on", &plain, traced, None),
        path(filter, "trace goes on, logged", &logged, traced, None),
        path(filter, "trace goes on, with a span", &spans, traced, None),
    ]
}

fn seawall() -> Vec<Path> {
    let filter = "seawall";
    let all = |limit| json!({"trace_headers": {}, "rate_limit": limit, "response_cache": {}, "circuit_breaker": {}});
    let admits = all(limit(1_000_000, "1s"));
    let refuses = all(limit(1, "1d"));
    vec![
        path(filter, "forwarded", &admits, ordinary, None),
        path(filter, "miss, stored", &admits, elsewhere, None),
        path(filter, "hit", &admits, storable, Some(200)),
        path(
            filter,
            "refused by the limit",
            &refuses,
            ordinary,
            Some(429),
        ),
        path(
            filter,
            "refused by the breaker",
            &admits,
            failing,
            Some(503),
        ),
    ]
}

/// All of them.
pub fn paths() -> Vec<Path> {
    let filters = [
        rate_limit(),
        response_cache(),
        circuit_breaker(),
        trace_headers(),
        seawall(),
    ];
    filters.into_iter().flatten().collect()
}

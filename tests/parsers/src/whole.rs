//! Whole filters on the fake host, for the parsers that nobody outside sees: keys, cookies, claims, conditions, purges, tags.

use crate::input::fields;
use seawall_core::plugin::Plugin;
use seawall_core::testing::{Ended, Vm, World};
use serde_json::{json, Value};

type Fields = Vec<(String, Vec<u8>)>;

fn rate_limit() -> Value {
    json!({"headers": "both", "limits": [
        {"name": "client", "key": ["client_address", "host", "path", {"header": "x-tenant-id"}, {"cookie": "sid"},
         {"query": "id"}, {"path_segment": 1}, {"path_prefix": 2}], "requests": 5, "per": "1h",
         "cost": {"header": "x-cost", "default": 1, "max": 5}},
        {"name": "tokens", "requests": 100, "per": "1m", "charge": {"header": "x-tokens", "reserve": 1}},
    ]})
}

fn response_cache() -> Value {
    json!({"target_fields": ["cdn-cache-control"], "set_cookie": "strip", "default_ttl": "1m", "admission": false,
        "stale_if_error": "1h", "key": {"query": "sorted", "exclude": ["utm_*"], "cookies": ["sid"]},
        "purge": {"method": "PURGE", "secret_header": "x-purge", "secret": "0123456789abcdef"}})
}

fn trace_headers() -> Value {
    json!({"read": ["w3c", "b3", "b3multi", "jaeger", "aws", "datadog"], "write": ["w3c", "b3", "aws", "datadog"],
        "log": {"tenant_id": {"header": "x-tenant-id"}, "user_id": {"cookie": "sid"}},
        "response": {"server_timing": "trace"}})
}

fn complete(mut given: Fields) -> Fields {
    for (name, value) in [(":method", "GET"), (":path", "/"), (":authority", "a")] {
        if !given.iter().any(|(field, _)| field == name) {
            given.push((name.to_owned(), value.as_bytes().to_vec()));
        }
    }
    given
}

/// Pairs of field names in no particular order, for what must go on untouched.
fn untouched(fields: &Fields) -> Vec<&(String, Vec<u8>)> {
    let foreign = fields
        .iter()
        .filter(|(name, _)| name.starts_with("x-foreign"));
    foreign.collect()
}

fn run<P: Plugin>(configuration: &Value, request: &Fields, response: &Fields) {
    let mut vm = Vm::<P>::start(&World::new(), 1, configuration);
    for _ in 0..2 {
        let properties: [(&str, &[u8]); 2] = [
            ("source.address", b"192.0.2.7:4711"),
            ("xds.cluster_name", b"c"),
        ];
        let mut exchange = vm.open(&properties);
        match vm.request_bytes(&mut exchange, request.clone(), true) {
            Ended::Forwarded(forwarded) => {
                assert_eq!(untouched(&forwarded), untouched(request));
                vm.response_bytes(&mut exchange, response.clone(), true);
            }
            Ended::Replied(reply) => assert!((200..600).contains(&reply.status)),
            Ended::Paused => {}
        }
        vm.finish(exchange);
    }
}

fn all(request: &Fields, response: &Fields) {
    run::<seawall_rate_limit::RateLimit>(&rate_limit(), request, response);
    run::<seawall_response_cache::ResponseCache>(&response_cache(), request, response);
    run::<seawall_circuit_breaker::CircuitBreaker>(&json!({}), request, response);
    run::<seawall_trace_headers::TraceHeaders>(&trace_headers(), request, response);
}

fn ordinary() -> Fields {
    [
        (":status", "200"),
        ("cache-control", "max-age=60"),
        ("etag", "\"v\""),
    ]
    .map(|(name, value)| (name.to_owned(), value.as_bytes().to_vec()))
    .to_vec()
}

/// Any request, twice, through each filter: it passes with what is not ours untouched, or is answered.
pub fn requests(bytes: &[u8]) {
    all(&complete(fields(bytes)), &ordinary());
}

/// Any response to an ordinary request, through each filter.
pub fn responses(bytes: &[u8]) {
    let mut response = fields(bytes);
    if !response.iter().any(|(name, _)| name == ":status") {
        response.push((":status".to_owned(), b"200".to_vec()));
    }
    all(&complete(Vec::new()), &response);
}

//! Whole filters, for the parsers that nobody outside sees: keys, cookies, claims, conditions, purges, tags, statuses.

use crate::drive::{complete, exchange, for_each_filter, own, properties, Fields, Script};
use crate::input::fields;
use seawall_core::plugin::Plugin;
use seawall_core::testing::{Vm, World};
use serde_json::{json, Value};

fn twice<P: Plugin>(settings: &Value, script: &Script) {
    let mut vm = Vm::<P>::start(&World::new(), 1, settings);
    for _ in 0..2 {
        exchange(&mut vm, script);
    }
}

/// A breaker that refuses, for the media types that its fallback chooses by.
fn refused(script: &Script) {
    let settings = json!({"mode": "forced_open", "fallback": {"by_type": [
        {"type": "application/json", "body": "{}"}, {"type": "text/html", "body": "<p>"}], "body": "later"}});
    twice::<seawall_circuit_breaker::CircuitBreaker>(&settings, script);
}

fn ordinary() -> Fields {
    own(&[
        (":status", "200"),
        ("cache-control", "max-age=60"),
        ("etag", "\"v\""),
    ])
}

/// Any request, twice, through each filter: it passes with what is not ours untouched, or is answered.
pub fn requests(bytes: &[u8]) {
    let script = Script {
        properties: properties(),
        request: complete(fields(bytes)),
        response: ordinary(),
        ..Script::default()
    };
    for_each_filter!(twice, &script);
    refused(&script);
}

/// Any response to an ordinary request, through each filter; fields that begin with `trailer-` are its trailers.
pub fn responses(bytes: &[u8]) {
    let (trailers, mut response): (Fields, Fields) = fields(bytes)
        .into_iter()
        .partition(|(name, _)| name.starts_with("trailer-"));
    if !response.iter().any(|(name, _)| name == ":status") {
        response.push((":status".to_owned(), b"200".to_vec()));
    }
    let named = |(name, value): (String, Vec<u8>)| (name["trailer-".len()..].to_owned(), value);
    let script = Script {
        properties: properties(),
        request: complete(Vec::new()),
        response,
        trailers: trailers.into_iter().map(named).collect(),
        ..Script::default()
    };
    for_each_filter!(twice, &script);
}

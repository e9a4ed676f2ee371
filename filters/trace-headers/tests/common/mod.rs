//! A worker with the filter in it, and what tests ask of the headers that come out.
#![allow(dead_code, reason = "each test file uses a part of it")]

use seawall_core::testing::{Ended, Vm, World};
use seawall_trace_headers::w3c::traceparent::{parse, Traceparent};
use seawall_trace_headers::TraceHeaders;
use serde_json::Value;

pub const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";
pub const PARENT: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
pub const FORMATS: [&str; 6] = ["w3c", "b3", "b3multi", "jaeger", "aws", "datadog"];
pub const REQUEST: [(&str, &str); 4] = [
    (":method", "GET"),
    (":path", "/orders/1"),
    (":authority", "shop"),
    ("accept", "*/*"),
];

/// That request with more fields.
pub fn with<'a>(more: &[(&'a str, &'a str)]) -> Vec<(&'a str, &'a str)> {
    REQUEST.iter().chain(more).copied().collect()
}

pub type Pairs = Vec<(String, Vec<u8>)>;

pub fn start(configuration: Value) -> Vm<TraceHeaders> {
    Vm::start(&World::new(), 1, &configuration)
}

/// What the next hop gets.
pub fn forward(vm: &mut Vm<TraceHeaders>, headers: &[(&str, &str)]) -> Pairs {
    forward_with(vm, headers, &[])
}

pub fn forward_with(
    vm: &mut Vm<TraceHeaders>,
    headers: &[(&str, &str)],
    properties: &[(&str, &[u8])],
) -> Pairs {
    let mut exchange = vm.open(properties);
    let ended = vm.request(&mut exchange, headers);
    vm.finish(exchange);
    match ended {
        Ended::Forwarded(pairs) => pairs,
        other => panic!("not forwarded: {other:?}"),
    }
}

pub fn all<'a>(pairs: &'a Pairs, name: &str) -> Vec<&'a str> {
    pairs
        .iter()
        .filter(|(field, _)| field == name)
        .map(|(_, value)| std::str::from_utf8(value).unwrap())
        .collect()
}

/// The only value of a field.
pub fn one<'a>(pairs: &'a Pairs, name: &str) -> &'a str {
    let found = all(pairs, name);
    assert_eq!(found.len(), 1, "{name}: {found:?}");
    found[0]
}

pub fn position(pairs: &Pairs) -> Traceparent {
    parse(one(pairs, "traceparent").as_bytes()).expect("a valid traceparent")
}

pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

//! What a request costs in host calls and copied bytes: the same on every machine, so a change shows.
#![cfg(not(target_arch = "wasm32"))]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    dead_code,
    reason = "test code"
)]

mod common;

use common::filter::{ask_with, begin, rig, Rig};
use seawall_core::plugin::Plugin;
use seawall_core::testing::Ended;
use serde_json::{json, Value};
use std::collections::BTreeMap;

const HEADERS: &[(&str, &str)] = &[
    ("x-tenant-id", "acme"),
    (":path", "/"),
    (":method", "GET"),
    ("content-type", "text/plain"),
];

/// The calls of one request after some others.
fn calls(rig: &mut Rig, warm_up: usize) -> BTreeMap<&'static str, u64> {
    let properties: &[(&str, &[u8])] = &[("source.address", b"10.0.0.1:1")];
    for _ in 0..warm_up {
        ask_with(rig, properties, HEADERS);
    }
    rig.host.forget_calls();
    ask_with(rig, properties, HEADERS);
    let mut calls = rig.host.calls();
    calls.remove("log");
    calls
}

fn one(key: Value) -> Value {
    json!({"limits": [{"name": "a", "key": key, "requests": 3, "per": "1d"}]})
}

fn expect(rig: &mut Rig, warm_up: usize, wanted: &[(&'static str, u64)]) {
    assert_eq!(calls(rig, warm_up), wanted.iter().copied().collect());
}

#[test]
fn one_limit_by_header() {
    let mut rig = rig(one(json!([{"header": "x-tenant-id"}])));
    expect(
        &mut rig,
        1,
        &[
            ("property", 2), // the route's and the virtual host's settings
            ("header", 1),
            ("now", 1),
            ("shared_get", 1),
            ("shared_set", 1),
            ("metric_add", 1),
            ("add_header", 2),
        ],
    );
}

#[test]
fn one_limit_by_client_address_without_route_settings() {
    let mut configuration = one(json!(["client_address"]));
    configuration["per_route"] = json!(false);
    configuration["headers"] = json!("none");
    let mut rig = rig(configuration);
    expect(
        &mut rig,
        1,
        &[
            ("property", 1),
            ("now", 1),
            ("shared_get", 1),
            ("shared_set", 1),
            ("metric_add", 1),
        ],
    );
}

#[test]
fn a_refused_request_writes_nothing() {
    let mut rig = rig(one(json!([{"header": "x-tenant-id"}])));
    expect(
        &mut rig,
        3,
        &[
            ("property", 2),
            ("header", 3), // the key, and what the client speaks
            ("now", 1),
            ("shared_get", 1),
            ("metric_add", 1),
            ("reply", 1),
        ],
    );
}

#[test]
fn limits_on_the_same_key_cost_one_read_and_one_write_together() {
    let mut rig = rig(json!({"limits": [
        {"name": "second", "key": [{"header": "x-tenant-id"}], "requests": 10, "per": "1s"},
        {"name": "day", "key": [{"header": "x-tenant-id"}], "requests": 100, "per": "1d"},
    ]}));
    let calls = calls(&mut rig, 1);
    assert_eq!((calls["shared_get"], calls["shared_set"]), (1, 1));
}

#[test]
fn limits_on_two_keys_cost_three_reads_and_three_writes() {
    let mut rig = rig(json!({"limits": [
        {"name": "tenant", "key": [{"header": "x-tenant-id"}], "requests": 10, "per": "1s"},
        {"name": "all", "requests": 100, "per": "1d"},
    ]}));
    let calls = calls(&mut rig, 1);
    assert_eq!((calls["shared_get"], calls["shared_set"]), (3, 3));
}

#[test]
fn many_headers_are_read_at_once() {
    let mut rig = rig(one(json!([{"header": "x-tenant-id"}, "path", "method"])));
    let calls = calls(&mut rig, 1);
    assert_eq!(
        (calls.get("headers"), calls.get("header")),
        (Some(&1), None)
    );
}

#[test]
fn what_is_switched_off_costs_nothing_more() {
    let mut configuration = one(json!([{"header": "x-tenant-id"}]));
    configuration["enabled"] = json!(false);
    let mut rig = rig(configuration);
    expect(&mut rig, 1, &[("property", 2)]);
}

#[test]
fn a_limit_that_a_service_keeps() {
    let mut rig = rig(json!({"fleet": {"cluster": "c"}, "limits": [
        {"name": "a", "key": [{"header": "x-tenant-id"}], "scope": "fleet", "requests": 3, "per": "1d"}
    ]}));
    // The table's size is noted once.
    let (first, _) = begin(&mut rig, &[], &[]);
    rig.finish(first);
    rig.host.take_callouts();
    rig.host.forget_calls();
    let calls = |rig: &Rig| {
        let calls = rig.host.calls();
        rig.host.forget_calls();
        calls
    };
    let (exchange, ended) = begin(&mut rig, &[], HEADERS);
    assert_eq!(ended, Ended::Paused);
    let asked = [
        ("property", 2),
        ("header", 1),
        ("now", 1),
        ("shared_get", 1), // what is remembered of its last answers
        ("metric_add", 1),
        ("grpc_call", 1),
    ];
    assert_eq!(calls(&rig), asked.into());
    let token = rig.host.take_callouts()[0].token;
    rig.host.open(0);
    // Over the limit, for 30 seconds.
    let message = b"\x08\x02\x12\x06\x08\x02\x22\x02\x08\x1e";
    rig.host.put_grpc_response(message);
    rig.plugin.grpc_done(&rig.host, token, 0, message.len());
    let answered = [
        ("body", 1),
        ("act_on", 1),
        ("now", 1),
        ("shared_get", 1),
        ("shared_set", 1), // is remembered
        ("header", 2),     // what the client speaks
        ("metric_add", 1),
        ("reply", 1),
    ];
    assert_eq!(calls(&rig), answered.into());
    rig.finish(exchange);
    rig.host.forget_calls();
    let remembered = [
        ("property", 2),
        ("header", 3),
        ("now", 1),
        ("shared_get", 1),
        ("metric_add", 1),
        ("reply", 1),
    ];
    let (_, ended) = begin(&mut rig, &[], HEADERS);
    assert!(matches!(ended, Ended::Replied(_)));
    assert_eq!(calls(&rig), remembered.into());
}

#[test]
fn the_cost_does_not_grow_with_keys() {
    let mut rig = rig(json!({"max_keys": 64, "limits": [
        {"name": "a", "key": [{"header": "k"}], "requests": 1, "per": "1d"}
    ]}));
    let mut most = 0;
    for number in 0..2_000u32 {
        rig.host.forget_calls();
        ask_with(&mut rig, &[], &[("k", &number.to_string())]);
        most = most.max(rig.host.bytes_copied());
    }
    // A full slot is read and written: 2 * (16 * 32 + 8) bytes, and the fields.
    assert!(most < 1_200, "{most}");
}

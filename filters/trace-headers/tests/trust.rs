//! Whose identity is taken over, and what becomes of one that is not.
#![cfg(not(target_arch = "wasm32"))]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "test code"
)]

mod common;

use common::{all, forward, forward_with, hex, one, position, start, with, PARENT, REQUEST, TRACE};
use seawall_core::testing::Ended;
use serde_json::json;

#[test]
fn ids_that_are_not_safe_are_replaced() {
    let long = "a".repeat(129);
    let huge = "a".repeat(65_536);
    for bad in [
        "<script>alert(1)</script>",
        "a\"b",
        "a b",
        "",
        "a,b",
        "a\u{e4}",
        &long,
        &huge,
    ] {
        let mut vm = start(json!({}));
        let out = forward(&mut vm, &with(&[("x-request-id", bad)]));
        assert_eq!(one(&out, "x-request-id").len(), 36);
    }
    let mut vm = start(json!({}));
    let two = with(&[("x-request-id", "a"), ("x-request-id", "b")]);
    assert_eq!(one(&forward(&mut vm, &two), "x-request-id").len(), 36);
    let longest = "a".repeat(128);
    let out = forward(&mut vm, &with(&[("x-request-id", &longest)]));
    assert_eq!(one(&out, "x-request-id"), longest);
}

#[test]
fn an_untrusted_caller_gets_a_new_identity_and_the_log_keeps_the_old() {
    let mut vm = start(json!({"trust": {"mode": "never"}}));
    let headers = with(&[
        ("traceparent", PARENT),
        ("tracestate", "foo=1"),
        ("baggage", "a=1"),
        ("b3", "0"),
        ("x-datadog-trace-id", "1"),
        ("uberctx-user", "x"),
        ("ot-baggage-user", "x"),
        ("jaeger-baggage", "user=x"),
        ("jaeger-debug-id", "x"),
        ("x-request-id", "mine"),
    ]);
    let mut exchange = vm.open(&[]);
    let Ended::Forwarded(out) = vm.request(&mut exchange, &headers) else {
        panic!("not forwarded");
    };
    assert_ne!(hex(position(&out).trace_id.bytes()), TRACE);
    assert_eq!(one(&out, "x-request-id").len(), 36);
    for gone in [
        "tracestate",
        "baggage",
        "b3",
        "x-datadog-trace-id",
        "uberctx-user",
        "ot-baggage-user",
        "jaeger-baggage",
        "jaeger-debug-id",
    ] {
        assert!(all(&out, gone).is_empty(), "{gone}");
    }
    assert_eq!(
        vm.property(&exchange, "seawall.trace_headers.inbound_request_id"),
        Some(b"mine".to_vec())
    );
    assert_eq!(
        vm.property(&exchange, "seawall.trace_headers.inbound_traceparent"),
        Some(PARENT.into())
    );
    vm.finish(exchange);
    vm.tick();
    assert_eq!(
        vm.host
            .world()
            .metric("seawall.trace_headers.traces_untrusted"),
        1
    );
}

#[test]
fn hostile_ids_are_logged_harmless() {
    let mut vm = start(json!({}));
    let mut exchange = vm.open(&[]);
    let mut headers: Vec<(String, Vec<u8>)> = REQUEST
        .iter()
        .map(|(name, value)| ((*name).to_owned(), value.as_bytes().to_vec()))
        .collect();
    let mut hostile = b"<b>\"\r\n\xff{}".to_vec();
    hostile.extend(std::iter::repeat_n(b'x', 65_536));
    headers.push(("x-request-id".to_owned(), hostile));
    vm.request_bytes(&mut exchange, headers, true);
    let logged = vm
        .property(&exchange, "seawall.trace_headers.inbound_request_id")
        .unwrap();
    assert!(logged.starts_with(b"_b_______xx"), "{logged:?}");
    assert_eq!(logged.len(), 128);
}

#[test]
fn trust_by_network_is_about_the_connection() {
    let config = json!({"trust": {"mode": "cidr", "cidrs": ["10.0.0.0/8"]}});
    for (source, trusted) in [
        (Some(&b"10.1.2.3:4711"[..]), true),
        (Some(b"[::ffff:10.1.2.3]:4711"), true),
        (Some(b"11.1.2.3:4711"), false),
        // Taken from a header by Envoy.
        (Some(b"10.1.2.3:0"), false),
        (None, false),
    ] {
        let mut vm = start(config.clone());
        let properties: Vec<_> = source
            .iter()
            .map(|source| ("source.address", *source))
            .collect();
        let out = forward_with(&mut vm, &with(&[("traceparent", PARENT)]), &properties);
        assert_eq!(
            hex(position(&out).trace_id.bytes()) == TRACE,
            trusted,
            "{source:?}"
        );
    }
}

#[test]
fn trust_by_certificate() {
    let any = json!({"trust": {"mode": "mtls"}});
    let named = json!({"trust": {"mode": "mtls", "peers": ["spiffe://shop/web"]}});
    let mtls: (&str, &[u8]) = ("connection.mtls", &[1]);
    let web: (&str, &[u8]) = ("connection.uri_san_peer_certificate", b"spiffe://shop/web");
    let other: (&str, &[u8]) = ("connection.uri_san_peer_certificate", b"spiffe://shop/x");
    for (config, properties, trusted) in [
        (&any, vec![], false),
        (&any, vec![("connection.mtls", &[0][..])], false),
        (&any, vec![mtls], true),
        (&named, vec![mtls], false),
        (&named, vec![mtls, other], false),
        (&named, vec![mtls, web], true),
        (&named, vec![web], false),
    ] {
        let mut vm = start(config.clone());
        let out = forward_with(&mut vm, &with(&[("traceparent", PARENT)]), &properties);
        assert_eq!(
            hex(position(&out).trace_id.bytes()) == TRACE,
            trusted,
            "{properties:?}"
        );
    }
}

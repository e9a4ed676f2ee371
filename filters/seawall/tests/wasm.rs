//! The same on wasm32.
#![cfg(target_arch = "wasm32")]
#![allow(clippy::unwrap_used, clippy::panic, reason = "test code")]

use seawall_core::testing::{Ended, Vm, World};
use seawall_seawall::Seawall;
use serde_json::json;
use wasm_bindgen_test::wasm_bindgen_test;

#[wasm_bindgen_test]
fn a_request_passes_all_filters() {
    let configuration = json!({
        "trace_headers": {},
        "rate_limit": {"limits": [{"name": "a", "key": ["client_address"], "requests": 1, "per": "1h"}]},
        "response_cache": {},
        "circuit_breaker": {},
    });
    let mut vm = Vm::<Seawall>::start(&World::new(), 1, &configuration);
    let properties: &[(&str, &[u8])] = &[
        ("source.address", b"10.0.0.1:4"),
        ("xds.cluster_name", b"a"),
    ];
    let headers = [
        (":method", "GET"),
        (":path", "/"),
        (":authority", "a"),
        (":scheme", "http"),
    ];
    let mut exchange = vm.open(properties);
    let ended = vm.request(&mut exchange, &headers);
    assert!(matches!(ended, Ended::Forwarded(_)));
    vm.finish(exchange);
    let mut exchange = vm.open(properties);
    let Ended::Replied(reply) = vm.request(&mut exchange, &headers) else {
        panic!("the limit is one")
    };
    assert_eq!(reply.status, 429);
}

//! What a request costs in host calls.
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

use common::{forward, one, start, with, PARENT, REQUEST};
use seawall_core::host::Failure;
use seawall_core::testing::Vm;
use seawall_core::time::Span;
use seawall_trace_headers::TraceHeaders;
use serde_json::json;

#[test]
fn at_most_six_host_calls_make_up_a_request() {
    let mut vm = start(json!({}));
    // The first request after a pause asks for the time and hurries the timer.
    forward(&mut vm, &REQUEST);
    let asked = vm.host.calls();
    assert_eq!((asked["now"], asked["set_tick"]), (1, 1), "{asked:?}");
    vm.host.forget_calls();
    let count = 1200;
    for _ in 0..count {
        let mut exchange = vm.open(&[]);
        vm.request(&mut exchange, &REQUEST);
        vm.response(&mut exchange, &[(":status", "200")], true);
        vm.finish(exchange);
    }
    let calls = vm.host.calls();
    let randomness = calls["random"];
    assert_eq!(vm.host.call_count() - randomness, 6 * count, "{calls:?}");
    // Randomness is fetched for 120 requests at once.
    assert!(randomness <= count / 120, "{calls:?}");
}

/// The time in an id is that of the timer while requests come, and that of the request after a pause.
#[test]
fn the_time_in_an_id_is_at_most_a_step_old() {
    let mut vm = start(json!({}));
    let world = vm.host.world().clone();
    let millis = |vm: &mut Vm<TraceHeaders>| {
        let id = one(&forward(vm, &REQUEST), "x-request-id").replace('-', "");
        u64::from_str_radix(&id[..12], 16).unwrap()
    };
    assert_eq!(vm.host.tick_period(), Span::from_secs(1));
    let first = millis(&mut vm);
    assert_eq!(first, world.now().as_millis());
    assert_eq!(vm.host.tick_period(), Span::from_millis(10));
    for step in 1..5 {
        world.advance(Span::from_millis(10));
        vm.tick();
        vm.host.forget_calls();
        assert_eq!(millis(&mut vm), first + 10 * step);
        let calls = vm.host.calls();
        assert!(
            !calls.contains_key("now"),
            "nobody but the timer: {calls:?}"
        );
    }
    // Nobody asks between two calls of the timer: it slows down, and the next request looks at the clock again.
    vm.tick();
    vm.tick();
    assert_eq!(vm.host.tick_period(), Span::from_secs(1));
    world.advance(Span::from_secs(3600));
    assert_eq!(millis(&mut vm), world.now().as_millis());
}

#[test]
fn a_request_that_brings_its_ids_costs_five() {
    let mut vm = start(json!({}));
    forward(&mut vm, &REQUEST);
    vm.host.forget_calls();
    let mut exchange = vm.open(&[]);
    vm.request(
        &mut exchange,
        &with(&[("traceparent", PARENT), ("x-request-id", "a")]),
    );
    vm.response(&mut exchange, &[(":status", "200")], true);
    vm.finish(exchange);
    assert_eq!(vm.host.call_count(), 5, "{:?}", vm.host.calls());
}

#[test]
fn without_settings_per_route_a_request_costs_four() {
    let mut vm = start(json!({"per_route": false}));
    forward(&mut vm, &REQUEST);
    vm.host.forget_calls();
    let mut exchange = vm.open(&[]);
    vm.request(&mut exchange, &REQUEST);
    vm.response(&mut exchange, &[(":status", "200")], true);
    vm.finish(exchange);
    assert_eq!(vm.host.call_count(), 4, "{:?}", vm.host.calls());
}

/// To replace a field costs the host more than to add it.
#[test]
fn a_field_that_is_not_there_is_added() {
    let mut vm = start(json!({"write": ["w3c", "b3"]}));
    for (request, added, set) in [
        (with(&[]), 3, 0),
        (with(&[("traceparent", PARENT)]), 2, 1),
        (with(&[("x-request-id", "a")]), 2, 0),
        (with(&[("traceparent", PARENT), ("b3", "0")]), 1, 2),
    ] {
        vm.host.forget_calls();
        forward(&mut vm, &request);
        let calls = vm.host.calls();
        let count = |call| calls.get(call).copied().unwrap_or_default();
        assert_eq!(
            (count("add_header"), count("set_header")),
            (added, set),
            "{request:?}: {calls:?}"
        );
    }
}

#[test]
fn where_the_host_does_not_add_a_field_it_is_set() {
    let mut vm = start(json!({}));
    vm.host.fail("add_header", Failure::Status(10));
    let sent = forward(&mut vm, &with(&[]));
    assert_eq!(one(&sent, "traceparent").len(), PARENT.len());
    assert!(!one(&sent, "x-request-id").is_empty());
}

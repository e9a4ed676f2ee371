//! What passes between the filters that are one: fields that one changes and another reads, and calls of the host that are for
//! one of them.
#![cfg(not(target_arch = "wasm32"))]
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "test code"
)]

use seawall_core::plugin::Plugin;
use seawall_core::testing::{Ended, Exchange, Vm, World};
use seawall_core::time::Span;
use seawall_seawall::{Request, Seawall};
use serde_json::{json, Value};

fn vm(configuration: &Value) -> Vm<Seawall> {
    Vm::start(&World::new(), 1, configuration)
}

fn ask(vm: &mut Vm<Seawall>, more: &[(&str, &str)]) -> (Exchange<Request>, Ended) {
    let mut exchange = vm.open(&[
        ("xds.cluster_name", b"orders"),
        ("source.address", b"10.0.0.1:40000"),
        ("response.code_details", b"via_upstream"),
        ("response.code", &200i64.to_le_bytes()),
    ]);
    let mut headers = vec![
        (":method", "GET"),
        (":scheme", "https"),
        (":authority", "example.com"),
        (":path", "/"),
    ];
    headers.extend_from_slice(more);
    let ended = vm.request(&mut exchange, &headers);
    (exchange, ended)
}

/// What a request sends that is not trusted.
const SENT: [(&str, &str); 4] = [
    ("x-request-id", "a"),
    ("x-request-id", "b"),
    ("baggage", "c=1"),
    ("tracestate", "d=1"),
];

#[test]
fn what_was_replaced_or_taken_out_no_limit_sees() {
    let mut vm = vm(&json!({
        "trace_headers": {"trust": {"mode": "never"}},
        "rate_limit": {"limits": [
            {"name": "id", "key": [{"header": "x-request-id"}], "requests": 1, "per": "1h"},
            {"name": "baggage", "match": {"header": {"baggage": true}}, "requests": 1, "per": "1h"},
        ]},
    }));
    for _ in 0..5 {
        let (exchange, ended) = ask(&mut vm, &SENT);
        let Ended::Forwarded(sent) = ended else {
            panic!("{ended:?}")
        };
        let count = |name: &str| sent.iter().filter(|(field, _)| field == name).count();
        assert_eq!(
            ["x-request-id", "baggage", "tracestate"].map(count),
            [1, 0, 0]
        );
        vm.finish(exchange);
    }
}

/// The cache reads all fields at once, as they are by then.
#[test]
fn what_was_replaced_or_taken_out_no_key_of_the_cache_has_in_it() {
    for (field, same) in [
        ("baggage", true),
        ("tracestate", true),
        ("x-request-id", false),
    ] {
        let mut vm = vm(&json!({
            "trace_headers": {"trust": {"mode": "never"}},
            "response_cache": {"refresh": {"algorithm": "off"}, "key": {"headers": [field]}},
        }));
        let (mut exchange, _) = ask(&mut vm, &SENT);
        let stored = [(":status", "200"), ("cache-control", "max-age=60")];
        vm.response(&mut exchange, &stored, true);
        vm.finish(exchange);
        let other = [(field, "another=1")];
        let fields = if same { &other[..] } else { &SENT };
        let (exchange, ended) = ask(&mut vm, fields);
        assert_eq!(matches!(ended, Ended::Replied(_)), same, "{field}");
        vm.finish(exchange);
    }
}

#[test]
fn the_timer_and_the_answer_to_a_call_reach_the_filter_that_they_are_for() {
    let mut vm = vm(&json!({
        "trace_headers": {"spans": {"cluster": "collector"}},
        "rate_limit": {"limits": []},
        "response_cache": {},
        "circuit_breaker": {},
    }));
    let world = vm.host.world().clone();
    let (mut exchange, _) = ask(&mut vm, &[]);
    vm.response(&mut exchange, &[(":status", "200")], true);
    vm.finish(exchange);
    let mut calls = Vec::new();
    while calls.is_empty() {
        world.advance(Span::from_millis(10));
        vm.tick();
        calls = vm.host.take_callouts();
    }
    assert_eq!(calls[0].cluster, "collector");
    vm.host.open(0);
    vm.host.put_call_response(&[(":status", "200")], b"");
    vm.plugin.call_done(&vm.host, calls[0].token, 1, 0);
    let sent = || world.metric("seawall.trace_headers.spans_sent");
    // Counts come with a timer that is not that of every request.
    for _ in 0..200 {
        world.advance(Span::from_millis(10));
        vm.tick();
    }
    assert_eq!(sent(), 1);
}

#[test]
fn a_request_that_a_service_lets_go_meets_the_filters_behind() {
    let limit = json!({"name": "a", "scope": "fleet", "requests": 9, "per": "1m"});
    let mut vm = vm(&json!({
        "rate_limit": {"fleet": {"cluster": "ratelimit"}, "limits": [limit]},
        "response_cache": {"refresh": {"algorithm": "off"}},
        "circuit_breaker": {"failure_threshold": 1},
    }));
    for (round, (answer, expected)) in [("500", None), ("200", Some(503))].into_iter().enumerate() {
        let (mut exchange, ended) = ask(&mut vm, &[]);
        assert_eq!(ended, Ended::Paused, "{round}");
        let call = vm.host.take_callouts().remove(0);
        vm.host.open(0);
        // `overall_code = OK`.
        vm.host.put_grpc_response(b"\x08\x01");
        vm.plugin.grpc_done(&vm.host, call.token, 0, 2);
        // The first one fails, and the breaker has opened for the second.
        assert_eq!(vm.resumed(&exchange), expected.is_none(), "{round}");
        let reply = vm.reply(&exchange).map(|reply| reply.status);
        assert_eq!(reply, expected, "{round}");
        if expected.is_none() {
            vm.response(&mut exchange, &[(":status", answer)], true);
        }
        vm.finish(exchange);
    }
}

/// Envoy has `host` for another word of `:authority`, in single reads and in writes.
#[test]
fn a_limit_for_the_host_header_knows_the_authority() {
    let mut vm = vm(&json!({
        "trace_headers": {},
        "rate_limit": {"limits": [
            {"name": "host", "key": [{"header": "host"}], "missing": "deny", "requests": 1, "per": "1h"},
        ]},
    }));
    for passes in [true, false] {
        let (exchange, ended) = ask(&mut vm, &[]);
        assert_eq!(matches!(ended, Ended::Forwarded(_)), passes, "{ended:?}");
        vm.finish(exchange);
    }
}

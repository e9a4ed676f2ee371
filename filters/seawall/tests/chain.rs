//! The four filters as one, on the fake host: order, holding and letting go, and what the host is asked.
#![cfg(not(target_arch = "wasm32"))]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "test code"
)]

use seawall_core::testing::{Ended, Exchange, Vm, World};
use seawall_core::time::Span;
use seawall_seawall::{Request, Seawall};
use serde_json::{json, Value};

const PROPERTIES: &[(&str, &[u8])] = &[
    ("xds.cluster_name", b"orders"),
    ("source.address", b"10.0.0.1:40000"),
    ("response.code_details", b"via_upstream"),
];

const HEADERS: &[(&str, &str)] = &[
    (":method", "GET"),
    (":scheme", "https"),
    (":authority", "example.com"),
    (":path", "/"),
];

fn all() -> Value {
    json!({
        "trace_headers": {},
        "rate_limit": {"limits": [{"name": "a", "key": ["client_address"], "requests": 5, "per": "1h"}]},
        "response_cache": {"refresh": {"algorithm": "off"}},
        "circuit_breaker": {"failure_threshold": 1},
    })
}

fn vm(configuration: &Value) -> Vm<Seawall> {
    Vm::start(&World::new(), 1, configuration)
}

fn ask(vm: &mut Vm<Seawall>) -> (Exchange<Request>, Ended) {
    let mut exchange = vm.open(PROPERTIES);
    let ended = vm.request(&mut exchange, HEADERS);
    (exchange, ended)
}

fn names(headers: &[(String, Vec<u8>)]) -> Vec<&str> {
    headers.iter().map(|(name, _)| name.as_str()).collect()
}

#[test]
fn every_filter_does_its_part() {
    let mut vm = vm(&all());
    let (mut exchange, ended) = ask(&mut vm);
    let Ended::Forwarded(sent) = ended else {
        panic!("{ended:?}")
    };
    for name in ["x-request-id", "traceparent"] {
        assert!(names(&sent).contains(&name), "{name}");
    }
    let got = vm.response(
        &mut exchange,
        &[(":status", "200"), ("cache-control", "max-age=60")],
        false,
    );
    for name in [
        "x-request-id",
        "ratelimit",
        "ratelimit-policy",
        "cache-status",
    ] {
        assert!(names(&got).contains(&name), "{name}");
    }
    vm.response_body(&mut exchange, b"body", true);
    vm.finish(exchange);
    let (exchange, ended) = ask(&mut vm);
    let Ended::Replied(reply) = ended else {
        panic!("{ended:?}")
    };
    assert_eq!((reply.status, reply.body.as_slice()), (200, &b"body"[..]));
    vm.finish(exchange);
}

#[test]
fn what_one_filter_has_read_the_others_do_not_read_again() {
    let mut vm = vm(&all());
    let (mut exchange, _) = ask(&mut vm);
    vm.response(&mut exchange, &[(":status", "404")], true);
    vm.finish(exchange);
    vm.host.forget_calls();
    let (exchange, ended) = ask(&mut vm);
    assert!(matches!(ended, Ended::Forwarded(_)));
    let calls = vm.host.calls();
    assert_eq!(calls.get("headers"), Some(&1));
    assert_eq!(calls.get("header"), None);
    assert_eq!(calls.get("now"), Some(&1));
    // Route, virtual host, cluster, address.
    assert!(calls["property"] <= 4, "{calls:?}");
    vm.finish(exchange);
}

#[test]
fn a_field_that_one_filter_writes_is_what_the_next_one_reads() {
    let mut configuration = all();
    // The limit's key is the field that trace-headers writes before.
    configuration["rate_limit"]["limits"][0]["key"] = json!([{"header": "x-request-id"}]);
    configuration["response_cache"] = json!({"enabled": false});
    let mut vm = vm(&configuration);
    for _ in 0..20 {
        let (exchange, ended) = ask(&mut vm);
        assert!(
            matches!(ended, Ended::Forwarded(_)),
            "every request has an id of its own"
        );
        vm.finish(exchange);
    }
}

#[test]
fn a_request_that_waited_for_the_cache_still_meets_the_breaker() {
    let mut vm = vm(&all());
    let (mut leader, ended) = ask(&mut vm);
    assert!(matches!(ended, Ended::Forwarded(_)));
    let (waiting, ended) = ask(&mut vm);
    assert_eq!(ended, Ended::Paused);
    vm.response(&mut leader, &[(":status", "500")], true);
    vm.finish(leader);
    vm.deliver();
    assert!(!vm.resumed(&waiting), "the breaker is open");
    let reply = vm.reply(&waiting).expect("the breaker answers");
    assert_eq!(reply.status, 503);
    vm.finish(waiting);
}

#[test]
fn a_request_that_waited_goes_on_where_nothing_is_in_its_way() {
    let mut configuration = all();
    configuration["circuit_breaker"] = json!({});
    let mut vm = vm(&configuration);
    let (leader, _) = ask(&mut vm);
    let (waiting, ended) = ask(&mut vm);
    assert_eq!(ended, Ended::Paused);
    // Its client leaves: the next one goes to the origin.
    vm.finish(leader);
    vm.deliver();
    assert!(vm.resumed(&waiting));
    vm.finish(waiting);
}

#[test]
fn a_filter_without_a_block_does_not_run() {
    let mut vm = vm(&json!({"trace_headers": {}}));
    let (mut exchange, ended) = ask(&mut vm);
    assert!(matches!(ended, Ended::Forwarded(_)));
    let headers = vm.response(
        &mut exchange,
        &[(":status", "200"), ("cache-control", "max-age=60")],
        true,
    );
    assert!(!names(&headers).contains(&"cache-status"));
    vm.finish(exchange);
    let (exchange, ended) = ask(&mut vm);
    assert!(matches!(ended, Ended::Forwarded(_)));
    vm.finish(exchange);
}

#[test]
fn errors_name_the_block_and_come_all_at_once() {
    let errors = Vm::<Seawall>::errors(&json!({
        "rate_limit": {"limits": [{"name": "a", "key": ["client_address"], "requests": "x", "per": "1s"}]},
        "circuit_breaker": {"open_for": 7},
    }));
    assert!(
        errors
            .iter()
            .any(|error| error.starts_with("rate_limit.limits[0].requests: ")),
        "{errors:?}"
    );
    assert!(
        errors
            .iter()
            .any(|error| error.starts_with("circuit_breaker.open_for: ")),
        "{errors:?}"
    );
    let errors = Vm::<Seawall>::errors(&json!({"cache": {}, "rate_limit": 1}));
    assert!(
        errors[0].starts_with("cache: unknown field `cache`, expected one of"),
        "{errors:?}"
    );
    assert!(
        errors[1].starts_with("rate_limit: must be an object"),
        "{errors:?}"
    );
}

#[test]
fn a_configuration_that_ends_stops_the_timer_of_all() {
    let mut vm = vm(&all());
    let (exchange, _) = ask(&mut vm);
    vm.finish(exchange);
    assert_ne!(vm.host.tick_period(), Span::ZERO);
    vm.end();
    assert_eq!(vm.host.tick_period(), Span::ZERO);
}

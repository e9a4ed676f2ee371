//! The filter on the fake host: what goes on, and what comes back.
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

use common::{all, forward, hex, one, position, start, with, PARENT, REQUEST, TRACE};
use seawall_core::plugin::Stream;
use seawall_core::testing::{Ended, Vm, World};
use seawall_core::time::Span;
use seawall_trace_headers::TraceHeaders;
use serde_json::json;

#[test]
fn a_request_without_ids_gets_them_and_keeps_the_rest() {
    let mut vm = start(json!({}));
    let out = forward(&mut vm, &REQUEST);
    let id = one(&out, "x-request-id");
    assert_eq!((id.len(), &id[14..15]), (36, "7"), "{id}");
    let position = position(&out);
    assert!(position.random, "a random id says so");
    assert!(position.sampled);
    for (name, value) in REQUEST {
        assert_eq!(one(&out, name), value);
    }
    assert_eq!(out.len(), REQUEST.len() + 2);
}

#[test]
fn a_trace_goes_on_with_a_new_parent() {
    let mut vm = start(json!({}));
    let headers = with(&[
        ("traceparent", PARENT),
        ("tracestate", "foo=1"),
        ("tracestate", "bar=2"),
        ("x-request-id", "Caller.chose_this-1"),
    ]);
    let out = forward(&mut vm, &headers);
    let found = position(&out);
    assert_eq!(hex(found.trace_id.bytes()), TRACE);
    assert_ne!(hex(found.parent_id.bytes()), "b7ad6b7169203331");
    assert!(found.sampled && !found.random);
    assert_eq!(one(&out, "tracestate"), "foo=1,bar=2");
    assert_eq!(one(&out, "x-request-id"), "Caller.chose_this-1");
    assert_ne!(
        position(&forward(&mut vm, &headers)).parent_id,
        found.parent_id
    );
}

#[test]
fn a_bad_traceparent_starts_anew_and_costs_the_tracestate() {
    for bad in [
        &[("traceparent", "00-0-0-0")][..],
        &[("traceparent", PARENT), ("traceparent", PARENT)],
        &[],
    ] {
        let mut vm = start(json!({}));
        let mut headers = with(bad);
        headers.push(("tracestate", "foo=1"));
        let out = forward(&mut vm, &headers);
        assert_ne!(hex(position(&out).trace_id.bytes()), TRACE);
        assert!(all(&out, "tracestate").is_empty());
        vm.tick();
        let invalid = vm
            .host
            .world()
            .metric("seawall.trace_headers.traceparent_invalid");
        assert_eq!(invalid, i64::from(!bad.is_empty()));
    }
}

#[test]
fn a_bad_tracestate_does_not_cost_the_traceparent() {
    let mut vm = start(json!({}));
    let out = forward(
        &mut vm,
        &with(&[("traceparent", PARENT), ("tracestate", "BAD=1")]),
    );
    assert_eq!(hex(position(&out).trace_id.bytes()), TRACE);
    assert!(all(&out, "tracestate").is_empty());
}

#[test]
fn the_random_flag_is_neither_added_nor_taken() {
    let mut vm = start(json!({}));
    for (flags, random) in [("00", false), ("01", false), ("02", true), ("ff", true)] {
        let parent = format!("00-{TRACE}-b7ad6b7169203331-{flags}");
        let out = forward(&mut vm, &with(&[("traceparent", &parent)]));
        assert_eq!(position(&out).random, random, "{flags}");
        assert!(one(&out, "traceparent").starts_with("00-"));
    }
}

#[test]
fn the_request_id_is_on_every_response() {
    let mut vm = start(json!({}));
    let mut exchange = vm.open(&[]);
    let Ended::Forwarded(out) = vm.request(&mut exchange, &REQUEST) else {
        panic!("not forwarded");
    };
    let response = vm.response(
        &mut exchange,
        &[(":status", "200"), ("x-request-id", "theirs")],
        true,
    );
    assert_eq!(one(&response, "x-request-id"), one(&out, "x-request-id"));
    vm.finish(exchange);
}

#[test]
fn a_request_that_was_refused_before_has_an_identity_too() {
    let mut vm = start(json!({}));
    let mut exchange = vm.open(&[]);
    let response = vm.response(&mut exchange, &[(":status", "400")], true);
    let id = one(&response, "x-request-id").to_owned();
    assert_eq!(id.len(), 36);
    let property = |name: &str| {
        let value = vm.property(&exchange, &format!("seawall.trace_headers.{name}"));
        String::from_utf8(value.unwrap()).unwrap()
    };
    assert_eq!(property("request_id"), id);
    assert_eq!(property("trace_id").len(), 32);
    assert_eq!(property("span_id").len(), 16);
    exchange.stream.log(&vm.host);
    let logged = vm
        .property(&exchange, "seawall.trace_headers.request_id")
        .unwrap();
    assert_eq!(logged, id.as_bytes(), "what the client was told");
    vm.finish(exchange);
}

#[test]
fn a_request_that_only_the_log_sees_has_an_identity_there() {
    let mut vm = start(json!({}));
    let mut exchange = vm.open(&[]);
    exchange.stream.log(&vm.host);
    for (name, length) in [("request_id", 36), ("trace_id", 32), ("span_id", 16)] {
        let value = vm.property(&exchange, &format!("seawall.trace_headers.{name}"));
        assert_eq!(value.map(|value| value.len()), Some(length), "{name}");
    }
    vm.finish(exchange);
}

#[test]
fn sampling_is_decided_as_configured() {
    let unsampled = format!("00-{TRACE}-b7ad6b7169203331-00");
    for (sampling, parent, expected) in [
        (json!({}), Some(PARENT), true),
        (json!({}), Some(unsampled.as_str()), false),
        (json!({"ratio": 0}), None, false),
        (json!({"ratio": 0}), Some(PARENT), true),
        (json!({"mode": "always"}), Some(unsampled.as_str()), true),
        (json!({"mode": "never"}), Some(PARENT), false),
        (json!({"mode": "never"}), None, false),
        (json!({"mode": "ratio", "ratio": 0}), Some(PARENT), false),
        (
            json!({"mode": "ratio", "ratio": 1}),
            Some(unsampled.as_str()),
            true,
        ),
    ] {
        let mut vm = start(json!({"sampling": sampling}));
        let mut headers = REQUEST.to_vec();
        headers.extend(parent.map(|parent| ("traceparent", parent)));
        let out = forward(&mut vm, &headers);
        assert_eq!(position(&out).sampled, expected, "{sampling} {parent:?}");
    }
}

#[test]
fn two_hops_decide_a_ratio_alike() {
    let config = json!({"sampling": {"mode": "ratio", "ratio": 0.5}});
    let (mut first, mut second) = (start(config.clone()), start(config));
    let mut sampled = 0;
    for _ in 0..500 {
        let one_hop = forward(&mut first, &REQUEST);
        let parent = one(&one_hop, "traceparent").to_owned();
        let two_hops = forward(&mut second, &with(&[("traceparent", &parent)]));
        assert_eq!(position(&one_hop).sampled, position(&two_hops).sampled);
        sampled += usize::from(position(&two_hops).sampled);
    }
    assert!((150..350).contains(&sampled), "{sampled}");
}

#[test]
fn one_id() {
    let mut vm = start(json!({"one_id": true}));
    let plain = |id: &str| id.replace('-', "");
    // Made: both are one UUID of version 7, whose right-most 7 bytes are random.
    let out = forward(&mut vm, &REQUEST);
    let found = position(&out);
    assert_eq!(
        plain(one(&out, "x-request-id")),
        hex(found.trace_id.bytes())
    );
    assert!(found.random);
    // A trace without a request id gives it; a request id that fits gives the trace.
    let out = forward(&mut vm, &with(&[("traceparent", PARENT)]));
    assert_eq!(plain(one(&out, "x-request-id")), TRACE);
    let id = "01981234-5678-7abc-8def-0123456789ab";
    let out = forward(&mut vm, &with(&[("x-request-id", id)]));
    assert_eq!(one(&out, "x-request-id"), id);
    assert_eq!(hex(position(&out).trace_id.bytes()), plain(id));
    assert!(!position(&out).random, "nobody said how random it is");
    let digits = TRACE.to_uppercase();
    let out = forward(&mut vm, &with(&[("x-request-id", &digits)]));
    assert_eq!(one(&out, "x-request-id"), digits);
    assert_eq!(hex(position(&out).trace_id.bytes()), TRACE);
    // One that does not fit is kept beside a trace of its own; so are two that differ.
    let wrong = id.replace("4-5", "405");
    for other in ["abc", &wrong, &"0".repeat(32), &"g".repeat(32)] {
        let out = forward(&mut vm, &with(&[("x-request-id", other)]));
        assert_eq!(one(&out, "x-request-id"), other);
        assert!(position(&out).random, "made here: {other}");
    }
    let out = forward(
        &mut vm,
        &with(&[("x-request-id", id), ("traceparent", PARENT)]),
    );
    assert_eq!(
        (
            one(&out, "x-request-id"),
            hex(position(&out).trace_id.bytes()).as_str()
        ),
        (id, TRACE)
    );
}

#[test]
fn the_response_tells_the_trace_when_asked() {
    for (timing, before, after) in [
        ("trace", "trace;desc=", ""),
        ("traceparent", "traceparent;desc=\"", "\""),
    ] {
        let mut vm = start(json!({"response": {"server_timing": timing, "traceresponse": true}}));
        let mut exchange = vm.open(&[]);
        let Ended::Forwarded(out) = vm.request(&mut exchange, &REQUEST) else {
            panic!("not forwarded");
        };
        let sent = one(&out, "traceparent").to_owned();
        let response = vm.response(
            &mut exchange,
            &[(":status", "200"), ("server-timing", "db;dur=5")],
            true,
        );
        assert_eq!(
            all(&response, "server-timing"),
            ["db;dur=5", &format!("{before}{sent}{after}")]
        );
        assert_eq!(one(&response, "traceresponse"), sent);
        vm.finish(exchange);
    }
}

#[test]
fn a_response_carries_what_is_asked_for_and_nothing_else() {
    for (echo, timing, traceresponse) in [
        (false, "off", false),
        (true, "off", false),
        (false, "trace", false),
        (false, "off", true),
        (true, "traceparent", true),
    ] {
        let response = json!({"server_timing": timing, "traceresponse": traceresponse});
        let mut vm = start(json!({"request_id": {"echo": echo}, "response": response}));
        let mut exchange = vm.open(&[]);
        vm.request(&mut exchange, &REQUEST);
        let response = vm.response(&mut exchange, &[(":status", "200")], true);
        let has = |name: &str| response.iter().any(|(field, _)| field == name);
        let found = ["x-request-id", "server-timing", "traceresponse"].map(has);
        assert_eq!(found, [echo, timing != "off", traceresponse]);
        let expected = found.iter().filter(|there| **there).count() + 1;
        assert_eq!(response.len(), expected, "{response:?}");
        vm.finish(exchange);
    }
}

#[test]
fn tenant_and_user_reach_the_log() {
    let claim = json!(["envoy.filters.http.jwt_authn", "payload", "sub"]);
    let mut vm = start(
        json!({"log": {"tenant_id": {"header": "x-tenant-id"}, "user_id": {"cookie": "uid"}}}),
    );
    let mut exchange = vm.open(&[]);
    vm.request(
        &mut exchange,
        &with(&[
            ("x-tenant-id", "acme \"1\""),
            ("cookie", "a=b; uid=u-1; c=d"),
        ]),
    );
    assert_eq!(
        vm.property(&exchange, "seawall.trace_headers.tenant_id"),
        Some(b"acme__1_".to_vec())
    );
    assert_eq!(
        vm.property(&exchange, "seawall.trace_headers.user_id"),
        Some(b"u-1".to_vec())
    );
    vm.finish(exchange);

    let mut vm = start(json!({"log": {"tenant_id": {"header": "host"}}}));
    let mut exchange = vm.open(&[]);
    vm.request(&mut exchange, &REQUEST);
    assert_eq!(
        vm.property(&exchange, "seawall.trace_headers.tenant_id"),
        Some(b"shop".to_vec()),
        "which the host calls :authority"
    );
    vm.finish(exchange);

    let mut vm = start(json!({"log": {"user_id": {"claim": claim}}}));
    let path = "metadata.filter_metadata.envoy.filters.http.jwt_authn.payload.sub";
    let number = |number: f64| number.to_le_bytes().to_vec();
    for (claim, logged) in [
        (b"jane@example.com".to_vec(), Some("jane@example.com")),
        (b"jane\n".to_vec(), Some("jane_")),
        ("Ren\u{e9} MB".into(), Some("Ren___MB")),
        // A number arrives as a double.
        (number(42.0), Some("42")),
        (number(0.0), Some("0")),
        (number(-7.0), Some("-7")),
        (number(12_345_678_901.0), Some("12345678901")),
        (number(9_007_199_254_740_991.0), Some("9007199254740991")),
        // No id is one of these: a fraction, a list of one text.
        (number(4.5), None),
        (b"\x01\0\0\0\x01\0\0\0\0\0\0\0a\0\0".to_vec(), None),
        (Vec::new(), None),
    ] {
        let mut exchange = vm.open(&[(path, &claim)]);
        vm.request(&mut exchange, &REQUEST);
        vm.response(&mut exchange, &[(":status", "200")], true);
        let found = vm.property(&exchange, "seawall.trace_headers.user_id");
        let found = found.map(|value| String::from_utf8(value).unwrap());
        assert_eq!(found.as_deref(), logged, "{}", claim.escape_ascii());
        vm.finish(exchange);
    }
}

/// Who gives up before there is an answer is known all the same, and nobody is looked for twice.
#[test]
fn claims_reach_the_log_without_a_response() {
    for (enabled, answered, reads) in [(true, false, 1), (true, true, 1), (false, false, 0)] {
        let mut vm = start(json!({
            "enabled": enabled, "per_route": false, "log": {"user_id": {"claim": ["jwt", "sub"]}},
        }));
        let path = "metadata.filter_metadata.jwt.sub";
        let mut exchange = vm.open(&[(path, b"jane")]);
        vm.request(&mut exchange, &REQUEST);
        vm.host.forget_calls();
        if answered {
            vm.response(&mut exchange, &[(":status", "200")], true);
        }
        exchange.stream.log(&vm.host);
        let count = |call| vm.host.calls().get(call).copied().unwrap_or_default();
        assert_eq!((count("property"), count("set_property")), (reads, reads));
    }
}

#[test]
fn switched_off_it_touches_nothing() {
    let mut vm = start(json!({"enabled": false}));
    let headers = with(&[("traceparent", "bad"), ("x-request-id", "<>")]);
    let mut exchange = vm.open(&[]);
    let Ended::Forwarded(out) = vm.request(&mut exchange, &headers) else {
        panic!("not forwarded");
    };
    assert_eq!(out.len(), headers.len());
    for (name, value) in headers {
        assert_eq!(one(&out, name), value);
    }
    let response = vm.response(&mut exchange, &[(":status", "200")], true);
    assert_eq!(response.len(), 1);
    vm.finish(exchange);
}

#[test]
fn no_duplicate_in_a_million_ids_of_two_workers() {
    let world = World::new();
    let mut workers: Vec<Vm<TraceHeaders>> =
        (1..=2).map(|n| Vm::start(&world, n, &json!({}))).collect();
    let mut request_ids = std::collections::BTreeSet::new();
    let mut trace_ids = std::collections::BTreeSet::new();
    for _ in 0..500_000 {
        for vm in &mut workers {
            let out = forward(vm, &[(":method", "GET")]);
            let id = u128::from_str_radix(&one(&out, "x-request-id").replace('-', ""), 16).unwrap();
            assert!(request_ids.insert(id));
            assert!(trace_ids.insert(*position(&out).trace_id.bytes()));
        }
    }
    assert_eq!((request_ids.len(), trace_ids.len()), (1_000_000, 1_000_000));
}

#[test]
fn a_configuration_that_ends_stops_its_timer_and_brings_its_counts() {
    let world = World::new();
    let spans = json!({"spans": {"cluster": "collector"}});
    let mut vm = Vm::<TraceHeaders>::start(&world, 1, &spans);
    let ask = |vm: &mut Vm<TraceHeaders>| {
        let mut exchange = vm.open(&[]);
        vm.request(&mut exchange, &REQUEST);
        vm.finish(exchange);
    };
    ask(&mut vm);
    vm.tick();
    assert_eq!(vm.host.take_callouts().len(), 1, "not answered yet");
    ask(&mut vm);
    let count = |what: &str| world.metric(&format!("seawall.trace_headers.{what}"));
    assert_eq!(count("traces_started"), 1);
    assert_ne!(vm.host.tick_period(), Span::ZERO);
    vm.end();
    assert_eq!(count("traces_started"), 2);
    assert_eq!(count("spans_dropped"), 2, "the host ends the call");
    assert_eq!(vm.host.tick_period(), Span::ZERO);
}

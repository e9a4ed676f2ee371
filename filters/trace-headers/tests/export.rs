//! Spans on their way to the collector: what waits, what goes in one call, and what becomes of it by the collector's answer.
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

use common::{start, with, PARENT, REQUEST};
use seawall_core::date;
use seawall_core::host::Failure;
use seawall_core::plugin::Plugin;
use seawall_core::testing::{Call, Vm};
use seawall_core::time::Span;
use seawall_trace_headers::TraceHeaders;
use serde_json::{json, Value};

const STEP: Span = Span::from_millis(10);

fn exporting(more: Value) -> Vm<TraceHeaders> {
    let mut spans = json!({"cluster": "collector", "interval": "1s", "timeout": "5s"});
    for (field, value) in more.as_object().unwrap() {
        spans[field] = value.clone();
    }
    start(json!({"spans": spans}))
}

fn ask(vm: &mut Vm<TraceHeaders>, times: usize) {
    for _ in 0..times {
        let mut exchange = vm.open(&[("response.code", &200i64.to_le_bytes())]);
        vm.request(&mut exchange, &REQUEST);
        vm.response(&mut exchange, &[(":status", "200")], true);
        vm.finish(exchange);
    }
}

/// The call that the timer makes now, where it makes one.
fn tick(vm: &mut Vm<TraceHeaders>) -> Option<Call> {
    vm.tick();
    let mut calls = vm.host.take_callouts();
    assert!(calls.len() <= 1, "{calls:?}");
    calls.pop()
}

/// The next call, and how long it takes to come.
fn next(vm: &mut Vm<TraceHeaders>, most: Span) -> Option<(Call, Span)> {
    let world = vm.host.world().clone();
    let begun = world.now();
    while world.now().since(begun) < most {
        world.advance(STEP);
        if let Some(call) = tick(vm) {
            return Some((call, world.now().since(begun)));
        }
    }
    None
}

fn answer(vm: &mut Vm<TraceHeaders>, token: u32, headers: &[(&str, &str)], body: &[u8]) {
    vm.host.open(0);
    vm.host.put_call_response(headers, body);
    vm.plugin
        .call_done(&vm.host, token, headers.len(), body.len());
}

/// How many spans were sent, and how many dropped.
fn counted(vm: &mut Vm<TraceHeaders>) -> (i64, i64) {
    vm.host.open(0);
    let _ = tick(vm);
    let world = vm.host.world();
    let count = |what| world.metric(&format!("seawall.trace_headers.{what}"));
    (count("spans_sent"), count("spans_dropped"))
}

/// A collector behind a mesh is addressed by its host, and one whose cluster is named after none by one that is valid.
#[test]
fn the_authority_of_a_call_is_a_host() {
    let mesh = "outbound|4318||collector.ns.svc.cluster.local";
    for (spans, expected) in [
        (json!({}), "collector"),
        (json!({ "cluster": mesh }), "collector.ns.svc.cluster.local"),
        (
            json!({"cluster": "httproute/ns/collector/rule/0"}),
            "localhost",
        ),
        (
            json!({"cluster": mesh, "authority": "collector:4318"}),
            "collector:4318",
        ),
    ] {
        let mut vm = exporting(spans);
        ask(&mut vm, 1);
        let call = tick(&mut vm).expect("a call");
        assert_eq!(common::one(&call.headers, ":authority"), expected);
    }
}

#[test]
fn what_a_collector_cannot_take_it_gets_again_ever_later_and_five_times_at_most() {
    let mut vm = exporting(json!({}));
    ask(&mut vm, 3);
    let mut call = tick(&mut vm).expect("a call");
    for pause in [1, 2, 4, 8].map(Span::from_secs) {
        answer(&mut vm, call.token, &[(":status", "503")], b"");
        let (again, waited) = next(&mut vm, Span::from_secs(60)).expect("another");
        let longest = Span(pause.as_nanos() / 4 * 5).saturating_add(STEP);
        assert!((pause..=longest).contains(&waited), "{pause}: {waited}");
        assert_eq!(again.body, call.body, "the same spans");
        call = again;
    }
    assert_eq!(counted(&mut vm), (0, 0));
    answer(&mut vm, call.token, &[(":status", "503")], b"");
    assert_eq!(next(&mut vm, Span::from_secs(60)), None);
    assert_eq!(counted(&mut vm), (0, 3));
    // Those that come later begin at the beginning.
    ask(&mut vm, 1);
    let (call, _) = next(&mut vm, Span::from_secs(2)).expect("a call");
    answer(&mut vm, call.token, &[(":status", "503")], b"");
    assert!(next(&mut vm, Span::from_secs(2)).is_some());
}

#[test]
fn a_pause_is_at_most_half_a_minute_unless_the_interval_is_longer() {
    for (interval, expected) in [
        ("10s", [10, 20, 30, 30]),
        ("1m", [60, 60, 60, 60]),
        ("10ms", [0, 0, 0, 0]),
    ] {
        let mut vm = exporting(json!({"interval": interval}));
        ask(&mut vm, 1);
        let mut call = tick(&mut vm).expect("a call");
        for pause in expected.map(Span::from_secs) {
            answer(&mut vm, call.token, &[], b"");
            let (again, waited) = next(&mut vm, Span::from_secs(120)).expect("another");
            let longest = Span(pause.as_nanos() / 4 * 5);
            let longest = longest.saturating_add(Span::from_millis(120));
            assert!((pause..=longest).contains(&waited), "{interval}: {waited}");
            call = again;
        }
    }
}

#[test]
fn a_collector_may_ask_for_another_pause() {
    for (asked, from, to) in [
        ("7", 7_000, 7_010),
        ("0", 1_000, 1_010),
        ("1000", 300_000, 300_010),
        ("18446744073709551616", 1_000, 1_260),
        ("1.5", 1_000, 1_260),
        ("-1", 1_000, 1_260),
        ("", 1_000, 1_260),
        // What is past is at once, as far as that goes.
        ("Fri, 31 Dec 1999 23:59:59 GMT", 1_000, 1_010),
        ("in 7", 6_000, 7_010),
        ("in 1000", 300_000, 300_010),
    ] {
        let mut vm = exporting(json!({}));
        let date = asked.strip_prefix("in ").map(|pause| {
            let pause = Span::from_secs(pause.parse().expect("seconds"));
            date::format(vm.host.world().now().saturating_add(pause))
        });
        let asked = date.as_deref().unwrap_or(asked);
        ask(&mut vm, 1);
        let call = tick(&mut vm).expect("a call");
        let headers = [(":status", "429"), ("retry-after", asked)];
        answer(&mut vm, call.token, &headers, b"");
        let (_, waited) = next(&mut vm, Span::from_secs(400)).expect("another");
        let expected = Span::from_millis(from)..=Span::from_millis(to);
        assert!(expected.contains(&waited), "{asked}: {waited}");
    }
}

#[test]
fn what_an_answer_means() {
    // `partial_success.rejected_spans`: 1, 9.
    let (one, nine) = (b"\x0a\x02\x08\x01", b"\x0a\x02\x08\x09");
    for (status, body, expected) in [
        (Some("200"), &b""[..], Some((2, 0))),
        (Some("202"), b"", Some((2, 0))),
        (Some("200"), one, Some((1, 1))),
        (Some("200"), nine, Some((0, 2))),
        (Some("301"), b"", Some((0, 2))),
        (Some("400"), one, Some((0, 2))),
        (Some("500"), b"", Some((0, 2))),
        // Worth another try.
        (Some("429"), b"", None),
        (Some("502"), b"", None),
        (Some("503"), b"", None),
        (Some("504"), b"", None),
        (None, b"", None),
    ] {
        let mut vm = exporting(json!({}));
        ask(&mut vm, 2);
        let call = tick(&mut vm).expect("a call");
        let headers: Vec<(&str, &str)> = status.map(|s| (":status", s)).into_iter().collect();
        answer(&mut vm, call.token, &headers, body);
        let again = next(&mut vm, Span::from_secs(2)).is_some();
        assert_eq!(again, expected.is_none(), "{status:?}");
        let expected = expected.unwrap_or_default();
        assert_eq!(counted(&mut vm), expected, "{status:?} {body:?}");
    }
}

#[test]
fn no_second_call_before_the_first_is_answered_or_given_up() {
    let mut vm = exporting(json!({"max_spans": 4}));
    ask(&mut vm, 1);
    let first = tick(&mut vm).expect("a call");
    ask(&mut vm, 3);
    answer(&mut vm, first.token + 1, &[(":status", "200")], b"");
    assert_eq!(next(&mut vm, Span::from_millis(9_990)), None);
    assert_eq!(counted(&mut vm), (0, 0), "an answer to somebody else");
    // Twice the timeout without an answer: the host has lost the call.
    let (second, _) = next(&mut vm, Span::from_millis(20)).expect("a call");
    assert_eq!(counted(&mut vm), (0, 1));
    answer(&mut vm, first.token, &[(":status", "200")], b"");
    assert_eq!(counted(&mut vm), (0, 1), "too late");
    answer(&mut vm, second.token, &[(":status", "200")], b"");
    assert_eq!(counted(&mut vm), (3, 1));
}

#[test]
fn a_worker_keeps_so_many_spans_and_hurries_at_half_of_them() {
    let mut vm = exporting(json!({"max_spans": 6}));
    ask(&mut vm, 1);
    let call = tick(&mut vm).expect("a call");
    answer(&mut vm, call.token, &[(":status", "200")], b"");
    ask(&mut vm, 2);
    assert_eq!(tick(&mut vm), None, "the interval is not over");
    ask(&mut vm, 1);
    assert_eq!(vm.host.tick_period(), STEP);
    let call = tick(&mut vm).expect("half of the room is taken");
    // Three are under way, and three may wait.
    ask(&mut vm, 4);
    assert_eq!(counted(&mut vm), (1, 1));
    answer(&mut vm, call.token, &[(":status", "200")], b"");
    assert_eq!(counted(&mut vm), (4, 1));
}

/// A call is no longer than what collectors take by default.
#[test]
fn one_call_has_2048_spans_at_most() {
    let mut vm = exporting(json!({"max_spans": 65_536}));
    ask(&mut vm, 2048 + 2047);
    for expected in [2048, 2047] {
        let (call, _) = next(&mut vm, Span::from_secs(2)).expect("a call");
        let key = b"http.request.method";
        let spans = call.body.windows(key.len()).filter(|part| part == key);
        assert_eq!(spans.count(), expected);
        answer(&mut vm, call.token, &[(":status", "200")], b"");
    }
    assert_eq!(counted(&mut vm), (2048 + 2047, 0));
}

/// The last field of a span: which flags it has, and whether its parent is of another process.
#[test]
fn flags_of_a_span() {
    let continued = |flags: &str| PARENT.replace("-01", flags);
    for (parent, flags) in [
        (None, 0x003u32),
        (Some(continued("-01")), 0x301),
        (Some(continued("-03")), 0x303),
    ] {
        let mut vm = exporting(json!({}));
        let mut exchange = vm.open(&[]);
        let parent = parent.as_deref().map(|parent| ("traceparent", parent));
        let headers = with(parent.as_slice());
        vm.request(&mut exchange, &headers);
        vm.finish(exchange);
        let body = tick(&mut vm).expect("a call").body;
        // `flags = 16`, a fixed32.
        let field = [&[0x85, 0x01], &flags.to_le_bytes()[..]].concat();
        assert!(body.ends_with(&field), "{}", body.escape_ascii());
    }
}

/// Where only errors have a span, it is there or not by what became of the request.
#[test]
fn which_requests_are_errors() {
    let (http, grpc) = ("text/plain", "application/grpc");
    let flag = |bit: u32| 1i64 << bit;
    // UT, LR, UR, UC, SI, UMSDR, DT, UPE.
    let broken = [2, 3, 4, 6, 16, 19, 22, 23].map(flag).into_iter();
    let mut cases: Vec<_> = broken
        .clone()
        .map(|flags| (http, 200, "cut", flags, None, true))
        .collect();
    // DC, and another; both at once.
    cases.extend([
        (http, 200, "cut", flag(9), None, false),
        (http, 200, "cut", flag(0), None, false),
        (http, 200, "cut", flag(9) | flag(6), None, true),
        (http, 399, "cut", flag(6), None, true),
        // Of this one Envoy sets no flag.
        (http, 200, "max_duration_timeout", 0, None, true),
        (http, 404, "cut", flag(6), None, true),
        (http, 429, "response_timeout", flag(2), None, true),
        (http, 404, "max_duration_timeout", 0, None, true),
        // An upstream's own 408, and Envoy's, which comes whole.
        (
            http,
            408,
            "upstream_reset_after_response_started{}",
            flag(6),
            None,
            true,
        ),
        (http, 408, "stream_idle_timeout", flag(16), None, false),
        (http, 408, "max_duration_timeout", 0, None, false),
        // Answered by another filter once the upstream had failed.
        (
            http,
            200,
            "seawall.circuit_breaker.failed",
            flag(6),
            None,
            false,
        ),
        (
            http,
            404,
            "seawall.circuit_breaker.failed",
            flag(6),
            None,
            false,
        ),
        // A response that came whole, a tunnel, and what is the client's.
        (http, 200, "via_upstream", flag(6), None, false),
        (http, 101, "cut", flag(6), None, false),
        (http, 404, "cut", flag(9), None, false),
        (http, 404, "route_not_found", flag(5), None, false),
        (http, 499, "", 0, None, false),
        (http, 500, "via_upstream", 0, None, true),
        (http, 599, "", 0, None, true),
        (http, 0, "", 0, None, true),
        (http, 100, "downstream_remote_disconnect", 0, None, true),
        (http, 200, "via_upstream", 0, Some(13), false),
        (grpc, 200, "via_upstream", 0, None, false),
    ]);
    for status in -1..=17 {
        // UNKNOWN, DEADLINE_EXCEEDED, UNIMPLEMENTED, INTERNAL, UNAVAILABLE, DATA_LOSS, and what is none and so UNKNOWN.
        let failed = [-1, 2, 4, 12, 13, 14, 15, 17].contains(&status);
        cases.push((grpc, 200, "via_upstream", 0, Some(status), failed));
    }
    for (kind, code, details, flags, status, failed) in cases {
        let spans = json!({"cluster": "collector", "errors": true});
        let mut vm = start(json!({"spans": spans, "sampling": {"mode": "never"}}));
        let number = |number: i64| number.to_le_bytes();
        let (code, flags) = (number(code), number(flags));
        let status = status.map(number);
        let mut properties: Vec<(&str, &[u8])> = vec![
            ("response.code", &code),
            ("response.code_details", details.as_bytes()),
            ("response.flags", &flags),
        ];
        if let Some(status) = &status {
            properties.push(("response.grpc_status", status));
        }
        let mut exchange = vm.open(&properties);
        vm.request(&mut exchange, &with(&[("content-type", kind)]));
        vm.finish(exchange);
        let found = tick(&mut vm).is_some();
        assert_eq!(found, failed, "{kind} {properties:?}");
    }
}

/// How a gRPC call ended is told by the name of its status. What is none of gRPC's, of which the host says -1, is UNKNOWN to clients.
#[test]
fn the_status_of_a_grpc_call() {
    for (status, name) in [
        (0i64, "OK"),
        (5, "NOT_FOUND"),
        (14, "UNAVAILABLE"),
        (17, "UNKNOWN"),
        (-1, "UNKNOWN"),
    ] {
        let mut vm = exporting(json!({}));
        let (code, status) = (200i64.to_le_bytes(), status.to_le_bytes());
        let mut exchange = vm.open(&[("response.code", &code), ("response.grpc_status", &status)]);
        vm.request(
            &mut exchange,
            &with(&[("content-type", "application/grpc")]),
        );
        vm.finish(exchange);
        let body = tick(&mut vm).expect("a call").body;
        // `KeyValue.value = 2`, `AnyValue.string_value = 1`.
        let attribute = |key: &str, text: &str| {
            let size = u8::try_from(text.len()).unwrap();
            [
                key.as_bytes(),
                &[0x12, size + 2, 0x0a, size],
                text.as_bytes(),
            ]
            .concat()
        };
        for expected in [
            attribute("rpc.system.name", "grpc"),
            attribute("rpc.status_code", name),
        ] {
            let mut windows = body.windows(expected.len());
            assert!(
                windows.any(|part| part == expected),
                "{}",
                body.escape_ascii()
            );
        }
    }
}

#[test]
fn a_cluster_without_a_host_costs_a_try_and_not_the_spans() {
    let mut vm = exporting(json!({}));
    ask(&mut vm, 3);
    vm.host.fail("http_call", Failure::Status(10));
    assert!(next(&mut vm, Span::from_secs(1)).is_none());
    assert_eq!(counted(&mut vm), (0, 0));
    vm.host.heal();
    let (call, waited) = next(&mut vm, Span::from_secs(10)).unwrap();
    assert!(waited <= Span::from_millis(1_300), "{waited:?}");
    answer(&mut vm, call.token, &[(":status", "200")], b"");
    assert_eq!(counted(&mut vm), (3, 0));
    // A cluster that nobody knows never takes any.
    ask(&mut vm, 1);
    vm.host.fail("http_call", Failure::BadArgument);
    next(&mut vm, Span::from_secs(2));
    assert_eq!(counted(&mut vm), (3, 1));
}

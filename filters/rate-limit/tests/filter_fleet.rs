//! Limits that a service keeps: what it is asked, what its answers do, and what happens when there are none.
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

use common::filter::{all, answered, begin, count, errors, passing, rig, wait, Rig};
use seawall_core::host::Failure;
use seawall_core::plugin::Plugin;
use seawall_core::testing::{Call, Ended, Exchange};
use seawall_rate_limit::Request;
use serde_json::{json, Value};

const OK: u8 = 1;
const OVER: u8 = 2;
const UNAVAILABLE: u32 = 14;

/// A tenant's limit is kept by the service, an address's here.
fn configuration(more: Value) -> Value {
    let mut fleet = json!({"cluster": "ratelimit"});
    for (field, value) in more.as_object().unwrap() {
        fleet[field] = value.clone();
    }
    json!({
        "fleet": fleet,
        "limits": [
            {"name": "tenant", "key": [{"header": "x-tenant"}], "scope": "fleet", "requests": 3, "per": "1m"},
            {"name": "all", "requests": 5, "per": "1d"},
        ],
    })
}

/// An answer of the service: one status for each descriptor, `(code, remaining, seconds until the reset)`.
fn answer(code: u8, statuses: &[(u8, u8, u8)]) -> Vec<u8> {
    let mut message = vec![0x08, code];
    for (code, remaining, reset) in statuses {
        let status = [
            0x08, *code, 0x12, 2, 0x08, 3, 0x18, *remaining, 0x22, 2, 0x08, *reset,
        ];
        message.extend([0x12, status.len() as u8]);
        message.extend(status);
    }
    message
}

fn wait_for_the_service(rig: &mut Rig, tenant: &str) -> (Exchange<Request>, Call) {
    let (exchange, ended) = begin(rig, &[], &[("x-tenant", tenant)]);
    assert_eq!(ended, Ended::Paused);
    let mut calls = rig.host.take_callouts();
    assert_eq!(calls.len(), 1);
    (exchange, calls.remove(0))
}

fn service_says(rig: &mut Rig, token: u32, message: &[u8]) {
    rig.host.open(0);
    rig.host.put_grpc_response(message);
    rig.plugin.grpc_done(&rig.host, token, 0, message.len());
}

fn service_fails(rig: &mut Rig, token: u32) {
    rig.host.open(0);
    rig.plugin.grpc_done(&rig.host, token, UNAVAILABLE, 0);
}

#[test]
fn the_question_names_the_limit_its_key_and_its_numbers() {
    let mut rig = rig(configuration(json!({"domain": "edge"})));
    let (_, call) = wait_for_the_service(&mut rig, "acme");
    assert_eq!(call.cluster, "ratelimit");
    assert_eq!(
        call.headers[0].0,
        "envoy.service.ratelimit.v3.RateLimitService/ShouldRateLimit"
    );
    let wanted = [
        b"\x0a\x04edge\x12\x2d".as_slice(),
        b"\x0a\x0f\x0a\x05limit\x12\x06tenant",
        b"\x0a\x10\x0a\x08x-tenant\x12\x04acme",
        b"\x12\x04\x08\x03\x10\x02",
    ]
    .concat();
    let mut wanted = wanted;
    wanted[7] = (wanted.len() - 8) as u8;
    assert_eq!(call.body, wanted);
}

#[test]
fn who_is_admitted_goes_on_with_the_services_numbers() {
    let mut rig = rig(configuration(json!({})));
    let (exchange, call) = wait_for_the_service(&mut rig, "acme");
    assert_eq!(count(&rig, "all", "allowed"), 0, "nothing is decided yet");
    service_says(&mut rig, call.token, &answer(OK, &[(OK, 2, 42)]));
    assert!(rig.resumed(&exchange));
    let fields = answered(&mut rig, exchange, &[(":status", "200")]);
    let lines = all(&fields, "ratelimit").join(", ");
    assert!(lines.contains("\"tenant\";r=2;t=42"), "{lines}");
    assert!(lines.contains("\"all\";r=4;"), "{lines}");
    assert_eq!(count(&rig, "tenant", "allowed"), 1);
    assert_eq!(count(&rig, "all", "allowed"), 1);
}

#[test]
fn what_the_service_keeps_is_no_replicas_part() {
    let mut shared = configuration(json!({}));
    (shared["replicas"], shared["limits"][0]["burst"]) = (json!(2), json!(9));
    let mut rig = rig(shared);
    let (exchange, call) = wait_for_the_service(&mut rig, "acme");
    service_says(&mut rig, call.token, &answer(OK, &[(OK, 2, 42)]));
    let fields = answered(&mut rig, exchange, &[(":status", "200")]);
    let policy = ["\"all\";q=2;w=86400, \"tenant\";q=3;w=60"];
    assert_eq!(all(&fields, "ratelimit-policy"), policy);
}

#[test]
fn who_is_refused_is_told_the_reset_and_costs_nothing_here() {
    let mut rig = rig(configuration(json!({})));
    for _ in 0..9 {
        let (exchange, call) = wait_for_the_service(&mut rig, "acme");
        service_says(&mut rig, call.token, &answer(OVER, &[(OVER, 0, 7)]));
        let reply = rig.reply(&exchange).unwrap();
        assert!(!rig.resumed(&exchange));
        assert_eq!(reply.status, 429);
        assert_eq!(reply.header("retry-after"), Some("7"));
        assert_eq!(
            reply.header("ratelimit"),
            Some("\"all\";r=5, \"tenant\";r=0;t=7")
        );
        assert_eq!(reply.details, "seawall.rate_limit.refused.tenant");
        rig.finish(exchange);
        wait(&rig, 7);
    }
    assert_eq!(count(&rig, "tenant", "refused"), 9);
    assert_eq!(count(&rig, "all", "allowed"), 0);
    // All five are still there: nine refusals charged none of them.
    for _ in 0..5 {
        let (exchange, call) = wait_for_the_service(&mut rig, "acme");
        service_says(&mut rig, call.token, &answer(OK, &[(OK, 2, 7)]));
        assert!(rig.resumed(&exchange));
        rig.finish(exchange);
    }
    assert_eq!(passing(&mut rig, &[("x-tenant", "acme")], 3), 0);
    assert_eq!(
        rig.host.take_callouts(),
        [],
        "what is refused here asks nobody"
    );
}

#[test]
fn a_refusal_is_remembered_until_its_reset_by_all_workers() {
    let mut first = rig(configuration(json!({})));
    let (exchange, call) = wait_for_the_service(&mut first, "acme");
    service_says(&mut first, call.token, &answer(OVER, &[(OVER, 0, 30)]));
    first.finish(exchange);
    let mut second: Rig = Rig::start(first.host.world(), 2, &configuration(json!({})));
    wait(&second, 10);
    for rig in [&mut first, &mut second] {
        let before = rig.host.call_count();
        for _ in 0..100 {
            let (exchange, ended) = begin(rig, &[], &[("x-tenant", "acme")]);
            let Ended::Replied(reply) = ended else {
                panic!("{ended:?}");
            };
            assert_eq!(reply.header("retry-after"), Some("20"));
            rig.finish(exchange);
        }
        assert!(rig.host.call_count() > before);
        assert_eq!(rig.host.take_callouts(), [], "a flood reaches the service");
    }
    let (exchange, _) = wait_for_the_service(&mut second, "another");
    second.finish(exchange);
    wait(&second, 20);
    wait_for_the_service(&mut second, "acme");
}

/// A request of this cost that the service refuses, or that does not come so far: whether it was asked, and the answer's wait.
fn refused_at_cost(rig: &mut Rig, cost: &str, message: &[u8]) -> (bool, Option<String>) {
    let (exchange, ended) = begin(rig, &[], &[("x-cost", cost)]);
    let asked = rig.host.take_callouts().pop();
    let reply = match (&asked, ended) {
        (Some(call), Ended::Paused) => {
            service_says(rig, call.token, message);
            rig.reply(&exchange).unwrap()
        }
        (None, Ended::Replied(reply)) => reply,
        other => panic!("{other:?}"),
    };
    rig.finish(exchange);
    let wait = reply.header("retry-after").map(str::to_owned);
    (asked.is_some(), wait)
}

#[test]
fn a_refusal_is_remembered_for_what_costs_as_much() {
    let with = |numbers: bool| {
        rig(json!({
            "fleet": {"cluster": "ratelimit", "remember": "10s", "send_numbers": numbers},
            "limits": [{"name": "a", "scope": "fleet", "requests": 9, "per": "1m", "cost": {"header": "x-cost"}}],
        }))
    };
    let wait = |seconds: &str| Some(seconds.to_owned());
    // It says that two are left.
    let (mut first, two_left) = (with(true), answer(OVER, &[(OVER, 2, 30)]));
    assert_eq!(
        refused_at_cost(&mut first, "8", &two_left),
        (true, None),
        "its limit is 3"
    );
    assert_eq!(refused_at_cost(&mut first, "3", b""), (false, wait("30")));
    assert_eq!(
        refused_at_cost(&mut first, "2", &two_left),
        (true, wait("30"))
    );
    // What is all of its limit is admitted some day.
    let asked = refused_at_cost(&mut with(true), "3", &two_left);
    assert_eq!(asked, (true, wait("30")));
    // It says nothing.
    for (numbers, of_ten) in [(true, None), (false, wait("60"))] {
        let mut second = with(numbers);
        let over = answer(OVER, &[]);
        assert_eq!(refused_at_cost(&mut second, "8", &over), (true, wait("60")));
        assert_eq!(refused_at_cost(&mut second, "9", b""), (false, wait("60")));
        assert_eq!(refused_at_cost(&mut second, "10", b""), (false, of_ten));
        assert_eq!(refused_at_cost(&mut second, "7", &over), (true, wait("60")));
        assert_eq!(refused_at_cost(&mut second, "7", b""), (false, wait("60")));
    }
}

#[test]
fn a_refusal_without_a_reset_waits_for_a_whole_window_but_asks_again_soon() {
    let mut rig = rig(configuration(json!({"remember": "2s"})));
    let (exchange, call) = wait_for_the_service(&mut rig, "acme");
    service_says(&mut rig, call.token, &answer(OVER, &[]));
    assert_eq!(
        rig.reply(&exchange).unwrap().header("retry-after"),
        Some("60")
    );
    rig.finish(exchange);
    wait(&rig, 1);
    let (exchange, ended) = begin(&mut rig, &[], &[("x-tenant", "acme")]);
    let Ended::Replied(reply) = ended else {
        panic!("{ended:?}");
    };
    assert_eq!(reply.header("retry-after"), Some("59"));
    rig.finish(exchange);
    wait(&rig, 1);
    wait_for_the_service(&mut rig, "acme");
}

/// The three ways to go on without the service: how many of ten requests pass, and with which status others are answered.
#[test]
fn without_the_service_on_error_counts() {
    for (on_error, most, refusal) in [
        (json!({"on_error": "allow"}), 5, 429),
        (json!({"on_error": "deny"}), 0, 503),
        (json!({"on_error": "local"}), 3, 429),
        (json!({}), 3, 429),
    ] {
        let mut rig = rig(configuration(on_error.clone()));
        let mut passed = 0;
        for number in 0..10 {
            let (exchange, ended) = begin(&mut rig, &[], &[("x-tenant", "acme")]);
            match ended {
                Ended::Paused => {
                    let token = rig.host.take_callouts()[0].token;
                    // Both ways in which a call ends badly, and an answer that is none.
                    match number % 3 {
                        0 => service_fails(&mut rig, token),
                        1 => service_says(&mut rig, token, b"\x08\x00"),
                        _ => service_says(&mut rig, token, b"nonsense"),
                    }
                    match rig.reply(&exchange) {
                        Some(reply) => assert_eq!(reply.status, refusal, "{on_error}"),
                        None => {
                            assert!(rig.resumed(&exchange));
                            passed += 1;
                        }
                    }
                }
                Ended::Replied(reply) => assert_eq!(reply.status, 429),
                Ended::Forwarded(_) => panic!("nobody was asked"),
            }
            rig.finish(exchange);
        }
        assert_eq!(passed, most, "{on_error}");
        assert!(rig.host.world().metric("seawall.rate_limit.fleet_errors") > 0);
        let lines = rig.host.world().log();
        assert_eq!(
            lines.len(),
            1,
            "one line, not one for each request: {lines:?}"
        );
        // With the service back, what it says counts.
        if most == 3 {
            let (exchange, call) = wait_for_the_service(&mut rig, "acme");
            service_says(&mut rig, call.token, &answer(OK, &[(OK, 2, 7)]));
            assert!(rig.resumed(&exchange));
        }
    }
}

#[test]
fn a_call_that_cannot_start_is_decided_at_once() {
    let mut rig = rig(configuration(json!({})));
    rig.host.fail("grpc_call", Failure::Status(10));
    assert_eq!(passing(&mut rig, &[("x-tenant", "acme")], 10), 3);
}

#[test]
fn an_answer_without_end_is_none() {
    let mut rig = rig(configuration(json!({"on_error": "deny"})));
    for (length, admitted) in [(1 << 10, true), (1 << 20, true), ((1 << 20) + 1, false)] {
        let (exchange, call) = wait_for_the_service(&mut rig, "acme");
        let mut message = answer(OK, &[(OK, 2, 7)]);
        // A field that nobody knows; its length takes three bytes, also where two would do.
        let rest = length - message.len() - 4;
        let varint = [
            rest as u8 | 0x80,
            (rest >> 7) as u8 | 0x80,
            (rest >> 14) as u8,
        ];
        message.push(0x7a);
        message.extend(varint);
        message.resize(length, b'x');
        service_says(&mut rig, call.token, &message);
        assert_eq!(rig.resumed(&exchange), admitted, "{length} bytes");
        rig.finish(exchange);
    }
}

#[test]
fn never_more_wait_than_may() {
    let mut rig = rig(configuration(json!({"max_waiting": 2, "on_error": "deny"})));
    let first = wait_for_the_service(&mut rig, "a");
    let _second = wait_for_the_service(&mut rig, "b");
    let (third, ended) = begin(&mut rig, &[], &[("x-tenant", "c")]);
    let Ended::Replied(reply) = ended else {
        panic!("{ended:?}");
    };
    assert_eq!(reply.status, 503);
    rig.finish(third);
    // A client that leaves makes room, and an answer that comes too late is for nobody.
    rig.finish(first.0);
    let third = wait_for_the_service(&mut rig, "c");
    service_says(&mut rig, first.1.token, &answer(OK, &[(OK, 2, 7)]));
    service_says(&mut rig, third.1.token, &answer(OK, &[(OK, 2, 7)]));
    assert!(rig.resumed(&third.0));
}

#[test]
fn places_are_given_back_exactly_once_when_the_service_refuses() {
    let mut configuration = configuration(json!({}));
    configuration["limits"][1] = json!({"name": "places", "concurrent": 2});
    let mut rig = rig(configuration);
    // One of the two places is taken all the time.
    let (holder, call) = wait_for_the_service(&mut rig, "holder");
    service_says(&mut rig, call.token, &answer(OK, &[(OK, 2, 7)]));
    for _ in 0..5 {
        let (exchange, call) = wait_for_the_service(&mut rig, "acme");
        service_says(&mut rig, call.token, &answer(OVER, &[(OVER, 0, 1)]));
        rig.finish(exchange);
        // One that leaves while it waits.
        let (exchange, _) = wait_for_the_service(&mut rig, "other");
        rig.finish(exchange);
        wait(&rig, 1);
    }
    let second = wait_for_the_service(&mut rig, "b");
    let (third, ended) = begin(&mut rig, &[], &[("x-tenant", "c")]);
    assert!(matches!(ended, Ended::Replied(_)), "two places, not more");
    rig.finish(third);
    service_says(&mut rig, second.1.token, &answer(OK, &[(OK, 2, 7)]));
    for exchange in [holder, second.0] {
        answered(&mut rig, exchange, &[(":status", "200")]);
    }
    wait_for_the_service(&mut rig, "d");
    wait_for_the_service(&mut rig, "e");
}

#[test]
fn shadows_are_asked_but_nobody_waits() {
    let mut configuration = configuration(json!({}));
    configuration["limits"][0]["shadow"] = json!(true);
    let mut rig = rig(configuration);
    let (exchange, ended) = begin(&mut rig, &[], &[("x-tenant", "acme")]);
    assert!(matches!(ended, Ended::Forwarded(_)));
    let token = rig.host.take_callouts()[0].token;
    service_says(&mut rig, token, &answer(OVER, &[(OVER, 0, 9)]));
    assert_eq!(rig.reply(&exchange), None);
    assert_eq!(count(&rig, "tenant", "shadow_refused"), 1);
    let fields = answered(&mut rig, exchange, &[(":status", "200")]);
    assert!(!all(&fields, "ratelimit").join(", ").contains("tenant"));
    // Remembered, too: the service is spared.
    let (_, ended) = begin(&mut rig, &[], &[("x-tenant", "acme")]);
    assert!(matches!(ended, Ended::Forwarded(_)));
    assert_eq!(rig.host.take_callouts(), []);
    assert_eq!(count(&rig, "tenant", "shadow_refused"), 2);
}

#[test]
fn only_the_descriptors_that_are_over_are_blamed() {
    let mut configuration = configuration(json!({}));
    configuration["limits"][1] = json!({"name": "user", "key": [{"header": "x-tenant"}], "scope": "fleet", "requests": 9, "per": "1h"});
    let mut rig = rig(configuration);
    let (exchange, call) = wait_for_the_service(&mut rig, "acme");
    service_says(
        &mut rig,
        call.token,
        &answer(OVER, &[(OK, 2, 40), (OVER, 0, 50)]),
    );
    let reply = rig.reply(&exchange).unwrap();
    assert_eq!(reply.details, "seawall.rate_limit.refused.user");
    assert_eq!(reply.header("retry-after"), Some("50"));
    assert_eq!(
        reply.header("ratelimit"),
        Some("\"tenant\";r=2;t=40, \"user\";r=0;t=50")
    );
    assert_eq!(count(&rig, "tenant", "refused"), 0);
    assert_eq!(count(&rig, "tenant", "allowed"), 0);
}

#[test]
fn failing_hosts_never_leave_a_request_hanging() {
    for call in [
        "body",
        "shared_get",
        "shared_set",
        "now",
        "header",
        "reply",
        "random",
    ] {
        for message in [
            answer(OK, &[(OK, 1, 1)]),
            answer(OVER, &[(OVER, 0, 5)]),
            b"\x08\x00".to_vec(),
        ] {
            for on_error in ["allow", "deny"] {
                let mut configuration = configuration(json!({"on_error": "local"}));
                configuration["on_error"] = json!(on_error);
                let mut rig = rig(configuration);
                let (exchange, asked) = wait_for_the_service(&mut rig, "acme");
                rig.host.fail(call, Failure::Status(10));
                service_says(&mut rig, asked.token, &message);
                let reply = rig.reply(&exchange).map(|reply| reply.status);
                let ended = rig.resumed(&exchange) || reply.is_some();
                assert!(ended, "{call} fails, {message:?}, {on_error}");
                if call == "now" && message[1] == 0 {
                    let expected = (on_error == "deny").then_some(503);
                    assert_eq!(reply, expected, "nobody can count");
                }
                rig.finish(exchange);
            }
        }
    }
}

#[test]
fn what_cannot_be_shared_is_refused_at_load() {
    let limit = |more: Value| {
        let mut limit = json!({"name": "a", "scope": "fleet"});
        for (field, value) in more.as_object().unwrap() {
            limit[field] = value.clone();
        }
        json!({"fleet": {"cluster": "c"}, "limits": [limit]})
    };
    let of = |configuration: Value| errors(configuration).join("\n");
    assert_eq!(of(limit(json!({"requests": 1, "per": "10s"}))), "");
    let without = json!({"limits": [{"name": "a", "scope": "fleet", "requests": 1, "per": "1s"}]});
    assert!(of(without).contains("limits[0].scope: needs `fleet`"));
    let concurrent = of(limit(json!({"concurrent": 1})));
    assert!(concurrent.contains("limits[0].concurrent: is not for limits with `scope: fleet`"));
    let charge = of(limit(
        json!({"requests": 1, "per": "1s", "charge": {"status": 401}, "count_refused": true}),
    ));
    assert!(
        charge.contains("limits[0].charge: is not") && charge.contains("limits[0].count_refused")
    );
    let fleet = of(
        json!({"fleet": {"timeout": "0s", "max_waiting": 0, "remember": "2h", "domain": "", "x": 1}}),
    );
    for path in [
        "fleet.cluster: must be",
        "fleet.timeout: must be from 1ms to",
        "fleet.max_waiting: must be from 1 to 65536, got 0",
        "fleet.remember: must be",
        "fleet.domain: must not be empty",
        "fleet.x: unknown field `x`",
    ] {
        assert!(fleet.contains(path), "{path} in {fleet}");
    }
}

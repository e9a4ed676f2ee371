//! What becomes of charges whose responses do not come by, and of requests that cost nothing.
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

use common::filter::{answered, begin, count, passes, rig, wait, Rig};
use seawall_core::config::merge;
use seawall_core::testing::{Ended, Exchange};
use seawall_rate_limit::Request;
use serde_json::{json, Value};
use std::collections::VecDeque;

/// A request whose response does not come by, and the status that its client got.
fn ends_elsewhere(rig: &mut Rig, status: Option<u64>) {
    let (exchange, ended) = begin(rig, &[], &[]);
    assert!(matches!(ended, Ended::Forwarded(_)), "{ended:?}");
    rig.host.open(exchange.context);
    if let Some(status) = status {
        let status = status.to_le_bytes();
        rig.host.put_property("response\0code", &status);
    }
    rig.finish(exchange);
}

fn charging(charge: Value) -> Rig {
    rig(json!({"limits": [{"name": "a", "requests": 3, "per": "1d", "charge": charge}]}))
}

/// A filter behind this one may answer past it; then the status alone decides.
#[test]
fn of_a_response_that_did_not_come_by_the_status_says_what_it_costs() {
    for (status, left) in [
        (Some(200), 3),
        (Some(404), 2),
        (Some(503), 3),
        // Nobody was answered: what was charged stays.
        (Some(0), 2),
        (None, 2),
        // Nor was who left after Envoy's own 100 Continue.
        (Some(100), 2),
        (Some(103), 2),
    ] {
        let mut rig = charging(json!({"status": "4xx"}));
        ends_elsewhere(&mut rig, status);
        assert_eq!(passing_at_once(&mut rig), left, "{status:?}");
    }
    // What a field says is not known, so what was reserved stays, except where the status alone makes it free.
    for (status, left) in [(Some(200), 2), (Some(500), 3), (None, 2)] {
        let mut rig = charging(json!({"status": "2xx", "header": "x-cost", "reserve": 1}));
        ends_elsewhere(&mut rig, status);
        assert_eq!(passing_at_once(&mut rig), left, "{status:?}");
    }
    let mut rig = charging(json!({"header": "x-cost", "reserve": 1}));
    ends_elsewhere(&mut rig, Some(500));
    assert_eq!(passing_at_once(&mut rig), 2, "without a list, any status");
}

/// How many requests fit beside each other; they all stay open.
fn passing_at_once(rig: &mut Rig) -> usize {
    (0..9)
        .map(|_| begin(rig, &[], &[]).1)
        .filter(|ended| matches!(ended, Ended::Forwarded(_)))
        .count()
}

/// The status that counted is known once for all limits of a request, and each settles by its own list.
#[test]
fn each_limit_settles_by_its_own_list() {
    let limit = |name, status| json!({"name": name, "requests": 3, "per": "1d", "charge": {"status": status}});
    let mut rig = rig(json!({"limits": [limit("a", "2xx"), limit("b", "4xx"), limit("c", "2xx")]}));
    for _ in 0..3 {
        ends_elsewhere(&mut rig, Some(201));
    }
    let (exchange, ended) = begin(&mut rig, &[], &[]);
    let Ended::Replied(reply) = ended else {
        panic!("not refused but {ended:?}");
    };
    rig.finish(exchange);
    let told = reply.header("ratelimit").unwrap();
    assert!(told.contains("\"b\";r=3"), "{told}");
    let refused = ["a", "b", "c"].map(|limit| count(&rig, limit, "refused"));
    assert_eq!(refused, [1, 0, 1]);
}

/// The service is not asked for what costs nothing.
#[test]
fn what_costs_nothing_needs_no_service() {
    let mut rig = rig(json!({
        "fleet": {"cluster": "c", "on_error": "deny"},
        "limits": [{"name": "there", "scope": "fleet", "requests": 3, "per": "1d", "cost": 0}],
    }));
    for _ in 0..5 {
        assert!(passes(&mut rig, &[]));
    }
    assert!(rig.host.take_callouts().is_empty());
    assert_eq!(count(&rig, "there", "allowed"), 5);
}

/// A response that does come by is what counts, whatever the client got in the end.
#[test]
fn what_the_response_has_settled_the_end_leaves_alone() {
    let mut rig = charging(json!({"status": "4xx"}));
    for _ in 0..5 {
        let (exchange, ended) = begin(&mut rig, &[], &[]);
        assert!(matches!(ended, Ended::Forwarded(_)), "{ended:?}");
        rig.host.open(exchange.context);
        let status = 404u64.to_le_bytes();
        rig.host.put_property("response\0code", &status);
        answered(&mut rig, exchange, &[(":status", "200")]);
    }
    assert_eq!(passing_at_once(&mut rig), 3);
}

/// Envoy's own filters refuse who says that a request is gRPC with 200 and the status among the fields.
#[test]
fn a_refusal_in_the_form_of_grpc_costs_like_its_status_of_http() {
    for (response, left) in [
        (&[(":status", "200"), ("grpc-status", "16")][..], 2),
        (&[(":status", "200"), ("grpc-status", "7")], 2),
        (&[(":status", "200"), ("grpc-status", "0")], 3),
        (&[(":status", "200"), ("grpc-status", "14")], 3),
        (&[(":status", "200"), ("grpc-status", "none")], 3),
        // Not of gRPC, whatever it says there.
        (&[(":status", "503"), ("grpc-status", "16")], 3),
    ] {
        let mut rig = charging(json!({"status": "4xx"}));
        let exchange = opens(&mut rig);
        answered(&mut rig, exchange, response);
        assert_eq!(passing_at_once(&mut rig), left, "{response:?}");
    }
}

fn opens(rig: &mut Rig) -> Exchange<Request> {
    let (exchange, ended) = begin(rig, &[], &[]);
    assert!(matches!(ended, Ended::Forwarded(_)), "{ended:?}");
    exchange
}

/// What is free after all is given back whoever came in between, as long as it has not drained by itself; and where it has, nobody
/// gets it twice. With small numbers and with those that take more than 64 bits.
#[test]
fn what_is_given_back_late_is_given_back_once() {
    let small = json!({"requests": 3, "per": "30s"});
    let large = json!({"requests": 3_000, "per": "8760h", "cost": 1_000});
    for numbers in [small, large] {
        let limit = merge(&json!({"name": "a", "charge": {"status": "4xx"}}), &numbers);
        let part = if limit["cost"].is_null() {
            10
        } else {
            10_512_000
        };
        let limits = json!({ "limits": [limit] });
        // In use all the time: three come one after the other, and the first one is free.
        let mut under_way = rig(limits.clone());
        let first = opens(&mut under_way);
        let mut others = Vec::new();
        for _ in 0..2 {
            wait(&under_way, part / 10);
            others.push(opens(&mut under_way));
        }
        wait(&under_way, part / 10);
        answered(&mut under_way, first, &[(":status", "200")]);
        assert_eq!(passing_at_once(&mut under_way), 1, "{limits}");
        // Unused for so long that the first one has drained: what is there is that of the others.
        let mut drained = rig(limits.clone());
        let first = opens(&mut drained);
        wait(&drained, 4 * part);
        others.push(opens(&mut drained));
        others.push(opens(&mut drained));
        wait(&drained, part / 10);
        answered(&mut drained, first, &[(":status", "200")]);
        assert_eq!(passing_at_once(&mut drained), 1, "{limits}");
    }
}

/// Free requests that are always under way, each time as many as fit, and then failures as they end: of those there are no more
/// than the time since the key was last unused allows.
#[test]
fn what_is_given_back_is_never_more_than_came_back_since_the_key_was_unused() {
    let mut rig = rig(json!({"limits": [
        {"name": "a", "requests": 5, "per": "60s", "charge": {"status": 401}}]}));
    let mut under_way = VecDeque::new();
    let mut seconds = 0;
    let fill = |rig: &mut Rig, under_way: &mut VecDeque<_>| loop {
        let (exchange, ended) = begin(rig, &[], &[]);
        match ended {
            Ended::Forwarded(_) => under_way.push_back(exchange),
            _ => return rig.finish(exchange),
        }
    };
    for _ in 0..60 {
        fill(&mut rig, &mut under_way);
        let oldest = under_way.pop_front().unwrap();
        answered(&mut rig, oldest, &[(":status", "200")]);
        wait(&rig, 1);
        seconds += 1;
    }
    fill(&mut rig, &mut under_way);
    let mut failed = 0;
    for free in under_way {
        answered(&mut rig, free, &[(":status", "200")]);
        loop {
            let (exchange, ended) = begin(&mut rig, &[], &[]);
            if !matches!(ended, Ended::Forwarded(_)) {
                rig.finish(exchange);
                break;
            }
            answered(&mut rig, exchange, &[(":status", "401")]);
            failed += 1;
        }
    }
    assert!(failed <= 5 + seconds / 12, "{failed}");
}

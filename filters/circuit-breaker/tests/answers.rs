//! Answers that are not what they seem.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "test code"
)]

mod common;
use common::*;

/// Envoy follows a redirect by another request; the filter that let the first one through never sees its response.
fn redirected(worker: &mut Worker, call: Call, code: u64) {
    worker.host.open(call.context);
    for (name, value) in [
        ("flags", &0u64.to_le_bytes()[..]),
        ("code_details", b"internal_redirect"),
        ("code", &code.to_le_bytes()),
    ] {
        worker
            .host
            .put_property(&format!("response\0{name}"), value);
    }
    worker.finish(call);
}

#[test]
fn a_redirect_that_envoy_follows_is_an_answer() {
    let world = World::new();
    let configuration = json!({"failure_threshold": 2, "open_for": "1s", "ramp": "0s", "jitter": 0, "successes": 1});
    let mut worker: Worker = Vm::start(&world, 1, &configuration);
    call(&mut worker, "payments", "500");
    let first = admitted(&mut worker, "payments");
    redirected(&mut worker, first, 302);
    call(&mut worker, "payments", "500");
    assert_eq!(metric(&world, "open"), 0, "not in a row");
    call(&mut worker, "payments", "500");
    assert_eq!(metric(&world, "open"), 1);
    world.advance(Span::from_secs(2));
    let probe = admitted(&mut worker, "payments");
    redirected(&mut worker, probe, 302);
    assert_eq!(metric(&world, "closed"), 1, "the probe has succeeded");
    // What a filter behind this one sends elsewhere because it failed.
    let failed = admitted(&mut worker, "payments");
    redirected(&mut worker, failed, 503);
    assert_eq!(metric(&world, "failures"), 4);
}

#[test]
fn what_is_no_grpc_status_is_unknown() {
    for (status, failures) in [
        ("0", 0),
        ("8", 0),
        ("17", 1),
        ("abc", 1),
        ("-1", 1),
        ("", 1),
    ] {
        let world = World::new();
        let mut worker: Worker = Vm::start(&world, 1, &json!({}));
        let mut exchange = admitted(&mut worker, "payments");
        let headers = [(":status", "200"), ("grpc-status", status)];
        worker.response(&mut exchange, &headers, true);
        worker.finish(exchange);
        assert_eq!(metric(&world, "failures"), failures, "{status:?}");
    }
}

/// The upstream's `Retry-After` after a call of twenty seconds; what a refused call is told.
fn told(retry_after: &Value, value: &str) -> Option<String> {
    let world = World::new();
    let configuration =
        json!({"failure_threshold": 2, "open_for": "5s", "jitter": 0, "retry_after": retry_after});
    world.set_clock(Timestamp::from_secs(784_111_757));
    let mut worker: Worker = Vm::start(&world, 1, &configuration);
    let mut exchange = admitted(&mut worker, "payments");
    world.advance(Span::from_secs(20));
    let headers = [(":status", "503"), ("retry-after", value)];
    worker.response(&mut exchange, &headers, false);
    worker.finish(exchange);
    match begin(&mut worker, "payments", &GET).1 {
        Ended::Replied(reply) => reply.header("retry-after").map(str::to_owned),
        _ => None,
    }
}

#[test]
fn a_date_is_as_far_away_as_when_it_comes() {
    let opens = json!({"opens": [503]});
    let date = "Sun, 06 Nov 1994 08:49:47 GMT";
    assert_eq!(told(&opens, date).as_deref(), Some("10"));
    assert_eq!(told(&opens, "7").as_deref(), Some("7"));
}

#[test]
fn what_an_upstream_asks_for_does_not_open_where_it_is_worth_nothing() {
    let ignored = json!({"opens": [503], "max": "0s"});
    assert_eq!(told(&ignored, "7"), None);
}

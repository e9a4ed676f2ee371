//! What a call gets in the place of an answer of the upstream.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "test code"
)]

mod common;
use common::*;

#[test]
fn a_refusal_by_hand_says_so() {
    for (explain, expected) in [
        ("none", None),
        ("state", Some("forced_open")),
        ("full", Some("forced_open; retry=10")),
    ] {
        let world = World::new();
        let configuration = json!({"mode": "forced_open", "response_header": explain});
        let mut worker = sensitive(&world, &configuration);
        let refused = refusal(&mut worker, "payments", &GET);
        assert_eq!(refused.header("x-seawall-breaker"), expected);
        assert_eq!(refused.header("retry-after"), Some("10"));
        assert_eq!(metric(&world, "refused"), 1);
    }
}

#[test]
fn another_route_takes_refused_calls_or_they_are_refused() {
    let world = World::new();
    let route = json!({"fallback": {"route": {"header": "x-standby", "value": "1"}}});
    let mut worker = sensitive(&world, &route);
    let first = admitted(&mut worker, "payments");
    end(&mut worker, first, "500");
    let (call, ended) = begin(&mut worker, "payments", &GET);
    let Ended::Forwarded(fields) = ended else {
        panic!("not sent elsewhere but {ended:?}");
    };
    assert!(fields.contains(&("x-standby".to_owned(), b"1".to_vec())));
    break_off(&mut worker, call, 0);
    let counted =
        || ["route", "unavailable"].map(|what| metric(&world, &format!("fallback.{what}")));
    assert_eq!(counted(), [1, 0]);
    assert_eq!(metric(&world, "errors"), 0);
    worker.host.fail("foreign", Failure::Status(1));
    assert_eq!(refusal(&mut worker, "payments", &GET).status, 503);
    assert_eq!(counted(), [1, 1]);
    assert_eq!(metric(&world, "errors"), 1);
}

/// The copy takes the place of a refusal; another route would answer before it.
#[test]
fn another_route_takes_no_call_for_which_a_copy_stands_by() {
    let world = World::new();
    let route = json!({"fallback": {"route": {"header": "x-standby", "value": "1"}}});
    let mut worker = sensitive(&world, &route);
    call(&mut worker, "payments", "500");
    let now = world.now().as_nanos();
    // The time of the second one is over.
    for (until, refused) in [(now + 1, true), (now, false)] {
        let mut exchange = worker.open(&[
            ("xds.cluster_name", b"payments"),
            ("seawall.response_cache.stands_by", &until.to_le_bytes()),
        ]);
        let ended = worker.request(&mut exchange, &GET);
        assert_eq!(matches!(ended, Ended::Replied(_)), refused, "{ended:?}");
        worker.finish(exchange);
    }
    let counted = ["route", "unavailable"].map(|what| metric(&world, &format!("fallback.{what}")));
    assert_eq!(counted, [1, 1]);
}

/// What a failed call gets; `None` when it gets the upstream's own answer.
fn failed(worker: &mut Worker, headers: &[(&str, &str)]) -> Option<SentReply> {
    let (mut call, _) = begin(worker, "payments", headers);
    worker.response(&mut call, &[(":status", "500")], false);
    let reply = worker.reply(&call);
    worker.finish(call);
    reply
}

#[test]
fn the_answer_to_a_failed_call_has_its_id_and_its_fields_once() {
    let id = |length| "i".repeat(length);
    for (fields, sent, own, mark) in [
        (json!({}), id(128), Some(id(128)), "fallback"),
        (json!({}), id(129), None, "fallback"),
        (
            json!({"x-request-id": "fixed", "x-seawall-breaker": "mine"}),
            id(8),
            Some("fixed".to_owned()),
            "mine",
        ),
    ] {
        let world = World::new();
        let configuration = json!({"failure_threshold": 0, "failure_percentage": 0,
            "fallback": {"status": 200, "headers": fields, "body": "instead", "on_failure": true}});
        let mut worker = sensitive(&world, &configuration);
        let mut headers = GET.to_vec();
        headers.push(("x-request-id", &sent));
        let reply = failed(&mut worker, &headers).unwrap();
        assert_eq!(reply.header("x-request-id"), own.as_deref());
        assert_eq!(reply.header("x-seawall-breaker"), Some(mark));
        for name in ["x-request-id", "x-seawall-breaker"] {
            let times = reply.headers.iter().filter(|(field, _)| field == name);
            assert!(times.count() <= 1, "{name}");
        }
        // gRPC callers read the upstream's status, not a document.
        headers.push(("content-type", "application/grpc"));
        assert_eq!(failed(&mut worker, &headers), None);
        assert_eq!(metric(&world, "fallback.on_failure"), 1);
        worker.host.fail("reply", Failure::Status(1));
        assert_eq!(failed(&mut worker, &GET), None);
        assert_eq!(metric(&world, "fallback.on_failure"), 1);
    }
}

/// Only an answer that is enforced takes the place of a response.
#[test]
fn a_breaker_that_only_watches_answers_no_failed_call() {
    let world = World::new();
    let configuration = json!({"mode": "shadow", "fallback": {"status": 200, "body": "instead", "on_failure": true}});
    let mut worker = sensitive(&world, &configuration);
    assert_eq!(failed(&mut worker, &GET), None);
}

//! What a stream goes through besides its headers: bodies, trailers, tunnels, and what is left for the access log.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "test code"
)]

mod common;
use common::*;
use seawall_core::plugin::Stream;

fn worker(world: &World, configuration: &Value) -> Worker {
    Vm::start(world, 1, configuration)
}

/// A call whose body is to follow.
fn with_body(worker: &mut Worker) -> Call {
    going_on(worker, &GET)
}

/// A call that goes on after its headers.
fn going_on(worker: &mut Worker, headers: &[(&str, &str)]) -> Call {
    let mut call = worker.open(&[
        ("xds.cluster_name", b"payments"),
        ("response.flags", &0u64.to_le_bytes()),
        ("response.code_details", b"via_upstream"),
    ]);
    let own = |(name, value): &(&str, &str)| ((*name).to_owned(), value.as_bytes().to_vec());
    let ended = worker.request_bytes(&mut call, headers.iter().map(own).collect(), false);
    assert!(matches!(ended, Ended::Forwarded(_)), "{ended:?}");
    call
}

/// The end of a call's body.
fn sent(worker: &mut Worker, call: &mut Call) {
    worker.host.open(call.context);
    call.stream.request_body(&worker.host, 0, true);
}

fn trailers(worker: &mut Worker, call: &mut Call, fields: &[(&str, &str)]) {
    let own = |(name, value): &(&str, &str)| ((*name).to_owned(), value.as_bytes().to_vec());
    worker.host.open(call.context);
    worker.host.put_trailers(fields.iter().map(own).collect());
    call.stream.response_trailers(&worker.host);
}

#[test]
fn a_grpc_status_counts_when_its_trailers_come_and_only_then() {
    for (fields, at_once, in_the_end) in [
        (&[("grpc-status", "14")][..], 1, 1),
        (&[("grpc-status", "0")], 0, 0),
        // Trailers that say nothing of a status leave the verdict to the end.
        (&[("x-sum", "1")], 0, 0),
    ] {
        let world = World::new();
        let mut worker = worker(&world, &json!({}));
        let mut call = admitted(&mut worker, "payments");
        worker.response(&mut call, &[(":status", "200")], false);
        worker.response_body(&mut call, b"message", false);
        assert_eq!(metric(&world, "failures"), 0);
        trailers(&mut worker, &mut call, fields);
        assert_eq!(metric(&world, "failures"), at_once, "{fields:?}");
        worker.finish(call);
        assert_eq!(metric(&world, "failures"), in_the_end, "{fields:?}");
    }
}

/// What has its trailers has come whole, so that what Envoy says of the stream afterwards is not its end.
#[test]
fn what_has_trailers_came_whole() {
    let world = World::new();
    let mut worker = worker(&world, &json!({}));
    for (with, failures) in [(true, 0), (false, 1)] {
        let mut call = admitted(&mut worker, "payments");
        worker.response(&mut call, &[(":status", "200")], false);
        worker.response_body(&mut call, b"text", false);
        if with {
            trailers(&mut worker, &mut call, &[("x-sum", "1")]);
        }
        cut_short(&mut worker, call);
        assert_eq!(metric(&world, "failures"), failures, "{with}");
    }
}

#[test]
fn a_tunnel_that_breaks_off_has_worked() {
    for (method, failures) in [("CONNECT", 0), ("GET", 1)] {
        let world = World::new();
        let mut worker = worker(&world, &json!({}));
        let mut call = admitted(&mut worker, "payments");
        worker.response(&mut call, &[(":status", "200")], false);
        worker.response_body(&mut call, b"bytes", false);
        worker.host.open(call.context);
        let method = method.as_bytes();
        worker.host.put_property("request\0method", method);
        cut_short(&mut worker, call);
        assert_eq!(metric(&world, "failures"), failures, "{method:?}");
    }
}

/// The upstream's time begins when it has the whole request, and is over once it has begun to answer.
#[test]
fn a_call_is_timed_from_the_end_of_its_body_to_its_answer() {
    let world = World::new();
    let mut worker = worker(&world, &json!({"slow_after": "1s"}));
    let wait = |worker: &mut Worker| {
        for _ in 0..15 {
            world.advance(Span::from_millis(100));
            worker.tick();
        }
        metric(&world, "overdue")
    };
    let mut slow = with_body(&mut worker);
    assert_eq!(wait(&mut worker), 0, "still sending");
    sent(&mut worker, &mut slow);
    assert_eq!(wait(&mut worker), 1);
    worker.finish(slow);
    let mut answered = with_body(&mut worker);
    worker.response(&mut answered, &[(":status", "200")], false);
    sent(&mut worker, &mut answered);
    assert_eq!(wait(&mut worker), 1, "it has begun to answer");
    worker.response_body(&mut answered, b"text", true);
    worker.finish(answered);
    assert_eq!(metric(&world, "overdue"), 1);
}

/// What has no end is timed from its beginning, and counts once, whatever its client sends or ends meanwhile.
#[test]
fn an_upgrade_or_a_tunnel_that_hangs_is_overdue() {
    for (headers, overdue) in [
        (&[(":method", "GET"), ("upgrade", "websocket")][..], 1),
        (&[(":method", "CONNECT")], 1),
        (&[(":method", "GET")], 0),
        (&[(":method", "POST")], 0),
    ] {
        let world = World::new();
        let mut worker = worker(&world, &json!({"slow_after": "1s"}));
        let mut call = going_on(&mut worker, headers);
        let wait = |worker: &mut Worker| {
            for _ in 0..15 {
                world.advance(Span::from_millis(100));
                worker.tick();
            }
            metric(&world, "overdue")
        };
        assert_eq!(wait(&mut worker), overdue, "{headers:?}");
        sent(&mut worker, &mut call);
        assert_eq!(wait(&mut worker), 1, "{headers:?}");
        break_off(&mut worker, call, LEFT);
        // One that is agreed to is in time, however long it lasts.
        let mut agreed = going_on(&mut worker, headers);
        worker.response(&mut agreed, &[(":status", "101")], false);
        assert_eq!(wait(&mut worker), 1, "{headers:?}");
        worker.finish(agreed);
    }
}

/// Only where calls are timed is anything asked, and then no more than needed.
#[test]
fn what_goes_on_after_its_headers_is_looked_at_only_where_calls_are_timed() {
    let calls = |configuration: &Value, method: &str| {
        let world = World::new();
        let mut worker = worker(&world, configuration);
        going_on(&mut worker, &[(":method", method)]);
        worker.host.forget_calls();
        going_on(&mut worker, &[(":method", method)]);
        worker.host.calls().get("header").copied().unwrap_or(0)
    };
    let timed = json!({"slow_after": "1s"});
    for (method, reads) in [("POST", 1), ("CONNECT", 1), ("GET", 2)] {
        assert_eq!(calls(&json!({}), method), 0, "{method}");
        assert_eq!(calls(&timed, method), reads, "{method}");
    }
}

/// The two records of a call that has ended as `end` has it.
fn records(configuration: &Value, end: impl FnOnce(&mut Worker, &mut Call)) -> [Option<String>; 2] {
    let world = World::new();
    let mut worker = worker(&world, configuration);
    let mut call = worker.open(&[
        ("xds.cluster_name", b"payments"),
        ("response.flags", &0u64.to_le_bytes()),
        ("response.code_details", b"via_upstream"),
    ]);
    worker.request(&mut call, &GET);
    end(&mut worker, &mut call);
    worker.host.open(call.context);
    call.stream.log(&worker.host);
    ["verdict", "evidence"].map(|record| {
        let value = worker.property(&call, &format!("seawall.circuit_breaker.{record}"));
        value.map(|value| String::from_utf8(value).unwrap())
    })
}

#[test]
fn the_access_log_has_the_verdict_and_what_it_is_made_of() {
    let answer = |worker: &mut Worker, call: &mut Call| {
        worker.response(call, &[(":status", "200")], false);
        trailers(worker, call, &[("grpc-status", "14")]);
    };
    let logged = records(&json!({"access_log": true}), answer);
    assert_eq!(
        logged.map(Option::unwrap),
        [
            "failure:grpc_status",
            "request+response+trailers+log flags=0x0 details=via_upstream"
        ]
    );
    assert_eq!(records(&json!({}), answer), [None, None]);
    let refused = records(
        &json!({"access_log": true, "mode": "forced_open"}),
        |_, _| {},
    );
    assert_eq!(refused.map(Option::unwrap), ["none", "request+log"]);
    let overdue = records(
        &json!({"access_log": true, "slow_after": "1s"}),
        |worker, call| {
            worker.host.world().advance(Span::from_secs(2));
            worker.response(call, &[(":status", "200")], false);
        },
    );
    assert_eq!(overdue[0].as_deref(), Some("slow:overdue"));
}

/// What follows a change of protocol is no HTTP: how it ends says nothing.
#[test]
fn a_change_of_protocol_is_the_answer() {
    for (status, failures) in [("101", 0), ("100", 1), ("102", 1), ("200", 1)] {
        let world = World::new();
        let mut worker = worker(&world, &json!({}));
        let mut call = admitted(&mut worker, "payments");
        worker.response(&mut call, &[(":status", status)], false);
        cut_short(&mut worker, call);
        assert_eq!(metric(&world, "failures"), failures, "{status}");
    }
}

/// What becomes of probes is counted.
#[test]
fn probes_are_counted_by_what_became_of_them() {
    let world = World::new();
    let configuration =
        json!({"failure_threshold": 1, "open_for": "1s", "jitter": 0, "probes": 1, "successes": 1});
    let mut worker = worker(&world, &configuration);
    let counted = || {
        ["sent", "succeeded", "failed", "ignored"]
            .map(|what| metric(&world, &format!("probe.{what}")))
    };
    call(&mut worker, "payments", "500");
    for (number, (end_with, expected)) in [
        ("500", [1, 0, 1, 0]),
        ("left", [2, 0, 1, 1]),
        ("200", [3, 1, 1, 1]),
    ]
    .into_iter()
    .enumerate()
    {
        world.advance(Span::from_secs(20));
        let probe = admitted(&mut worker, "payments");
        match end_with {
            "left" => break_off(&mut worker, probe, LEFT),
            status => end(&mut worker, probe, status),
        }
        assert_eq!(counted(), expected, "{number}: {end_with}");
    }
}

//! The whole filter on the fake host, several workers in one process.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "test code"
)]

mod common;
use common::*;
use proptest::prelude::*;

fn plain() -> Value {
    json!({"failure_threshold": 5, "open_for": "10s", "jitter": 0, "successes": 1, "ramp": "0s"})
}

#[test]
fn the_fifth_failure_in_a_row_opens_whichever_worker_sees_it() {
    let world = World::new();
    let mut workers = workers(&world, 4, &plain());
    for n in 0..5 {
        assert!(call(&mut workers[n % 4], "payments", "500"), "call {n}");
    }
    for n in 0..20 {
        assert!(!call(&mut workers[n % 4], "payments", "200"), "call {n}");
    }
    assert!(call(&mut workers[0], "orders", "200"));
    assert_eq!(world.metric("seawall.circuit_breaker.refused"), 20);
    assert_eq!(world.metric("seawall.circuit_breaker.open"), 1);
    world.advance(Span::from_secs(10));
    assert!(call(&mut workers[1], "payments", "200"));
    assert!(call(&mut workers[2], "payments", "200"));
    assert_eq!(world.metric("seawall.circuit_breaker.open"), 0);
    assert_eq!(
        world.log().len(),
        3,
        "one line per transition: {:?}",
        world.log()
    );
}

/// A call that fails while closed, with an answer for it, where a copy stands by until then: the answer, and the mark.
fn failed_call(worker: &mut Worker, until: &[u8], status: &str) -> (Option<SentReply>, bool) {
    let mut exchange = worker.open(&[
        ("xds.cluster_name", b"payments"),
        ("response.flags", &[0; 8]),
        ("response.code_details", b"via_upstream"),
        ("seawall.response_cache.stands_by", until),
    ]);
    worker.request(&mut exchange, &GET);
    worker.response(&mut exchange, &[(":status", status)], false);
    let marked = worker.property(&exchange, "seawall.circuit_breaker.failed");
    let seen = (worker.reply(&exchange), marked.is_some());
    worker.finish(exchange);
    seen
}

#[test]
fn a_failed_call_is_left_to_a_copy_that_stands_by_in_time() {
    let world = World::new();
    let configuration = json!({"failure_threshold": 0, "failure_percentage": 0, "failures": {"statuses": ["5xx", 404, 302]},
        "fallback": {"status": 200, "body": "instead", "on_failure": true}});
    let mut worker: Worker = Vm::start(&world, 1, &configuration);
    let now = world.now().as_nanos();
    for status in ["500", "404"] {
        let left = failed_call(&mut worker, &(now + 1).to_le_bytes(), status);
        assert_eq!(left, (None, true), "{status}");
    }
    // Too late, not a time, and not an error to a cache.
    for (until, status) in [
        (&now.to_le_bytes()[..], "500"),
        (b"soon", "500"),
        (b"", "500"),
        (&u64::MAX.to_le_bytes(), "302"),
    ] {
        let (reply, marked) = failed_call(&mut worker, until, status);
        assert_eq!(reply.unwrap().body, b"instead", "{until:?} {status}");
        assert!(!marked);
    }
    // And where the mark cannot be set, the copy would not be used.
    worker.host.fail("set_property", Failure::Status(10));
    let (reply, _) = failed_call(&mut worker, &(now + 1).to_le_bytes(), "500");
    assert!(reply.is_some());
    assert_eq!(metric(&world, "failures"), 7);
    assert_eq!(metric(&world, "fallback.on_failure"), 5);
}

#[test]
fn the_lines_of_a_change_lead_to_the_request_behind_it() {
    let world = World::new();
    let configuration =
        json!({"failure_threshold": 2, "open_for": "1s", "slow_after": "5s", "jitter": 0});
    let mut workers = workers(&world, 2, &configuration);
    let from = |worker: &mut Worker, id: &str, status: Option<&str>| {
        let headers = [(":method", "GET"), ("x-request-id", id)];
        let (exchange, _) = begin(worker, "payments", &headers);
        match status {
            Some(status) => end(worker, exchange, status),
            None => break_off(worker, exchange, LEFT),
        }
    };
    from(&mut workers[0], "one", Some("500"));
    from(&mut workers[1], "two", Some("500"));
    world.advance(Span::from_secs(1));
    let headers = [(":method", "GET"), ("x-request-id", "three")];
    let (hanging, _) = begin(&mut workers[0], "payments", &headers);
    // Found overdue while another request is at hand.
    world.advance(Span::from_secs(5));
    from(&mut workers[0], "four", None);
    workers[0].finish(hanging);
    let log = world.log();
    let ends: Vec<_> = log
        .iter()
        .filter_map(|line| line.split_once(" request_id="))
        .collect();
    let ids: Vec<_> = ends.iter().map(|(_, id)| *id).collect();
    assert_eq!(ids, ["two", "three", "three"], "{log:#?}");
}

#[test]
fn a_refusal_says_when_to_come_back() {
    let world = World::new();
    let mut worker: Worker = Vm::start(
        &world,
        1,
        &json!({
            "failure_threshold": 1, "open_for": "10s", "jitter": 0,
            "fallback": {"status": 200, "body": "later", "headers": {"x-why": "open"}},
        }),
    );
    call(&mut worker, "payments", "500");
    world.advance(Span::from_millis(2_500));
    let mut exchange = worker.open(&[("xds.cluster_name", b"payments")]);
    let Ended::Replied(reply) = worker.request(&mut exchange, &GET) else {
        panic!("not refused")
    };
    assert_eq!((reply.status, reply.body.as_slice()), (200, &b"later"[..]));
    assert_eq!(reply.header("retry-after"), Some("8"));
    assert_eq!(reply.header("x-why"), Some("open"));
    assert_eq!(reply.header("x-seawall-breaker"), Some("open"));
}

#[test]
fn a_grpc_caller_gets_unavailable_with_pushback() {
    let world = World::new();
    let mut worker: Worker = Vm::start(
        &world,
        1,
        &json!({"failure_threshold": 1, "open_for": "2s", "jitter": 0}),
    );
    call(&mut worker, "payments", "500");
    let mut exchange = worker.open(&[("xds.cluster_name", b"payments")]);
    let headers = [
        (":method", "POST"),
        ("content-type", "application/grpc+proto"),
    ];
    let Ended::Replied(reply) = worker.request(&mut exchange, &headers) else {
        panic!("not refused")
    };
    assert_eq!(reply.grpc_status, Some(14));
    assert_eq!(reply.header("grpc-retry-pushback-ms"), Some("2001"));
}

#[test]
fn a_call_that_hangs_counts_once_before_it_ends() {
    let world = World::new();
    let mut worker: Worker = Vm::start(
        &world,
        1,
        &json!({"failure_threshold": 2, "slow_after": "1s", "open_for": "10s"}),
    );
    let open = |worker: &mut Worker| {
        let mut exchange = worker.open(&[("xds.cluster_name", b"payments")]);
        assert!(matches!(
            worker.request(&mut exchange, &GET),
            Ended::Forwarded(_)
        ));
        exchange
    };
    let first = open(&mut worker);
    let second = open(&mut worker);
    assert_eq!(worker.host.tick_period(), Span::from_millis(100));
    world.advance(Span::from_millis(1_000));
    worker.tick();
    assert!(
        !call(&mut worker, "payments", "200"),
        "open while both still hang"
    );
    worker.finish(first);
    worker.finish(second);
    assert_eq!(world.metric("seawall.circuit_breaker.overdue"), 2);
    assert_eq!(world.metric("seawall.circuit_breaker.failures"), 2);
}

#[test]
fn every_host_call_may_fail_and_calls_pass() {
    for name in [
        "now",
        "random",
        "property",
        "header",
        "shared_get",
        "shared_set",
        "metric_add",
        "log",
        "reply",
        "set_tick",
        "act_on",
    ] {
        let world = World::new();
        let mut worker: Worker = Vm::start(
            &world,
            1,
            &json!({"failure_threshold": 1, "slow_after": "1s"}),
        );
        worker.host.fail(name, Failure::Status(10));
        let first = call(&mut worker, "payments", "500");
        assert!(first, "{name}");
        call(&mut worker, "payments", "500");
        worker.tick();
    }
}

#[test]
fn shadow_counts_and_refuses_nothing() {
    let world = World::new();
    let mut worker: Worker = Vm::start(
        &world,
        1,
        &json!({"failure_threshold": 2, "mode": "shadow"}),
    );
    for _ in 0..10 {
        assert!(call(&mut worker, "payments", "500"));
    }
    assert_eq!(world.metric("seawall.circuit_breaker.shadow_refused"), 8);
    assert_eq!(world.metric("seawall.circuit_breaker.refused"), 0);
}

#[test]
fn a_flood_of_keys_leaves_shared_data_bounded_and_other_tenants_alone() {
    let world = World::new();
    let configuration =
        json!({"key": [{"header": "x-tenant-id"}], "failure_threshold": 1, "max_keys": 64});
    let mut worker: Worker = Vm::start(&world, 1, &configuration);
    for n in 0..2_000 {
        if n == 1_000 {
            // All places are taken. Who has left since gives way, and is not counted as open any more.
            assert_eq!(world.metric("seawall.circuit_breaker.open"), 64);
            world.advance(Span::from_secs(10));
        }
        let tenant = format!("t{n}");
        let mut exchange = worker.open(&[("response.code_details", b"via_upstream")]);
        let headers = [(":method", "GET"), ("x-tenant-id", tenant.as_str())];
        assert!(
            matches!(worker.request(&mut exchange, &headers), Ended::Forwarded(_)),
            "{tenant} is a stranger"
        );
        worker.response(&mut exchange, &[(":status", "500")], true);
        worker.finish(exchange);
    }
    assert!(world.shared_keys() <= 64 / 4 + 1);
    assert!(world.metric("seawall.circuit_breaker.table_full") > 0);
    assert_eq!(world.metric("seawall.circuit_breaker.open"), 64);
}

#[test]
fn a_header_that_is_called_like_another_part_is_not_that_part() {
    let world = World::new();
    let by = |key: Value| json!({"key": [key], "failure_threshold": 1});
    let mut client: Worker = Vm::start(&world, 1, &by(json!({"header": "cluster"})));
    let headers = [(":method", "GET"), ("cluster", "payments")];
    let (call, _) = begin(&mut client, "reports", &headers);
    end(&mut client, call, "500");
    refusal(&mut client, "reports", &headers);
    let mut other: Worker = Vm::start(&world, 2, &by(json!("cluster")));
    admitted(&mut other, "payments");
}

/// Also where nothing else is counted than failures in a row.
#[test]
fn a_success_in_between_ends_the_row_whichever_worker_sees_it() {
    let world = World::new();
    let rows = json!({"failure_threshold": 3, "failure_percentage": 0, "slow_percentage": 0});
    let mut workers = workers(&world, 2, &rows);
    for round in 0..5 {
        for status in ["500", "500", "200"] {
            assert!(call(&mut workers[round % 2], "payments", status));
        }
    }
    assert_eq!(metric(&world, "open"), 0);
    (0..3).for_each(|n| assert!(call(&mut workers[n % 2], "payments", "500")));
    assert_eq!(metric(&world, "open"), 1);
}

/// A worker knows of the others' failures from the next call that it admits.
#[test]
fn a_success_that_was_under_way_when_the_row_began_ends_it() {
    let world = World::new();
    let rows = json!({"failure_threshold": 3, "failure_percentage": 0, "slow_percentage": 0});
    let mut workers = workers(&world, 2, &rows);
    let long = admitted(&mut workers[0], "payments");
    (0..2).for_each(|_| assert!(call(&mut workers[1], "payments", "500")));
    let next = admitted(&mut workers[0], "payments");
    end(&mut workers[0], long, "200");
    (0..2).for_each(|_| assert!(call(&mut workers[1], "payments", "500")));
    assert_eq!(metric(&world, "open"), 0);
    end(&mut workers[0], next, "404");
    assert!(call(&mut workers[1], "payments", "500"));
    assert_eq!(metric(&world, "open"), 1);
}

/// And at once of its own failures.
#[test]
fn a_success_beside_a_failure_of_the_same_worker_ends_the_row() {
    let world = World::new();
    let rows = json!({"failure_threshold": 2, "failure_percentage": 0, "slow_percentage": 0});
    let mut workers = workers(&world, 2, &rows);
    // From here on it has a copy, and looks at nothing for a healthy call.
    assert!(call(&mut workers[0], "payments", "200"));
    let [one, other] = [(); 2].map(|()| admitted(&mut workers[0], "payments"));
    end(&mut workers[0], one, "500");
    end(&mut workers[0], other, "200");
    assert!(call(&mut workers[1], "payments", "500"));
    assert_eq!(metric(&world, "open"), 0);
}

#[test]
fn each_status_that_may_open_by_what_it_asks_for_does() {
    for status in ["502", "503"] {
        let world = World::new();
        let configuration = json!({"jitter": 0, "retry_after": {"opens": [502, 503]}});
        let mut worker = workers(&world, 1, &configuration).remove(0);
        let mut failing = admitted(&mut worker, "payments");
        worker.response(
            &mut failing,
            &[(":status", status), ("retry-after", "7")],
            true,
        );
        worker.finish(failing);
        let reply = refusal(&mut worker, "payments", &GET);
        assert_eq!(reply.header("retry-after"), Some("7"), "{status}");
    }
}

#[test]
fn fields_of_the_configured_answer_come_once() {
    let world = World::new();
    let configuration = json!({"failure_threshold": 1,
        "fallback": {"headers": {"retry-after": "99", "x-seawall-breaker": "down"}}});
    let mut worker = workers(&world, 1, &configuration).remove(0);
    assert!(call(&mut worker, "payments", "500"));
    let reply = refusal(&mut worker, "payments", &GET);
    for (name, value) in [("retry-after", "99"), ("x-seawall-breaker", "down")] {
        let values: Vec<_> = reply.headers.iter().filter(|(n, _)| n == name).collect();
        assert_eq!(values.len(), 1, "{name}: {values:?}");
        assert_eq!(reply.header(name), Some(value));
    }
}

#[test]
fn configuration_errors_name_their_fields() {
    let errors = Worker::errors(&json!({
        "failure_threshold": 2000000, "open_for": "2m", "max_open_for": "1m", "jitter": 2, "probes": 9,
        "key": ["cluster", {"header": "X Y"}], "mode": "loud", "fallback": {"status": 99, "bdy": ""},
    }));
    for part in [
        "failure_threshold: must be from 0 to 1000000, got 2000000",
        "max_open_for: must be at least open_for (2m), got 1m",
        "jitter:",
        "probes: must be from 1 to 8, got 9",
        "key[1].header",
        "mode: unknown variant `loud`",
        "fallback.status",
        "fallback.bdy",
    ] {
        assert!(
            errors.iter().any(|error| error.contains(part)),
            "{part} in {errors:#?}"
        );
    }
    for (configuration, error) in [
        // Not of fields that only follow from it.
        (
            json!({"slow_after": "0s"}),
            "slow_after: must be from 1ms to 1d, got 0s",
        ),
        (
            json!({"open_for": "2d"}),
            "open_for: must be from 1ms to 1d, got 2d",
        ),
        (
            json!({"max_open_for": "2d"}),
            "max_open_for: must be from 0s to 1d, got 2d",
        ),
        (
            json!({"fallback": {"status": 204, "body": "none"}}),
            "fallback.body: must be empty with status 204, got 4 bytes",
        ),
        (
            json!({"fallback": {"by_type": [{"type": "text/*", "body": "none"}]}}),
            "fallback.by_type[0].type: must be a media type such as application/json, got \"text/*\"",
        ),
    ] {
        assert_eq!(Worker::errors(&configuration), [error]);
    }
    assert!(Worker::errors(&json!({"failure_threshold": 5, "timeout": "60s"})).is_empty());
    assert_eq!(
        Worker::errors(&json!({"open_for": "1s", "timeout": "60s"})).len(),
        1
    );
}

#[derive(Debug, Clone)]
enum Event {
    Start(usize),
    End(usize, u16),
    Abort(usize),
    Advance(u64),
    Back(u64),
    Tick(usize),
}

fn event() -> impl Strategy<Value = Event> {
    prop_oneof![
        4 => (0..3usize).prop_map(Event::Start),
        3 => (0..20usize, prop_oneof![Just(200u16), Just(500u16)]).prop_map(|(n, s)| Event::End(n, s)),
        2 => (0..20usize).prop_map(Event::Abort),
        2 => (0..20_000u64).prop_map(Event::Advance),
        1 => (0..20_000u64).prop_map(Event::Back),
        1 => (0..3usize).prop_map(Event::Tick),
    ]
}

proptest! {
    /// Whatever happened, a healthy upstream closes the breaker within one open period and the time of its probes.
    #[test]
    fn no_reachable_state_is_without_an_exit(events in proptest::collection::vec(event(), 0..120)) {
        let world = World::new();
        let configuration = json!({"failure_threshold": 2, "open_for": "1s", "max_open_for": "8s", "probe_timeout": "2s",
            "slow_after": "1s", "probes": 2, "successes": 2, "ramp": "0s"});
        let mut workers = workers(&world, 3, &configuration);
        let mut under_way = Vec::new();
        for event in events {
            match event {
                Event::Start(worker) => {
                    let (exchange, ended) = begin(&mut workers[worker], "payments", &GET);
                    if let Ended::Forwarded(_) = ended {
                        under_way.push((worker, exchange));
                    }
                }
                Event::End(n, status) if n < under_way.len() => {
                    let (worker, exchange) = under_way.swap_remove(n);
                    end(&mut workers[worker], exchange, &status.to_string());
                }
                // The client left.
                Event::Abort(n) if n < under_way.len() => {
                    let (worker, exchange) = under_way.swap_remove(n);
                    break_off(&mut workers[worker], exchange, LEFT);
                }
                Event::Advance(millis) => world.advance(Span::from_millis(millis)),
                Event::Back(millis) => {
                    world.set_clock(Timestamp(world.now().0.saturating_sub(millis * 1_000_000)));
                }
                Event::Tick(worker) => workers[worker].tick(),
                _ => {}
            }
        }
        // The rest hangs for ever; an hour makes up for all steps back of the clock, so all of it is overdue.
        world.advance(Span::from_secs(3600));
        for worker in &mut workers {
            worker.tick();
        }
        // 8 s and its jitter is the longest open time.
        world.advance(Span::from_secs(10));
        for _ in 0..3 {
            call(&mut workers[0], "payments", "200");
        }
        for worker in &mut workers {
            prop_assert!(call(worker, "payments", "200"));
        }
    }
}

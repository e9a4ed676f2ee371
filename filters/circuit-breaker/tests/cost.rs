//! What a call costs in host calls.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "test code"
)]

mod common;
use common::*;

fn cost(
    configuration: &Value,
    prepare: impl Fn(&World, &mut Worker),
    status: &str,
) -> (u64, u64, u64) {
    let world = World::new();
    let mut worker: Worker = Vm::start(&world, 1, configuration);
    call(&mut worker, "payments", "200");
    prepare(&world, &mut worker);
    worker.host.forget_calls();
    call(&mut worker, "payments", status);
    let calls = worker.host.calls();
    let count = |name| calls.get(name).copied().unwrap_or_default();
    println!("{calls:?}");
    (
        worker.host.call_count(),
        count("shared_get"),
        count("shared_set"),
    )
}

/// What came whole needs no word of Envoy's on how it ended.
#[test]
fn flags_are_read_only_of_answers_without_an_end() {
    for (ended, calls) in [(true, 6), (false, 7)] {
        let world = World::new();
        let mut worker: Worker = Vm::start(&world, 1, &json!({}));
        call(&mut worker, "payments", "200");
        worker.host.forget_calls();
        let (mut exchange, _) = begin(&mut worker, "payments", &GET);
        worker.response(&mut exchange, &[(":status", "200")], false);
        worker.response_body(&mut exchange, b"one", false);
        worker.response_body(&mut exchange, b"two", ended);
        worker.finish(exchange);
        assert_eq!(worker.host.call_count(), calls, "{ended}");
    }
}

/// All calls, reads of shared data, writes to it.
#[test]
fn a_call_costs_so_many_host_calls() {
    let nothing = |_: &World, _: &mut Worker| {};
    let open = |_: &World, worker: &mut Worker| {
        for _ in 0..5 {
            call(worker, "payments", "500");
        }
    };
    let default = json!({});
    // Two for the route's settings, the clock, the cluster, the generation, the status and the flags.
    assert_eq!(cost(&default, nothing, "200"), (7, 0, 0));
    assert_eq!(
        cost(&json!({"per_route": false}), nothing, "200"),
        (5, 0, 0)
    );
    // The clock once more, for a call may be late and the timer later.
    assert_eq!(
        cost(&json!({"slow_after": "1s"}), nothing, "200"),
        (8, 0, 0)
    );
    assert_eq!(
        cost(&json!({"mode": "forced_closed"}), nothing, "200"),
        (2, 0, 0)
    );
    assert_eq!(cost(&json!({"enabled": false}), nothing, "200"), (2, 0, 0));
    // A copy is a second old at the most.
    let later = |world: &World, _: &mut Worker| world.advance(Span::from_secs(1));
    assert_eq!(cost(&default, later, "200"), (8, 1, 0));
    // A failure is counted, and the next success ends the row.
    let (_, gets, sets) = cost(&default, nothing, "500");
    assert_eq!((gets, sets), (2, 2), "the record, and the alarm");
    let failing = |_: &World, worker: &mut Worker| {
        call(worker, "payments", "500");
    };
    // Where no shares matter, there is nobody to alarm.
    let rows = json!({"failure_percentage": 0});
    let (_, gets, sets) = cost(&rows, nothing, "500");
    assert_eq!((gets, sets), (1, 1), "the record");
    assert_eq!(cost(&default, failing, "200").2, 1);
    assert_eq!(cost(&default, failing, "500").2, 1);
    // A refusal reads once and writes nothing.
    let (all, gets, sets) = cost(&default, open, "200");
    assert_eq!((gets, sets), (1, 0));
    assert!(all <= 10, "{all}");
}

#[test]
fn a_few_failures_do_not_make_every_success_write() {
    let world = World::new();
    let mut worker: Worker = Vm::start(&world, 1, &json!({}));
    for _ in 0..1000 {
        call(&mut worker, "payments", "200");
    }
    call(&mut worker, "payments", "500");
    call(&mut worker, "payments", "200");
    worker.host.forget_calls();
    for n in 0..1000 {
        assert!(call(&mut worker, "payments", "200"));
        world.advance(Span::from_millis(1));
        if n % 100 == 99 {
            worker.tick();
        }
    }
    // One for each tick.
    let sets = worker.host.calls().get("shared_set").copied();
    assert_eq!(sets, Some(10));
}

#[test]
fn a_million_tenants_are_counted_in_bounded_memory() {
    let world = World::new();
    let configuration =
        json!({"key": [{"header": "x-tenant-id"}], "failure_threshold": 1, "max_keys": 64});
    let mut worker: Worker = Vm::start(&world, 1, &configuration);
    let mut bytes = 0;
    for n in 0..1_000_000u32 {
        let tenant = n.to_string();
        let headers = [(":method", "GET"), ("x-tenant-id", tenant.as_str())];
        let (exchange, ended) = begin(&mut worker, "payments", &headers);
        assert!(
            matches!(ended, Ended::Forwarded(_)),
            "{tenant} is a stranger"
        );
        end(
            &mut worker,
            exchange,
            if n % 2 == 0 { "200" } else { "500" },
        );
        if n == 10_000 {
            bytes = world.shared_bytes();
        }
    }
    assert_eq!(world.shared_keys(), 64 / 4 + 1, "slots and the secret");
    assert_eq!(world.shared_bytes(), bytes);
    assert!(metric(&world, "table_full") > 0);
}

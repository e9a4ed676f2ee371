//! Copies that workers hold of breakers: they save reads, and decide nothing that the original would not.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "test code"
)]

mod common;
use common::*;
use proptest::prelude::*;

fn reads(worker: &Worker) -> u64 {
    let calls = worker.host.calls();
    calls.get("shared_get").copied().unwrap_or_default()
}

fn warm(workers: &mut [Worker]) {
    for worker in &mut *workers {
        assert!(call(worker, "payments", "200"));
        worker.host.forget_calls();
        assert!(call(worker, "payments", "200"));
        assert_eq!(reads(worker), 0, "from the copy");
    }
}

#[test]
fn a_trip_ends_every_copy_at_once() {
    let world = World::new();
    let configuration = json!({"failure_threshold": 5, "open_for": "10s", "jitter": 0});
    let mut workers = workers(&world, 4, &configuration);
    warm(&mut workers);
    for n in 0..5 {
        assert!(call(&mut workers[n % 2], "payments", "500"), "call {n}");
    }
    for worker in &mut workers {
        assert!(!call(worker, "payments", "200"));
    }
}

#[test]
fn a_copy_is_judged_by_the_time_of_the_call() {
    let world = World::new();
    let configuration = json!({"failure_threshold": 0, "minimum_calls": 4, "window": "30s", "open_for": "1s",
        "jitter": 0, "successes": 1, "ramp": "0s"});
    let mut worker: Worker = Vm::start(&world, 1, &configuration);
    for _ in 0..4 {
        assert!(call(&mut worker, "payments", "500"));
    }
    // Shares are judged 250 ms after the first failure: nothing but time has passed, and there is a copy.
    worker.host.forget_calls();
    assert!(call(&mut worker, "payments", "200"));
    assert!(call(&mut worker, "payments", "404"));
    world.advance(Span::from_millis(250));
    assert!(!call(&mut worker, "payments", "200"));
}

#[test]
fn where_advancing_fails_a_copy_ends_within_a_second() {
    let world = World::new();
    let configuration = json!({"failure_threshold": 1, "open_for": "10s", "jitter": 0});
    let mut workers = workers(&world, 2, &configuration);
    warm(&mut workers);
    workers[0].host.fail("metric_add", Failure::Status(10));
    assert!(call(&mut workers[0], "payments", "500"));
    world.advance(Span::from_secs(1));
    assert!(!call(&mut workers[1], "payments", "200"));
}

#[test]
fn without_metrics_every_call_reads() {
    let world = World::new();
    let mut worker: Worker = Vm::start(&world, 1, &json!({"failure_threshold": 1}));
    worker.host.fail("metric_value", Failure::Status(10));
    for _ in 0..10 {
        assert!(call(&mut worker, "payments", "200"));
    }
    assert_eq!(reads(&worker), 10);
    assert!(call(&mut worker, "payments", "500"));
    assert!(!call(&mut worker, "payments", "200"));
}

#[test]
fn what_is_remembered_is_bounded() {
    let world = World::new();
    let configuration = json!({"key": [{"header": "x-tenant-id"}]});
    let mut worker: Worker = Vm::start(&world, 1, &configuration);
    for round in 0..3 {
        worker.host.forget_calls();
        for n in 0..5_000 {
            let tenant = n.to_string();
            let headers = [(":method", "GET"), ("x-tenant-id", tenant.as_str())];
            let (exchange, _) = begin(&mut worker, "payments", &headers);
            end(&mut worker, exchange, "200");
        }
        let read = reads(&worker);
        assert!(read > 4_900, "round {round}: {read} of 5000 were read");
    }
}

#[derive(Debug, Clone)]
enum Event {
    Call(usize, usize, u16),
    Begin(usize, usize),
    End(usize, u16),
    Leave(usize),
    Advance(u64),
    Back(u64),
    Tick(usize),
}

fn event() -> impl Strategy<Value = Event> {
    let status = || prop_oneof![4 => Just(200u16), 3 => Just(500u16), 1 => Just(404u16)];
    prop_oneof![
        10 => (0..3usize, 0..2usize, status()).prop_map(|(w, c, s)| Event::Call(w, c, s)),
        3 => (0..3usize, 0..2usize).prop_map(|(w, c)| Event::Begin(w, c)),
        3 => (0..8usize, status()).prop_map(|(n, s)| Event::End(n, s)),
        1 => (0..8usize).prop_map(Event::Leave),
        3 => (0..400u64).prop_map(Event::Advance),
        1 => (0..9_000u64).prop_map(Event::Advance),
        1 => (0..3_000u64).prop_map(Event::Back),
        3 => (0..3usize).prop_map(Event::Tick),
    ]
}

/// What becomes of each call.
fn story(configuration: &Value, events: &[Event], copies: bool) -> Vec<bool> {
    let world = World::new();
    let mut workers = workers(&world, 3, configuration);
    if !copies {
        for worker in &workers {
            worker.host.fail("metric_value", Failure::Status(10));
        }
    }
    let clusters = ["payments", "orders"];
    let mut under_way = Vec::new();
    let mut admitted = Vec::new();
    for event in events {
        match event {
            Event::Call(worker, cluster, status) => {
                let status = status.to_string();
                admitted.push(call(&mut workers[*worker], clusters[*cluster], &status));
            }
            Event::Begin(worker, cluster) => {
                let (exchange, ended) = begin(&mut workers[*worker], clusters[*cluster], &GET);
                let passes = matches!(ended, Ended::Forwarded(_));
                admitted.push(passes);
                if passes {
                    under_way.push((*worker, exchange));
                }
            }
            Event::End(n, status) if *n < under_way.len() => {
                let (worker, exchange) = under_way.swap_remove(*n);
                // A worker with copies learns of the others' failures with the next call that it admits.
                let (other, _) = begin(&mut workers[worker], "elsewhere", &GET);
                break_off(&mut workers[worker], other, LEFT);
                end(&mut workers[worker], exchange, &status.to_string());
            }
            Event::Leave(n) if *n < under_way.len() => {
                let (worker, exchange) = under_way.swap_remove(*n);
                break_off(&mut workers[worker], exchange, LEFT);
            }
            Event::Advance(millis) => world.advance(Span::from_millis(*millis)),
            Event::Back(millis) => {
                world.set_clock(Timestamp(world.now().0.saturating_sub(millis * 1_000_000)));
            }
            Event::Tick(worker) => workers[*worker].tick(),
            Event::End(..) | Event::Leave(_) => {}
        }
    }
    admitted
}

proptest! {
    /// With copies and without, every call in any history has the same fate.
    #[test]
    fn copies_change_no_decision(events in proptest::collection::vec(event(), 0..250), shares in any::<bool>()) {
        let configuration = if shares {
            json!({"failure_threshold": 0, "minimum_calls": 3, "window": "2s", "open_for": "1s", "max_open_for": "4s",
                "jitter": 0, "probe_timeout": "1s", "slow_after": "500ms", "successes": 1, "ramp": "0s"})
        } else {
            json!({"failure_threshold": 3, "open_for": "1s", "max_open_for": "4s", "jitter": 0, "probe_timeout": "1s",
                "slow_after": "500ms", "probes": 2, "ramp": "0s"})
        };
        prop_assert_eq!(story(&configuration, &events, true), story(&configuration, &events, false));
    }
}

/// Who was refused while a probe was out has seen its lease, and must not take its end for a place of its own.
#[test]
fn the_place_of_a_probe_whose_lease_ended_is_given_away_once() {
    let world = World::new();
    let configuration =
        json!({"failure_threshold": 1, "open_for": "1s", "jitter": 0, "probe_timeout": "500ms"});
    let mut workers = workers(&world, 2, &configuration);
    assert!(call(&mut workers[0], "payments", "500"));
    world.advance(Span::from_secs(2));
    let _hangs = admitted(&mut workers[0], "payments");
    world.advance(Span::from_millis(400));
    refusal(&mut workers[1], "payments", &GET);
    world.advance(Span::from_millis(200));
    let _probe = admitted(&mut workers[1], "payments");
    refusal(&mut workers[1], "payments", &GET);
    refusal(&mut workers[0], "payments", &GET);
}

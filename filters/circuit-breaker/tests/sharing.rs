//! What several workers know together: shares of calls that no single one of them has seen.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "test code"
)]

mod common;
use common::*;

fn shares() -> Value {
    json!({"failure_threshold": 0, "minimum_calls": 20, "window": "30s", "open_for": "10s", "ramp": "0s", "jitter": 0})
}

fn tick_all(world: &World, workers: &mut [Worker]) {
    for _ in 0..4 {
        world.advance(Span::from_millis(100));
        workers.iter_mut().for_each(Worker::tick);
    }
}

/// A hundred calls over four workers of which so many fail, all within a moment.
fn hundred(workers: &mut [Worker], cluster: &str, failures: usize) {
    for n in 0..100 {
        let failed = (n + 1) * failures / 100 > n * failures / 100;
        let status = if failed { "500" } else { "200" };
        assert!(call(&mut workers[n % 4], cluster, status), "call {n}");
    }
}

#[test]
fn shares_are_exact_over_all_workers() {
    for (failures, opens) in [(0, false), (10, false), (49, false), (50, true), (51, true)] {
        let world = World::new();
        let mut workers = workers(&world, 4, &shares());
        hundred(&mut workers, "payments", failures);
        tick_all(&world, &mut workers);
        assert_eq!(
            !call(&mut workers[0], "payments", "200"),
            opens,
            "{failures} of 100"
        );
        assert_eq!(
            metric(&world, "opened.failure_percentage"),
            i64::from(opens)
        );
    }
}

#[test]
fn the_calls_before_the_first_failure_are_part_of_the_share() {
    let world = World::new();
    let mut workers = workers(&world, 4, &shares());
    // One worker sees what works, another what fails.
    for _ in 0..300 {
        assert!(call(&mut workers[0], "payments", "200"));
    }
    world.advance(Span::from_secs(5));
    for _ in 0..100 {
        assert!(call(&mut workers[1], "payments", "500"));
    }
    tick_all(&world, &mut workers);
    assert!(
        call(&mut workers[2], "payments", "200"),
        "100 of 400 are too few"
    );
    for _ in 0..250 {
        call(&mut workers[1], "payments", "500");
    }
    tick_all(&world, &mut workers);
    assert!(
        !call(&mut workers[2], "payments", "200"),
        "350 of 651 are enough"
    );
}

/// And not only the first time that failures begin.
#[test]
fn the_calls_before_later_failures_are_part_of_the_share_as_well() {
    let world = World::new();
    let mut workers = workers(&world, 2, &shares());
    call(&mut workers[1], "payments", "500");
    call(&mut workers[1], "payments", "200");
    tick_all(&world, &mut workers);
    world.advance(Span::from_secs(31));
    for _ in 0..300 {
        assert!(call(&mut workers[0], "payments", "200"));
    }
    tick_all(&world, &mut workers);
    world.advance(Span::from_secs(5));
    for _ in 0..100 {
        assert!(call(&mut workers[1], "payments", "500"));
    }
    tick_all(&world, &mut workers);
    assert!(
        call(&mut workers[1], "payments", "200"),
        "100 of 400 are too few"
    );
}

#[test]
fn who_counts_for_a_key_only_after_failures_have_begun_tells_as_well() {
    let world = World::new();
    let mut workers = workers(&world, 2, &shares());
    // So it hears at once that failures have begun somewhere, when it knows nothing of that key.
    call(&mut workers[0], "search", "200");
    call(&mut workers[1], "payments", "500");
    // Far from what opens: nobody tells at once.
    for _ in 0..20 {
        call(&mut workers[1], "payments", "200");
    }
    tick_all(&world, &mut workers);
    for _ in 0..100 {
        assert!(call(&mut workers[0], "payments", "200"));
    }
    tick_all(&world, &mut workers);
    for _ in 0..40 {
        assert!(call(&mut workers[1], "payments", "500"));
    }
    tick_all(&world, &mut workers);
    assert!(
        call(&mut workers[1], "payments", "200"),
        "41 of 161 are too few"
    );
}

#[test]
fn what_failed_before_it_opened_is_forgotten_when_it_closes() {
    let world = World::new();
    let mut workers = workers(&world, 2, &shares());
    for _ in 0..30 {
        call(&mut workers[0], "payments", "500");
    }
    tick_all(&world, &mut workers);
    world.advance(Span::from_secs(10));
    for status in ["200", "200", "500"] {
        assert!(call(&mut workers[1], "payments", status));
    }
    tick_all(&world, &mut workers);
    assert!(call(&mut workers[1], "payments", "200"), "2 calls since");
    // Nor does it keep what fails now from being judged.
    for _ in 0..40 {
        call(&mut workers[0], "payments", "500");
    }
    tick_all(&world, &mut workers);
    assert!(!call(&mut workers[1], "payments", "200"), "41 of 43");
}

#[test]
fn a_timer_alone_opens_when_the_last_call_was_before_all_had_told() {
    let world = World::new();
    let mut workers = workers(&world, 2, &shares());
    for n in 0..30 {
        assert!(call(&mut workers[n % 2], "payments", "500"));
    }
    assert_eq!(
        metric(&world, "open"),
        0,
        "the others have not been asked yet"
    );
    tick_all(&world, &mut workers);
    assert_eq!(metric(&world, "open"), 1);
}

#[test]
fn old_failures_leave_the_window() {
    let world = World::new();
    let mut workers = workers(&world, 2, &shares());
    for _ in 0..19 {
        call(&mut workers[0], "payments", "500");
    }
    world.advance(Span::from_secs(31));
    tick_all(&world, &mut workers);
    for _ in 0..19 {
        assert!(call(&mut workers[1], "payments", "500"));
    }
    tick_all(&world, &mut workers);
    assert!(
        call(&mut workers[0], "payments", "500"),
        "19 and 1 within the window"
    );
    tick_all(&world, &mut workers);
    assert!(!call(&mut workers[1], "payments", "200"));
}

#[test]
fn a_worker_that_dies_takes_no_probe_with_it() {
    let world = World::new();
    let configuration = json!({"failure_threshold": 1, "open_for": "1s", "jitter": 0, "probe_timeout": "2s",
        "successes": 1, "ramp": "0s"});
    let mut workers = workers(&world, 2, &configuration);
    call(&mut workers[0], "payments", "500");
    world.advance(Span::from_secs(1));
    let probe = admitted(&mut workers[0], "payments");
    assert!(
        !call(&mut workers[1], "payments", "200"),
        "its verdict is awaited"
    );
    // Its VM is gone, with all that it knew; nobody tells.
    drop(probe);
    drop(workers.remove(0));
    world.advance(Span::from_millis(1_999));
    assert!(!call(&mut workers[0], "payments", "200"));
    world.advance(Span::from_millis(1));
    assert!(call(&mut workers[0], "payments", "200"));
    assert_eq!(metric(&world, "probe.expired"), 1);
    assert_eq!(metric(&world, "closed"), 1);
}

#[test]
fn a_hundred_abandoned_probes_leave_nothing_behind() {
    let world = World::new();
    let configuration =
        json!({"failure_threshold": 1, "open_for": "1s", "probe_timeout": "5s", "ramp": "0s"});
    let mut workers = workers(&world, 4, &configuration);
    call(&mut workers[0], "payments", "500");
    let mut abandoned = 0;
    while abandoned < 100 {
        world.advance(Span::from_millis(100 + world.next_random() % 400));
        let worker = &mut workers[(world.next_random() % 4) as usize];
        let (exchange, ended) = begin(worker, "payments", &GET);
        if matches!(ended, Ended::Forwarded(_)) {
            abandoned += 1;
        }
        break_off(worker, exchange, LEFT);
    }
    assert_eq!(metric(&world, "probe.ignored"), 100);
    // Well again: two probes, and it is closed, within one open time.
    for worker in &mut workers[..2] {
        assert!(call(worker, "payments", "200"));
    }
    assert_eq!(
        (
            metric(&world, "closed"),
            metric(&world, "open"),
            metric(&world, "half_open")
        ),
        (1, 0, 0)
    );
}

#[test]
fn a_clock_that_is_set_back_neither_refuses_for_ever_nor_panics() {
    let world = World::new();
    let mut workers = workers(
        &world,
        2,
        &json!({"failure_threshold": 2, "slow_after": "1s", "open_for": "5s"}),
    );
    let now = world.now();
    for worker in &mut workers {
        call(worker, "payments", "500");
    }
    assert!(!call(&mut workers[0], "payments", "200"));
    world.set_clock(now.saturating_sub(Span::from_secs(86_400)));
    assert!(call(&mut workers[0], "payments", "200"), "a probe");
    world.set_clock(Timestamp::EPOCH);
    workers.iter_mut().for_each(Worker::tick);
    call(&mut workers[1], "payments", "200");
    world.set_clock(Timestamp(u64::MAX));
    workers.iter_mut().for_each(Worker::tick);
    call(&mut workers[1], "payments", "200");
}

#[test]
fn who_loses_every_race_lets_the_call_pass_and_counts_it() {
    let world = World::new();
    let mut worker: Worker = Vm::start(&world, 1, &json!({"failure_threshold": 2}));
    let other = world.clone();
    // Whatever this worker writes, somebody has been faster.
    worker.host.before_shared(move || {
        for name in other.shared_names() {
            if let Some((value, _)) = other.shared_get(&name) {
                other.shared_set(&name, &value, seawall_core::host::Expect::Anything);
            }
        }
    });
    call(&mut worker, "payments", "500");
    call(&mut worker, "payments", "500");
    assert!(call(&mut worker, "payments", "200"));
    assert!(metric(&world, "errors") > 0);
}

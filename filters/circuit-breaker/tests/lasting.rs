//! Calls that last: longer than the window, than the state that admitted them, than a leap of the clock.
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
    json!({"failure_threshold": 0, "minimum_calls": 20, "window": "10s", "open_for": "1s", "ramp": "0s", "jitter": 0})
}

fn ticks(world: &World, worker: &mut Worker, count: u32) {
    for _ in 0..count {
        world.advance(Span::from_millis(100));
        worker.tick();
    }
}

fn calls(worker: &mut Worker, count: u32, status: &str) {
    for _ in 0..count {
        assert!(call(worker, "payments", status));
    }
}

/// Long polls beside short calls: the end of one says nothing about when the others were.
#[test]
fn a_call_longer_than_the_window_leaves_the_others_in_it() {
    let world = World::new();
    let mut worker: Worker = Vm::start(&world, 1, &shares());
    let long = admitted(&mut worker, "payments");
    world.advance(Span::from_secs(20));
    calls(&mut worker, 100, "200");
    end(&mut worker, long, "200");
    calls(&mut worker, 30, "500");
    ticks(&world, &mut worker, 4);
    calls(&mut worker, 1, "200");
    assert_eq!(metric(&world, "open"), 0, "30 of 132 are too few");
}

#[test]
fn a_call_from_before_a_trip_leaves_the_calls_since_in_the_window() {
    let world = World::new();
    let mut worker: Worker = Vm::start(&world, 1, &shares());
    calls(&mut worker, 1, "200");
    let long = admitted(&mut worker, "payments");
    calls(&mut worker, 20, "500");
    ticks(&world, &mut worker, 4);
    assert_eq!(metric(&world, "open"), 1);
    world.advance(Span::from_secs(2));
    calls(&mut worker, 102, "200");
    assert_eq!(metric(&world, "closed"), 1, "two of them were probes");
    end(&mut worker, long, "200");
    calls(&mut worker, 30, "500");
    ticks(&world, &mut worker, 4);
    calls(&mut worker, 1, "200");
    assert_eq!(metric(&world, "open"), 0, "30 of 131 are too few");
}

/// Set forward, or a machine that was halted: nobody could have answered in that time. Set back: it is not given again.
#[test]
fn a_clock_that_leaps_makes_no_call_overdue_and_none_exempt() {
    for forward in [true, false] {
        let world = World::new();
        let hour = Span::from_secs(3_600);
        world.advance(hour);
        let configuration = json!({"failure_threshold": 2, "slow_after": "1s"});
        let mut worker: Worker = Vm::start(&world, 1, &configuration);
        let hanging = [(); 2].map(|()| admitted(&mut worker, "payments"));
        ticks(&world, &mut worker, 5);
        if forward {
            world.advance(hour);
        } else {
            world.set_clock(world.now().saturating_sub(hour));
        }
        worker.tick();
        ticks(&world, &mut worker, 3);
        assert_eq!(metric(&world, "overdue"), 0, "set forward: {forward}");
        ticks(&world, &mut worker, 3);
        assert_eq!(metric(&world, "overdue"), 2, "set forward: {forward}");
        for exchange in hanging {
            end(&mut worker, exchange, "200");
        }
    }
}

/// The host lets a timer run on that is not stopped.
#[test]
fn a_configuration_that_ends_stops_its_timer() {
    let mut worker: Worker = Vm::start(&World::new(), 1, &json!({"slow_after": "1s"}));
    let hanging = admitted(&mut worker, "payments");
    assert_eq!(worker.host.tick_period(), Span::from_millis(100));
    end(&mut worker, hanging, "200");
    worker.end();
    assert_eq!(worker.host.tick_period(), Span::ZERO);
}

/// With one that is delivered apart from its listener, nothing of the configuration before is left to be asked when failures begin.
#[test]
fn a_configuration_that_ends_leaves_its_calls_in_the_window() {
    let world = World::new();
    let mut before: Worker = Vm::start(&world, 1, &shares());
    calls(&mut before, 100, "200");
    before.end();
    let mut after: Worker = Vm::start(&world, 1, &shares());
    calls(&mut after, 30, "500");
    ticks(&world, &mut after, 4);
    calls(&mut after, 1, "200");
    assert_eq!(metric(&world, "open"), 0, "30 of 131 are too few");
    // The 71st makes it a half.
    calls(&mut after, 71, "500");
    assert_eq!(metric(&world, "open"), 1);
}

/// Adaptive mode offers as much as is accepted, and an answer that blames the request is one.
#[test]
fn what_is_answered_is_accepted_though_it_blames_the_request() {
    for (status, refused) in [("404", false), ("401", false), ("429", true)] {
        let world = World::new();
        let mut worker: Worker = Vm::start(&world, 1, &json!({"adaptive": {}}));
        for n in 0..200 {
            let (exchange, ended) = begin(&mut worker, "login", &GET);
            match ended {
                Ended::Forwarded(_) if n % 10 == 0 => end(&mut worker, exchange, "503"),
                Ended::Forwarded(_) => end(&mut worker, exchange, status),
                _ => break_off(&mut worker, exchange, 0),
            }
        }
        assert_eq!(metric(&world, "refused") > 0, refused, "{status}");
    }
}

//! Adaptive mode in virtual time: 100 calls a second can be done, 300 are offered, over four workers.
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
fn goodput_stays_and_the_load_is_bounded() {
    let world = World::new();
    world.seed(7);
    let mut workers = workers(&world, 4, &json!({"adaptive": {}, "window": "10s"}));
    let step = Span::from_nanos(1_000_000_000 / 300);
    let (mut load, mut good, mut measured) = (0u32, 0u32, 0u32);
    // What the upstream can take in addition, in hundredths of a call.
    let mut credit = 0.0f64;
    let seconds = 120;
    for n in 0..300 * seconds {
        world.advance(step);
        credit = (credit + 100.0 / 300.0).min(5.0);
        if n % 30 == 0 {
            workers.iter_mut().for_each(Worker::tick);
        }
        let worker = &mut workers[(world.next_random() % 4) as usize];
        let (exchange, ended) = begin(worker, "payments", &GET);
        let accepted = credit >= 1.0;
        let counts = n >= 300 * 20;
        measured += u32::from(counts);
        match ended {
            Ended::Forwarded(_) => {
                load += u32::from(counts);
                good += u32::from(counts && accepted);
                if accepted {
                    credit -= 1.0;
                }
                end(worker, exchange, if accepted { "200" } else { "503" });
            }
            Ended::Replied(reply) => {
                assert_eq!(reply.header("x-seawall-breaker"), Some("overload"));
                break_off(worker, exchange, 0);
            }
            Ended::Paused => panic!("it never holds a call"),
        }
    }
    let rate = |count: u32| f64::from(count) * 300.0 / f64::from(measured);
    println!("load {:.1}/s, goodput {:.1}/s", rate(load), rate(good));
    assert!(rate(good) >= 90.0, "goodput {}", rate(good));
    assert!(rate(load) <= 220.0, "load {}", rate(load));
    assert_eq!(metric(&world, "open"), 0, "it never opens");
}

#[test]
fn an_upstream_that_is_dead_and_comes_back_is_found() {
    let world = World::new();
    let mut workers = workers(
        &world,
        2,
        &json!({"adaptive": {"floor": 0.1}, "window": "5s"}),
    );
    let mut run = |status: &str, seconds: u32| {
        let mut passed = 0;
        for n in 0..seconds * 20 {
            world.advance(Span::from_millis(50));
            let worker = &mut workers[(n % 2) as usize];
            worker.tick();
            passed += u32::from(call(worker, "payments", status));
        }
        passed
    };
    run("500", 60);
    let dead = run("500", 60);
    // Each worker lets one through in a second, and chance one in a thousand.
    assert!(
        (60..=200).contains(&dead),
        "{dead} of 1,200 went to a dead upstream"
    );
    run("200", 60);
    assert_eq!(run("200", 10), 200, "all go through again");
}

#[test]
fn a_healthy_upstream_is_never_refused_and_costs_nothing_shared() {
    let world = World::new();
    let mut worker: Worker = Vm::start(&world, 1, &json!({"adaptive": {}}));
    call(&mut worker, "payments", "200");
    worker.host.forget_calls();
    for _ in 0..1000 {
        assert!(call(&mut worker, "payments", "200"));
    }
    assert_eq!(worker.host.calls().get("shared_set"), None);
    assert_eq!(worker.host.calls().get("shared_get"), None);
}

/// What a worker has counted and not told yet counts in its own decisions.
#[test]
fn what_is_known_here_counts_before_it_is_told() {
    let world = World::new();
    let mut worker: Worker = Vm::start(&world, 1, &json!({"adaptive": {"k": 2.0}}));
    let under_way: Vec<_> = (0..60).map(|_| admitted(&mut worker, "a")).collect();
    let failing: Vec<_> = (0..40).map(|_| admitted(&mut worker, "a")).collect();
    for call in failing {
        end(&mut worker, call, "503");
    }
    for call in under_way {
        end(&mut worker, call, "200");
    }
    // 60 of 100 are accepted, so nothing is refused; by what has been told alone, none of 40 is.
    for _ in 0..20 {
        let call = admitted(&mut worker, "a");
        end(&mut worker, call, "200");
    }
    assert_eq!(metric(&world, "refused"), 0);
}

/// A gRPC status that blames the request is an answer, unless it says that there were too many.
#[test]
fn a_grpc_status_is_accepted_unless_it_says_too_many() {
    for (status, refused) in [("5", false), ("8", true), ("0", false)] {
        let world = World::new();
        let mut worker: Worker = Vm::start(&world, 1, &json!({"adaptive": {}}));
        for n in 0..200 {
            let (mut call, ended) = begin(&mut worker, "a", &GET);
            if !matches!(ended, Ended::Forwarded(_)) {
                break_off(&mut worker, call, 0);
                continue;
            }
            let said = if n % 10 == 0 { "14" } else { status };
            let headers = [(":status", "200"), ("grpc-status", said)];
            worker.response(&mut call, &headers, true);
            worker.finish(call);
        }
        assert_eq!(metric(&world, "refused") > 0, refused, "{status}");
    }
}

//! Another `max_keys` is another table: what was counted goes on, and nothing is looked for longer than it can count.
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

use common::filter::{answered, ask, begin, count, passes, passing, Rig};
use proptest::prelude::*;
use seawall_core::testing::{Vm, World};
use seawall_core::time::Span;
use serde_json::{json, Value};

fn sized(configuration: &Value, max_keys: u32) -> Value {
    let mut configuration = configuration.clone();
    configuration["max_keys"] = json!(max_keys);
    configuration
}

/// A filter of this world with a table of this size.
fn with(world: &World, number: u32, configuration: &Value, max_keys: u32) -> Rig {
    Vm::start(world, number, &sized(configuration, max_keys))
}

fn tenant(more: Value) -> Value {
    let mut limit = json!({"name": "a", "key": [{"header": "t"}], "requests": 10, "per": "1h"});
    for (field, value) in more.as_object().unwrap() {
        limit[field] = value.clone();
    }
    json!({ "limits": [limit] })
}

#[test]
fn counters_of_every_kind_go_on_in_a_larger_and_a_smaller_table() {
    let kinds = [
        json!({}),
        json!({"algorithm": "sliding_window"}),
        json!({"algorithm": "fixed_window", "per": "year"}),
        json!({"charge": {"status": "2xx"}}),
        json!({"cost": 2, "requests": 20}),
        json!({"count_refused": true, "requests": 11}),
    ];
    for kind in kinds {
        for (first, second) in [(64, 100_000), (100_000, 64)] {
            let world = World::new();
            let limit = tenant(kind.clone());
            let mut rig = with(&world, 1, &limit, first);
            for tenant in 0..20 {
                let name = tenant.to_string();
                assert_eq!(passing(&mut rig, &[("t", &name)], 6), 6, "{kind}");
            }
            let mut rig = with(&world, 2, &limit, second);
            let mut other = with(&world, 3, &limit, second);
            for tenant in 0..20 {
                let name = tenant.to_string();
                let most = if kind["count_refused"] == json!(true) {
                    5
                } else {
                    4
                };
                let passed =
                    passing(&mut rig, &[("t", &name)], 3) + passing(&mut other, &[("t", &name)], 9);
                assert_eq!(passed, most, "{kind}, {first} to {second}");
            }
        }
    }
}

#[test]
fn bans_go_on() {
    let world = World::new();
    let penalty = json!({"refusals": 3, "within": "1m", "block_for": "1h"});
    let limit = tenant(json!({"requests": 1, "per": "1s", "penalty": penalty}));
    let mut rig = with(&world, 1, &limit, 64);
    assert_eq!(passing(&mut rig, &[("t", "x")], 3), 1);
    let mut rig = with(&world, 2, &limit, 100_000);
    // The third refusal bans.
    assert_eq!(passing(&mut rig, &[("t", "x")], 1), 0);
    world.advance(Span::from_secs(600));
    assert!(!passes(&mut rig, &[("t", "x")]));
    let mut rig = with(&world, 3, &limit, 64);
    // The table changes with the first request; the ban is looked for as long as bans last.
    passing(&mut rig, &[("t", "y")], 1);
    world.advance(Span::from_secs(600));
    assert!(!passes(&mut rig, &[("t", "x")]));
    world.advance(Span::from_secs(2_500));
    assert!(passes(&mut rig, &[("t", "x")]));
}

/// The one that comes first writes down which table there was; all others read it.
#[test]
fn every_worker_finds_what_the_table_before_holds() {
    for (first, second) in [(64, 100_000), (100_000, 64)] {
        let world = World::new();
        let limit = tenant(json!({}));
        let mut rig = with(&world, 1, &limit, first);
        for name in ["x", "y", "z"] {
            assert_eq!(passing(&mut rig, &[("t", name)], 6), 6);
        }
        let mut rigs = [2, 3, 4].map(|number| with(&world, number, &limit, second));
        for (rig, name) in rigs.iter_mut().zip(["x", "y", "z"]) {
            assert_eq!(passing(rig, &[("t", name)], 9), 4, "{name}");
        }
        // And later on nobody looks there any more: it has drained.
        world.advance(Span::from_secs(3_600));
        let mut late = with(&world, 5, &limit, second);
        late.host.forget_calls();
        assert_eq!(passing(&mut late, &[("t", "z")], 1), 1);
        let reads = late.host.calls()["shared_get"];
        late.host.forget_calls();
        assert_eq!(passing(&mut late, &[("t", "z")], 1), 1);
        assert_eq!((reads, late.host.calls()["shared_get"]), (2, 1));
    }
}

/// Who owes more than the quota, and what counts of the window before, is looked for as long as that may be.
#[test]
fn what_lasts_longer_than_the_period_goes_on() {
    let world = World::new();
    let limit = tenant(json!({"per": "1m", "cost": 0, "charge": {"header": "x-cost"}}));
    let mut rig = with(&world, 1, &limit, 64);
    let (exchange, _) = begin(&mut rig, &[], &[("t", "x")]);
    answered(&mut rig, exchange, &[(":status", "200"), ("x-cost", "35")]);
    let mut rig = with(&world, 2, &limit, 100_000);
    assert!(passes(&mut rig, &[("t", "y")]));
    world.advance(Span::from_secs(140));
    assert!(!passes(&mut rig, &[("t", "x")]), "25 too many take 150 s");
    world.advance(Span::from_secs(20));
    assert!(passes(&mut rig, &[("t", "x")]));

    let world = World::new();
    let limit = tenant(json!({"algorithm": "sliding_window"}));
    let hour = Span::from_secs(3_600).as_nanos();
    let into = world.now().as_nanos() % hour;
    world.advance(Span(hour - into));
    let mut rig = with(&world, 1, &limit, 64);
    assert_eq!(passing(&mut rig, &[("t", "x")], 6), 6);
    let mut rig = with(&world, 2, &limit, 100_000);
    assert!(passes(&mut rig, &[("t", "y")]));
    world.advance(Span::from_secs(3_900));
    assert!(
        passing(&mut rig, &[("t", "x")], 20) < 6,
        "of the six, 5.5 count"
    );
}

#[test]
fn places_begin_anew_for_who_holds_them_would_not_give_them_back() {
    let world = World::new();
    let limit = json!({"limits": [{"name": "a", "concurrent": 1}]});
    let mut rig = with(&world, 1, &limit, 64);
    let held = rig.open(&[]);
    let mut held = held;
    rig.request(&mut held, &[("t", "x")]);
    assert!(!passes(&mut rig, &[("t", "x")]));
    let mut other = with(&world, 2, &limit, 100_000);
    assert!(passes(&mut other, &[("t", "x")]));
    rig.finish(held);
    assert!(passes(&mut other, &[("t", "x")]));
}

#[test]
fn the_old_table_is_left_alone_when_nothing_in_it_can_count() {
    let world = World::new();
    let limit = tenant(json!({"per": "1s"}));
    let mut rig = with(&world, 1, &limit, 64);
    passing(&mut rig, &[("t", "x")], 10);
    let mut rig = with(&world, 2, &limit, 100_000);
    let reads = |rig: &mut Rig, name: &str| {
        rig.host.forget_calls();
        passes(rig, &[("t", name)]);
        rig.host.calls()["shared_get"]
    };
    reads(&mut rig, "first");
    assert_eq!(reads(&mut rig, "new"), 2);
    world.advance(Span::from_secs(11));
    assert_eq!(reads(&mut rig, "newer"), 1);
    assert_eq!(count(&rig, "a", "errors"), 0);
}

#[test]
fn a_configuration_that_serves_nothing_changes_nothing() {
    let world = World::new();
    let limit = tenant(json!({}));
    let mut rig = with(&world, 1, &limit, 64);
    passing(&mut rig, &[("t", "x")], 6);
    for size in [128, 1_000, 5_000] {
        drop(with(&world, 2, &limit, size));
    }
    let mut rig = with(&world, 3, &limit, 100_000);
    assert_eq!(passing(&mut rig, &[("t", "x")], 10), 4);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    /// No key is ever admitted more often than its limit, however sizes follow each other, as long as each is used.
    #[test]
    fn nobody_is_admitted_more_often(
        sizes in proptest::collection::vec(prop_oneof![Just(16u32), Just(64), Just(1_000), Just(100_000)], 1..6),
        keys in 1..6u32,
        each in 1..5usize,
    ) {
        let world = World::new();
        let limit = tenant(json!({}));
        let mut passed = vec![0; keys as usize];
        for (number, size) in sizes.into_iter().enumerate() {
            let mut rig = with(&world, number as u32, &limit, size);
            for (key, passed) in passed.iter_mut().enumerate() {
                let name = key.to_string();
                for _ in 0..each {
                    *passed += usize::from(ask(&mut rig, &[("t", &name)]).is_none());
                }
            }
        }
        prop_assert!(passed.iter().all(|passed| *passed <= 10), "{:?}", passed);
    }
}

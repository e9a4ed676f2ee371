//! Who waits as long as it is told is admitted: for any limits together, whatever came before. And nobody is told more.
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

use common::filter::{ask, passes, rig, wait};
use proptest::prelude::*;
use seawall_core::time::Span;
use serde_json::{json, Value};

/// A limit of any kind whose end can be known.
fn limit() -> impl Strategy<Value = Value> {
    let algorithm = prop_oneof![Just("gcra"), Just("sliding_window"), Just("fixed_window")];
    let period = prop_oneof![
        Just("700ms"),
        Just("1s"),
        Just("3s"),
        Just("1m"),
        Just("1h")
    ];
    (
        algorithm,
        1..6u64,
        period,
        any::<bool>(),
        proptest::option::of((1..4u64, 1..90u64)),
        prop_oneof![3 => Just(1u64), 1 => 2..4u64],
        any::<bool>(),
    )
        .prop_map(|(algorithm, requests, per, counted, penalty, cost, charged)| {
            let mut limit = json!({
                "algorithm": algorithm, "requests": requests, "per": per, "count_refused": counted,
                "cost": cost.min(requests),
            });
            if let Some((refusals, block)) = penalty {
                limit["penalty"] =
                    json!({"refusals": refusals, "within": "10m", "block_for": format!("{block}s")});
            }
            if charged {
                limit["charge"] = json!({"status": ["2xx", 404]});
            }
            limit
        })
}

fn limits() -> impl Strategy<Value = Value> {
    proptest::collection::vec((limit(), any::<bool>()), 1..4).prop_map(|limits| {
        let named = limits
            .into_iter()
            .enumerate()
            .map(|(number, (mut limit, own))| {
                limit["name"] = json!(format!("l{number}"));
                if own {
                    limit["key"] = json!([{"header": "x-user"}]);
                }
                limit
            });
        json!({"limits": named.collect::<Vec<_>>()})
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn who_waits_as_long_as_it_is_told_is_admitted(
        limits in limits(),
        steps in proptest::collection::vec(prop_oneof![2 => Just(0u64), 2 => 0..900u64, 1 => 0..100_000u64], 1..60),
    ) {
        let mut rig = rig(limits);
        let headers = &[("x-user", "a")];
        for step in steps {
            rig.host.world().advance(Span::from_millis(step));
            let Some(refused) = ask(&mut rig, headers) else { continue };
            let seconds: u64 = refused.header("retry-after").expect("no cost is above its limit").parse().unwrap();
            prop_assert!(seconds >= 1);
            rig.host.world().advance(Span::from_secs(seconds));
            let again = ask(&mut rig, headers);
            prop_assert!(again.is_none(), "refused after {} s: {:?}", seconds, again);
        }
    }
}

/// A ban that began, or goes on, while the limit has something left: that is there once the ban ends, and one more than that is
/// not what anybody waits for.
#[test]
fn a_banned_key_is_told_when_the_ban_ends_where_the_limit_has_something_by_then() {
    let penalty = json!({"refusals": 1, "within": "10s", "block_for": "30s"});
    for algorithm in ["gcra", "sliding_window", "fixed_window"] {
        let mut rig = rig(json!({"limits": [{
            "name": "a", "algorithm": algorithm, "requests": 5, "per": "1d", "cost": {"header": "x-cost"}, "penalty": penalty,
        }]}));
        // One is used, five more are too much, and with that the key is banned.
        assert!(passes(&mut rig, &[("x-cost", "1")]));
        let refused = ask(&mut rig, &[("x-cost", "5")]).unwrap();
        assert_eq!(
            refused.header("ratelimit"),
            Some("\"a\";r=0;t=30"),
            "{algorithm}"
        );
        wait(&rig, 20);
        let refused = ask(&mut rig, &[]).unwrap();
        assert_eq!(
            refused.header("ratelimit"),
            Some("\"a\";r=0;t=10"),
            "{algorithm}"
        );
        assert_eq!(refused.header("retry-after"), Some("10"), "{algorithm}");
        wait(&rig, 10);
        assert!(passes(&mut rig, &[]), "{algorithm}");
    }
}

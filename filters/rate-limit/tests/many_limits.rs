//! Many limits: in a configuration, and for one request.
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

use common::filter::{ask, count, errors, passes, passing, rig};
use serde_json::{json, Value};

/// So many limits of three requests a day by user, each with a penalty or not.
fn of(count: usize, penalty: bool, more: Value) -> Value {
    let limits = (0..count).map(|number| {
        let mut limit = json!({"name": format!("l{number}"), "key": [{"header": "x-user"}], "requests": 3, "per": "1d",
            "match": {"header": {"x-user": true}}});
        if penalty {
            limit["penalty"] = json!({"refusals": 2, "within": "1m", "block_for": "2d"});
        }
        limit
    });
    let mut configuration = json!({"max_keys": 16, "limits": limits.collect::<Vec<_>>()});
    for (field, value) in more.as_object().unwrap() {
        configuration[field] = value.clone();
    }
    configuration
}

#[test]
fn sixty_four_entries_are_one_decision_even_in_a_single_slot() {
    for (limits, penalty) in [(64, false), (32, true)] {
        let mut rig = rig(of(limits, penalty, json!({})));
        assert_eq!(passing(&mut rig, &[("x-user", "a")], 9), 3);
        let refused = ask(&mut rig, &[("x-user", "a")]).unwrap();
        // In 8 hours one has drained; the penalty lasts two days.
        let wait = if penalty { "172800" } else { "28800" };
        assert_eq!(refused.header("retry-after"), Some(wait));
        for number in 0..limits {
            assert_eq!(count(&rig, &format!("l{number}"), "allowed"), 3);
            assert_eq!(count(&rig, &format!("l{number}"), "live_evictions"), 0);
        }
    }
}

#[test]
fn more_than_that_is_trouble_and_not_a_wrong_answer() {
    for (on_error, status) in [("allow", None), ("deny", Some(503))] {
        let mut rig = rig(of(65, false, json!({"on_error": on_error})));
        for _ in 0..5 {
            let answer = ask(&mut rig, &[("x-user", "a")]);
            assert_eq!(answer.map(|answer| answer.status), status);
        }
        assert_eq!(rig.host.world().metric("seawall.rate_limit.errors"), 5);
        let log = rig.host.world().log();
        assert!(
            log.len() == 1 && log[0].contains("TooManyLimits"),
            "{log:?}"
        );
    }
}

#[test]
fn what_could_never_be_decided_is_refused_at_load() {
    let without_match = |count: usize, penalty| {
        let mut configuration = of(count, penalty, json!({}));
        for limit in configuration["limits"].as_array_mut().unwrap() {
            limit.as_object_mut().unwrap().remove("match");
        }
        errors(configuration).join("\n")
    };
    assert_eq!(without_match(64, false), "");
    for said in [without_match(65, false), without_match(33, true)] {
        assert!(
            said.contains("limits: must be at most 64 for one request"),
            "{said}"
        );
    }
}

#[test]
fn a_thousand_limits_of_which_each_request_meets_one() {
    let of = |count: usize| {
        let limits = (0..count).map(|number| {
            json!({"name": format!("l{number}"), "match": {"path": format!("/{number}")}, "requests": 1, "per": "1d"})
        });
        json!({"limits": limits.collect::<Vec<_>>()})
    };
    let mut rig = rig(of(1_000));
    for number in [0, 1, 500, 999] {
        let path = format!("/{number}");
        assert!(passes(&mut rig, &[(":path", &path)]));
        assert!(!passes(&mut rig, &[(":path", &path)]));
        assert_eq!(count(&rig, &format!("l{number}"), "refused"), 1);
    }
    let said = errors(of(1_001)).join("\n");
    assert!(
        said.contains("limits: must be at most 1000 limits, got 1001"),
        "{said}"
    );
}

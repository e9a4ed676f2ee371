//! What the words of a limit mean: periods, classes of statuses, numbers of overrides, and units in questions to the service.
#![cfg(not(target_arch = "wasm32"))]
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    dead_code,
    reason = "test code"
)]

mod common;

use common::filter::{all, answered, ask, begin, passes, passing, rig};
use seawall_core::plugin::Plugin;
use seawall_core::testing::Ended;
use serde_json::json;

const DAY: u64 = 86_400;

#[test]
fn a_period_is_as_long_as_its_word_says() {
    for (per, seconds) in [
        ("second", 1),
        ("minute", 60),
        ("hour", 3_600),
        ("day", DAY),
        ("week", 7 * DAY),
        ("90s", 90),
        ("1d", DAY),
        // Only whole seconds can be said in the policy; a wait is rounded up.
        ("1500ms", 0),
    ] {
        let mut rig = rig(json!({"limits": [{"name": "a", "requests": 1, "per": per}]}));
        let (exchange, _) = begin(&mut rig, &[], &[]);
        let fields = answered(&mut rig, exchange, &[(":status", "200")]);
        let (policy, wait) = match seconds {
            0 => ("\"a\";q=1".to_owned(), 2),
            seconds => (format!("\"a\";q=1;w={seconds}"), seconds),
        };
        assert_eq!(all(&fields, "ratelimit-policy"), [policy], "{per}");
        let refused = ask(&mut rig, &[]).unwrap();
        let told = refused.header("retry-after").unwrap();
        assert_eq!(told, wait.to_string(), "{per}");
    }
}

#[test]
fn a_class_of_statuses_has_a_hundred_of_them() {
    for class in 1..=5u16 {
        let (first, last) = (class * 100, class * 100 + 99);
        for status in [first - 1, first, last, last + 1] {
            if !(100..=599).contains(&status) {
                continue;
            }
            let charge = json!({"status": [format!("{class}xx")]});
            let limit = json!({"name": "a", "requests": 1, "per": "1d", "charge": charge});
            let mut rig = rig(json!({"limits": [limit]}));
            let (exchange, _) = begin(&mut rig, &[], &[]);
            answered(&mut rig, exchange, &[(":status", &status.to_string())]);
            let charged = !passes(&mut rig, &[]);
            assert_eq!(charged, status / 100 == class, "{class}xx: {status}");
        }
    }
}

#[test]
fn an_override_with_a_rate_of_its_own_has_a_burst_of_its_own() {
    let overrides = json!([
        {"key": "rate", "requests": 20},
        {"key": "both", "requests": 20, "burst": 5},
        {"key": "burst", "burst": 6},
        {"key": "period", "per": "2m"},
    ]);
    let limit = json!({"name": "a", "key": [{"header": "k"}], "requests": 10, "per": "1m", "burst": 3, "overrides": overrides});
    let mut rig = rig(json!({"limits": [limit]}));
    for (key, burst) in [
        ("rate", 20),
        ("both", 5),
        ("burst", 6),
        ("period", 3),
        ("other", 3),
    ] {
        assert_eq!(passing(&mut rig, &[("k", key)], 30), burst, "{key}");
    }
}

/// The numbers go along where the service knows the unit; and a refusal that does not say how long it lasts is as long as that.
#[test]
fn the_service_is_told_numbers_in_units_that_it_knows() {
    for (per, calendar, unit, seconds) in [
        ("1s", false, 1, 1),
        ("60s", false, 2, 60),
        ("1h", false, 3, 3_600),
        ("day", false, 4, DAY),
        ("month", true, 5, 31 * DAY),
        ("year", true, 6, 366 * DAY),
        ("week", false, 0, 7 * DAY),
        ("10s", false, 0, 10),
    ] {
        let mut limit = json!({"name": "a", "scope": "fleet", "requests": 3, "per": per});
        if calendar {
            limit["algorithm"] = json!("fixed_window");
        }
        let mut rig = rig(json!({"fleet": {"cluster": "c"}, "limits": [limit]}));
        let (exchange, ended) = begin(&mut rig, &[], &[]);
        assert_eq!(ended, Ended::Paused);
        let call = rig.host.take_callouts().remove(0);
        // `limit = 2`: `requests_per_unit = 1`, `unit = 2`.
        let numbers = [0x12, 4, 0x08, 3, 0x10, unit];
        assert_eq!(call.body.ends_with(&numbers), unit != 0, "{per}");
        rig.host.open(0);
        // `overall_code = OVER_LIMIT`, and nothing else.
        rig.host.put_grpc_response(b"\x08\x02");
        rig.plugin.grpc_done(&rig.host, call.token, 0, 2);
        let reply = rig.reply(&exchange).unwrap();
        let told = reply.header("retry-after").unwrap();
        assert_eq!(told, seconds.to_string(), "{per}");
    }
}

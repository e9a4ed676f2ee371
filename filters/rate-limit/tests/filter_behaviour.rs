//! Limits over time and over each other: several at once, shadows, charging by response, penalties, concurrency, routes.
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

use common::filter::{all, answered, ask, begin, count, passes, passing, rig, wait, Rig};
use seawall_core::testing::{Ended, Vm};
use seawall_core::time::Span;
use seawall_rate_limit::RateLimit;
use serde_json::{json, Value};

fn one(more: Value) -> Value {
    let mut limit = json!({"name": "a", "requests": 5, "per": "1m"});
    for (field, value) in more.as_object().unwrap() {
        limit[field] = value.clone();
    }
    json!({"limits": [limit]})
}

/// A request that gets this response.
fn with_response(rig: &mut Rig, headers: &[(&str, &str)], response: &[(&str, &str)]) -> bool {
    let (exchange, ended) = begin(rig, &[], headers);
    let passed = matches!(ended, Ended::Forwarded(_));
    if passed {
        answered(rig, exchange, response);
    } else {
        rig.finish(exchange);
    }
    passed
}

fn remaining(rig: &mut Rig, limit: &str) -> u64 {
    let (exchange, _) = begin(rig, &[], &[]);
    let fields = answered(rig, exchange, &[(":status", "200")]);
    let field = all(&fields, "ratelimit")[0].to_owned();
    let item = field
        .split(", ")
        .find(|item| item.starts_with(&format!("\"{limit}\"")))
        .unwrap();
    item.split(";r=")
        .nth(1)
        .unwrap()
        .split(';')
        .next()
        .unwrap()
        .parse()
        .unwrap()
}

#[test]
fn when_one_limit_refuses_none_of_the_others_is_charged() {
    for key in [json!([]), json!([{"header": "u"}])] {
        let mut rig = rig(json!({"limits": [
            {"name": "outer", "requests": 100, "per": "1d"},
            {"name": "inner", "key": key, "requests": 2, "per": "1d"},
        ]}));
        let user = [("u", "1")];
        assert_eq!(passing(&mut rig, &user, 1_000), 2);
        let (exchange, _) = begin(&mut rig, &[], &[("u", "2")]);
        let fields = answered(&mut rig, exchange, &[(":status", "200")]);
        if key != json!([]) {
            assert!(
                all(&fields, "ratelimit")[0].starts_with("\"outer\";r=97;"),
                "{fields:?}"
            );
        }
        assert_eq!(count(&rig, "outer", "refused"), 0);
        assert!(count(&rig, "inner", "refused") >= 998);
    }
}

#[test]
fn shadow_limits_change_nothing_and_count_everything() {
    let mut rig = rig(one(json!({"shadow": true})));
    for _ in 0..8 {
        let (exchange, ended) = begin(&mut rig, &[], &[]);
        assert!(matches!(ended, Ended::Forwarded(_)));
        let fields = answered(&mut rig, exchange, &[(":status", "200")]);
        assert_eq!(all(&fields, "ratelimit"), [""; 0]);
    }
    assert_eq!(count(&rig, "a", "allowed"), 5);
    assert_eq!(count(&rig, "a", "shadow_refused"), 3);
    assert_eq!(count(&rig, "a", "refused"), 0);
}

#[test]
fn a_share_of_what_is_too_much_is_refused() {
    let mut rig = rig(one(json!({"enforce_percent": 25})));
    let passed = passing(&mut rig, &[], 4_005);
    assert!((2_800..3_200).contains(&passed), "{passed}");
    assert_eq!(count(&rig, "a", "allowed"), 5);
    assert_eq!(
        count(&rig, "a", "refused") + count(&rig, "a", "shadow_refused"),
        4_000
    );
    let mut none = common::filter::rig(one(json!({"enforce_percent": 0})));
    assert_eq!(passing(&mut none, &[], 20), 20);
}

#[test]
fn five_failed_log_ins_a_minute_and_successes_free() {
    let mut rig = rig(one(json!({"charge": {"status": [401, 403]}})));
    for _ in 0..50 {
        assert!(with_response(&mut rig, &[], &[(":status", "200")]));
    }
    for _ in 0..5 {
        assert!(with_response(&mut rig, &[], &[(":status", "401")]));
    }
    assert!(!with_response(&mut rig, &[], &[(":status", "200")]));
    wait(&rig, 12);
    assert!(with_response(&mut rig, &[], &[(":status", "200")]));
    assert!(with_response(&mut rig, &[], &[(":status", "403")]));
    assert!(!with_response(&mut rig, &[], &[(":status", "200")]));
}

#[test]
fn failures_in_flight_cannot_be_more_than_are_left() {
    let mut rig = rig(one(json!({"charge": {"status": "4xx"}})));
    let open: Vec<_> = (0..5).map(|_| begin(&mut rig, &[], &[]).0).collect();
    assert!(!passes(&mut rig, &[]), "five may fail already");
    for exchange in open {
        answered(&mut rig, exchange, &[(":status", "200")]);
    }
    assert!(passes(&mut rig, &[]));
}

#[test]
fn the_upstream_says_what_it_cost() {
    let configuration = json!({"limits": [
        {"name": "tokens", "requests": 1000, "per": "1m", "cost": 0, "charge": {"header": "x-tokens"}}
    ]});
    let mut rig = rig(configuration);
    let response = |tokens| [(":status", "200"), ("x-tokens", tokens)];
    assert!(with_response(&mut rig, &[], &response("400")));
    assert!(with_response(&mut rig, &[], &response("599")));
    assert_eq!(remaining(&mut rig, "tokens"), 1);
    assert!(
        with_response(&mut rig, &[], &response("5000")),
        "something is left"
    );
    let refused = ask(&mut rig, &[]).unwrap();
    // 4999 tokens are owed and one is needed, at 1000 a minute.
    let seconds: u64 = refused.header("retry-after").unwrap().parse().unwrap();
    assert!((295..=301).contains(&seconds), "{seconds}");
    wait(&rig, seconds);
    assert!(with_response(&mut rig, &[], &response("not a number")));
}

#[test]
fn a_reserve_is_settled_either_way() {
    let mut rig = rig(json!({"limits": [
        {"name": "a", "requests": 100, "per": "1d", "charge": {"header": "x-cost", "reserve": 10}}
    ]}));
    assert!(with_response(
        &mut rig,
        &[],
        &[(":status", "200"), ("x-cost", "3")]
    ));
    // That one has no cost header: it costs what a request costs.
    assert_eq!(remaining(&mut rig, "a"), 96, "3 and 1 are charged");
    assert_eq!(remaining(&mut rig, "a"), 95);
    assert!(with_response(
        &mut rig,
        &[],
        &[(":status", "200"), ("x-cost", "25")]
    ));
    assert_eq!(remaining(&mut rig, "a"), 69);
}

#[test]
fn after_too_many_refusals_a_key_is_refused_for_a_while() {
    let mut rig = rig(json!({"limits": [{
        "name": "a", "key": [{"header": "u"}], "requests": 1, "per": "1s",
        "penalty": {"refusals": 3, "within": "10s", "block_for": "1m"}
    }]}));
    let user = [("u", "1"), ("accept", "application/problem+json")];
    assert!(passes(&mut rig, &user));
    for (refusal, seconds) in [(1, "1"), (2, "1"), (3, "60")] {
        let refused = ask(&mut rig, &user).unwrap();
        assert_eq!(
            refused.header("retry-after"),
            Some(seconds),
            "refusal {refusal}"
        );
        let left = format!("\"a\";r=0;t={seconds}");
        assert_eq!(refused.header("ratelimit"), Some(left.as_str()));
    }
    wait(&rig, 59);
    let refused = ask(&mut rig, &user).unwrap();
    assert_eq!(refused.header("retry-after"), Some("1"));
    // The limit has its quota back, the client has not.
    assert_eq!(refused.header("ratelimit"), Some("\"a\";r=0;t=1"));
    assert!(String::from_utf8(refused.body)
        .unwrap()
        .contains("abnormal-usage-detected"));
    assert!(passes(&mut rig, &[("u", "2")]), "somebody else");
    wait(&rig, 1);
    assert!(passes(&mut rig, &user));
    // Refusals that are far apart bring no ban.
    for _ in 0..5 {
        assert!(!passes(&mut rig, &user));
        wait(&rig, 11);
        assert!(passes(&mut rig, &user));
    }
}

#[test]
fn where_the_limit_itself_takes_longer_than_a_ban_that_is_what_is_told() {
    let mut rig = rig(json!({"limits": [{
        "name": "a", "requests": 1, "per": "1m",
        "penalty": {"refusals": 1, "within": "10s", "block_for": "5s"}
    }]}));
    assert!(passes(&mut rig, &[]));
    for (later, seconds) in [(0, "60"), (3, "57"), (3, "54")] {
        wait(&rig, later);
        let refused = ask(&mut rig, &[]).unwrap();
        assert_eq!(refused.header("retry-after"), Some(seconds));
        let left = format!("\"a\";r=0;t={seconds}");
        assert_eq!(refused.header("ratelimit"), Some(left.as_str()));
    }
}

#[test]
fn a_limit_that_only_watches_counts_what_it_would_refuse() {
    let consequences = [
        json!({"penalty": {"refusals": 2, "within": "1m", "block_for": "30s"}}),
        json!({"count_refused": true}),
        json!({"cost": 3, "count_refused": true, "penalty": {"refusals": 4, "within": "1m", "block_for": "9s"}}),
    ];
    for more in consequences {
        let counted = |watches: Value| {
            let mut limit = json!({"name": "a", "requests": 4, "per": "4s"});
            for (name, value) in more
                .as_object()
                .unwrap()
                .iter()
                .chain(watches.as_object().unwrap())
            {
                limit[name] = value.clone();
            }
            let mut rig = rig(json!({"limits": [limit]}));
            for _ in 0..40 {
                passing(&mut rig, &[], 2);
                wait(&rig, 1);
            }
            let refused = count(&rig, "a", "refused") + count(&rig, "a", "shadow_refused");
            (count(&rig, "a", "allowed"), refused)
        };
        let enforced = counted(json!({}));
        assert_eq!(counted(json!({"shadow": true})), enforced, "{more}");
        assert_eq!(counted(json!({"enforce_percent": 0})), enforced, "{more}");
    }
}

#[test]
fn refused_requests_count_only_where_asked() {
    let mut plain = rig(one(json!({})));
    let mut counting = rig(one(json!({"count_refused": true})));
    for rig in [&mut plain, &mut counting] {
        assert_eq!(passing(rig, &[], 5), 5);
    }
    for _ in 0..11 {
        wait(&plain, 1);
        wait(&counting, 1);
        assert!(!passes(&mut plain, &[]));
        let refused = ask(&mut counting, &[]).unwrap();
        assert_eq!(refused.header("retry-after"), Some("12"));
    }
    wait(&plain, 1);
    wait(&counting, 1);
    assert!(passes(&mut plain, &[]));
    assert!(!passes(&mut counting, &[]));
    wait(&counting, 12);
    assert!(passes(&mut counting, &[]));
}

#[test]
fn places_are_released_once_whatever_ends_the_request() {
    let mut rig = rig(json!({"limits": [{"name": "c", "concurrent": 2}]}));
    let (first, _) = begin(&mut rig, &[], &[]);
    let (second, _) = begin(&mut rig, &[], &[]);
    let refused = ask(&mut rig, &[]).unwrap();
    assert_eq!(
        (refused.status, refused.header("retry-after")),
        (429, Some("1"))
    );
    // One is answered, the other reset without an answer.
    answered(&mut rig, first, &[(":status", "200")]);
    let (third, ended) = begin(&mut rig, &[], &[]);
    assert!(matches!(ended, Ended::Forwarded(_)));
    assert!(!passes(&mut rig, &[]));
    rig.finish(second);
    rig.finish(third);
    let open: Vec<_> = (0..2).map(|_| begin(&mut rig, &[], &[])).collect();
    assert!(open
        .iter()
        .all(|(_, ended)| matches!(ended, Ended::Forwarded(_))));
    assert!(!passes(&mut rig, &[]));
}

#[test]
fn the_places_of_a_dead_worker_heal() {
    let mut rig = rig(json!({"limits": [{"name": "c", "concurrent": 2, "lease": "10s"}]}));
    let lost = [begin(&mut rig, &[], &[]), begin(&mut rig, &[], &[])];
    std::mem::forget(lost);
    assert!(!passes(&mut rig, &[]));
    wait(&rig, 20);
    assert_eq!(passing(&mut rig, &[], 5), 5);
}

#[test]
fn rates_and_places_together() {
    let mut rig = rig(json!({"limits": [
        {"name": "c", "concurrent": 1},
        {"name": "r", "requests": 3, "per": "1d"},
    ]}));
    let (open, _) = begin(&mut rig, &[], &[]);
    assert_eq!(passing(&mut rig, &[], 50), 0);
    rig.finish(open);
    assert_eq!(
        passing(&mut rig, &[], 50),
        2,
        "what was refused for a place cost no request"
    );
    assert_eq!(passing(&mut rig, &[], 50), 0);
}

#[test]
fn counters_survive_a_new_configuration_and_end_with_a_changed_limit() {
    let mut first = rig(one(json!({})));
    assert_eq!(passing(&mut first, &[], 3), 3);
    let world = first.host.world().clone();
    let again =
        |number, configuration: Value| Vm::<RateLimit>::start(&world, number, &configuration);
    let same = one(json!({"exempt": {"path": "/x"}}));
    assert_eq!(
        passing(&mut again(2, same.clone()), &[], 9),
        2,
        "the same limit"
    );
    let mut reordered = same;
    reordered["limits"]
        .as_array_mut()
        .unwrap()
        .insert(0, json!({"name": "b", "requests": 90, "per": "1d"}));
    assert_eq!(
        passing(&mut again(3, reordered), &[], 9),
        0,
        "still the same limit"
    );
    assert_eq!(
        passing(&mut again(4, one(json!({"requests": 6}))), &[], 9),
        6,
        "another limit"
    );
}

#[test]
fn windows() {
    let mut sliding = rig(one(json!({"algorithm": "sliding_window"})));
    assert_eq!(passing(&mut sliding, &[], 9), 5);
    let into_the_minute = 1_750_000_000 % 60;
    wait(&sliding, 60 - into_the_minute + 24);
    assert_eq!(
        passing(&mut sliding, &[], 9),
        2,
        "0.6 of the five still count"
    );
    let mut fixed = rig(one(json!({"algorithm": "fixed_window"})));
    assert_eq!(passing(&mut fixed, &[], 9), 5);
    let refused = ask(&mut fixed, &[]).unwrap();
    assert_eq!(
        refused.header("retry-after"),
        Some((60 - into_the_minute).to_string().as_str())
    );
    wait(&fixed, 60 - into_the_minute);
    assert_eq!(passing(&mut fixed, &[], 9), 5);
}

#[test]
fn replicas_divide_a_limit() {
    let mut configuration = one(json!({"requests": 12}));
    configuration["replicas"] = json!(4);
    let mut rig = rig(configuration);
    assert_eq!(passing(&mut rig, &[], 20), 3);
    rig.host.world().advance(Span::from_secs(20));
    assert_eq!(
        passing(&mut rig, &[], 20),
        1,
        "12 a minute over 4 are one in 20 seconds"
    );
}

#[test]
fn the_decision_is_there_for_the_access_log() {
    let mut configuration = one(json!({"requests": 1}));
    configuration["access_log"] = json!(true);
    let mut rig = rig(configuration);
    for (decision, remaining) in [("allowed", "0"), ("refused", "0")] {
        let (exchange, _) = begin(&mut rig, &[], &[]);
        let property = |name: &str| {
            let value = rig.property(&exchange, &format!("seawall.rate_limit.{name}"));
            value.map(|value| String::from_utf8(value).unwrap())
        };
        assert_eq!(property("decision").as_deref(), Some(decision));
        assert_eq!(property("limit").as_deref(), Some("a"));
        assert_eq!(property("remaining").as_deref(), Some(remaining));
        rig.finish(exchange);
    }
}

#[test]
fn a_million_keys_leave_the_table_as_large_as_it_is() {
    let mut configuration = json!({"limits": [
        {"name": "a", "key": [{"header": "k"}], "requests": 1, "per": "1s"}
    ]});
    configuration["max_keys"] = json!(256);
    let mut rig = rig(configuration);
    for number in 0..1_000_000u32 {
        assert!(passes(&mut rig, &[("k", &number.to_string())]));
        rig.host.world().advance(Span::from_millis(1));
    }
    let keys = rig.host.world().shared_keys();
    assert_eq!(keys, 256 / 16 + 2, "the slots, their number and the secret");
    assert!(rig.host.world().shared_bytes() <= keys * (16 * 32 + 8));
    assert!(count(&rig, "a", "live_evictions") > 0);
}

/// Where nothing counts any more, there is room for free, though the window that it was in has not ended.
#[test]
fn who_has_given_everything_back_pushes_nobody_out() {
    let limits = [
        json!({"concurrent": 1, "lease": "10s"}),
        json!({"algorithm": "sliding_window", "requests": 1, "per": "10s", "charge": {"status": 401}}),
        json!({"algorithm": "fixed_window", "requests": 1, "per": "1d", "charge": {"status": 401}}),
    ];
    for mut limit in limits {
        limit["name"] = json!("a");
        limit["key"] = json!([{"header": "k"}]);
        let mut rig = rig(json!({"max_keys": 16, "limits": [limit]}));
        let start = rig.host.world().now().as_secs();
        wait(&rig, 9 - start % 10);
        let mut held = Vec::new();
        for client in ["x", "y"] {
            let (mut exchange, ended) = begin(&mut rig, &[], &[("k", client)]);
            assert!(matches!(ended, Ended::Forwarded(_)), "{ended:?}");
            rig.response(&mut exchange, &[(":status", "401")], false);
            held.push(exchange);
        }
        // The window after.
        wait(&rig, 1);
        for number in 0..500u32 {
            assert!(passes(&mut rig, &[("k", &number.to_string())]));
        }
        for client in ["x", "y"] {
            assert!(!passes(&mut rig, &[("k", client)]), "{limit} {client}");
        }
        assert_eq!(count(&rig, "a", "live_evictions"), 0, "{limit}");
        for exchange in held {
            rig.finish(exchange);
        }
    }
}

#[test]
fn a_limited_client_stays_limited_while_there_is_a_free_way() {
    let mut rig = rig(json!({
        "max_keys": 16,
        "limits": [
            {"name": "long", "key": [{"header": "k"}], "match": {"header": {"long": true}}, "requests": 1, "per": "1h"},
            {"name": "short", "key": [{"header": "k"}], "match": {"header": {"long": false}}, "requests": 1, "per": "1s"},
        ],
    }));
    let limited = [("k", "limited"), ("long", "1")];
    assert!(passes(&mut rig, &limited));
    // A flood of new keys, of which ten are live at any time.
    for number in 0..5_000u32 {
        assert!(passes(&mut rig, &[("k", &number.to_string())]));
        rig.host.world().advance(Span::from_millis(100));
    }
    assert!(!passes(&mut rig, &limited));
    assert_eq!(count(&rig, "short", "live_evictions"), 0);
    // Without a pause there is no free way, and it is counted.
    for number in 0..50u32 {
        passes(&mut rig, &[("k", &number.to_string())]);
    }
    assert_eq!(count(&rig, "short", "live_evictions"), 50 + 10 + 1 - 16);
    assert!(!passes(&mut rig, &limited), "its end is the farthest");
}

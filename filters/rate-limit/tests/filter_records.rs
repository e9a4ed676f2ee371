//! What an operator sees of each request: the decision in the access log, and the counters of what it took.
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

use common::filter::{all, answered, ask, begin, count, passes, passing, rig, Pairs, Rig};
use seawall_core::host::{Expect, Failure};
use seawall_core::plugin::Plugin;
use seawall_core::testing::Ended;
use serde_json::json;
use std::cell::Cell;

/// The decision, the limit and what is left, as the access log has them.
fn logged(rig: &mut Rig, headers: Pairs<'_>) -> [Option<String>; 3] {
    let (exchange, _) = begin(rig, &[], headers);
    let words = ["decision", "limit", "remaining"].map(|what| {
        let value = rig.property(&exchange, &format!("seawall.rate_limit.{what}"));
        value.map(|value| String::from_utf8(value).unwrap())
    });
    rig.finish(exchange);
    words
}

#[test]
fn every_decision_has_its_word() {
    let mut rig = rig(json!({
        "access_log": true,
        "exempt": {"header": {"x-free": true}},
        "limits": [
            {"name": "watched", "requests": 1, "per": "1d", "shadow": true},
            {"name": "keyed", "key": [{"header": "k"}], "missing": "deny", "requests": 2, "per": "1d"},
        ],
    }));
    let keyed = [("k", "a")];
    for (headers, words) in [
        (&keyed[..], ["allowed", "keyed", "1"]),
        (&keyed, ["shadow_refused", "keyed", "0"]),
        (&keyed, ["refused", "keyed", "0"]),
        (&[], ["refused", "keyed", ""]),
        (&[("x-free", "1")], ["exempt", "", ""]),
    ] {
        let found = logged(&mut rig, headers).map(Option::unwrap_or_default);
        assert_eq!(found, words);
    }
    rig.host.fail("shared_get", Failure::Status(10));
    let found = logged(&mut rig, &keyed).map(Option::unwrap_or_default);
    assert_eq!(found, ["error", "", ""]);
    for limit in ["watched", "keyed"] {
        assert_eq!(count(&rig, limit, "errors"), 1);
    }
}

/// What is counted for a request is logged for it, where the limits say so without a look at the table, too.
#[test]
fn what_is_decided_without_the_table_has_its_word() {
    let lacking = json!({"name": "lacking", "key": [{"header": "k"}], "missing": "deny", "requests": 2, "per": "1d", "shadow": true});
    let free = json!({"name": "free", "scope": "fleet", "cost": 0, "requests": 2, "per": "1d"});
    let other = json!({"name": "other", "requests": 2, "per": "1d"});
    for (limits, words) in [
        (json!([lacking]), ["shadow_refused", "", ""]),
        (json!([lacking, other]), ["shadow_refused", "other", "1"]),
        (json!([free]), ["allowed", "", ""]),
        (json!([lacking, free]), ["shadow_refused", "", ""]),
        (json!([other, free]), ["allowed", "other", "1"]),
    ] {
        let mut rig = rig(json!({"access_log": true, "fleet": {"cluster": "c"}, "limits": limits}));
        let found = logged(&mut rig, &[]).map(Option::unwrap_or_default);
        assert_eq!(found, words, "{limits}");
    }
    // Nobody has admitted a request that another limit refuses.
    let mut rig = rig(
        json!({"fleet": {"cluster": "c"}, "limits": [free, {"name": "one", "requests": 1, "per": "1d"}]}),
    );
    assert_eq!(passing(&mut rig, &[], 3), 1);
    assert_eq!(count(&rig, "free", "allowed"), 1);
}

#[test]
fn lost_races_are_counted_at_the_first_limit() {
    let first = json!({"name": "a", "key": [{"header": "k"}], "requests": 100, "per": "1d"});
    let second = json!({"name": "b", "requests": 100, "per": "1d"});
    for limits in [json!([first]), json!([first, second])] {
        let mut rig = rig(json!({ "limits": limits }));
        assert!(passes(&mut rig, &[("k", "x")]));
        assert_eq!(count(&rig, "a", "swap_retries"), 0);
        let rival = rig.host.world().clone();
        let left = Cell::new(20);
        rig.host.before_shared(move || {
            if left.get() > 0 {
                left.set(left.get() - 1);
                for name in rival.shared_names() {
                    let (value, _) = rival.shared_get(&name).unwrap();
                    rival.shared_set(&name, &value, Expect::Anything);
                }
            }
        });
        assert!(passes(&mut rig, &[("k", "x")]));
        assert!(count(&rig, "a", "swap_retries") > 0, "{limits}");
    }
}

#[test]
fn a_refusal_that_cannot_be_noted_is_one_and_counts_as_an_error() {
    let penalty = json!({"refusals": 1, "within": "1m", "block_for": "1h"});
    let mut rig = rig(json!({"limits": [
        {"name": "a", "requests": 1, "per": "1m", "penalty": penalty}
    ]}));
    assert!(passes(&mut rig, &[]));
    rig.host.fail("shared_set", Failure::Status(10));
    let refused = ask(&mut rig, &[]).unwrap();
    assert_eq!(
        (refused.status, refused.header("retry-after")),
        (429, Some("60"))
    );
    assert_eq!(rig.host.world().metric("seawall.rate_limit.errors"), 1);
    assert_eq!(count(&rig, "a", "refused"), 1);
}

#[test]
fn a_charge_that_cannot_be_settled_stays_and_counts_as_an_error() {
    let mut rig = rig(json!({"limits": [
        {"name": "a", "requests": 1, "per": "1d", "charge": {"status": "5xx"}}
    ]}));
    let (exchange, _) = begin(&mut rig, &[], &[]);
    rig.host.fail("shared_set", Failure::Status(10));
    answered(&mut rig, exchange, &[(":status", "200")]);
    rig.host.heal();
    assert_eq!(rig.host.world().metric("seawall.rate_limit.errors"), 1);
    assert!(!passes(&mut rig, &[]));
}

#[test]
fn live_entries_that_go_are_counted_at_the_limit_they_went_for() {
    let key = json!([{"header": "k"}]);
    let first = json!({"name": "a", "key": key, "requests": 9, "per": "1d"});
    let second = json!({"name": "b", "key": key, "requests": 9, "per": "1d"});
    for (limits, both) in [(json!([first]), 0), (json!([first, second]), 1)] {
        let mut rig = rig(json!({"max_keys": 16, "limits": limits}));
        for client in 0..16 {
            assert!(passes(&mut rig, &[("k", &client.to_string())]));
        }
        let evicted = |rig: &Rig| ["a", "b"].map(|limit| count(rig, limit, "live_evictions"));
        assert_eq!(evicted(&rig), [0, 0]);
        assert!(passes(&mut rig, &[("k", "one more")]));
        assert_eq!(evicted(&rig), [1, both]);
    }
}

#[test]
fn what_happens_without_the_service_is_logged_and_counted() {
    for (on_error, word, allowed) in [
        ("allow", "error", [1, 0]),
        ("deny", "error", [0, 0]),
        ("local", "allowed", [1, 1]),
    ] {
        let mut rig = rig(json!({
            "access_log": true,
            "fleet": {"cluster": "c", "on_error": on_error},
            "limits": [
                {"name": "here", "requests": 1, "per": "1d"},
                {"name": "there", "scope": "fleet", "requests": 9, "per": "1d"},
            ],
        }));
        let (exchange, _) = begin(&mut rig, &[], &[]);
        let token = rig.host.take_callouts()[0].token;
        rig.host.open(0);
        rig.plugin.grpc_done(&rig.host, token, 14, 0);
        let said = rig.property(&exchange, "seawall.rate_limit.decision");
        assert_eq!(said.as_deref(), Some(word.as_bytes()), "{on_error}");
        let fields = answered(&mut rig, exchange, &[(":status", "200")]);
        // What is counted here in its place is told as what it says would be.
        let told = all(&fields, "ratelimit").join(", ");
        let local = told.contains("\"there\";r=8;t=");
        assert_eq!(local, on_error == "local", "{on_error}: {told}");
        let counted = ["here", "there"].map(|limit| count(&rig, limit, "allowed"));
        assert_eq!(counted, allowed, "{on_error}");
        assert_eq!(count(&rig, "there", "errors"), 1);
        // Who was answered has been charged for nothing.
        let (_, next) = begin(&mut rig, &[], &[]);
        assert_eq!(next == Ended::Paused, on_error == "deny", "{on_error}");
    }
}

#[test]
fn where_the_service_only_watches_its_silence_changes_nothing() {
    let mut rig = rig(json!({
        "access_log": true,
        "fleet": {"cluster": "c", "on_error": "deny"},
        "limits": [
            {"name": "here", "requests": 9, "per": "1d"},
            {"name": "there", "scope": "fleet", "requests": 9, "per": "1d", "shadow": true},
        ],
    }));
    let words = logged(&mut rig, &[]).map(Option::unwrap_or_default);
    assert_eq!(words, ["allowed", "here", "8"]);
    assert_eq!(count(&rig, "here", "allowed"), 1);
}

#[test]
fn what_nobody_waits_for_takes_no_place_from_who_waits() {
    let limit = |name: &str, shadow: bool| {
        json!({"name": name, "match": {"path": format!("/{name}")}, "scope": "fleet", "requests": 9,
            "per": "1d", "shadow": shadow})
    };
    let mut rig = rig(json!({
        "fleet": {"cluster": "c", "on_error": "deny", "max_waiting": 1},
        "limits": [limit("watched", true), limit("there", false)],
    }));
    for _ in 0..3 {
        let (exchange, ended) = begin(&mut rig, &[], &[(":path", "/watched")]);
        assert!(matches!(ended, Ended::Forwarded(_)), "{ended:?}");
        rig.finish(exchange);
    }
    assert_eq!(rig.host.take_callouts().len(), 1);
    assert_eq!(count(&rig, "watched", "errors"), 2);
    let (_waits, ended) = begin(&mut rig, &[], &[(":path", "/there")]);
    assert_eq!(ended, Ended::Paused);
    let (_too_many, ended) = begin(&mut rig, &[], &[(":path", "/there")]);
    assert!(matches!(ended, Ended::Replied(_)), "{ended:?}");
}

#[test]
fn a_refusal_of_what_costs_several_says_what_is_left() {
    for (left, said) in [(2, "\"a\";r=2;t=30"), (9, "\"a\";r=4;t=30")] {
        let mut rig = rig(json!({
            "fleet": {"cluster": "c"},
            "limits": [{"name": "a", "scope": "fleet", "requests": 9, "per": "1m", "cost": 5}],
        }));
        let (exchange, _) = begin(&mut rig, &[], &[]);
        let token = rig.host.take_callouts()[0].token;
        // One status: over the limit of 9, so much left, and more in 30 seconds.
        let status = [0x08, 2, 0x12, 2, 0x08, 9, 0x18, left, 0x22, 2, 0x08, 30];
        let message = [&[0x08, 2, 0x12, 12], &status[..]].concat();
        rig.host.open(0);
        rig.host.put_grpc_response(&message);
        rig.plugin.grpc_done(&rig.host, token, 0, message.len());
        let reply = rig.reply(&exchange).unwrap();
        assert_eq!(reply.header("ratelimit"), Some(said));
    }
}

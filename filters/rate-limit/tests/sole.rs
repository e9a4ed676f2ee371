//! One ordinary limit is decided about in a shorter way than others: with the same answers, fields, counts, notes and states.
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

use common::filter::{answered, begin, rig, Rig};
use proptest::prelude::*;
use seawall_core::testing::{Ended, SentReply};
use seawall_core::time::Span;
use serde_json::{json, Value};

fn configuration() -> impl Strategy<Value = Value> {
    let key = prop_oneof![
        Just(json!([])),
        Just(json!(["client_address"])),
        Just(json!([{"client_address": {"trusted_hops": 1, "ipv4_prefix": 24}}])),
        Just(json!([{"header": "x-user"}])),
        Just(json!([{"header": "x-user"}, "client_address", "path"])),
    ];
    let word = |words: &'static [&'static str]| proptest::sample::select(words);
    (
        key,
        word(&["gcra", "sliding_window", "fixed_window"]),
        word(&["skip", "deny", "shared"]),
        word(&["ietf", "x_ratelimit", "both", "none"]),
        (1..6u64, word(&["100ms", "1s", "1m", "1d"]), 0..4u64),
        any::<(bool, bool)>(),
    )
        .prop_map(|(key, algorithm, missing, headers, (requests, per, cost), (counted, logged))| {
            json!({"max_keys": 16, "headers": headers, "access_log": logged, "limits": [{
                "name": "a", "key": key, "algorithm": algorithm, "requests": requests, "per": per,
                "missing": missing, "cost": cost.min(requests), "count_refused": counted,
            }]})
        })
}

/// The same limit, and an exemption that is for nobody.
fn the_long_way(configuration: &Value) -> Value {
    let mut configuration = configuration.clone();
    configuration["limits"][0]["exempt"] = json!({"header": {"x-nobody": true}});
    configuration
}

/// A request: how long after the one before it, by how much the clock is set back, its user, its client.
type Asked = (u64, u64, Option<u8>, u8);

fn asked() -> impl Strategy<Value = Asked> {
    (
        prop_oneof![3 => 0..3u64, 2 => 0..2_000u64, 1 => 0..200_000u64],
        prop_oneof![9 => Just(0u64), 1 => 0..5_000u64],
        proptest::option::of(0..40u8),
        0..40u8,
    )
}

/// What became of it: the response's fields or the reply, and what was left for the access log.
type Lived = (
    Result<Vec<(String, String)>, SentReply>,
    Vec<Option<Vec<u8>>>,
);

fn lived(rig: &mut Rig, (later, back, user, client): Asked) -> Lived {
    let world = rig.host.world();
    world.advance(Span::from_millis(later));
    if back > 0 {
        world.set_clock(world.now().saturating_sub(Span::from_millis(back)));
    }
    let source = format!("10.0.{}.{client}:4711", client % 2);
    let user = user.map(|user| user.to_string());
    let mut headers = vec![
        (":path", "/"),
        (":authority", "a"),
        (":method", "GET"),
        ("x-forwarded-for", "10.1.2.3"),
    ];
    headers.extend(user.as_deref().map(|user| ("x-user", user)));
    let (exchange, ended) = begin(rig, &[("source.address", source.as_bytes())], &headers);
    let notes = ["decision", "limit", "remaining"]
        .map(|what| rig.property(&exchange, &format!("seawall.rate_limit.{what}")));
    let ended = match ended {
        Ended::Forwarded(_) => Ok(answered(rig, exchange, &[(":status", "200")])),
        Ended::Replied(reply) => {
            rig.finish(exchange);
            Err(reply)
        }
        Ended::Paused => panic!("never paused without a reply"),
    };
    (ended, notes.to_vec())
}

/// Every shared value.
fn stored(rig: &Rig) -> Vec<(String, Vec<u8>)> {
    let world = rig.host.world();
    let value = |name: String| (name.clone(), world.shared_get(&name).unwrap().0);
    // The size of the table is noted with the first request that needs it.
    let names = world.shared_names().into_iter();
    names
        .filter(|name| name != "seawall.rl.table")
        .map(value)
        .collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]

    #[test]
    fn the_short_way_ends_where_the_long_one_does(
        configuration in configuration(),
        requests in proptest::collection::vec(asked(), 1..80),
    ) {
        let mut long = rig(the_long_way(&configuration));
        let mut short = rig(configuration);
        for request in requests {
            prop_assert_eq!(lived(&mut short, request), lived(&mut long, request));
        }
        prop_assert_eq!(short.host.world().metrics(), long.host.world().metrics());
        prop_assert_eq!(stored(&short), stored(&long));
    }
}

//! What is counted of a request, and nothing else; with what becomes of the fields that it is counted for.
#![cfg(not(target_arch = "wasm32"))]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "test code"
)]

mod common;

use common::{all, forward, start, with, PARENT};
use serde_json::json;
use std::collections::BTreeMap;

#[test]
fn each_thing_is_counted_once() {
    let two_long = format!("a={},b={}", "x".repeat(256), "y".repeat(252));
    let (first, _) = two_long.split_once(',').unwrap();
    let one_longer = format!("{}={}", "k".repeat(256), "v".repeat(256));
    let parent = ("traceparent", PARENT);
    let never = json!({"trust": {"mode": "never"}});
    let short = json!({"tracestate": {"max_length": 512}});
    let two = json!({"read": ["w3c", "b3"]});
    let few = json!({"baggage": {"max_members": 1}});
    let none = json!({"baggage": {"propagate": false}});
    for (configuration, fields, counts, left) in [
        (
            json!({}),
            &[][..],
            "request_ids_created traces_started",
            &[][..],
        ),
        (
            json!({}),
            &[("x-request-id", "a"), parent],
            "request_ids_kept traces_continued",
            &[("x-request-id", "a")],
        ),
        (
            json!({}),
            &[("x-request-id", "a b")],
            "request_ids_replaced traces_started",
            &[],
        ),
        (
            json!({}),
            &[("x-request-id", "a"), ("x-request-id", "a")],
            "request_ids_replaced traces_started",
            &[],
        ),
        (
            json!({}),
            &[("traceparent", "bad")],
            "request_ids_created traceparent_invalid traces_started",
            &[],
        ),
        // Of somebody who is not trusted it does not count how well he writes.
        (
            never.clone(),
            &[("x-request-id", "a"), parent, ("baggage", "a,b")],
            "request_ids_replaced traces_started traces_untrusted",
            &[("baggage", "")],
        ),
        (
            never,
            &[("traceparent", "bad")],
            "request_ids_created traces_started",
            &[],
        ),
        (
            json!({}),
            &[parent, ("tracestate", "BAD=1")],
            "request_ids_created traces_continued tracestate_invalid",
            &[("tracestate", "")],
        ),
        (
            short.clone(),
            &[parent, ("tracestate", &two_long)],
            "request_ids_created traces_continued tracestate_truncated",
            &[("tracestate", first)],
        ),
        (
            short,
            &[parent, ("tracestate", &one_longer)],
            "request_ids_created traces_continued tracestate_truncated",
            &[("tracestate", "")],
        ),
        (
            two,
            &[
                parent,
                ("b3", "00000000000000000000000000000001-0000000000000002-1"),
            ],
            "conflicts request_ids_created traces_continued",
            &[],
        ),
        (
            json!({}),
            &[("baggage", "a=1"), ("baggage", "b=2")],
            "request_ids_created traces_started",
            &[("baggage", "a=1|b=2")],
        ),
        (
            json!({}),
            &[("baggage", "a=1,b")],
            "baggage_dropped request_ids_created traces_started",
            &[("baggage", "a=1")],
        ),
        (
            few,
            &[("baggage", "a=1"), ("baggage", "b=2")],
            "baggage_dropped request_ids_created traces_started",
            &[("baggage", "a=1")],
        ),
        (
            json!({}),
            &[("baggage", "b")],
            "baggage_dropped request_ids_created traces_started",
            &[("baggage", "")],
        ),
        (
            none,
            &[("baggage", "a=1")],
            "request_ids_created traces_started",
            &[("baggage", "")],
        ),
    ] {
        let mut vm = start(configuration.clone());
        let out = forward(&mut vm, &with(fields));
        vm.tick();
        let metrics = vm.host.world().metrics();
        let found: BTreeMap<&str, i64> = metrics
            .iter()
            .filter(|(_, value)| **value != 0)
            .filter_map(|(name, value)| {
                Some((name.strip_prefix("seawall.trace_headers.")?, *value))
            })
            .collect();
        let expected = counts.split(' ').map(|name| (name, 1)).collect();
        assert_eq!(found, expected, "{configuration} {fields:?}");
        for (name, value) in left {
            assert_eq!(
                all(&out, name).join("|"),
                *value,
                "{configuration} {fields:?}"
            );
        }
    }
}

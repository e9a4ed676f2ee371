//! Limits of many routes: what one key has on all of them is kept, and none of its counters pushes out another.
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

use common::filter::{ask_with, count, rig, Rig};
use prost::Message;
use serde_json::{json, Value};

/// The metadata of a route, as Envoy tells it.
fn metadata(limits: &Value) -> Vec<u8> {
    fn value(json: &Value) -> prost_types::Value {
        use prost_types::value::Kind;
        let kind = match json {
            Value::Object(fields) => Kind::StructValue(prost_types::Struct {
                fields: fields
                    .iter()
                    .map(|(name, json)| (name.clone(), value(json)))
                    .collect(),
            }),
            Value::Array(items) => Kind::ListValue(prost_types::ListValue {
                values: items.iter().map(value).collect(),
            }),
            Value::String(text) => Kind::StringValue(text.clone()),
            Value::Number(number) => Kind::NumberValue(number.as_f64().unwrap()),
            Value::Bool(flag) => Kind::BoolValue(*flag),
            Value::Null => Kind::NullValue(0),
        };
        prost_types::Value { kind: Some(kind) }
    }
    let Some(prost_types::value::Kind::StructValue(section)) =
        value(&json!({"limits": limits})).kind
    else {
        panic!("settings are an object")
    };
    #[derive(Clone, PartialEq, Message)]
    struct Metadata {
        #[prost(btree_map = "string, message", tag = "1")]
        filter_metadata: std::collections::BTreeMap<String, prost_types::Struct>,
    }
    let filter_metadata = [("seawall.rate_limit".to_owned(), section)].into();
    Metadata { filter_metadata }.encode_to_vec()
}

/// How many of so many rounds over all routes pass.
fn passing(rig: &mut Rig, routes: &[Value], rounds: usize) -> usize {
    let routes: Vec<_> = routes.iter().map(metadata).collect();
    (0..rounds)
        .flat_map(|_| &routes)
        .filter(|route| {
            let properties: [(&str, &[u8]); 2] = [
                ("xds.route_metadata", route.as_slice()),
                ("source.address", b"10.0.0.1:4000"),
            ];
            ask_with(rig, &properties, &[("x-plan", "a")]).is_none()
        })
        .count()
}

#[test]
fn who_goes_from_route_to_route_is_limited_on_each() {
    for (key, routes) in [
        (json!(["client_address"]), 24),
        (json!([{"header": "x-plan"}]), 60),
        (json!([]), 200),
    ] {
        let limits: Vec<_> = (0..routes)
            .map(|route| json!([{"name": format!("l{route}"), "key": key, "requests": 2, "per": "1h"}]))
            .collect();
        let mut rig = rig(json!({}));
        assert_eq!(passing(&mut rig, &limits, 5), 2 * routes, "{key}");
        assert_eq!(count(&rig, "l0", "live_evictions"), 0, "{key}");
    }
}

#[test]
fn penalties_and_other_numbers_count_too() {
    let tiers: Vec<_> = (0..40)
        .map(|tier| json!({"match": {"path": format!("/{tier}")}, "requests": 2, "per": format!("{}h", tier + 2)}))
        .collect();
    let limit = json!({"name": "l", "key": ["client_address"], "requests": 2, "per": "1h", "overrides": tiers});
    let mut rig = rig(json!({"limits": [limit]}));
    let mut passed = 0;
    for _ in 0..5 {
        for tier in 0..40 {
            let path = format!("/{tier}");
            let from: [(&str, &[u8]); 1] = [("source.address", b"10.0.0.1:4000")];
            passed += usize::from(ask_with(&mut rig, &from, &[(":path", &path)]).is_none());
        }
    }
    assert_eq!(passed, 80);
    let banning: Vec<_> = (0..24)
        .map(|route| json!([{"name": format!("b{route}"), "key": ["client_address"], "requests": 1, "per": "1h",
            "penalty": {"refusals": 2, "within": "1h", "block_for": "1h"}}]))
        .collect();
    let mut rig = common::filter::rig(json!({}));
    assert_eq!(passing(&mut rig, &banning, 5), 24);
}

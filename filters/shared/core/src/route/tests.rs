#![allow(
    clippy::unwrap_used,
    clippy::arithmetic_side_effects,
    reason = "test code"
)]

use super::*;
use crate::testing::{FakeHost, World};
use proptest::prelude::*;
use prost::Message;
use serde::Deserialize;
use serde_json::json;
use std::collections::BTreeMap;

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Raw {
    limit: Option<u32>,
    burst: Option<u32>,
    slots: Option<u32>,
}

thread_local! {
    static BUILT: std::cell::Cell<usize> = const { std::cell::Cell::new(0) };
}

#[derive(Debug, PartialEq)]
struct Toy {
    limit: u32,
    burst: u32,
}

impl Settings for Toy {
    type Raw = Raw;
    const NAMESPACE: &'static str = "seawall.toy";
    const PLUGIN_ONLY: &'static [&'static str] = &["slots"];

    fn validate(raw: Raw, errors: &mut ConfigErrors) -> Self {
        BUILT.with(|built| built.set(built.get() + 1));
        let limit = raw.limit.unwrap_or(10);
        if limit == 0 {
            errors.add("limit", "must be at least 1, got 0");
        }
        let _ = raw.slots;
        Toy {
            limit,
            burst: raw.burst.unwrap_or(limit),
        }
    }
}

/// `Metadata.filter_metadata`, written by a real protobuf library.
#[derive(Clone, PartialEq, Message)]
struct Metadata {
    #[prost(btree_map = "string, message", tag = "1")]
    filter_metadata: BTreeMap<String, prost_types::Struct>,
}

fn proto(json: &Value) -> prost_types::Value {
    use prost_types::value::Kind;
    let kind = match json {
        Value::Null => Kind::NullValue(0),
        Value::Bool(value) => Kind::BoolValue(*value),
        Value::Number(number) => Kind::NumberValue(number.as_f64().unwrap()),
        Value::String(text) => Kind::StringValue(text.clone()),
        Value::Array(items) => Kind::ListValue(prost_types::ListValue {
            values: items.iter().map(proto).collect(),
        }),
        Value::Object(_) => Kind::StructValue(proto_struct(json)),
    };
    prost_types::Value { kind: Some(kind) }
}

fn proto_struct(json: &Value) -> prost_types::Struct {
    let fields = json.as_object().unwrap();
    prost_types::Struct {
        fields: fields.iter().map(|(k, v)| (k.clone(), proto(v))).collect(),
    }
}

fn metadata(namespaces: &[(&str, Value)]) -> Vec<u8> {
    let filter_metadata = namespaces
        .iter()
        .map(|(name, json)| ((*name).to_owned(), proto_struct(json)))
        .collect();
    Metadata { filter_metadata }.encode_to_vec()
}

fn host(route: &[(&str, Value)], virtual_host: &[(&str, Value)]) -> FakeHost {
    let host = FakeHost::new(&World::new(), 1);
    host.open(1);
    host.put_property("xds\0route_name", b"checkout");
    host.put_property("xds\0virtual_host_name", b"shop");
    if !route.is_empty() {
        host.put_property(ROUTE, &metadata(route));
    }
    if !virtual_host.is_empty() {
        host.put_property(VIRTUAL_HOST, &metadata(virtual_host));
    }
    host
}

fn layers() -> Layers<Toy> {
    Layers::new(br#"{"limit": 5}"#).unwrap()
}

#[test]
fn without_metadata_the_plugin_configuration_holds() {
    assert_eq!(
        *layers().of_request(&host(&[], &[])),
        Toy { limit: 5, burst: 5 }
    );
}

#[test]
fn route_overrides_virtual_host_overrides_plugin_field_by_field() {
    let host = host(
        &[("seawall.toy", json!({"limit": 7}))],
        &[
            ("seawall.toy", json!({"limit": 6, "burst": 60})),
            ("other", json!({"limit": "x"})),
        ],
    );
    assert_eq!(
        *layers().of_request(&host),
        Toy {
            limit: 7,
            burst: 60
        }
    );
}

#[test]
fn a_bad_route_setting_falls_back_to_the_next_valid_level_and_is_named() {
    let host = host(
        &[("seawall.toy", json!({"limit": 0, "slots": 1, "busrt": 2}))],
        &[("seawall.toy", json!({"limit": 6}))],
    );
    let mut layers = layers();
    layers.count_errors_in(Counter::define(&host, "errors"));
    for _ in 0..3 {
        assert_eq!(*layers.of_request(&host), Toy { limit: 6, burst: 6 });
    }
    let log = host.world().log();
    assert_eq!(log.len(), 1, "once per route, not per request: {log:?}");
    for part in [
        "route \"checkout\" of virtual host \"shop\": its metadata seawall.toy is ignored",
        "limit: must be at least 1",
        "slots: can be set in",
        "busrt",
    ] {
        assert!(log[0].contains(part), "{part} in {}", log[0]);
    }
    assert_eq!(host.world().metric("errors"), 1);
}

#[test]
fn more_bad_routes_than_are_kept_do_not_flood_the_log() {
    let host = host(&[("x", json!({}))], &[]);
    let layers = layers();
    for _ in 0..2 {
        for n in 0..2 * MOST_REPORTED {
            let bad = metadata(&[("seawall.toy", json!({"limit": 0, "busrt": n}))]);
            host.put_property(ROUTE, &bad);
            assert_eq!(layers.of_request(&host).limit, 5);
        }
    }
    let lines = host.world().log().len();
    assert_eq!(
        lines,
        MOST_REPORTED + 1,
        "a line for each, then one a minute"
    );
}

#[test]
fn decodes_once_per_route_and_sees_a_route_update() {
    let host = host(&[("seawall.toy", json!({"limit": 7}))], &[]);
    let layers = layers();
    let first = layers.of_request(&host);
    assert!(Rc::ptr_eq(&first, &layers.of_request(&host)));
    host.put_property(ROUTE, &metadata(&[("seawall.toy", json!({"limit": 8}))]));
    let second = layers.of_request(&host);
    assert_eq!(second.limit, 8);
    // Routes that take turns are kept, all of them.
    for (limit, known) in [(7, &first), (8, &second), (7, &first)] {
        let bytes = metadata(&[("seawall.toy", json!({"limit": limit}))]);
        host.put_property(ROUTE, &bytes);
        assert!(Rc::ptr_eq(known, &layers.of_request(&host)), "{limit}");
    }
}

/// The settings that were made, for each test's own thread.
fn built() -> usize {
    BUILT.with(std::cell::Cell::get)
}

#[test]
fn more_routes_than_a_few_have_their_settings_made_once() {
    let host = host(&[("x", json!({}))], &[]);
    let layers = layers();
    let before = built();
    let routes = 12_000;
    let number_of = |turn: usize, at: usize| match turn {
        0 | 1 => at,
        // By chance.
        _ => at.wrapping_mul(7_919) % routes,
    };
    for turn in 0..3 {
        for at in 0..routes {
            let number = number_of(turn, at);
            let bytes = metadata(&[
                ("mesh", json!({"config": turn})),
                ("seawall.toy", json!({"limit": number + 1})),
            ]);
            host.put_property(ROUTE, &bytes);
            assert_eq!(layers.of_request(&host).limit as usize, number + 1);
        }
    }
    assert_eq!(built() - before, routes);
}

#[test]
fn routes_that_say_the_same_have_it_made_once() {
    let host = host(&[], &[]);
    let layers = layers();
    let before = built();
    for number in 0..5_000 {
        let mesh = ("mesh", json!({"config": number}));
        let bytes = metadata(&[mesh, ("seawall.toy", json!({"limit": 0}))]);
        host.put_property(ROUTE, &bytes);
        assert_eq!(layers.of_request(&host).limit, 5);
    }
    assert_eq!(built() - before, 1);
    assert_eq!(host.world().log().len(), 1);
}

#[test]
fn what_is_kept_is_bounded() {
    let host = host(&[("x", json!({"limit": 7}))], &[]);
    // Every route inherits this.
    let configuration = format!("{}{}", r#"{"limit": 5}"#, " ".repeat(1 << 20));
    let layers = Layers::<Toy>::new(configuration.as_bytes()).unwrap();
    let before = built();
    for _ in 0..2 {
        for n in 0..kept::FEWEST {
            let bytes = metadata(&[("seawall.toy", json!({"limit": n + 1}))]);
            host.put_property(ROUTE, &bytes);
            assert_eq!(layers.of_request(&host).limit as usize, n + 1);
        }
    }
    assert_eq!(
        built() - before,
        kept::FEWEST,
        "so many are kept however large"
    );
    for n in 0..3 * kept::FEWEST {
        let bytes = metadata(&[("seawall.toy", json!({"limit": n + 1}))]);
        host.put_property(ROUTE, &bytes);
        assert_eq!(layers.of_request(&host).limit as usize, n + 1);
    }
    assert!(built() - before > 2 * kept::FEWEST, "and no more");
}

#[test]
fn metadata_that_cannot_be_read_is_said_so_and_the_rest_holds() {
    let host = host(&[], &[("seawall.toy", json!({"limit": 6}))]);
    let layers = layers();
    let good = metadata(&[("seawall.toy", json!({"limit": 7}))]);
    for broken in [&b"\x0a\xff"[..], b"\x0a\x02\x0a\x09"] {
        host.put_property(ROUTE, broken);
        assert_eq!(layers.of_request(&host).limit, 6);
        host.put_property(ROUTE, &good);
        assert_eq!(layers.of_request(&host).limit, 7);
    }
    let log = host.world().log();
    assert_eq!(log.len(), 1, "{log:?}");
    assert!(log[0].contains("could not be decoded"), "{}", log[0]);
}

/// A mesh writes metadata of its own on every route: however many there are, those that have settings of ours stay known.
#[test]
fn metadata_of_others_takes_no_place() {
    let ours = metadata(&[("seawall.toy", json!({"limit": 7}))]);
    let host = host(&[], &[]);
    let layers = layers();
    host.put_property(ROUTE, &ours);
    let known = layers.of_request(&host);
    for n in 0..3 * kept::FEWEST {
        host.put_property(ROUTE, &metadata(&[("mesh", json!({"config": n}))]));
        assert!(Rc::ptr_eq(layers.plugin(), &layers.of_request(&host)));
    }
    host.put_property(ROUTE, &ours);
    assert!(Rc::ptr_eq(&known, &layers.of_request(&host)));
}

#[test]
fn deep_nesting_is_refused_and_not_followed() {
    let mut json = json!(1);
    for _ in 0..200 {
        json = json!([json]);
    }
    let bytes = metadata(&[("seawall.toy", json!({"limit": json}))]);
    assert!(namespace(&bytes, "seawall.toy").is_err());
}

fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i32>().prop_map(Value::from),
        // Eighths: exact both as text and as a double.
        (-8_000_000i32..8_000_000).prop_map(|eighths| Value::from(f64::from(eighths) / 8.0)),
        "\\PC{0,8}".prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 32, 4, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            proptest::collection::btree_map("[a-z]{1,4}", inner, 0..4)
                .prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    })
}

proptest! {
    #[test]
    fn reads_what_a_protobuf_library_writes(json in proptest::collection::btree_map("[a-z]{1,4}", any_json(), 0..5)) {
        let json = Value::Object(json.into_iter().collect());
        let bytes = metadata(&[("a", json!({})), ("seawall.toy", json.clone()), ("z", json!({"n": 1}))]);
        let read = namespace(&bytes, "seawall.toy").unwrap().unwrap();
        prop_assert_eq!(read, crate::config::whole_numbers(json));
    }

    #[test]
    fn a_struct_configuration_is_read_like_json(json in proptest::collection::btree_map("[a-z]{1,4}", any_json(), 0..5)) {
        let json = Value::Object(json.into_iter().collect());
        let from_struct = parse(&proto_struct(&json).encode_to_vec()).unwrap();
        prop_assert_eq!(&from_struct, &parse(json.to_string().as_bytes()).unwrap());
    }

    #[test]
    fn any_bytes_are_read_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..100)) {
        let _ = namespace(&bytes, "seawall.toy");
    }
}

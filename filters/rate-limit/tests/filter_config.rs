//! What is refused at load, and with which words.
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

use common::filter::errors;
use seawall_core::config::merge;
use serde_json::json;

#[test]
fn all_mistakes_are_named_at_once() {
    let found = errors(json!({
        "limits": [
            {"name": "a b", "requests": 0, "per": "1m", "bust": 3},
            {"name": "twice", "requests": 1, "per": "soon"},
            {"name": "twice", "requests": 1, "per": "1m", "key": ["adress", {"header": "x", "cookie": "y"}, {}]},
            {"name": "none"},
            {"requests": 1, "per": "1m"},
            {"name": "both", "requests": 1, "per": "1m", "concurrent": 5},
            {"name": "month", "requests": 1, "per": "month"},
            {"name": "window", "requests": 1, "per": "1m", "algorithm": "fixed_window", "burst": 4},
        ],
        "max_keys": 1,
        "on_error": "panic",
        "answer": {"status": 200, "headers": {"Retry-After": "1"}},
        "client_address": {"ipv4_prefix": 33},
    }));
    let expected = [
        "limits[0].bust: unknown field `bust`",
        "limits[1].per: invalid value: string \"soon\", expected a duration",
        "limits[2].key[0]: invalid value: string \"adress\", expected one of \"client_address\"",
        "on_error: unknown variant `panic`, expected `allow` or `deny`",
        "client_address.ipv4_prefix: must be from 0 to 32, got 33",
        "limits[0].name: must be 1 to 64 letters, digits, `_` or `-`, got \"a b\"",
        "limits[0].requests: must be from 1 to 1000000000, got 0",
        "limits[2].name: is the name of another limit, got \"twice\"",
        "limits[3].requests: is missing",
        "limits[3].per: is missing",
        "limits[4].name: is missing; it must be 1 to 64 letters, digits, `_` or `-`",
        "limits[5].requests: cannot be combined with `concurrent`",
        "limits[6].per: months and years are for `algorithm: fixed_window` only",
        "limits[7].burst: is for `algorithm: gcra` only",
        "max_keys: must be from 16 to 16777216, got 1",
        "answer.status: must be from 400 to 599, got 200",
        "answer.headers.Retry-After: must be a header that the answer does not get anyway",
    ];
    for wanted in expected {
        assert!(
            found.iter().any(|error| error.starts_with(wanted)),
            "{wanted}\nin {found:#?}"
        );
    }
}

#[test]
fn mistakes_inside_lists_and_rules() {
    let base = |field: &str, value: serde_json::Value| {
        let mut limit =
            json!({"name": "a", "requests": 10, "per": "1m", "key": ["client_address"]});
        limit[field] = value;
        errors(json!({"limits": [limit]}))
    };
    for (field, value, wanted) in [
        ("key", json!([{"header": "x", "cookie": "y"}]), "limits[0].key[0]: must have exactly one field, got 2"),
        ("key", json!([{}]), "limits[0].key[0]: must have exactly one field, got 0"),
        ("key", json!([{"header": "a b"}]), "limits[0].key[0].header: must be the name of a header, got \"a b\""),
        ("key", json!([{"path_segment": 0}]), "limits[0].key[0].path_segment: must be from 1 to 64, got 0"),
        ("key", json!([{"path_prefix": 65}]), "limits[0].key[0].path_prefix: must be from 1 to 64, got 65"),
        ("key", json!([{"header": ""}]), "limits[0].key[0].header: must be the name of a header, got \"\""),
        ("key", json!([{"cookie": ""}]), "limits[0].key[0].cookie: must not be empty, got \"\""),
        ("key", json!([{"client_address": {"ipv4_prefix": 33}}]), "limits[0].key[0].client_address.ipv4_prefix: must be from 0 to 32, got 33"),
        ("key", json!([{"jwt_claim": []}]), "limits[0].key[0].jwt_claim: must be the name of a claim or the path to it, got []"),
        ("key", json!([{"jwt_claim": ["a", ""]}]), "limits[0].key[0].jwt_claim: must be the name of a claim or the path to it"),
        ("match", json!({}), "limits[0].match: must have a condition"),
        ("match", json!([{"path": "/a"}, {"path": "/a*b"}]), "limits[0].match[1].path: may have `*` at its start and its end only, got \"/a*b\""),
        ("exempt", json!({"cidr": ["10.0.0.0/40"]}), "limits[0].exempt.cidr: must be an address or a network such as \"10.0.0.0/8\" or \"fd00::/8\", with nothing behind its length, got \"10.0.0.0/40\""),
        ("exempt", json!({"colour": "red"}), "limits[0].exempt.colour: unknown field `colour`"),
        ("overrides", json!([{"key": "10.0.0.1"}]), "limits[0].overrides[0]: must have either `unlimited: true` or numbers of its own"),
        ("overrides", json!([{"requests": 5}]), "limits[0].overrides[0]: must say for whom it is: `key` or `match`"),
        ("overrides", json!([{"key": ["a", "b"], "requests": 5}]), "limits[0].overrides[0].key: must have at most one value for each of the 1 parts of the key, got 2"),
        ("overrides", json!([{"key": "gold", "requests": 5}]), "limits[0].overrides[0].key: must be an address here, got \"gold\""),
        ("cost", json!("two"), "limits[0].cost: invalid type: string \"two\", expected a whole number"),
        ("cost", json!({"header": "x", "default": 1_000_000_001_u64}), "limits[0].cost.default: must be from 0 to 1000000000, got 1000000001"),
        ("cost", json!({"header": "x", "max": 1_000_000_001_u64}), "limits[0].cost.max: must be from 0 to 1000000000, got 1000000001"),
        ("cost", json!({"max": 3}), "limits[0].cost.header: is missing"),
        ("enforce_percent", json!(101), "limits[0].enforce_percent: must be from 0 to 100, got 101"),
        ("charge", json!({}), "limits[0].charge: must have `status`, `header` or both"),
        ("charge", json!({"status": ["6xx"]}), "limits[0].charge.status[0]: invalid value: string \"6xx\", expected a status"),
        ("penalty", json!({"refusals": 3}), "limits[0].penalty.within: is missing"),
        ("penalty", json!({"within": "1m", "block_for": "1m"}), "limits[0].penalty.refusals: is missing"),
        ("lease", json!("10s"), "limits[0].lease: is for limits with `concurrent` only"),
        ("burst", json!(1000000001), "limits[0].burst: must be from 1 to 1000000000, got 1000000001"),
    ] {
        let found = base(field, value.clone());
        assert!(found.iter().any(|error| error.starts_with(wanted)), "{field} {value}: {found:#?}");
    }
}

#[test]
fn places_are_counted_in_one_way_only() {
    let limit = json!({"name": "a", "concurrent": 1, "algorithm": "gcra", "charge": {"status": 401}, "count_refused": true});
    let found = errors(json!({"limits": [limit]}));
    let expected = ["algorithm", "charge", "count_refused"]
        .map(|field| format!("limits[0].{field}: is not for limits with `concurrent`"));
    assert_eq!(found, expected);
    let found = errors(json!({"answer": {"content_type": "a\nb"}}));
    assert_eq!(
        found,
        ["answer.content_type: must be printable ASCII, got \"a\\nb\""]
    );
}

#[test]
fn one_mistake_is_said_once() {
    let limit = json!({"name": "a", "requests": 1, "per": "1m", "key": [{"header": ""}]});
    let found = errors(json!({"limits": [limit]}));
    assert_eq!(
        found,
        ["limits[0].key[0].header: must be the name of a header, got \"\""]
    );
}

#[test]
fn a_condition_that_can_never_hold_is_a_mistake() {
    for (field, good, wrong) in [
        (
            "path",
            &["/", "/a*", "*", "*/a", "/a%3f"][..],
            &["a", "", "/a?b=1", "*?b", "^/a"][..],
        ),
        (
            "host",
            &[
                "shop", "*.shop", "Shop", "[::1]", "[fe80:*", "*::1]", "10.0.0.1",
            ],
            &[
                "shop:8080",
                "shop:",
                "*:80",
                "*:",
                "shop:*",
                "[::1]:443",
                "10.0.0.1:80",
            ],
        ),
        (
            "method",
            &["GET", "PURGE", "purge", "*", "G*"],
            &["get", "Post"],
        ),
        ("route", &["a?b:80"], &[]),
    ] {
        for text in good.iter().chain(wrong) {
            let found = errors(json!({"exempt": {field: [text]}}));
            let expected = usize::from(wrong.contains(text));
            assert_eq!(found.len(), expected, "{field} {text}: {found:?}");
            let named = format!("exempt.{field}: must ");
            assert!(
                found.iter().all(|line| line.starts_with(&named)),
                "{found:?}"
            );
        }
    }
}

#[test]
fn a_wrong_condition_is_one_mistake() {
    for (rule, wrong) in [
        (json!({"cidr": "10.0.0.0/33"}), "cidr"),
        (json!({"path": "/a*b"}), "path"),
    ] {
        let limit = json!({"name": "a", "requests": 9, "per": "1m", "match": rule});
        let found = errors(json!({"limits": [limit]}));
        assert_eq!(found.len(), 1, "{found:?}");
        assert!(found[0].starts_with(&format!("limits[0].match.{wrong}: ")));
    }
    let found = errors(json!({"jwt_payload": ""}));
    assert_eq!(found, ["jwt_payload: must not be empty, got \"\""]);
}

#[test]
fn what_is_expected_is_said_in_the_words_of_the_readme() {
    for wrong in [
        json!({"limits": ["a"]}),
        json!({"exempt": "a"}),
        json!({"client_address": 1}),
        json!({"fleet": "a"}),
        json!({"answer": 429}),
        json!({"limits": [{"charge": true}]}),
        json!({"limits": [{"penalty": 3}]}),
        json!({"limits": [{"match": "/a"}]}),
        json!({"limits": [{"overrides": ["gold"]}]}),
    ] {
        let found = errors(wrong);
        assert!(
            found.iter().any(|error| error.contains(", expected a")),
            "{found:?}"
        );
        assert!(
            found.iter().all(|error| !error.contains("struct")),
            "{found:?}"
        );
    }
}

#[test]
fn extreme_numbers() {
    let limit = |requests: u64, per: &str, burst: u64| {
        errors(json!({"limits": [{"name": "a", "requests": requests, "per": per, "burst": burst}]}))
    };
    assert_eq!(limit(1_000_000_000, "1s", 1), [""; 0]);
    assert!(limit(1_000_000_000, "1ms", 1)[0].contains("at most one per nanosecond"));
    assert!(limit(1, "366d", 1_000_000_000)[0].contains("within 100 years"));
    assert!(limit(1, "400d", 1)[0].starts_with("limits[0].per: must be from 1ms to 366d"));
    let cost = json!({"header": "x", "min": 3, "max": 2});
    let said = errors(json!({"limits": [{"name": "a", "requests": 9, "per": "1m", "cost": cost}]}));
    assert_eq!(
        said,
        ["limits[0].cost.max: must be at least `min`, 3, got 2"]
    );
}

/// A cost that nobody can ever pay is a mistake, unless an override has numbers for it.
#[test]
fn what_nobody_could_pay_is_refused() {
    let header = |default: u64, min: u64| json!({"header": "x", "default": default, "min": min});
    let numbers = json!({"requests": 100, "per": "1m", "burst": 10});
    for (more, wanted) in [
        (json!({"cost": 10}), None),
        (
            json!({"cost": 11}),
            Some("cost: must be at most 10, or nobody is admitted, got 11"),
        ),
        (json!({"cost": header(10, 10)}), None),
        (
            json!({"cost": header(11, 1)}),
            Some("cost.default: must be at most 10, or nobody is admitted, got 11"),
        ),
        (
            json!({"cost": header(1, 11)}),
            Some("cost.min: must be at most 10, or nobody is admitted, got 11"),
        ),
        (json!({"charge": {"status": 401, "reserve": 10}}), None),
        (
            json!({"charge": {"status": 401, "reserve": 11}}),
            Some("charge.reserve: must be at most 10, or nobody is admitted, got 11"),
        ),
        // What is not reserved may be owed.
        (
            json!({"cost": 50, "charge": {"header": "x", "reserve": 1}}),
            None,
        ),
        (
            json!({"cost": 50, "charge": {"header": "x"}}),
            Some("cost: must be at most 10, or nobody is admitted, got 50"),
        ),
        (json!({"cost": 20, "burst": null}), None),
        (
            json!({"cost": 20, "burst": null, "algorithm": "fixed_window"}),
            None,
        ),
        (
            json!({"cost": 101, "burst": null, "algorithm": "sliding_window"}),
            Some("cost: must be at most 100, or nobody is admitted, got 101"),
        ),
        // Overrides may admit more, and less.
        (
            json!({"cost": 20, "overrides": [{"key": ["a"], "burst": 20}]}),
            None,
        ),
        (
            json!({"cost": 20, "overrides": [{"key": ["a"], "unlimited": true}]}),
            None,
        ),
        (
            json!({"cost": 20, "overrides": [{"key": ["a"], "burst": 5}, {"key": ["b"], "burst": 15}]}),
            Some("cost: must be at most 15, or nobody is admitted, got 20"),
        ),
        (
            json!({"cost": 10, "overrides": [{"key": ["a"], "burst": 5}]}),
            None,
        ),
    ] {
        let mut limit = merge(&json!({"name": "a", "key": [{"header": "t"}]}), &numbers);
        limit = merge(&limit, &more);
        if let Some(fields) = limit.as_object_mut() {
            fields.retain(|_, value| !value.is_null());
        }
        let wanted: Vec<_> = wanted.iter().map(|of| format!("limits[0].{of}")).collect();
        assert_eq!(errors(json!({"limits": [limit]})), wanted, "{more}");
    }
    // What is left for one of several replicas, and places.
    let few = json!({"name": "a", "requests": 100, "per": "1m", "cost": 20});
    let places = json!({"name": "b", "concurrent": 5, "cost": 6});
    let said = errors(json!({"replicas": 10, "limits": [few, places]}));
    assert_eq!(
        said,
        [
            "limits[0].cost: must be at most 10, or nobody is admitted, got 20",
            "limits[1].cost: must be at most 1, or nobody is admitted, got 6"
        ]
    );
    // Numbers that a service has of its own are not known here.
    let there = json!({"name": "a", "scope": "fleet", "requests": 5, "per": "1m", "cost": 6});
    for (sent, mistakes) in [(true, 1), (false, 0)] {
        let fleet = json!({"cluster": "c", "send_numbers": sent});
        let said = errors(json!({"fleet": fleet, "limits": [there]}));
        assert_eq!(said.len(), mistakes, "{said:?}");
    }
}

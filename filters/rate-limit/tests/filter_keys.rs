//! Keys, rules, tiers and costs: who is counted together, and how much.
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

use common::filter::{ask_with, count, passes, passing, rig};
use serde_json::{json, Value};

fn one(key: Value, more: Value) -> Value {
    let mut limit = json!({"name": "a", "key": key, "requests": 2, "per": "1d"});
    for (field, value) in more.as_object().unwrap() {
        limit[field] = value.clone();
    }
    json!({"limits": [limit]})
}

/// Two requests of the first kind pass, a third does not, and the other kind is somebody else (or not).
fn tells_apart(configuration: &Value, first: &[(&str, &str)], other: &[(&str, &str)], apart: bool) {
    let mut rig = rig(configuration.clone());
    assert_eq!(passing(&mut rig, first, 3), 2, "{configuration} {first:?}");
    assert_eq!(
        passes(&mut rig, other),
        apart,
        "{configuration} {first:?} {other:?}"
    );
}

#[test]
fn parts_of_the_request() {
    type Headers<'a> = &'a [(&'a str, &'a str)];
    let cases: &[(Value, Headers, Headers, bool)] = &[
        (
            json!([{"header": "X-Tenant"}]),
            &[("x-tenant", "a")],
            &[("x-tenant", "b")],
            true,
        ),
        (
            json!([{"header": "x-tenant"}]),
            &[("x-tenant", "a"), ("x", "1")],
            &[("x-tenant", "a"), ("x", "2")],
            false,
        ),
        (
            json!([{"cookie": "sid"}]),
            &[("cookie", "sid=1; a=b")],
            &[("cookie", "a=c; sid=2")],
            true,
        ),
        (
            json!([{"cookie": "sid"}]),
            &[("cookie", "sid=1; a=b")],
            &[("cookie", "a=c; sid=1")],
            false,
        ),
        (
            json!([{"query": "k"}]),
            &[(":path", "/x?k=1")],
            &[(":path", "/x?k=2")],
            true,
        ),
        (
            json!([{"query": "k"}]),
            &[(":path", "/x?k=1")],
            &[(":path", "/y?z=1&k=%31")],
            false,
        ),
        (
            json!(["path"]),
            &[(":path", "/a?x")],
            &[(":path", "/b?x")],
            true,
        ),
        (
            json!(["path"]),
            &[(":path", "/a?x")],
            &[(":path", "/a?y")],
            false,
        ),
        (
            json!([{"path_prefix": 1}]),
            &[(":path", "/a/b")],
            &[(":path", "/a/c")],
            false,
        ),
        (
            json!([{"path_prefix": 1}]),
            &[(":path", "/a/b")],
            &[(":path", "/b/b")],
            true,
        ),
        (
            json!([{"path_segment": 2}]),
            &[(":path", "/a/b")],
            &[(":path", "/x/b")],
            false,
        ),
        (
            json!([{"path_segment": 2}]),
            &[(":path", "/a/b")],
            &[(":path", "/a/c")],
            true,
        ),
        (
            json!(["method"]),
            &[(":method", "GET")],
            &[(":method", "PUT")],
            true,
        ),
        (
            json!(["host"]),
            &[(":authority", "a.example:80")],
            &[(":authority", "A.Example")],
            false,
        ),
        (
            json!(["host"]),
            &[(":authority", "a.example")],
            &[(":authority", "b.example")],
            true,
        ),
        (
            json!([{"constant": "x"}]),
            &[(":path", "/a")],
            &[(":path", "/b")],
            false,
        ),
        (json!([]), &[(":path", "/a")], &[(":path", "/b")], false),
        (
            json!(["path", {"header": "t"}]),
            &[(":path", "/a"), ("t", "1")],
            &[(":path", "/a"), ("t", "2")],
            true,
        ),
        (
            json!([{"header": "a"}, {"header": "b"}]),
            &[("a", "x"), ("b", "yz")],
            &[("a", "xy"), ("b", "z")],
            true,
        ),
        (
            json!([{"header": "a"}, {"header": "b"}]),
            &[("a", "x")],
            &[("b", "x")],
            true,
        ),
    ];
    for (key, first, other, apart) in cases {
        tells_apart(&one(key.clone(), json!({})), first, other, *apart);
    }
}

#[test]
fn properties_of_the_request() {
    let claim = "metadata.filter_metadata.envoy.filters.http.jwt_authn.jwt_payload.sub";
    for (key, name) in [
        (json!(["route"]), "xds.route_name"),
        (json!(["cluster"]), "xds.cluster_name"),
        (json!([{"jwt_claim": "sub"}]), claim),
        (
            json!([{"jwt_claim": ["realm", "sub"]}]),
            "metadata.filter_metadata.envoy.filters.http.jwt_authn.jwt_payload.realm.sub",
        ),
    ] {
        let mut rig = rig(one(key, json!({})));
        for (value, passing) in [("a", true), ("a", true), ("a", false), ("b", true)] {
            let refused = ask_with(&mut rig, &[(name, value.as_bytes())], &[]);
            assert_eq!(refused.is_none(), passing, "{name} {value}");
        }
    }
}

#[test]
fn claims_are_what_they_are_written_as() {
    let claim = "metadata.filter_metadata.envoy.filters.http.jwt_authn.jwt_payload.tenant";
    let mut rig = rig(one(
        json!([{"jwt_claim": "tenant"}]),
        json!({"overrides": [
            {"key": ["42"], "unlimited": true},
            {"key": ["true"], "unlimited": true},
        ]}),
    ));
    let (number, other) = (42f64.to_le_bytes(), 43f64.to_le_bytes());
    for (value, unlimited) in [
        (&number[..], true),
        (b"\x01", true),
        (&other, false),
        (b"\0", false),
    ] {
        let passed = (0..5).filter(|_| ask_with(&mut rig, &[(claim, value)], &[]).is_none());
        assert_eq!(passed.count(), if unlimited { 5 } else { 2 }, "{value:?}");
    }
}

#[test]
fn client_addresses() {
    let run = |configuration: Value, steps: &[(&str, &str, bool)]| {
        let mut rig = rig(configuration);
        for (peer, forwarded, passing) in steps {
            let refused = ask_with(
                &mut rig,
                &[("source.address", peer.as_bytes())],
                &[("x-forwarded-for", forwarded)],
            );
            assert_eq!(refused.is_none(), *passing, "{peer} {forwarded}");
        }
    };
    run(
        one(json!(["client_address"]), json!({})),
        &[
            ("10.0.0.1:1", "6.6.6.6", true),
            ("10.0.0.1:2", "7.7.7.7", true),
            ("[::ffff:10.0.0.1]:3", "", false),
            ("10.0.0.2:1", "", true),
            ("[2001:db8::1]:1", "", true),
            ("[2001:db8::2]:1", "", true),
            ("[2001:db8::ffff:3]:1", "", false),
            ("[2001:db8:0:1::1]:1", "", true),
        ],
    );
    run(
        one(
            json!([{"client_address": {"ipv4_prefix": 24, "ipv6_prefix": 48}}]),
            json!({}),
        ),
        &[
            ("10.0.0.1:1", "", true),
            ("10.0.0.2:1", "", true),
            ("10.0.0.3:1", "", false),
            ("10.0.1.3:1", "", true),
            ("[2001:db8:1:1::]:1", "", true),
            ("[2001:db8:1:2::]:1", "", true),
            ("[2001:db8:1:3::]:1", "", false),
        ],
    );
    let mut behind = one(json!(["client_address"]), json!({}));
    behind["client_address"] = json!({"trusted_hops": 1});
    run(
        behind,
        &[
            ("10.0.0.1:1", "1.1.1.1, 5.5.5.5", true),
            ("10.0.0.9:1", "2.2.2.2, 5.5.5.5, 10.0.0.9", true),
            ("10.0.0.1:1", "3.3.3.3, 5.5.5.5", false),
            ("10.0.0.1:1", "5.5.5.5, 3.3.3.3", true),
        ],
    );
}

#[test]
fn what_a_missing_part_means() {
    let key = json!([{"header": "t"}]);
    let mut shared = rig(one(key.clone(), json!({})));
    assert_eq!(passing(&mut shared, &[], 5), 2);
    assert!(
        passes(&mut shared, &[("t", "")]),
        "an empty value is a value"
    );
    let mut skip = rig(one(key.clone(), json!({"missing": "skip"})));
    assert_eq!(passing(&mut skip, &[], 5), 5);
    assert_eq!(passing(&mut skip, &[("t", "1")], 5), 2);
    let mut deny = rig(one(key.clone(), json!({"missing": "deny"})));
    let refused = ask_with(&mut deny, &[], &[]).unwrap();
    assert_eq!((refused.status, refused.header("retry-after")), (429, None));
    assert_eq!(count(&deny, "a", "refused"), 1);
    let mut shadow = rig(one(key, json!({"missing": "deny", "shadow": true})));
    assert!(passes(&mut shadow, &[]));
    assert_eq!(count(&shadow, "a", "shadow_refused"), 1);
}

#[test]
fn rules_decide_whom_a_limit_is_for() {
    let limited = |rule: Value, headers: &[(&str, &str)], properties: &[(&str, &[u8])]| {
        let mut rig = rig(one(json!([]), json!({"match": rule})));
        let passed = (0..3)
            .filter(|_| ask_with(&mut rig, properties, headers).is_none())
            .count();
        assert!([2, 3].contains(&passed));
        passed == 2
    };
    let request: &[(&str, &str)] = &[
        (":method", "POST"),
        (":path", "/api/v1/x?y"),
        (":authority", "Shop.Example:8080"),
        ("x-tier", "gold"),
    ];
    let properties: &[(&str, &[u8])] = &[
        ("xds.route_name", b"orders"),
        ("source.address", b"10.1.2.3:55"),
    ];
    for (rule, matches) in [
        (json!({"method": "POST"}), true),
        (json!({"method": ["GET", "HEAD"]}), false),
        (json!({"path": "/api/*"}), true),
        (json!({"path": ["/x", "*/x"]}), true),
        (json!({"path": "/api/v1/x"}), true),
        (json!({"path": "/api"}), false),
        (json!({"host": "shop.example"}), true),
        (json!({"host": "*.EXAMPLE"}), true),
        (json!({"host": "example"}), false),
        (json!({"header": {"x-tier": "gold"}}), true),
        (json!({"header": {"X-Tier": ["silver", "go*"]}}), true),
        (json!({"header": {"x-tier": false}}), false),
        (json!({"header": {"x-other": false, "x-tier": true}}), true),
        (json!({"route": "orders"}), true),
        (json!({"route": "carts"}), false),
        (json!({"cidr": "10.0.0.0/8"}), true),
        (json!({"cidr": ["192.168.0.0/16", "::/0"]}), false),
        (json!({"method": "POST", "path": "/other"}), false),
        (json!([{"path": "/other"}, {"method": "POST"}]), true),
    ] {
        assert_eq!(
            limited(rule.clone(), request, properties),
            matches,
            "{rule}"
        );
    }
}

#[test]
fn exemptions() {
    let mut rig = rig(json!({
        "exempt": {"cidr": "10.0.0.0/8"},
        "limits": [{"name": "a", "requests": 1, "per": "1d", "exempt": [{"header": {"x-internal": true}}]}],
    }));
    let inside: &[(&str, &[u8])] = &[("source.address", b"10.9.9.9:1")];
    for _ in 0..3 {
        assert!(ask_with(&mut rig, inside, &[]).is_none());
        assert!(passes(&mut rig, &[("x-internal", "1")]));
    }
    assert_eq!(passing(&mut rig, &[], 3), 1);
    assert_eq!(count(&rig, "a", "exempt"), 3);
    assert_eq!(rig.host.world().metric("seawall.rate_limit.exempt"), 3);
}

#[test]
fn tiers() {
    let mut rig = rig(one(
        json!([{"header": "t"}]),
        json!({"overrides": [
            {"key": "root", "unlimited": true},
            {"key": ["big"], "requests": 5},
            {"match": {"header": {"x-tier": "gold"}}, "requests": 4, "per": "1h"},
        ]}),
    ));
    assert_eq!(passing(&mut rig, &[("t", "root")], 20), 20);
    assert_eq!(
        passing(&mut rig, &[("t", "big"), ("x-tier", "gold")], 20),
        5
    );
    assert_eq!(
        passing(&mut rig, &[("t", "other"), ("x-tier", "gold")], 20),
        4
    );
    assert_eq!(passing(&mut rig, &[("t", "another")], 20), 2);
}

#[test]
fn tiers_by_address_and_by_any_value() {
    let mut rig = rig(one(
        json!(["client_address", {"header": "t"}]),
        json!({"overrides": [{"key": ["10.0.0.1", "x"], "requests": 3}, {"key": ["*", "y"], "requests": 4}]}),
    ));
    let mut passing = |address: &[u8], tenant: &str| {
        (0..9)
            .filter(|_| {
                ask_with(&mut rig, &[("source.address", address)], &[("t", tenant)]).is_none()
            })
            .count()
    };
    assert_eq!(passing(b"10.0.0.1:1", "x"), 3);
    assert_eq!(passing(b"10.0.0.2:1", "x"), 2);
    assert_eq!(passing(b"10.0.0.2:1", "y"), 4);
    // A part that is missing keeps the others where they are.
    let of_nobody = common::filter::passing(&mut rig, &[("t", "y")], 9);
    assert_eq!(of_nobody, 4);
}

#[test]
fn costs() {
    let mut fixed = rig(one(json!([]), json!({"requests": 10, "cost": 4})));
    assert_eq!(passing(&mut fixed, &[], 9), 2);
    let mut free = rig(one(json!([]), json!({"cost": 0})));
    assert_eq!(passing(&mut free, &[], 9), 9);
    let by_header = one(
        json!([]),
        json!({"requests": 10, "cost": {"header": "x-cost", "default": 2, "max": 7}}),
    );
    for (value, passed) in [
        ("5", 2),
        ("7", 1),
        ("800", 1),
        ("99999999999999999999999", 1),
        ("-1", 5),
        ("five", 5),
        ("", 5),
        ("1", 10),
        ("0", 10),
    ] {
        let mut rig = rig(by_header.clone());
        assert_eq!(
            passing(&mut rig, &[("x-cost", value)], 20),
            passed,
            "{value}"
        );
    }
    // Free only for who may say so.
    let trusted = json!({"requests": 10, "cost": {"header": "x-cost", "min": 0}});
    assert_eq!(
        passing(&mut rig(one(json!([]), trusted)), &[("x-cost", "0")], 20),
        20
    );
    let mut never = rig(one(
        json!([]),
        json!({"requests": 10, "cost": {"header": "x-cost"}}),
    ));
    let refused = ask_with(&mut never, &[], &[("x-cost", "11")]).unwrap();
    assert_eq!(refused.header("retry-after"), None, "no wait would be true");
    assert_eq!(passing(&mut never, &[("x-cost", "10")], 2), 1);
}

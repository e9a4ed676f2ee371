//! `seawall explain`: which virtual host and which route take a request. Each row is what Envoy does.

mod common;

use common::piped;
use serde_json::{json, Value};

/// What is explained of a request to these virtual hosts.
fn explained(hosts: &Value, arguments: &[&str]) -> Value {
    let wasm = "type.googleapis.com/envoy.extensions.filters.http.wasm.v3.Wasm";
    let limits = json!({"@type": wasm, "config": {"name": "seawall.rate_limit"}});
    let file = json!({
        "stat_prefix": "a",
        "http_filters": [{"name": "seawall.rate_limit", "typed_config": limits}],
        "route_config": {"virtual_hosts": hosts},
    });
    let whole = [&["explain", "-", "--format", "json"], arguments].concat();
    let ran = piped(&whole, &file.to_string());
    serde_json::from_str(&ran.out).expect(&ran.err)
}

#[test]
fn the_most_special_domain_takes_a_host() {
    let domains = [
        "*",
        "shop.*",
        "shop.example.*",
        "*.example.com",
        "*-eu.example.com",
        "Shop.Example.com",
    ];
    let hosts: Vec<Value> = domains
        .iter()
        .map(|domain| json!({"name": domain, "domains": [domain], "routes": []}))
        .collect();
    for (host, domain) in [
        ("shop.example.com", "Shop.Example.com"),
        ("SHOP.example.COM", "Shop.Example.com"),
        ("a.example.com", "*.example.com"),
        ("a-eu.example.com", "*-eu.example.com"),
        // Something stands for the star.
        (".example.com", "*"),
        ("-eu.example.com", "*.example.com"),
        ("shop.", "*"),
        ("shop.x", "shop.*"),
        ("shop.example.net", "shop.example.*"),
        ("example.com", "*"),
        ("other", "*"),
    ] {
        let host = format!("--host={host}");
        let found = explained(&json!(hosts), &["--request", "GET /", &host]);
        assert_eq!(found["virtual_host"], json!(domain), "{host}");
    }
}

/// Whether a route with these conditions takes a request, and what is said about it.
fn taken(conditions: &Value, request: &str, fields: &[&str]) -> (bool, String) {
    let route = json!({"match": conditions, "route": {"cluster": "c"}});
    let hosts = json!([{"name": "v", "domains": ["*"], "routes": [route]}]);
    let mut asked = vec!["--request", request];
    asked.extend(fields.iter().flat_map(|field| ["-H", *field]));
    let found = explained(&hosts, &asked);
    (!found["route"].is_null(), found["notes"].to_string())
}

#[test]
fn conditions_on_the_path() {
    let separated = json!({"path_separated_prefix": "/api"});
    let any_case = json!({"path": "/API", "case_sensitive": false});
    let regex = json!({"safe_regex": {"regex": "/v[0-9]"}, "case_sensitive": false});
    for (conditions, path, expected) in [
        (json!({"prefix": "/api"}), "/apix?y", true),
        (json!({"prefix": "/api?"}), "/api?y", false),
        (json!({"prefix": "/API"}), "/api", false),
        (json!({"path": "/api"}), "/api?x=1", true),
        (json!({"path": "/api"}), "/api/", false),
        (
            json!({"path": "/api", "case_sensitive": true}),
            "/api",
            true,
        ),
        (any_case.clone(), "/api", true),
        (any_case, "/apis", false),
        (separated.clone(), "/api", true),
        (separated.clone(), "/api?x", true),
        (separated.clone(), "/api/x", true),
        (separated, "/apis", false),
        (regex.clone(), "/v1?x", true),
        (regex.clone(), "/v12", false),
        (regex, "/V1", false),
        (json!({"connect_matcher": {}}), "/", false),
    ] {
        let (taken, notes) = taken(&conditions, &format!("GET {path}"), &[]);
        assert_eq!(taken, expected, "{conditions} {path}");
        assert!(!notes.contains("not modelled"), "{notes}");
    }
}

#[test]
fn conditions_on_fields() {
    let text = |matcher: Value| json!({"string_match": matcher});
    for (condition, value, expected) in [
        (text(json!({"exact": "ab"})), "ab", true),
        (text(json!({"exact": "ab"})), "abc", false),
        (
            text(json!({"exact": "AB", "ignore_case": true})),
            "ab",
            true,
        ),
        (
            text(json!({"exact": "AB", "ignore_case": false})),
            "ab",
            false,
        ),
        (text(json!({"prefix": "ab"})), "abc", true),
        (text(json!({"prefix": "ab"})), "cab", false),
        (text(json!({"suffix": "ab"})), "cab", true),
        (text(json!({"suffix": "ab"})), "abc", false),
        (text(json!({"contains": "ab"})), "cabc", true),
        (text(json!({"contains": "ab"})), "acb", false),
        (text(json!({"safe_regex": {"regex": "a.c"}})), "abc", true),
        (text(json!({"safe_regex": {"regex": "a.c"}})), "abcd", false),
        (json!({"exact_match": "ab"}), "ab", true),
        (json!({"exact_match": "ab"}), "abc", false),
        (json!({"prefix_match": "ab"}), "abc", true),
        (json!({"prefix_match": "ab"}), "cab", false),
        (json!({"suffix_match": "ab"}), "cab", true),
        (json!({"suffix_match": "ab"}), "abc", false),
        (json!({"contains_match": "ab"}), "cabc", true),
        (json!({"contains_match": "ab"}), "acb", false),
        (json!({"safe_regex_match": {"regex": "a.c"}}), "abc", true),
        (json!({"safe_regex_match": {"regex": "a.c"}}), "abcd", false),
        (json!({"range_match": {"start": 1, "end": 9}}), "1", true),
        (json!({"range_match": {"start": 1, "end": 9}}), "9", false),
        (json!({"range_match": {"start": 1, "end": 9}}), "2x", false),
        (json!({"present_match": true}), "", true),
        (json!({"present_match": false}), "x", false),
        (json!({}), "x", true),
    ] {
        for inverted in [false, true] {
            let mut matcher = condition.clone();
            matcher["name"] = json!("X-A");
            matcher["invert_match"] = json!(inverted);
            let conditions = json!({"prefix": "/", "headers": [matcher]});
            let field = format!("x-a: {value}");
            let (taken, notes) = taken(&conditions, "GET /", &[&field]);
            assert_eq!(taken, expected != inverted, "{conditions} {value}");
            assert!(!notes.contains("not modelled"), "{notes}");
        }
    }
    // Without the field.
    for (condition, expected) in [
        (json!({"exact_match": ""}), false),
        (json!({"exact_match": "", "invert_match": true}), false),
        (
            json!({"exact_match": "", "treat_missing_header_as_empty": true}),
            true,
        ),
        (
            json!({"exact_match": "x", "treat_missing_header_as_empty": true}),
            false,
        ),
        (json!({"invert_match": true}), true),
        (json!({}), false),
    ] {
        let mut matcher = condition;
        matcher["name"] = json!("x-a");
        let conditions = json!({"prefix": "/", "headers": [matcher]});
        let (taken, _) = taken(&conditions, "GET /", &[]);
        assert_eq!(taken, expected, "{conditions}");
    }
}

#[test]
fn shares_of_all_and_of_none_are_no_doubt() {
    let share = |numerator: u32, denominator: &str| {
        let share = json!({"numerator": numerator, "denominator": denominator});
        json!({"prefix": "/", "runtime_fraction": {"default_value": share}})
    };
    for (conditions, expected, in_doubt) in [
        (share(100, "HUNDRED"), true, false),
        (share(99, "HUNDRED"), true, true),
        (share(0, "HUNDRED"), false, false),
        (share(10_000, "TEN_THOUSAND"), true, false),
        (share(9_999, "TEN_THOUSAND"), true, true),
        (share(1_000_000, "MILLION"), true, false),
        (share(999_999, "MILLION"), true, true),
        // One condition that is not fulfilled is enough, whatever is not known of another.
        (
            json!({"prefix": "/", "query_parameters": [
                {"name": "a", "string_match": {"custom": {}}},
                {"name": "b", "string_match": {"exact": "1"}},
            ]}),
            false,
            false,
        ),
        (
            json!({"prefix": "/", "query_parameters": [{"name": "a", "string_match": {"custom": {}}}]}),
            true,
            true,
        ),
    ] {
        let (taken, notes) = taken(&conditions, "GET /?a=1&b=2", &[]);
        let said = notes.contains("not modelled");
        assert_eq!((taken, said), (expected, in_doubt), "{conditions} {notes}");
    }
}

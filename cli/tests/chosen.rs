//! `seawall check`: routes that requests choose by what the cache does not tell them apart by.

mod common;

use common::piped;
use serde_json::{json, Value};

/// The warnings about a route before one for everything.
fn warnings(plugin: &Value, mut route: Value) -> Vec<String> {
    let wasm = "type.googleapis.com/envoy.extensions.filters.http.wasm.v3.Wasm";
    let value =
        json!({"@type": "type.googleapis.com/google.protobuf.Struct", "value": plugin.clone()});
    let cache = json!({"@type": wasm, "config": {"name": "seawall.response_cache", "configuration": value}});
    route["name"] = json!("canary");
    let rest = json!({"match": {"prefix": "/"}, "route": {"cluster": "main"}});
    let file = json!({
        "http_filters": [{"name": "seawall.response_cache", "typed_config": cache}],
        "route_config": {"virtual_hosts": [{"name": "all", "domains": ["*"], "routes": [route, rest]}]},
    });
    let ran = piped(&["check", "-"], &file.to_string());
    assert_eq!(ran.code, 0, "{}", ran.out);
    let lines = ran.out.lines().filter(|line| line.contains("warning: "));
    lines.map(str::to_owned).collect()
}

fn by(matchers: &Value) -> Value {
    json!({"match": {"prefix": "/", "headers": matchers.clone()}, "route": {"cluster": "canary"}})
}

#[test]
fn a_field_that_chooses_the_route_and_is_not_in_the_key_is_worth_a_warning() {
    let canary = || by(&json!([{"name": "X-Canary", "present_match": true}]));
    let found = warnings(&json!({}), canary());
    let said = "seawall.response_cache, route \"canary\": key.headers: lacks x-canary, by which requests choose this route";
    assert!(found.len() == 1 && found[0].contains(said), "{found:?}");

    let of_cluster =
        json!({"match": {"prefix": "/"}, "route": {"cluster_header": "x-to", "timeout": "1s"}});
    let found = warnings(&json!({}), of_cluster);
    assert!(
        found.len() == 1 && found[0].contains("lacks x-to,"),
        "{found:?}"
    );

    let two = json!([{"name": "x-canary", "present_match": true}, {"name": "cookie", "string_match": {"contains": "beta=1"}}]);
    assert_eq!(warnings(&json!({}), by(&two)).len(), 2);
}

#[test]
fn what_tells_them_apart_or_stores_nothing_is_worth_none() {
    let canary = || by(&json!([{"name": "x-canary", "present_match": true}]));
    for plugin in [
        json!({"enabled": false}),
        json!({"key": {"headers": ["X-Canary"]}}),
        json!({"key": {"tenant": "x-canary"}}),
        json!({"bypass": [{"header": "x-canary"}]}),
        json!({"no_store": [{"header": "x-canary"}]}),
    ] {
        assert_eq!(warnings(&plugin, canary()), [""; 0], "{plugin}");
    }
    let with = |pointer: &str, value: Value| {
        let mut route = canary();
        route[pointer] = value;
        route
    };
    let own = |settings: Value| json!({"filter_metadata": {"seawall.response_cache": settings}});
    let off = json!({"@type": "type.googleapis.com/envoy.config.route.v3.FilterConfig", "disabled": true});
    let no_store = json!([{"header": {"key": "Cache-Control", "value": "no-store"}}]);
    let mut redirect = with("redirect", json!({"path_redirect": "/b"}));
    redirect.as_object_mut().unwrap().remove("route");
    let cookie = by(&json!([{"name": "cookie", "string_match": {"contains": "beta=1"}}]));
    for (plugin, route) in [
        (
            json!({}),
            with("metadata", own(json!({"key": {"headers": ["x-canary"]}}))),
        ),
        (json!({}), with("metadata", own(json!({"enabled": false})))),
        (
            json!({}),
            with(
                "typed_per_filter_config",
                json!({"seawall.response_cache": off}),
            ),
        ),
        (json!({}), with("response_headers_to_add", no_store)),
        (json!({}), redirect),
        (json!({"key": {"cookies": ["beta"]}}), cookie),
        // In the key in any case.
        (
            json!({}),
            by(&json!([{"name": ":authority", "string_match": {"exact": "a"}}])),
        ),
        (
            json!({}),
            by(&json!([{"name": "x-forwarded-host", "present_match": true}])),
        ),
        // Nothing that is stored.
        (
            json!({}),
            by(
                &json!([{"name": ":method", "string_match": {"exact": "POST"}}, {"name": "x-a", "present_match": true}]),
            ),
        ),
        (
            json!({}),
            json!({"match": {"prefix": "/", "grpc": {}, "headers": [{"name": "x-a", "present_match": true}]}, "route": {"cluster": "a"}}),
        ),
    ] {
        assert_eq!(
            warnings(&plugin, route.clone()),
            [""; 0],
            "{plugin} {route}"
        );
    }
}

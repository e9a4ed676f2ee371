//! Routes that requests choose by what is not in the key of response-cache: what comes of one of them is served to requests that
//! would have taken another route, or none.

use crate::document::{Node, Position};
use crate::envoy::Route;
use seawall_response_cache::http::request::UNKEYED_INPUT;
use serde_json::Value;

/// Names of fields, in lower case.
fn names(settings: &Value, path: &str) -> Vec<String> {
    let found = match settings.pointer(path) {
        Some(Value::Array(list)) => list.as_slice(),
        Some(one) => std::slice::from_ref(one),
        None => &[],
    };
    let texts = found.iter().filter_map(Value::as_str);
    texts.map(str::to_lowercase).collect()
}

/// Fields by which requests are told apart, or kept out of the cache.
fn known(settings: &Value) -> Vec<String> {
    let mut known = names(settings, "/key/headers");
    known.extend(names(settings, "/key/tenant"));
    if !names(settings, "/key/cookies").is_empty() {
        known.push("cookie".to_owned());
    }
    for rules in ["bypass", "no_store"] {
        let rules = settings.get(rules).and_then(Value::as_array);
        for rule in rules.into_iter().flatten() {
            known.extend(names(rule, "/header"));
        }
    }
    known
}

/// True where nothing that this route answers is stored.
fn stores_nothing(route: &Route, conditions: &Node) -> bool {
    let of_method = |matcher: &Node| {
        let exact = matcher.find(&["string_match", "exact"]);
        let exact = exact.or_else(|| matcher.find(&["exact_match"]));
        let method = exact.and_then(Node::text);
        matcher.text_of("name") == ":method" && method.is_some_and(|text| text != "GET")
    };
    let matchers = conditions.get("headers").map(|node| node.items());
    let mut added = route
        .node
        .get("response_headers_to_add")
        .into_iter()
        .flat_map(|node| node.items())
        .filter_map(|item| item.get("header"));
    route.node.get("route").is_none()
        || conditions.get("grpc").is_some()
        || conditions.get("connect_matcher").is_some()
        || matchers
            .unwrap_or_default()
            .iter()
            .any(|matcher| of_method(matcher))
        || added.any(|field| {
            let value = field.text_of("value");
            field.text_of("key").eq_ignore_ascii_case("cache-control")
                && (value.contains("no-store") || value.contains("private"))
        })
}

/// The fields by which requests choose this route, or its cluster, and which its settings leave out of the key; and where it
/// says so.
pub fn unkeyed(route: &Route, settings: &Value) -> Vec<(Position, String)> {
    let Some(conditions) = route.node.get("match") else {
        return Vec::new();
    };
    if stores_nothing(route, conditions) {
        return Vec::new();
    }
    let matchers = conditions.get("headers").map(|node| node.items());
    let matchers = matchers.unwrap_or_default().iter();
    let by_match = matchers.map(|matcher| (matcher.at, matcher.text_of("name")));
    let by_cluster = route.node.find(&["route", "cluster_header"]);
    let by_cluster = by_cluster.and_then(|node| Some((node.at, node.text()?)));
    let known = known(settings);
    by_match
        .chain(by_cluster)
        .map(|(at, name)| (at, name.to_lowercase()))
        .filter(|(_, name)| {
            !name.is_empty()
                && !name.starts_with(':')
                && !UNKEYED_INPUT.contains(&name.as_str())
                && !known.contains(name)
        })
        .collect()
}

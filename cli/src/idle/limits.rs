//! Settings of rate-limit that limit nothing.

use super::{no_route, Around, Found};
use serde_json::{json, Value};

pub(super) fn idle(settings: &Value, around: &Around<'_>, found: &mut Found) {
    let limits = settings.get("limits").and_then(Value::as_array);
    let limits = limits.map(Vec::as_slice).unwrap_or_default();
    let is_fleet = |limit: &Value| limit.get("scope") == Some(&json!("fleet"));
    let has_fleet = settings.get("fleet").is_some_and(Value::is_object);
    // Where routes are somewhere else they may have such limits.
    if has_fleet && around.routes.is_some() && !limits.iter().any(is_fleet) {
        let problem = "has no effect: no limit has scope: fleet";
        found.insert("fleet".to_owned(), problem.to_owned());
    }
    rules(settings.get("exempt"), "exempt", around, found);
    for (index, limit) in limits.iter().enumerate() {
        let path = format!("limits[{index}]");
        if limit.get("shadow") == Some(&json!(true)) && has(limit, "enforce_percent") {
            let problem = "has no effect while shadow is true".to_owned();
            found.insert(format!("{path}.enforce_percent"), problem);
        }
        for name in ["match", "exempt"] {
            rules(limit.get(name), &format!("{path}.{name}"), around, found);
        }
        overrides(limit, &path, around, found);
    }
}

fn has(object: &Value, name: &str) -> bool {
    object.get(name).is_some_and(|value| !value.is_null())
}

/// One value, or a list of them, each with its path.
fn each<'v>(value: Option<&'v Value>, path: &str) -> Vec<(String, &'v Value)> {
    match value {
        Some(Value::Array(items)) => {
            let items = items.iter().enumerate();
            items
                .map(|(index, item)| (format!("{path}[{index}]"), item))
                .collect()
        }
        Some(value) => vec![(path.to_owned(), value)],
        None => Vec::new(),
    }
}

/// Rules for routes that are not there.
fn rules(rules: Option<&Value>, path: &str, around: &Around<'_>, found: &mut Found) {
    for (path, rule) in each(rules, path) {
        for (path, name) in each(rule.get("route"), &format!("{path}.route")) {
            if let Some(name) = name.as_str().filter(|name| around.lacks(name)) {
                found.insert(path, no_route(name));
            }
        }
    }
}

/// Overrides that another one comes before.
fn overrides(limit: &Value, path: &str, around: &Around<'_>, found: &mut Found) {
    let overrides = limit.get("overrides").and_then(Value::as_array);
    let overrides = overrides.map(Vec::as_slice).unwrap_or_default();
    let parts = |tier: &Value| -> Vec<Value> {
        let parts = each(tier.get("key"), "").into_iter();
        parts.map(|(_, part)| part.clone()).collect()
    };
    for (index, tier) in overrides.iter().enumerate() {
        let path = format!("{path}.overrides[{index}]");
        rules(tier.get("match"), &format!("{path}.match"), around, found);
        // One without a rule takes all that have its key.
        let own = parts(tier);
        let mut before = overrides.iter().take(index);
        let first = before.position(|other| !has(other, "match") && parts(other) == own);
        if let Some(first) = first.filter(|_| !own.is_empty()) {
            let problem = format!(
                "has no effect: overrides[{first}] has the same key, and the first one counts"
            );
            found.insert(path, problem);
        }
    }
}

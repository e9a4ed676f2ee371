//! What the types do not say of their fields and the settings ask of every one of them, whatever stands around it. It holds for
//! metadata of routes as well, which is merged with what is below: objects are, so that nothing can be required of one that is in
//! no list.

use crate::filters::Filter;
use serde_json::{json, Map, Value};

/// Keywords for the field at a path; `[]` is each item of a list.
type Rule = (&'static str, Value);

fn rules(filter: Filter) -> Vec<Rule> {
    let range = |least: u32, most: u32| json!({"minimum": least, "maximum": most});
    let billion = 1_000_000_000;
    let some = || json!({"minProperties": 1});
    match filter {
        Filter::RateLimit => vec![
            (
                "limits[]",
                json!({
                    "required": ["name"],
                    "if": {"required": ["concurrent"]},
                    "else": {"required": ["requests", "per"]},
                }),
            ),
            ("limits[].name", json!({"pattern": "^[A-Za-z0-9_-]{1,64}$"})),
            ("limits[].match", some()),
            ("limits[].match[]", some()),
            ("limits[].exempt", some()),
            ("limits[].exempt[]", some()),
            ("exempt[]", some()),
            ("limits[].overrides[].match", some()),
            ("limits[].overrides[].match[]", some()),
            ("limits[].charge", some()),
            (
                "limits[].penalty",
                json!({"required": ["refusals", "within", "block_for"]}),
            ),
            ("limits[].penalty.refusals", range(1, billion)),
            ("limits[].cost", range(0, billion)),
            ("limits[].cost", json!({"required": ["header"]})),
            ("limits[].key[].path_prefix", range(1, 64)),
            ("limits[].key[].path_segment", range(1, 64)),
            ("limits[].key[].client_address.trusted_hops", range(0, 32)),
            ("limits[].key[].client_address.ipv4_prefix", range(0, 32)),
            ("limits[].key[].client_address.ipv6_prefix", range(0, 128)),
        ],
        Filter::CircuitBreaker => vec![
            ("key", json!({"minItems": 1, "maxItems": 8})),
            ("retry_after.opens[]", range(400, 599)),
            ("failures.statuses[]", range(200, 599)),
            ("failures.grpc_statuses[]", range(1, 16)),
        ],
        Filter::ResponseCache => vec![("bypass[]", some())],
        // Metadata has no say in it.
        Filter::TraceHeaders => vec![("spans", json!({"required": ["cluster"]}))],
    }
}

/// Writes them into the schema of a filter.
pub(super) fn add(filter: Filter, schema: &mut Value) {
    for (path, keywords) in rules(filter) {
        let path = path.replace("[]", ".[]");
        let steps: Vec<&str> = path.split('.').collect();
        if let Value::Object(keywords) = &keywords {
            at(schema, &steps, keywords);
        }
    }
}

fn at(schema: &mut Value, steps: &[&str], keywords: &Map<String, Value>) {
    let Value::Object(parts) = schema else { return };
    if let Some(Value::Array(alternatives)) = parts.get_mut("anyOf") {
        for alternative in alternatives {
            at(alternative, steps, keywords);
        }
        return;
    }
    let Some((step, rest)) = steps.split_first() else {
        for (keyword, value) in keywords {
            if fits(keyword, parts) {
                parts.insert(keyword.clone(), value.clone());
            }
        }
        return;
    };
    let inside = match *step {
        "[]" => parts.get_mut("items"),
        name => parts
            .get_mut("properties")
            .and_then(|fields| fields.get_mut(name)),
    };
    if let Some(inside) = inside {
        at(inside, rest, keywords);
    }
}

/// Whether a keyword is about values of this kind.
fn fits(keyword: &str, parts: &Map<String, Value>) -> bool {
    let kinds: &[&str] = match keyword {
        "minimum" | "maximum" => &["integer", "number"],
        "minItems" | "maxItems" => &["array"],
        "pattern" => &["string"],
        _ => &["object"],
    };
    match parts.get("type") {
        Some(Value::String(kind)) => kinds.contains(&kind.as_str()),
        Some(Value::Array(found)) => kinds.iter().any(|kind| found.contains(&json!(kind))),
        _ => false,
    }
}

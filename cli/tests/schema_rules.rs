//! What the schema says beyond the types and the tables, held against what the filters do.

use seawall_cli::filters::Filter;
use seawall_cli::schema::schema;
use serde_json::{json, Value};

/// The schema and the filter say the same of these settings.
fn same(filter: Filter, settings: &Value, fits: bool) {
    let validator = jsonschema::draft202012::new(&schema(filter)).expect("a schema");
    let errors = filter.check(settings);
    assert_eq!(errors.is_empty(), fits, "{settings}: {errors}");
    assert_eq!(validator.is_valid(settings), fits, "the schema: {settings}");
}

#[test]
fn what_a_limit_must_have() {
    let limit = |fields: Value| json!({"limits": [fields]});
    let with = |name: &str, value: &Value| {
        let mut fields = json!({"name": "a", "requests": 9, "per": "1m"});
        fields[name] = value.clone();
        limit(fields)
    };
    for (fields, fits) in [
        (json!({"name": "a", "requests": 1, "per": "1m"}), true),
        (json!({"name": "a", "concurrent": 1}), true),
        (json!({"name": "a"}), false),
        (json!({"name": "a", "per": "1m"}), false),
        (json!({"name": "a", "requests": 1}), false),
        (json!({"requests": 1, "per": "1m"}), false),
        (json!({"concurrent": 1}), false),
        (json!({"name": "a b", "concurrent": 1}), false),
        (json!({"name": "", "concurrent": 1}), false),
        (json!({"name": "x".repeat(64), "concurrent": 1}), true),
        (json!({"name": "x".repeat(65), "concurrent": 1}), false),
    ] {
        same(Filter::RateLimit, &limit(fields), fits);
    }
    let penalty = json!({"refusals": 1, "within": "1m", "block_for": "1m"});
    for field in ["refusals", "within", "block_for"] {
        let mut lacking = penalty.clone();
        lacking.as_object_mut().unwrap().remove(field);
        same(Filter::RateLimit, &with("penalty", &lacking), false);
    }
    for (name, value, fits) in [
        ("penalty", penalty, true),
        (
            "penalty",
            json!({"refusals": 0, "within": "1m", "block_for": "1m"}),
            false,
        ),
        ("match", json!({}), false),
        ("match", json!([{}]), false),
        ("match", json!({"path": "/"}), true),
        ("exempt", json!({}), false),
        ("exempt", json!([{"path": "/"}, {}]), false),
        ("charge", json!({}), false),
        ("charge", json!({"status": 401}), true),
        ("overrides", json!([{"match": {}, "requests": 1}]), false),
        ("overrides", json!([{"match": [{}], "requests": 1}]), false),
        ("cost", json!(0), true),
        ("cost", json!(1_000_000_001), false),
        ("cost", json!({"default": 2}), false),
        ("cost", json!({"header": "x", "default": 2}), true),
        ("key", json!([]), true),
    ] {
        same(Filter::RateLimit, &with(name, &value), fits);
    }
    for (part, least, most) in [
        ("path_prefix", 1, 64),
        ("path_segment", 1, 64),
        ("trusted_hops", 0, 32),
        ("ipv4_prefix", 0, 32),
        ("ipv6_prefix", 0, 128),
    ] {
        for (number, fits) in [
            (least - 1, false),
            (least, true),
            (most, true),
            (most + 1, false),
        ] {
            let part = match part.strip_prefix("path") {
                Some(_) => json!({part: number}),
                None => json!({"client_address": {part: number}}),
            };
            same(Filter::RateLimit, &with("key", &json!([part])), fits);
        }
    }
    let rules = |rules: Value| json!({"exempt": rules});
    same(Filter::RateLimit, &rules(json!([{}])), false);
    same(Filter::RateLimit, &rules(json!([{"path": "/"}])), true);
}

#[test]
fn lists_and_numbers_of_the_other_filters() {
    let key = |parts: usize| json!({"key": vec!["route"; parts]});
    for (parts, fits) in [(0, false), (1, true), (8, true), (9, false)] {
        same(Filter::CircuitBreaker, &key(parts), fits);
    }
    for (status, fits) in [(399, false), (400, true), (599, true), (600, false)] {
        let settings = json!({"retry_after": {"opens": [status]}});
        same(Filter::CircuitBreaker, &settings, fits);
    }
    for (status, fits) in [(199, false), (200, true), (599, true), (600, false)] {
        let settings = json!({"failures": {"statuses": [status]}});
        same(Filter::CircuitBreaker, &settings, fits);
    }
    for (status, fits) in [(0, false), (1, true), (16, true), (17, false)] {
        let settings = json!({"failures": {"grpc_statuses": [status]}});
        same(Filter::CircuitBreaker, &settings, fits);
    }
    for (filter, settings, fits) in [
        (Filter::ResponseCache, json!({"bypass": [{}]}), false),
        (
            Filter::ResponseCache,
            json!({"bypass": [{"path": "/"}]}),
            true,
        ),
        (Filter::ResponseCache, json!({"bypass": []}), true),
        (Filter::TraceHeaders, json!({"spans": {}}), false),
        (
            Filter::TraceHeaders,
            json!({"spans": {"cluster": "c"}}),
            true,
        ),
        (Filter::TraceHeaders, json!({"spans": null}), false),
    ] {
        same(filter, &settings, fits);
    }
}

/// A route may give a part of what the plugin has.
#[test]
fn metadata_may_have_parts_of_objects() {
    let validator = jsonschema::draft202012::new(&schema(Filter::RateLimit)).expect("a schema");
    for (below, level) in [
        (
            json!({"fleet": {"cluster": "c"}}),
            json!({"fleet": {"timeout": "1s"}}),
        ),
        (json!({"exempt": {"path": "/"}}), json!({"exempt": {}})),
    ] {
        Filter::RateLimit.lay(&below, &level).expect("settings");
        assert!(validator.is_valid(&level), "{level}");
    }
}

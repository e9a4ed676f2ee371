//! `seawall schema`: the schema says what the types say.

mod common;

use common::{repository, seawall};
use jsonschema::Validator;
use seawall_cli::document::read;
use seawall_cli::envoy::find;
use seawall_cli::filters::Filter;
use seawall_cli::layers::settings;
use seawall_cli::schema::{known_form, paths, schema, shape};
use seawall_core::config::{read as read_raw, Settings};
use serde_json::{json, Value};

fn validator(filter: Filter) -> Validator {
    jsonschema::draft202012::new(&schema(filter)).expect("a schema")
}

/// Whether the type reads it, whatever the settings made of it are worth.
fn reads(filter: Filter, json: &Value) -> bool {
    fn of<S: Settings>(json: &Value) -> bool {
        read_raw::<S::Raw>(json).1.is_empty()
    }
    match filter {
        Filter::RateLimit => of::<seawall_rate_limit::config::Settings>(json),
        Filter::ResponseCache => of::<seawall_response_cache::config::Settings>(json),
        Filter::CircuitBreaker => of::<seawall_circuit_breaker::Settings>(json),
        Filter::TraceHeaders => of::<seawall_trace_headers::config::Settings>(json),
    }
}

/// Values of every kind, and of every form that the types know.
fn candidates() -> Vec<Value> {
    let mut values = vec![
        json!(null),
        json!(true),
        json!(0),
        json!(1),
        json!(99),
        json!(100),
        json!(429),
        json!(599),
        json!(600),
        json!(-1),
        json!(255),
        json!(256),
        json!(0.5),
        json!(4_294_967_295u64),
        json!(4_294_967_296u64),
        json!(u64::MAX),
        json!([]),
        json!({}),
        json!([null]),
        json!([1]),
        json!([true]),
        json!([["x"]]),
        json!(["x", 1]),
        json!([{}]),
        json!({"x": 1}),
        json!({"x": "y"}),
        json!({"x": "5s"}),
        json!({"x": true}),
        json!({"x": ["y"]}),
        json!({"x": {"y": 1}}),
        json!({"header": "x"}),
        json!({"header": 1}),
        json!({"header": "x", "y": 1}),
    ];
    for text in [
        "",
        "x",
        "5",
        "0.5",
        "-1.5",
        "01.5",
        "1e3",
        "1.",
        "5s",
        "500ms",
        "1.5s",
        "5 s",
        "s",
        "-5s",
        "1w",
        "day",
        "month",
        "days",
        "64KiB",
        "64B",
        "64KB",
        "5xx",
        "6xx",
        "0xx",
        "401",
        "99",
        "600",
        "1000",
        "client_address",
        "path",
        "header",
        "cluster",
        "route",
        "allow",
        "deny",
        "shadow",
        "enforce",
        "gcra",
        "both",
        "none",
        "w3c",
        "always",
        "follow",
        "uuid",
        "strip",
    ] {
        values.push(json!(text));
        values.push(json!([text]));
    }
    values
}

/// Documents with each of the values at each place of a schema.
fn documents(schema: &Value, wrap: &dyn Fn(Value) -> Value, see: &mut dyn FnMut(Value)) {
    let text = schema.to_string();
    let fields = text.contains("\"properties\"");
    for value in candidates() {
        // Serde reads the fields of a struct from a list as well, by their order; the schema does not offer that.
        if !(fields && value.is_array()) {
            see(wrap(value));
        }
    }
    for alternative in schema
        .get("anyOf")
        .and_then(Value::as_array)
        .unwrap_or(&vec![schema.clone()])
    {
        if let Some(Value::Object(fields)) = alternative.get("properties") {
            see(wrap(json!({"colour": 1})));
            for (name, field) in fields {
                documents(field, &|value| wrap(json!({name: value})), see);
            }
        }
        if let Some(items) = alternative.get("items") {
            documents(items, &|value| wrap(json!([value])), see);
        }
        if let Some(values @ Value::Object(_)) = alternative.get("additionalProperties") {
            documents(values, &|value| wrap(json!({"x-y": value})), see);
        }
        for word in alternative
            .get("enum")
            .and_then(Value::as_array)
            .into_iter()
            .flatten()
        {
            see(wrap(word.clone()));
        }
    }
}

#[test]
fn the_schema_takes_and_refuses_what_the_types_do() {
    for filter in Filter::ALL {
        // Ranges are the affair of the settings that are made of what was read; `values.rs` holds them against those.
        let validator = jsonschema::draft202012::new(&shape(filter)).expect("a schema");
        let (mut taken, mut refused) = (0, 0);
        documents(&shape(filter), &|value| value, &mut |json| {
            // A configuration is an object; the filter says so before it reads it.
            if !json.is_object() {
                return;
            }
            let reads = reads(filter, &json);
            assert_eq!(
                validator.is_valid(&json),
                reads,
                "{}: {json}",
                filter.module()
            );
            if reads {
                taken += 1
            } else {
                refused += 1
            }
        });
        assert!(
            taken > 200 && refused > 500,
            "{}: {taken} taken, {refused} refused",
            filter.module()
        );
    }
}

#[test]
fn every_form_of_text_is_described() {
    fn comments(schema: &Value, found: &mut Vec<String>) {
        match schema {
            Value::Object(parts) => {
                if let Some(Value::String(text)) = parts.get("$comment") {
                    found.push(text.clone());
                }
                parts.values().for_each(|part| comments(part, found));
            }
            Value::Array(items) => items.iter().for_each(|item| comments(item, found)),
            _ => {}
        }
    }
    assert!(known_form(
        "a duration such as \"500ms\", \"10s\", \"1m\", \"2h\" or \"1d\""
    ));
    for filter in Filter::ALL {
        let mut found = Vec::new();
        comments(&schema(filter), &mut found);
        assert!(
            found.is_empty(),
            "{}: describe in forms.rs: {found:?}",
            filter.module()
        );
    }
}

#[test]
fn what_is_shipped_fits_the_schema() {
    let mut seen = 0;
    for folder in ["envoy", "envoy/cookbook"] {
        let Ok(files) = std::fs::read_dir(repository().join(folder)) else {
            continue;
        };
        for file in files
            .filter_map(Result::ok)
            .filter(|file| file.path().is_file())
        {
            let text = std::fs::read_to_string(file.path()).unwrap();
            let found = find(&read(&text).unwrap());
            for chain in found.chains {
                let hosts = chain.hosts.iter();
                let levels = hosts.flat_map(|host| {
                    host.blocks
                        .iter()
                        .chain(host.routes.iter().flat_map(|route| &route.blocks))
                });
                for block in chain.plugins.iter().chain(levels) {
                    let json = settings(block).unwrap();
                    let errors: Vec<String> = validator(block.filter)
                        .iter_errors(&json)
                        .map(|error| error.to_string())
                        .collect();
                    assert!(
                        errors.is_empty(),
                        "{:?}: {}: {errors:?}",
                        file.path(),
                        block.filter.namespace()
                    );
                    seen += 1;
                }
            }
        }
    }
    assert!(seen > 10, "{seen}");
}

#[test]
fn the_command_prints_it_with_what_the_readme_says() {
    let ran = seawall(&["schema", "rate-limit"]);
    assert_eq!(ran.code, 0);
    let printed: Value = serde_json::from_str(&ran.out).unwrap();
    assert_eq!(
        printed["$schema"],
        "https://json-schema.org/draft/2020-12/schema"
    );
    assert_eq!(printed["title"], "seawall.rate_limit");
    let keys = &printed["properties"]["max_keys"];
    assert_eq!(keys["default"], 262_144);
    let text = keys["description"].as_str().unwrap();
    assert!(
        text.contains("size of the table") && text.contains("plugin configuration only"),
        "{text}"
    );
    assert!(paths(&printed).contains(&"limits.key.header".to_owned()));
    assert_eq!(seawall(&["schema", "colour"]).code, 2);
}

#[test]
fn the_four_as_one_have_a_schema_with_a_block_for_each() {
    let ran = seawall(&["schema", "seawall"]);
    let schema: Value = serde_json::from_str(&ran.out).expect("JSON");
    let validator = jsonschema::draft202012::new(&schema).expect("a schema");
    let limits = json!([{"name": "a", "requests": 1, "per": "1s"}]);
    for (settings, fits) in [
        (json!({}), true),
        (
            json!({"rate_limit": {"limits": limits}, "trace_headers": {}}),
            true,
        ),
        (
            json!({"rate_limit": {"limits": [{"colour": "red"}]}}),
            false,
        ),
        (json!({"response_cash": {}}), false),
        (json!({"rate-limit": {}}), false),
    ] {
        assert_eq!(validator.is_valid(&settings), fits, "{settings}");
    }
}

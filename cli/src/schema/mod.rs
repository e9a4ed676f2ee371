//! `seawall schema`: the JSON Schema (2020-12) of a filter's settings, read off the types that the filter reads them with.
//!
//! The deserializer of `trace` asks a type what it wants instead of giving it anything, `explore` asks on until nothing is
//! left to ask, and `forms` knows the texts that types read by themselves, such as durations. So the schema cannot say
//! anything else than the filter does. The meaning of a field, its default and the range of a number come from the table in the
//! filter's README (`table`), which the tests hold against what the filter does; `rules` adds what is asked of single fields
//! besides. What the schema cannot say are rules that join fields; those are the work of `seawall check`.

mod explore;
mod forms;
mod rules;
mod table;
mod trace;

pub use forms::known as known_form;
pub use table::{rows, Row};

use crate::filters::{dispatch, Filter};
use seawall_core::config::Settings;
use seawall_core::plugin::Plugin;
use serde_json::{json, Map, Value};

/// The schema of a filter's settings, in the plugin configuration and, but for the fields that are told apart there, in
/// metadata.
pub fn schema(filter: Filter) -> Value {
    let mut schema = shape(filter);
    let rows = rows(filter.readme());
    describe(&mut schema, "", &rows);
    rules::add(filter, &mut schema);
    for field in filter.plugin_only() {
        if let Some(Value::Object(field)) = schema.pointer_mut(&format!("/properties/{field}")) {
            let text = field.get("description").and_then(Value::as_str);
            let only = "In the plugin configuration only.";
            let text = text.map_or(only.to_owned(), |text| {
                if text.contains("plugin configuration only") {
                    text.to_owned()
                } else {
                    format!("{text} {only}")
                }
            });
            field.insert("description".to_owned(), text.into());
        }
    }
    titled(filter.module(), filter.namespace(), schema)
}

/// The schema of the plugin configuration of the four filters as one: each of them in a block of its own.
pub fn schema_of_all() -> Value {
    let blocks = Filter::ALL.map(|filter| {
        let mut block = schema(filter);
        if let Value::Object(fields) = &mut block {
            // Those belong to a document by itself.
            fields.remove("$schema");
            fields.remove("$id");
        }
        (filter.module().replace('-', "_"), block)
    });
    let blocks: Map<String, Value> = blocks.into_iter().collect();
    let all = json!({"type": "object", "properties": blocks, "additionalProperties": false});
    titled("seawall", "seawall", all)
}

/// A schema as a document.
fn titled(module: &str, title: &str, schema: Value) -> Value {
    let mut whole = Map::new();
    whole.insert(
        "$schema".to_owned(),
        "https://json-schema.org/draft/2020-12/schema".into(),
    );
    whole.insert(
        "$id".to_owned(),
        format!("urn:seawall:{module}:{}", env!("CARGO_PKG_VERSION")).into(),
    );
    whole.insert("title".to_owned(), title.into());
    if let Value::Object(fields) = schema {
        whole.extend(fields);
    }
    Value::Object(whole)
}

/// What the type of a filter's settings reads, without a word on what it means.
pub fn shape(filter: Filter) -> Value {
    fn of<S: Settings, P: Plugin>() -> Value {
        explore::explore::<S::Raw>()
    }
    dispatch!(filter, of())
}

/// Every field of a schema by its path, such as `limits.key.header`; items of lists have no sign of their own.
pub fn paths(schema: &Value) -> Vec<String> {
    fn collect(schema: &Value, path: &str, into: &mut Vec<String>) {
        for alternative in alternatives(schema) {
            if let Some(Value::Object(fields)) = alternative.get("properties") {
                for (name, field) in fields {
                    let path = join(path, name);
                    if !into.contains(&path) {
                        into.push(path.clone());
                    }
                    collect(field, &path, into);
                }
            }
            if let Some(items) = alternative.get("items") {
                collect(items, path, into);
            }
            if let Some(values @ Value::Object(_)) = alternative.get("additionalProperties") {
                collect(values, path, into);
            }
        }
    }
    let mut found = Vec::new();
    collect(schema, "", &mut found);
    found
}

fn alternatives(schema: &Value) -> Vec<&Value> {
    match schema.get("anyOf").and_then(Value::as_array) {
        Some(alternatives) => alternatives.iter().flat_map(alternatives_of).collect(),
        None => vec![schema],
    }
}

fn alternatives_of(schema: &Value) -> Vec<&Value> {
    alternatives(schema)
}

fn join(path: &str, name: &str) -> String {
    if path.is_empty() {
        name.to_owned()
    } else {
        format!("{path}.{name}")
    }
}

/// Writes what the README says into the fields of a schema.
fn describe(schema: &mut Value, path: &str, rows: &[Row]) {
    let Value::Object(parts) = schema else { return };
    if let Some(Value::Array(alternatives)) = parts.get_mut("anyOf") {
        for alternative in alternatives {
            describe(alternative, path, rows);
        }
    }
    for inside in ["items", "additionalProperties"] {
        if let Some(inside) = parts.get_mut(inside) {
            describe(inside, path, rows);
        }
    }
    if let Some(Value::Object(fields)) = parts.get_mut("properties") {
        for (name, field) in fields {
            let path = join(path, name);
            describe(field, &path, rows);
            let Some(row) = table::find(rows, &path) else {
                continue;
            };
            if let Value::Object(field) = field {
                if !row.meaning.is_empty() {
                    field.insert("description".to_owned(), json!(row.text()));
                }
                if let Some(default) = row.default_value() {
                    field.insert("default".to_owned(), default);
                }
                if let Some((least, most)) = row.bounds() {
                    bound(field, &least, &most);
                }
            }
        }
    }
}

/// Says the range of a number, in each form that the field may have.
fn bound(field: &mut Map<String, Value>, least: &Value, most: &Value) {
    if let Some(alternatives) = field.get_mut("anyOf").and_then(Value::as_array_mut) {
        for alternative in alternatives.iter_mut().filter_map(Value::as_object_mut) {
            bound(alternative, least, most);
        }
    }
    let kinds = match field.get("type") {
        Some(Value::Array(kinds)) => kinds.clone(),
        kind => kind.into_iter().cloned().collect(),
    };
    if kinds.contains(&json!("integer")) || kinds.contains(&json!("number")) {
        field.insert("minimum".to_owned(), least.clone());
        field.insert("maximum".to_owned(), most.clone());
    }
}

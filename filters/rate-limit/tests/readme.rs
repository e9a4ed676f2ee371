//! The tables of the README against the types.
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

use common::filter::{errors, rig};
use seawall_core::config::load;
use seawall_rate_limit::config::Settings;
use serde_json::{json, Value};
use std::collections::BTreeSet;

const README: &str = include_str!("../README.md");

/// What stands in backquotes in the first cells of the tables of a section.
fn first_cells(heading: &str) -> BTreeSet<String> {
    let from = README.find(heading).expect("the section is there");
    let section = &README[from + heading.len()..];
    let section = &section[..section.find("\n## ").unwrap_or(section.len())];
    let rows = section.lines().filter(|line| line.starts_with("| `"));
    rows.map(|row| row.split('`').nth(1).unwrap().to_owned())
        .collect()
}

/// The fields that are taken at a place, by what is said of one that is not.
fn fields(configuration: Value) -> BTreeSet<String> {
    let said = errors(configuration).join("\n");
    let line = said
        .lines()
        .find(|line| line.contains("unknown field"))
        .unwrap();
    let (_, list) = line.split_once("expected").unwrap();
    list.split('`')
        .skip(1)
        .step_by(2)
        .map(str::to_owned)
        .collect()
}

fn under(prefix: &str, fields: BTreeSet<String>) -> BTreeSet<String> {
    fields
        .into_iter()
        .map(|field| format!("{prefix}{field}"))
        .collect()
}

#[test]
fn every_field_has_a_row_and_every_row_is_a_field() {
    let mut wanted = fields(json!({"?": 1}));
    for (name, nested) in [("answer", true), ("client_address", true), ("fleet", false)] {
        let mut configuration = json!({});
        configuration[name] = json!({"?": 1});
        wanted.extend(under(&format!("{name}."), fields(configuration)));
        if nested {
            wanted.remove(name);
        }
    }
    wanted.extend(fields(json!({"limits": [{"?": 1}]})));
    assert_eq!(first_cells("\n## Configuration\n"), wanted);
}

#[test]
fn every_metric_has_a_row_and_every_row_is_a_metric() {
    let rig = rig(json!({"limits": [{"name": "NAME", "requests": 1, "per": "1s"}]}));
    let metrics = rig.host.world().metrics();
    let prefix = "seawall.rate_limit.";
    let wanted: BTreeSet<String> = metrics
        .keys()
        .map(|name| name.strip_prefix(prefix).unwrap().to_owned())
        .collect();
    assert_eq!(first_cells("\n## Metrics\n"), wanted);
}

#[test]
fn rules_overrides_and_parts_are_all_mentioned() {
    let limit = |more: Value| {
        let mut limit = json!({"name": "a", "requests": 1, "per": "1s", "key": ["path"]});
        limit[more["at"].as_str().unwrap()] = more["is"].clone();
        json!({"limits": [limit]})
    };
    for (at, is) in [
        ("match", json!({"?": 1})),
        ("overrides", json!([{"?": 1}])),
        ("key", json!([{"?": 1}])),
        ("cost", json!({"?": 1})),
        ("charge", json!({"?": 1})),
        ("penalty", json!({"?": 1})),
    ] {
        for field in fields(limit(json!({"at": at, "is": is}))) {
            let mentioned = [
                format!("`{field}`"),
                format!("{{{field}:"),
                format!("{field},"),
                format!("{field}:"),
                format!("{field}}}"),
            ];
            assert!(
                mentioned.iter().any(|form| README.contains(form.as_str())),
                "{at}.{field}"
            );
        }
    }
}

#[test]
fn defaults_are_those_of_the_tables() {
    let settings: Settings = load(&json!({"fleet": {"cluster": "c"}})).unwrap();
    let fleet = settings.fleet.unwrap();
    for (field, default) in [
        ("enabled", settings.enabled.to_string()),
        ("max_keys", settings.max_keys.to_string()),
        ("per_route", settings.per_route.to_string()),
        ("access_log", settings.access_log.to_string()),
        ("answer.status", settings.answers.status.to_string()),
        ("answer.body", settings.answers.body.replace('\n', "\\n")),
        ("answer.content_type", settings.answers.content_type),
        (
            "answer.problem_json",
            settings.answers.problem_json.to_string(),
        ),
        (
            "answer.retry_after_jitter",
            settings.answers.jitter.to_string(),
        ),
        ("fleet.domain", fleet.domain),
        ("fleet.timeout", fleet.timeout.to_string()),
        ("fleet.max_waiting", fleet.max_waiting.to_string()),
        ("fleet.remember", fleet.remember.to_string()),
    ] {
        let start = format!("| `{field}` |");
        let row = README.lines().find(|line| line.starts_with(&start));
        let cell = row.unwrap().split('|').nth(3).unwrap().trim();
        assert_eq!(cell, format!("`{default}`"), "{field}");
    }
}

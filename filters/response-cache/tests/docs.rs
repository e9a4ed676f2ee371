//! What the documents name exists, and what exists is named.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "test code"
)]

use seawall_core::testing::{Vm, World};
use seawall_response_cache::ResponseCache;
use serde_json::{json, Value};
use std::path::{Path, PathBuf};

fn read(path: &str) -> String {
    std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(path)).unwrap()
}

/// The first cell of each row of the first table after a heading.
fn first_cells<'a>(text: &'a str, heading: &str) -> Vec<&'a str> {
    let section = text.split(heading).nth(1).unwrap();
    let rows = section
        .lines()
        .skip_while(|line| !line.starts_with("| ---"));
    rows.skip(1)
        .take_while(|line| line.starts_with('|'))
        .map(|line| line.split('`').nth(1).unwrap())
        .collect()
}

fn sources(folder: PathBuf, found: &mut String) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(path, found);
        } else if path.extension().is_some_and(|kind| kind == "rs") {
            found.push_str(&std::fs::read_to_string(path).unwrap());
        }
    }
}

#[test]
fn every_test_that_the_clauses_name_exists() {
    let mut all = String::new();
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    for folder in ["src", "tests", "../shared/core/src", "../../tests/tests"] {
        sources(here.join(folder), &mut all);
    }
    let text = read("RFC.md");
    let mut named = 0;
    let rows = text.lines().filter(|line| line.starts_with("| "));
    for cell in rows.filter_map(|row| row.split(" | ").nth(2)) {
        for name in cell.split('`').skip(1).step_by(2) {
            named += 1;
            assert!(all.contains(&format!("fn {name}(")), "no test {name}");
        }
    }
    assert!(named > 100, "{named}");
}

#[test]
fn every_field_of_the_table_is_one_and_none_is_missing() {
    let text = read("README.md");
    let documented = first_cells(&text, "## Configuration");
    for field in &documented {
        let mut value = Value::Null;
        for part in field.rsplit('.') {
            value = json!({ part: value });
        }
        let errors = Vm::<ResponseCache>::errors(&value);
        let unknown = errors.iter().any(|error| error.contains("unknown field"));
        assert!(!unknown, "{field}: {errors:?}");
    }
    // The names that the deserialiser would take, as it lists them for one that it does not.
    for (path, group) in [
        ("", ""),
        ("key", "key."),
        ("refresh", "refresh."),
        ("coalesce", "coalesce."),
    ] {
        let wrong = json!({"no_such_field": 1});
        let value = if path.is_empty() {
            wrong
        } else {
            json!({ path: wrong })
        };
        let errors = Vm::<ResponseCache>::errors(&value).join("\n");
        for name in errors.split('`').skip(1).step_by(2) {
            let full = format!("{group}{name}");
            let named = documented
                .iter()
                .any(|field| *field == full || field.starts_with(&format!("{full}.")));
            assert!(named || name == "no_such_field", "{full} is not documented");
        }
    }
}

#[test]
fn every_metric_is_in_the_table_and_the_other_way_round() {
    let world = World::new();
    let _vm = Vm::<ResponseCache>::start(&world, 1, &json!({}));
    let metrics = world.metrics();
    let mut known: Vec<&str> = metrics
        .keys()
        .map(|name| name.strip_prefix("seawall.response_cache.").unwrap())
        .collect();
    let text = read("README.md");
    let mut documented = first_cells(&text, "## Metrics");
    // One row for all of a kind.
    known.retain(|name| !name.starts_with("generation.") || *name == "generation.0");
    known.sort_unstable();
    documented.sort_unstable();
    assert_eq!(documented, known);
}

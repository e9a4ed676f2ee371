//! The dashboard and the alert rules ask for metrics and labels that a real Envoy prints.

use seawall_cli::document::read;
use seawall_tests::envoy::repository;
use seawall_tests::prelude::*;
use std::collections::{BTreeMap, BTreeSet};

/// The metrics with their labels as Envoy prints them.
fn printed(metrics: &str) -> BTreeMap<String, BTreeSet<String>> {
    let mut known: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for line in metrics.lines().filter(|line| !line.starts_with('#')) {
        let Some((name, rest)) = line.split_once('{') else {
            continue;
        };
        let labels = known.entry(name.to_owned()).or_default();
        let inside = rest.split('}').next().unwrap_or_default();
        for label in inside.split(',').filter_map(|pair| pair.split_once('=')) {
            labels.insert(label.0.to_owned());
        }
    }
    known
}

fn is_word(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '_'
}

/// The words of an expression that are not in quotes.
fn words(expression: &str) -> BTreeSet<String> {
    let outside: String = expression
        .split('"')
        .step_by(2)
        .collect::<Vec<_>>()
        .join(" ");
    outside
        .split(|c: char| !is_word(c))
        .filter(|word| !word.is_empty())
        .map(str::to_owned)
        .collect()
}

fn expressions(value: &Value, found: &mut Vec<String>) {
    match value {
        Value::Object(fields) => {
            for (name, value) in fields {
                match value {
                    Value::String(text) if ["expr", "definition"].contains(&name.as_str()) => {
                        found.push(text.clone())
                    }
                    other => expressions(other, found),
                }
            }
        }
        Value::Array(items) => items.iter().for_each(|item| expressions(item, found)),
        _ => {}
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn everything_they_ask_for_is_printed() {
    let dashboard = std::fs::read_to_string(repository().join("dashboards/seawall.json"))
        .expect("the dashboard");
    let dashboard: Value = serde_json::from_str(&dashboard).expect("JSON");
    let rules =
        std::fs::read_to_string(repository().join("dashboards/alerts.yaml")).expect("the rules");
    let rules = read(&rules).expect("YAML").remove(0).json();
    let mut asked = Vec::new();
    expressions(&dashboard, &mut asked);
    let panels = asked.len();
    expressions(&rules, &mut asked);
    assert!(
        panels > 20 && asked.len() > panels + 8,
        "{panels} and {}",
        asked.len()
    );

    let stage = seawall_tests::demo::Stage::set().await;
    let known = eventually("latency is printed", || async {
        for path in ["/orders/1", "/payments/1", "/checkout"] {
            stage.envoy.get_with(path, &[("x-tenant-id", "acme")]).await;
        }
        let known = printed(&stage.envoy.prometheus().await);
        known
            .contains_key("seawall_trace_headers_duration_ms_bucket")
            .then_some(known)
    })
    .await;
    for expression in &asked {
        let ours = |word: &String| word.starts_with("envoy_") || word.starts_with("seawall_");
        let (metrics, others): (Vec<String>, Vec<String>) = words(expression)
            .into_iter()
            .filter(ours)
            .partition(|word| known.contains_key(word));
        assert!(
            !metrics.is_empty(),
            "Envoy prints nothing that is asked for in {expression}"
        );
        // What is no metric is a label of one.
        for label in others {
            let has = metrics.iter().any(|metric| known[metric].contains(&label));
            assert!(has, "Envoy prints no {label}, asked for in {expression}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_alert_says_what_it_means() {
    let rules =
        std::fs::read_to_string(repository().join("dashboards/alerts.yaml")).expect("the rules");
    let rules = read(&rules).expect("YAML").remove(0).json();
    let mut names = BTreeSet::new();
    for rule in rules["groups"][0]["rules"].as_array().expect("rules") {
        let name = rule["alert"].as_str().expect("a name");
        assert!(names.insert(name.to_owned()), "{name} is there twice");
        for text in ["summary", "description"] {
            assert!(rule["annotations"][text].is_string(), "{name}: {text}");
        }
        let severity = rule["labels"]["severity"].as_str().unwrap_or_default();
        assert!(
            ["info", "warning", "critical"].contains(&severity),
            "{name}: {severity:?}"
        );
        assert!(rule["expr"].is_string(), "{name}");
    }
}

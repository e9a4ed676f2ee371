//! The dashboard and the alert rules ask for metrics and labels that a real Envoy prints.

use seawall_cli::document::read;
use seawall_tests::envoy::{repository, FILTERS};
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
    let upstream = Upstream::serving(|_| Reply::ok("one")).await;
    let one = Envoy::to(&upstream).all_as_one(&[]).start().await;
    let vm = printed(&one.prometheus().await);
    let vm = vm
        .into_iter()
        .filter(|(name, _)| name.starts_with("envoy_wasm_"));
    let known: BTreeMap<_, _> = known.into_iter().chain(vm).collect();
    // Whichever filter is mounted.
    asked.retain(|expression| !expression.contains(r#"{__name__=~"seawall_.+""#));
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

/// The filters whose metrics an expression asks for.
fn asks_of(expression: &str) -> BTreeSet<&'static str> {
    let filters = FILTERS.map(|filter| (filter, filter.replace('-', "_")));
    let words = words(expression);
    let of = |name: &str| words.iter().any(|word| word.contains(name));
    let found = filters.iter().filter(|(_, name)| of(name));
    found.map(|(filter, _)| *filter).collect()
}

/// Where one filter is mounted by itself, the metrics of the others are not there, and what is counted together with nothing is
/// nothing: an alert about several asks for each by itself.
#[test]
fn an_alert_does_not_need_filters_that_may_not_be_mounted() {
    let rules =
        std::fs::read_to_string(repository().join("dashboards/alerts.yaml")).expect("the rules");
    let rules = read(&rules).expect("YAML").remove(0).json();
    let mut asked = Vec::new();
    expressions(&rules, &mut asked);
    let several = asked.iter().filter(|asked| asks_of(asked).len() > 1);
    assert!(several.count() > 1);
    for alternative in asked.iter().flat_map(|asked| asked.split(" or ")) {
        let filters = asks_of(alternative);
        assert!(filters.len() <= 1, "{alternative} needs all of {filters:?}");
        // An alternative that is always there, if as nothing, hides those after it.
        assert!(alternative.contains(['>', '<']), "{alternative}");
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

//! Settings that say something and change nothing, or hardly what is meant. They are no errors: another level of settings
//! may give them their effect.

use crate::filters::Filter;
use serde_json::{json, Value};
use std::collections::BTreeMap;

/// A field that counts only with certain values of another one.
struct Needs {
    filter: Filter,
    fields: &'static [&'static str],
    /// The other one, and what it is where nobody sets it.
    switch: &'static str,
    default: &'static str,
    on: &'static [&'static str],
}

const NEEDS: [Needs; 8] = [
    Needs {
        filter: Filter::TraceHeaders,
        fields: &["trust.cidrs"],
        switch: "trust.mode",
        default: "always",
        on: &["cidr"],
    },
    Needs {
        filter: Filter::TraceHeaders,
        fields: &["trust.peers"],
        switch: "trust.mode",
        default: "always",
        on: &["mtls"],
    },
    Needs {
        filter: Filter::TraceHeaders,
        fields: &["sampling.ratio"],
        switch: "sampling.mode",
        default: "follow",
        on: &["follow", "ratio"],
    },
    Needs {
        filter: Filter::ResponseCache,
        fields: &["refresh.beta"],
        switch: "refresh.algorithm",
        default: "xfetch",
        on: &["xfetch"],
    },
    Needs {
        filter: Filter::ResponseCache,
        fields: &["refresh.window", "refresh.probability"],
        switch: "refresh.algorithm",
        default: "xfetch",
        on: &["window"],
    },
    Needs {
        filter: Filter::ResponseCache,
        fields: &["refresh.background.cluster", "refresh.background.timeout"],
        switch: "refresh.background.enabled",
        default: "false",
        on: &["true"],
    },
    Needs {
        filter: Filter::ResponseCache,
        fields: &["heuristic.fraction", "heuristic.max"],
        switch: "heuristic.enabled",
        default: "false",
        on: &["true"],
    },
    Needs {
        filter: Filter::ResponseCache,
        fields: &["coalesce.wait", "coalesce.lease", "coalesce.conditional"],
        switch: "coalesce.enabled",
        default: "true",
        on: &["true"],
    },
];

/// Fields of which 50 is half.
const PERCENTAGES: [&str; 2] = ["failure_percentage", "slow_percentage"];

fn at<'v>(settings: &'v Value, path: &str) -> Option<&'v Value> {
    settings.pointer(&format!("/{}", path.replace('.', "/")))
}

/// What to know of fields of these settings, by their paths. `settings` are those that hold on a route, of all levels.
pub fn idle(filter: Filter, settings: &Value) -> BTreeMap<&'static str, String> {
    let mut found = BTreeMap::new();
    for needs in NEEDS.iter().filter(|needs| needs.filter == filter) {
        let switch = match at(settings, needs.switch) {
            Some(Value::String(word)) => word.clone(),
            Some(other) => other.to_string(),
            None => needs.default.to_owned(),
        };
        if needs.on.contains(&switch.as_str()) {
            continue;
        }
        for field in needs.fields {
            if at(settings, field).is_some_and(|value| *value != json!([])) {
                found.insert(
                    *field,
                    format!("has no effect while {} is {switch}", needs.switch),
                );
            }
        }
    }
    if filter == Filter::CircuitBreaker {
        for field in PERCENTAGES {
            // A number with a fraction may be text here, as it was written.
            let value = match at(settings, field) {
                Some(Value::String(text)) => text.parse().ok(),
                value => value.and_then(Value::as_f64),
            };
            if let Some(value) = value.filter(|value| *value > 0.0 && *value < 1.0) {
                found.insert(
                    field,
                    format!("is a percentage, of which 50 is half: {value} is less than one call in a hundred"),
                );
            }
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::filters::dispatch;
    use seawall_core::config::{load, Settings};
    use seawall_core::plugin::Plugin;

    /// The tables of this file against the filters: every name is one, and every value of a switch is allowed.
    #[test]
    fn the_filters_know_all_these_fields() {
        fn check<S: Settings, P: Plugin>(settings: &Value) -> Vec<String> {
            let errors = load::<S>(settings).err().unwrap_or_default();
            let unknown = errors.into_iter().map(|error| error.to_string());
            unknown.filter(|text| text.contains("unknown")).collect()
        }
        let nested = |path: &str, value: Value| {
            path.rsplit('.')
                .fold(value, |value, name| json!({ name: value }))
        };
        for needs in &NEEDS {
            for path in needs.fields {
                let settings = nested(path, json!([{}]));
                assert_eq!(dispatch!(needs.filter, check(&settings)), [""; 0], "{path}");
            }
            for word in needs.on.iter().chain([&needs.default]) {
                let value = serde_json::from_str(word).unwrap_or(json!(word));
                let settings = nested(needs.switch, value);
                assert_eq!(
                    dispatch!(needs.filter, check(&settings)),
                    [""; 0],
                    "{} {word}",
                    needs.switch
                );
            }
        }
    }
}

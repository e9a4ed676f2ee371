//! Settings that say something and change nothing, or hardly what is meant. They are no errors: another level of settings
//! may give them their effect.

mod breaker;
mod limits;

use crate::envoy::Chain;
use crate::filters::Filter;
use seawall_rate_limit::rules::Pattern;
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

/// Fields of which there is something to know, by their paths.
type Found = BTreeMap<String, String>;

/// What is known of the routes that settings are for.
#[derive(Debug, Default)]
pub struct Around<'c> {
    /// The names of all routes; none where some are somewhere else, or the file has none at all.
    routes: Option<Vec<&'c str>>,
}

impl<'c> Around<'c> {
    /// What is known of the routes behind a chain.
    pub fn of(chain: &'c Chain) -> Self {
        let routes = chain.hosts.iter().flat_map(|host| &host.routes);
        let names: Vec<_> = routes.map(|route| route.name.as_str()).collect();
        let is_whole = !chain.partial && !names.is_empty();
        Around {
            routes: is_whole.then_some(names),
        }
    }

    /// True where no route has such a name for certain. `*` at an end stands for anything.
    fn lacks(&self, name: &str) -> bool {
        let pattern = Pattern::read(name);
        let (Some(routes), Some(pattern)) = (&self.routes, pattern) else {
            return false;
        };
        !routes.iter().any(|name| pattern.matches(name.as_bytes()))
    }
}

/// What to know of fields of these settings, by their paths. `settings` are those that hold on a route, of all levels.
pub fn idle(filter: Filter, settings: &Value, around: &Around<'_>) -> Found {
    let mut found = Found::new();
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
                    (*field).to_owned(),
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
                    field.to_owned(),
                    format!("is a percentage, of which 50 is half: {value} is less than one call in a hundred"),
                );
            }
        }
    }
    match filter {
        Filter::CircuitBreaker => breaker::idle(settings, &mut found),
        Filter::RateLimit => limits::idle(settings, around, &mut found),
        Filter::TraceHeaders => {
            let routes = at(settings, "latency.routes").and_then(Value::as_array);
            for (index, name) in routes.into_iter().flatten().enumerate() {
                // A name with a star in it is just that here.
                let name = name.as_str().filter(|name| !name.contains('*'));
                if let Some(name) = name.filter(|name| around.lacks(name)) {
                    let path = format!("latency.routes[{index}]");
                    found.insert(path, no_route(name));
                }
            }
        }
        Filter::ResponseCache => {}
    }
    found
}

fn no_route(name: &str) -> String {
    format!("has no effect: no route of this file is called {name:?}")
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

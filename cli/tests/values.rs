//! The tables of fields in the filters' READMEs are true: a default is what the filter does without the field, and a range is
//! what it takes, to the last value.

use seawall_cli::document::read;
use seawall_cli::filters::Filter;
use seawall_cli::schema::{rows, schema, Row};
use seawall_core::config::{load, Settings};
use serde_json::{json, Map, Value};
use std::fmt::Debug;

/// What a filter makes of a configuration, as a text that is the same where the filter does the same.
fn made_of(filter: Filter, json: &Value) -> Result<String, String> {
    fn of<S: Settings + Debug>(json: &Value) -> Result<String, String> {
        let settings = load::<S>(json).map_err(|errors| errors.to_string())?;
        Ok(format!("{settings:?}"))
    }
    match filter {
        Filter::RateLimit => of::<seawall_rate_limit::config::Settings>(json),
        Filter::ResponseCache => of::<seawall_response_cache::config::Settings>(json),
        Filter::CircuitBreaker => of::<seawall_circuit_breaker::Settings>(json),
        Filter::TraceHeaders => of::<seawall_trace_headers::config::Settings>(json),
    }
}

/// A field that a table is about, and the configuration around it.
struct Place {
    around: Value,
    path: Vec<String>,
}

impl Place {
    /// Fields of a limit are in the first one, and some need others beside them.
    fn of(filter: Filter, row: &Row) -> Place {
        let mut path: Vec<String> = row.field.split('.').map(str::to_owned).collect();
        let mut around = json!({});
        match (filter, path[0].as_str(), row.top) {
            (Filter::RateLimit, "fleet", _) => around = json!({"fleet": {"cluster": "limits"}}),
            (Filter::RateLimit, field, false) => {
                around = json!({"limits": [match field {
                    "concurrent" => json!({"name": "a"}),
                    "lease" => json!({"name": "a", "concurrent": 1}),
                    // So much that nobody could pay it would be refused for that.
                    "cost" => json!({"name": "a", "requests": 1_000_000_000, "per": "1s"}),
                    _ => json!({"name": "a", "key": [{"header": "x"}], "requests": 1000, "per": "1s"}),
                }]});
                path.insert(0, "limits".to_owned());
            }
            (Filter::ResponseCache, "purge", _) => {
                around = json!({"purge": {"secret_header": "x-purge", "secret": "let-me-in"}});
            }
            (Filter::ResponseCache, "max_entry_bytes", _) => {
                around = json!({"max_bytes": "1024GiB"});
            }
            // Without any answer there is nothing to have a status.
            (Filter::CircuitBreaker, "fallback", _) => {
                around = json!({"fallback": {"headers": {"x-a": "b"}}});
            }
            (Filter::TraceHeaders, "spans", _) => around = json!({"spans": {"cluster": "otel"}}),
            // Lists of the trusted want a mode.
            (Filter::TraceHeaders, "trust", _) if row.field != "trust.mode" => {
                around = json!({"trust": {"mode": "mtls"}});
            }
            _ => {}
        }
        Place { around, path }
    }

    /// The configuration with this value in the field, or without the field.
    fn with(&self, value: Option<Value>) -> Value {
        let mut whole = self.around.clone();
        let mut at = &mut whole;
        let (last, parents) = self.path.split_last().expect("a name");
        for name in parents {
            let fields = at.as_object_mut().expect("an object");
            at = fields
                .entry(name)
                .or_insert_with(|| Value::Object(Map::new()));
            if let Value::Array(items) = at {
                at = &mut items[0];
            }
        }
        let fields = at.as_object_mut().expect("an object");
        match value {
            Some(value) => fields.insert(last.clone(), value),
            None => fields.remove(last),
        };
        whole
    }
}

/// Defaults that are said in words or by the name of another field: what they come to.
const IN_WORDS: [(&str, &str); 6] = [
    ("max_entries", "32768"),
    ("max_entry_bytes", "1MiB"),
    ("burst", "1000"),
    ("retry_after.max", "60s"),
    ("probe_timeout", "10s"),
    ("max_open_for", "60s"),
];

/// What shows in the settings that a field has no value, where they call it otherwise.
const WITHOUT: [(&str, &str); 9] = [
    ("default_ttl", " default: None"),
    ("forced_ttl", "forced: None"),
    ("negative_ttl", "by_status: []"),
    ("ttl_by_status", "by_status: []"),
    ("key.tenant", " headers: []"),
    ("purge.secret_header", "purge: None"),
    ("purge.secret", "purge: None"),
    ("fallback.headers", "answers: []"),
    ("fallback.by_type", "answers: []"),
];

/// What else a cell says of a default that is no value.
const NO_VALUE: [&str; 8] = [
    "",
    "required",
    "empty",
    "all",
    "all requests",
    "the cluster's name",
    "the route's cluster",
    "the route's name",
];

/// The value of a default.
fn default_of(row: &Row) -> Option<Value> {
    let in_words = IN_WORDS.iter().find(|(field, _)| *field == row.field);
    in_words.map_or_else(
        || row.default_value(),
        |(_, value)| Some(read(value).expect("YAML")[0].json()),
    )
}

#[test]
fn a_default_is_what_happens_without_the_field() {
    let mut wrong: Vec<String> = Vec::new();
    for filter in Filter::ALL {
        let mut checked = 0;
        for row in rows(filter.readme()) {
            let place = Place::of(filter, &row);
            let about = format!("{}: {}: {}", filter.module(), row.field, row.default);
            let without = made_of(filter, &place.with(None));
            if row.default == "required" {
                assert!(without.is_err(), "{about}");
                continue;
            }
            let Some(default) = default_of(&row) else {
                if row.default.starts_with("none") {
                    let empty = made_of(filter, &json!({})).expect("nothing is wrong");
                    let last = place.path.last().expect("a name");
                    let named = [format!("{last}: None"), format!("{last}: []")];
                    let known = WITHOUT.iter().find(|(field, _)| *field == row.field);
                    let shows = known.map_or_else(
                        || {
                            named
                                .iter()
                                .any(|text| without.as_ref().is_ok_and(|made| made.contains(text)))
                        },
                        |(_, text)| empty.contains(text),
                    );
                    if !shows {
                        wrong.push(format!("{about}: {without:?}"));
                    }
                } else if !NO_VALUE.contains(&row.default.as_str()) {
                    wrong.push(format!("{about}: what value is that?"));
                }
                continue;
            };
            let with = made_of(filter, &place.with(Some(default)));
            if without.is_err() || with != without {
                wrong.push(format!(
                    "{about}\n  without: {without:?}\n  with:    {with:?}"
                ));
            }
            checked += 1;
        }
        assert!(checked >= 15, "{}: {checked}", filter.module());
        println!("{}: {checked} defaults", filter.module());
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// A number with its unit, in the smallest unit of its kind.
fn amount(text: &str) -> Option<f64> {
    let digits = text.find(|c: char| !c.is_ascii_digit() && c != '.');
    let (number, unit) = text.split_at(digits.unwrap_or(text.len()));
    let unit = match unit {
        "" | "ns" => 1.0,
        "ms" => 1e6,
        "s" => 1e9,
        "m" => 60e9,
        "h" => 3600e9,
        "d" => 86400e9,
        "KiB" => 1024.0,
        "MiB" => 1024.0 * 1024.0,
        "GiB" => 1024.0 * 1024.0 * 1024.0,
        _ => return None,
    };
    Some(number.parse::<f64>().ok()? * unit)
}

/// Values of a field from an amount.
fn value(row: &Row, amount: f64) -> Value {
    let whole = format!("{amount:.0}");
    let list = |item: fn(usize) -> Value| {
        let items = 0..whole.parse().expect("a length");
        Value::Array(items.map(item).collect())
    };
    match row.kind.as_str() {
        "number" => json!(amount),
        kind if kind.starts_with("duration") => json!(format!("{whole}ns")),
        "text" => json!("x".repeat(whole.parse().expect("a length"))),
        "list of networks" => list(|n| json!(format!("10.{}.{}.0/24", n / 256, n % 256))),
        "list of names" => list(|n| json!(format!("n{n}"))),
        "list of limits" => list(
            |n| json!({"name": format!("n{n}"), "requests": 1, "per": "1s", "match": {"path": "/"}}),
        ),
        "list of parts" => list(|n| json!({"header": format!("n{n}")})),
        "list" | "list of statuses" => json!([whole.parse::<u64>().expect("a status")]),
        _ => json!(whole.parse::<u64>().expect("a number")),
    }
}

/// The least and the most of a range, and whether the least is out itself.
fn bounds(row: &Row) -> Option<(Option<f64>, Option<f64>, bool)> {
    let range = row.range.replace('`', "").replace(" KiB", "KiB");
    let words: Vec<&str> = range.split([' ', ',', ';', ':']).collect();
    let after = |word: &[&str]| {
        let at = words.windows(word.len()).position(|found| found == word)?;
        amount(words.get(at + word.len())?)
    };
    let least = amount(words[0]).filter(|_| words.get(1) == Some(&"to"));
    let most = after(&["to"]);
    if row.field == "max_open_for" {
        // From the default of another field.
        return Some((amount("5s"), most, false));
    }
    match (least, most) {
        (Some(least), Some(most)) => Some((Some(least), Some(most), false)),
        _ if range.starts_with("above") => Some((after(&["above"]), after(&["at", "most"]), true)),
        _ if range.starts_with("at least") => Some((after(&["at", "least"]), None, false)),
        _ if range.starts_with("at most") => Some((None, after(&["at", "most"]), false)),
        _ if range.starts_with("up to") => Some((None, after(&["up", "to"]), false)),
        _ => None,
    }
}

#[test]
fn a_range_is_what_the_filter_takes() {
    let mut in_words = Vec::new();
    let mut wrong: Vec<String> = Vec::new();
    for filter in Filter::ALL {
        let mut checked = 0;
        let validator = jsonschema::draft202012::new(&schema(filter)).expect("a schema");
        for row in rows(filter.readme()) {
            // The schema bounds whole ranges of numbers, durations are texts to it.
            let numeric =
                ["integer", "number"].contains(&row.kind.as_str()) && row.range.contains(" to ");
            let Some((least, most, out)) = bounds(&row) else {
                if !row.range.is_empty() {
                    in_words.push(row.field);
                }
                continue;
            };
            let place = Place::of(filter, &row);
            // A number of nanoseconds may be larger than what a fraction can count one by one.
            let step = |amount: f64| match row.kind.as_str() {
                "number" => 0.001,
                _ => (amount * 1e-9).max(1.0),
            };
            let mut probe = |amount: f64, right: bool| {
                let json = place.with(Some(value(&row, amount)));
                let made = made_of(filter, &json);
                let says = !numeric || validator.is_valid(&json) == right;
                if made.is_ok() != right || !says {
                    let mut json = json.to_string();
                    json.truncate(150);
                    wrong.push(format!(
                        "{}: {}: {}: {json}: {:?}",
                        filter.module(),
                        row.field,
                        row.range,
                        made.err()
                    ));
                }
                checked += 1;
            };
            if let Some(least) = least {
                probe(least, !out);
                if out {
                    probe(least + 0.001, true);
                } else if least > 0.0 {
                    probe(least - step(least), false);
                }
            }
            if let Some(most) = most {
                probe(most, true);
                probe(most + step(most), false);
            }
        }
        println!("{}: {checked} probes", filter.module());
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    // Ranges that are no interval.
    let known = [
        "clear",
        "latency.upstreams",
        "answer.headers",
        "penalty",
        "ttl_by_status",
        "purge.method",
        "failures.kinds",
        "fallback.headers",
    ];
    assert_eq!(in_words, known);
}

/// The words of enumerations at a path of a schema.
fn words(schema: &Value, path: &[&str], found: &mut Vec<String>) {
    for alternative in schema["anyOf"].as_array().into_iter().flatten() {
        words(alternative, path, found);
    }
    if !schema["items"].is_null() {
        words(&schema["items"], path, found);
    }
    match path.split_first() {
        Some((name, rest)) => words(&schema["properties"][*name], rest, found),
        None => {
            let all = schema["enum"].as_array().into_iter().flatten();
            found.extend(all.filter_map(Value::as_str).map(str::to_owned));
        }
    }
}

#[test]
fn the_words_of_a_table_are_those_of_the_types() {
    let mut checked = 0;
    for filter in Filter::ALL {
        let schema = schema(filter);
        for row in rows(filter.readme()) {
            let place = Place::of(filter, &row);
            let path: Vec<&str> = place.path.iter().map(String::as_str).collect();
            let mut found = Vec::new();
            words(&schema, &path, &mut found);
            let cell = if row.field == "failures.kinds" {
                &row.range
            } else {
                &row.kind
            };
            let code = cell.split('`').skip(1).step_by(2);
            let mut named: Vec<String> =
                code.map(|word| word.trim_matches('"').to_owned()).collect();
            // A table may leave the words to the text below it.
            if named.is_empty() || found.is_empty() {
                continue;
            }
            found.sort();
            named.sort();
            assert_eq!(named, found, "{}: {}", filter.module(), row.field);
            checked += 1;
        }
    }
    assert!(checked >= 10, "{checked}");
}

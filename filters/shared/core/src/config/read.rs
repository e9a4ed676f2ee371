//! Reading JSON into a raw configuration type, with all errors at once.

use super::node::{Node, Step};
use super::protobuf::decode_struct;
use super::ConfigErrors;
use serde::de::DeserializeOwned;
use serde_json::{Number, Value};

/// More errors than this are not worth reading at once.
const MOST_ERRORS: usize = 32;

/// Whole numbers beyond this are not exact in a double.
const EXACT: f64 = 9_007_199_254_740_992.0;

/// Parses a plugin configuration: JSON, or a serialised `google.protobuf.Struct`. No bytes at all are an empty
/// configuration.
///
/// # Errors
/// Bytes that are neither, or not an object.
pub fn parse(bytes: &[u8]) -> Result<Value, ConfigErrors> {
    if bytes.iter().all(u8::is_ascii_whitespace) {
        return Ok(Value::Object(serde_json::Map::new()));
    }
    let value = match serde_json::from_slice::<Value>(bytes) {
        Ok(value) => value,
        // Every entry of a Struct starts with this byte. JSON comes first: a Struct, with its length bytes, is never JSON,
        // while text that starts with a line feed could by chance be read as a Struct.
        Err(error) => decode_struct(bytes)
            .ok()
            .filter(|_| bytes.first() == Some(&0x0a))
            .ok_or_else(|| {
                ConfigErrors::one("", format!("the configuration is not JSON: {error}"))
            })?,
    };
    if !value.is_object() {
        let problem = "the configuration must be an object";
        return Err(ConfigErrors::one(
            "",
            format!("{problem}, found {}", kind(&value)),
        ));
    }
    Ok(whole_numbers(value))
}

fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a text",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    }
}

/// Turns doubles without a fraction into integers: a `google.protobuf.Struct` knows only doubles.
pub(crate) fn whole_numbers(mut value: Value) -> Value {
    make_whole(&mut value);
    value
}

fn make_whole(value: &mut Value) {
    match value {
        Value::Number(number) if !number.is_u64() && !number.is_i64() => {
            if let Some(float) = number.as_f64().filter(|float| is_whole(*float)) {
                *number = Number::from(float as i64);
            }
        }
        Value::Array(items) => items.iter_mut().for_each(make_whole),
        Value::Object(fields) => fields.values_mut().for_each(make_whole),
        _ => {}
    }
}

fn is_whole(float: f64) -> bool {
    float.fract() == 0.0 && float.abs() <= EXACT
}

/// Reads a raw configuration. What cannot be read is left out of the value returned and named in the errors.
pub fn read<T: DeserializeOwned>(json: &Value) -> (Option<T>, ConfigErrors) {
    let mut rest = json.clone();
    let mut errors = ConfigErrors::default();
    let mut removed = Vec::new();
    for _ in 0..MOST_ERRORS {
        let error = match T::deserialize(Node(&rest)) {
            Ok(value) => return (Some(value), errors),
            Err(error) => error,
        };
        let steps = error.steps();
        errors.add(original_path(&steps, &removed), error.message());
        if !remove(&mut rest, &steps, &mut removed) {
            break;
        }
    }
    (None, errors)
}

/// Items removed so far, by the text of their list's path: what is read next has moved up by as many.
type Removed = Vec<(String, usize)>;

fn original_path(steps: &[Step], removed: &Removed) -> String {
    let mut path = String::new();
    for step in steps {
        match step {
            Step::Field(name) => {
                if !path.is_empty() {
                    path.push('.');
                }
                path.push_str(name);
            }
            Step::Item(index) => {
                let known = removed.iter().find(|(list, _)| *list == path);
                let before = known.map_or(0, |(_, count)| *count);
                path.push_str(&format!("[{}]", index.saturating_add(before)));
            }
        }
    }
    path
}

/// The value at the end of `steps`.
fn find<'v>(value: &'v mut Value, steps: &[Step]) -> Option<&'v mut Value> {
    steps
        .iter()
        .try_fold(value, |holder, step| match (step, holder) {
            (Step::Field(name), Value::Object(fields)) => fields.get_mut(name),
            (Step::Item(index), Value::Array(items)) => items.get_mut(*index),
            _ => None,
        })
}

/// Takes the value at the end of `steps` out. False when it is not there.
fn remove(value: &mut Value, steps: &[Step], removed: &mut Removed) -> bool {
    let Some((last, parents)) = steps.split_last() else {
        return false;
    };
    let Some(holder) = find(value, parents) else {
        return false;
    };
    match (last, holder) {
        (Step::Field(name), Value::Object(fields)) => {
            // Built anew, for taking one out of a tree is more code than all of this.
            let before = fields.len();
            for (field, value) in std::mem::take(fields) {
                if field != *name {
                    fields.insert(field, value);
                }
            }
            fields.len() < before
        }
        (Step::Item(index), Value::Array(items)) if *index < items.len() => {
            items.remove(*index);
            let list = original_path(parents, removed);
            match removed.iter_mut().find(|(known, _)| *known == list) {
                Some((_, count)) => *count = count.saturating_add(1),
                None => removed.push((list, 1)),
            }
            true
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time::Span;
    use serde::Deserialize;
    use serde_json::json;

    #[derive(Debug, Default, Deserialize, PartialEq)]
    #[serde(deny_unknown_fields, default)]
    struct Raw {
        limits: Vec<Limit>,
        per: Option<Span>,
        mode: Option<Mode>,
        share: Option<f64>,
    }

    #[derive(Debug, Default, Deserialize, PartialEq)]
    #[serde(deny_unknown_fields, default)]
    struct Limit {
        requests: Option<u32>,
    }

    #[derive(Debug, Deserialize, PartialEq)]
    #[serde(rename_all = "snake_case")]
    enum Mode {
        Enforce,
        Shadow,
    }

    fn errors(json: Value) -> Vec<String> {
        read::<Raw>(&json)
            .1
            .iter()
            .map(ToString::to_string)
            .collect()
    }

    #[test]
    fn names_every_wrong_field_at_once() {
        let found = errors(json!({
            "limits": [{"requests": "x"}, 7, {"requests": 1, "bust": 2}, {"requests": -1}],
            "per": "soon",
            "mode": "loud",
            "colour": 1,
        }));
        let expected = [
            "colour: unknown field `colour`, expected one of `limits`, `per`, `mode`, `share`",
            "limits[0].requests: invalid type: string \"x\", expected a whole number from 0 on",
            "limits[1]: invalid type: integer `7`, expected an object of settings",
            "limits[2].bust: unknown field `bust`, expected `requests`",
            "limits[3].requests: invalid value: integer `-1`, expected a whole number from 0 on",
            "mode: unknown variant `loud`, expected `enforce` or `shadow`",
            "per: invalid value: string \"soon\", expected a duration such as \"500ms\", \"10s\", \"1m\", \"2h\" or \"1d\"",
        ];
        assert_eq!(found, expected);
    }

    #[test]
    fn an_error_is_at_the_first_value_that_causes_it() {
        let found = errors(json!({
            // Refused in the same words: one line for each, in order.
            "limits": [{"requests": "x"}, {"requests": "x"}, {}],
            "per": {"from": "soon", "to": []},
        }));
        let expected = [
            "limits[0].requests: invalid type: string \"x\", expected a whole number from 0 on",
            "limits[1].requests: invalid type: string \"x\", expected a whole number from 0 on",
            "per: invalid type: an object, expected a duration such as \"500ms\", \"10s\", \"1m\", \"2h\" or \"1d\"",
        ];
        assert_eq!(found, expected);
        let found = errors(json!({"limits": {"requests": 5}}));
        assert_eq!(found, ["limits: invalid type: an object, expected a list"]);
        // Every place is that in what was written, however much before it was left out.
        let found = errors(json!({"limits": [7, {}, true, {"requests": "x"}, null, 8]}));
        let places: Vec<_> = found
            .iter()
            .filter_map(|line| line.split(':').next())
            .collect();
        assert_eq!(
            places,
            [
                "limits[0]",
                "limits[2]",
                "limits[3].requests",
                "limits[4]",
                "limits[5]"
            ]
        );
        // A word is a word, and not the name of something.
        assert_eq!(
            errors(json!({"mode": {"shadow": 1}}))[0],
            "mode.shadow: invalid type: integer `1`, expected the word alone"
        );
        assert_eq!(
            errors(json!({"mode": {"shadow": {}, "for": []}})),
            ["mode: invalid type: an object, expected one of `enforce`, `shadow`"]
        );
        assert_eq!(
            errors(json!({"limit": [], "mode": "Shadow"})),
            [
                "limit: unknown field `limit` (did you mean `limits`?), expected one of `limits`, `per`, `mode`, `share`",
                "mode: unknown variant `Shadow` (did you mean `shadow`?), expected `enforce` or `shadow`",
            ]
        );
        for mode in [
            json!({"shadow": 1}),
            json!({"shadow": {}}),
            json!(["shadow"]),
        ] {
            assert!(!errors(json!({"mode": mode})).is_empty(), "{mode}");
        }
    }

    #[test]
    fn a_null_is_not_taken_for_a_setting_that_is_not_there() {
        for (field, kind) in [
            ("limits", "a list"),
            ("mode", "one of `enforce`, `shadow`"),
            ("share", "a number"),
        ] {
            let found = errors(json!({field: null}));
            let expected = format!("{field}: invalid type: null, expected {kind}");
            assert_eq!(found, [expected]);
        }
        let nested = errors(json!({"limits": [{"requests": null}, null]}));
        assert_eq!(nested.len(), 2, "{nested:?}");
        assert!(nested[0].starts_with("limits[0].requests: invalid type: null, "));
    }

    #[test]
    fn a_good_configuration_has_no_errors() {
        let (raw, errors) = read::<Raw>(&json!({"limits": [{"requests": 5}], "mode": "shadow"}));
        assert!(errors.is_empty());
        assert_eq!(raw.unwrap().limits[0].requests, Some(5));
    }

    #[test]
    fn doubles_without_a_fraction_are_integers() {
        let value = parse(br#"{"limits": [{"requests": 5.0}]}"#).unwrap();
        assert!(read::<Raw>(&value).1.is_empty());
        let found = errors(parse(br#"{"limits": [{"requests": 5.5}]}"#).unwrap());
        assert_eq!(
            found,
            ["limits[0].requests: invalid type: number `5.5`, expected a whole number from 0 on"]
        );
    }

    #[test]
    fn a_fraction_is_a_text_in_yaml() {
        for (text, number) in [("0.25", 0.25), ("-1.5", -1.5), ("1e3", 1000.0), ("7", 7.0)] {
            let (raw, errors) = read::<Raw>(&json!({"share": text}));
            assert!(errors.is_empty(), "{text}: {errors}");
            assert_eq!(raw.unwrap().share, Some(number), "{text}");
        }
        for text in ["", "x", "0.5 ", "0.5s", "nan", "[1]", "0.5\", expected f64"] {
            let found = errors(json!({"share": text}));
            assert_eq!(found.len(), 1, "{text}: {found:?}");
            assert!(
                found[0].starts_with("share: invalid type"),
                "{text}: {found:?}"
            );
        }
    }

    #[test]
    fn what_is_not_an_object_is_refused() {
        assert!(parse(b"[]").is_err());
        assert!(parse(b"{").is_err());
        assert_eq!(parse(b" \n").unwrap(), json!({}));
    }
}

//! Reading JSON into a raw configuration type, with all errors at once.

use super::protobuf::decode_struct;
use super::ConfigErrors;
use serde::de::DeserializeOwned;
use serde_json::{Number, Value};
use serde_path_to_error::Segment;
use std::collections::BTreeMap;

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
        return Err(ConfigErrors::one(
            "",
            format!("the configuration must be an object, found {value}"),
        ));
    }
    Ok(whole_numbers(value))
}

/// Turns doubles without a fraction into integers: a `google.protobuf.Struct` knows only doubles.
pub(crate) fn whole_numbers(value: Value) -> Value {
    match value {
        Value::Number(number) => match number.as_f64() {
            Some(float) if !number.is_u64() && !number.is_i64() && is_whole(float) => {
                Value::Number(Number::from(float as i64))
            }
            _ => Value::Number(number),
        },
        Value::Array(items) => Value::Array(items.into_iter().map(whole_numbers).collect()),
        Value::Object(fields) => Value::Object(
            fields
                .into_iter()
                .map(|(name, value)| (name, whole_numbers(value)))
                .collect(),
        ),
        other => other,
    }
}

fn is_whole(float: f64) -> bool {
    float.fract() == 0.0 && float.abs() <= EXACT
}

/// Reads a raw configuration. What cannot be read is left out of the value returned and named in the errors.
pub fn read<T: DeserializeOwned>(json: &Value) -> (Option<T>, ConfigErrors) {
    let mut rest = json.clone();
    let mut errors = ConfigErrors::default();
    let mut removed = BTreeMap::new();
    for _ in 0..MOST_ERRORS {
        let error = match serde_path_to_error::deserialize::<_, T>(&rest) {
            Ok(value) => return (Some(value), errors),
            Err(error) => error,
        };
        let message = error.inner().to_string();
        let mut steps: Vec<Step> = error.path().iter().filter_map(Step::from_segment).collect();
        // The path of an unknown field may end at the object that holds it.
        if let Some(name) = unknown_field(&message) {
            if steps.last() != Some(&Step::Field(name.to_owned())) {
                steps.push(Step::Field(name.to_owned()));
            }
        }
        errors.add(original_path(&steps, &removed), message);
        if !remove(&mut rest, &steps, &mut removed) {
            break;
        }
    }
    (None, errors)
}

#[derive(Debug, Clone, PartialEq)]
enum Step {
    Field(String),
    Item(usize),
}

impl Step {
    fn from_segment(segment: &Segment) -> Option<Step> {
        match segment {
            Segment::Seq { index } => Some(Step::Item(*index)),
            Segment::Map { key } => Some(Step::Field(key.clone())),
            Segment::Enum { .. } | Segment::Unknown => None,
        }
    }
}

fn unknown_field(message: &str) -> Option<&str> {
    message.strip_prefix("unknown field `")?.split('`').next()
}

/// Items removed so far, by the text of their list's path: what is read next has moved up by as many.
type Removed = BTreeMap<String, usize>;

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
                let before = removed.get(&path).copied().unwrap_or_default();
                path.push_str(&format!("[{}]", index.saturating_add(before)));
            }
        }
    }
    path
}

/// Takes the value at the end of `steps` out. False when it is not there.
fn remove(value: &mut Value, steps: &[Step], removed: &mut Removed) -> bool {
    let Some((last, parents)) = steps.split_last() else {
        return false;
    };
    let mut holder = value;
    for step in parents {
        let next = match (step, holder) {
            (Step::Field(name), Value::Object(fields)) => fields.get_mut(name),
            (Step::Item(index), Value::Array(items)) => items.get_mut(*index),
            _ => None,
        };
        match next {
            Some(next) => holder = next,
            None => return false,
        }
    }
    match (last, holder) {
        (Step::Field(name), Value::Object(fields)) => fields.remove(name).is_some(),
        (Step::Item(index), Value::Array(items)) if *index < items.len() => {
            items.remove(*index);
            let count = removed.entry(original_path(parents, removed)).or_default();
            *count = count.saturating_add(1);
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
            "colour: unknown field `colour`, expected one of `limits`, `per`, `mode`",
            "limits[0].requests: invalid type: string \"x\", expected u32",
            "limits[1]: invalid type: integer `7`, expected struct Limit",
            "limits[2].bust: unknown field `bust`, expected `requests`",
            "limits[3].requests: invalid value: integer `-1`, expected u32",
            "mode: unknown variant `loud`, expected `enforce` or `shadow`",
            "per: invalid value: string \"soon\", expected a duration such as \"500ms\", \"10s\", \"1m\", \"2h\" or \"1d\"",
        ];
        assert_eq!(found, expected);
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
            ["limits[0].requests: invalid type: floating point `5.5`, expected u32"]
        );
    }

    #[test]
    fn what_is_not_an_object_is_refused() {
        assert!(parse(b"[]").is_err());
        assert!(parse(b"{").is_err());
        assert_eq!(parse(b" \n").unwrap(), json!({}));
    }
}

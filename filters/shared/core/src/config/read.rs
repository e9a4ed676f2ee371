//! Reading JSON into a raw configuration type, with all errors at once.

use super::protobuf::decode_struct;
use super::ConfigErrors;
use serde::de::DeserializeOwned;
use serde_json::{Map, Number, Value};

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

/// What is wrong with a document; `None` when nothing is.
type Attempt<'a> = &'a dyn Fn(&Value) -> Option<String>;

/// Reads a raw configuration. What cannot be read is left out of the value returned and named in the errors.
pub fn read<T: DeserializeOwned>(json: &Value) -> (Option<T>, ConfigErrors) {
    let (rest, errors) = sort_out(json, &|json| attempt::<T>(json).err());
    (attempt(&rest).ok(), errors)
}

// Once per type and never inlined: what serde derives for a configuration is large.
#[inline(never)]
fn attempt<T: DeserializeOwned>(json: &Value) -> Result<T, String> {
    T::deserialize(json).map_err(|error| error.to_string())
}

/// Takes out of a document what is wrong with it.
fn sort_out(json: &Value, attempt: Attempt<'_>) -> (Value, ConfigErrors) {
    let mut rest = json.clone();
    let mut errors = ConfigErrors::default();
    let mut removed = Vec::new();
    for _ in 0..MOST_ERRORS {
        let Some(message) = attempt(&rest) else {
            break;
        };
        let steps = culprit(&rest, &message, attempt);
        errors.add(original_path(&steps, &removed), message);
        if !remove(&mut rest, &steps, &mut removed) {
            break;
        }
    }
    (rest, errors)
}

#[derive(Debug, Clone, PartialEq)]
enum Step {
    Field(String),
    Item(usize),
}

/// The way to the value that an error is about. Serde does not tell it, and a deserializer that keeps track would be
/// compiled once more for every type; so the document is searched for the smallest part that, alone, is refused with the
/// same words. Serde reads fields and items in order, so the first such part is the one.
fn culprit(json: &Value, message: &str, attempt: Attempt<'_>) -> Vec<Step> {
    let refused =
        |steps: &[Step], value: Value| attempt(&alone(steps, value)).as_deref() == Some(message);
    let mut steps = Vec::new();
    let mut holder = json;
    loop {
        let (empty, children): (Value, Vec<(Step, &Value)>) = match holder {
            Value::Object(fields) => (
                Value::Object(Map::new()),
                fields
                    .iter()
                    .map(|(name, value)| (Step::Field(name.clone()), value))
                    .collect(),
            ),
            Value::Array(items) => (
                Value::Array(Vec::new()),
                items
                    .iter()
                    .enumerate()
                    .map(|(index, value)| (Step::Item(index), value))
                    .collect(),
            ),
            _ => return steps,
        };
        // Refused even without children: it is this value itself.
        if refused(&steps, empty) {
            return steps;
        }
        let found = children.into_iter().find(|(step, value)| {
            steps.push(step.clone());
            let found = refused(&steps, (*value).clone());
            steps.pop();
            found
        });
        match found {
            Some((step, value)) => {
                steps.push(step);
                holder = value;
            }
            None => return steps,
        }
    }
}

/// A document with nothing in it but a value at the end of `steps`.
fn alone(steps: &[Step], value: Value) -> Value {
    steps.iter().rev().fold(value, |value, step| match step {
        Step::Field(name) => {
            let mut fields = Map::new();
            fields.insert(name.clone(), value);
            Value::Object(fields)
        }
        Step::Item(_) => Value::Array(vec![value]),
    })
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
    fn an_error_is_at_the_first_value_that_causes_it() {
        let found = errors(json!({
            // Refused in the same words: one line for each, in order.
            "limits": [{"requests": "x"}, {"requests": "x"}, {}],
            "per": {"from": "soon", "to": []},
        }));
        let expected = [
            "limits[0].requests: invalid type: string \"x\", expected u32",
            "limits[1].requests: invalid type: string \"x\", expected u32",
            "per: invalid type: map, expected a duration such as \"500ms\", \"10s\", \"1m\", \"2h\" or \"1d\"",
        ];
        assert_eq!(found, expected);
        let found = errors(json!({"limits": {"requests": 5}}));
        assert_eq!(found, ["limits: invalid type: map, expected a sequence"]);
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

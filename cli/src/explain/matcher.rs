//! Conditions of Envoy's route table. `None` is a condition that is not modelled.

use super::request::Request;
use crate::document::{Field, Node};
use regex::bytes::RegexBuilder;
use serde_json::Value;

/// Whether a text fulfils a `StringMatcher`.
pub(super) fn text(matcher: &Node, text: &str) -> Option<bool> {
    let fold = matcher.get("ignore_case").map(|node| node.json()) == Some(Value::Bool(true));
    let lower = |text: &str| {
        if fold {
            text.to_lowercase()
        } else {
            text.to_owned()
        }
    };
    let text = lower(text);
    let field = matcher
        .fields()
        .iter()
        .find(|field| !field.is("ignore_case"))?;
    let wanted = || field.value.text().map(lower);
    match field.snake().as_str() {
        "exact" => Some(text == wanted()?),
        "prefix" => Some(text.starts_with(&wanted()?)),
        "suffix" => Some(text.ends_with(&wanted()?)),
        "contains" => Some(text.contains(&wanted()?)),
        "safe_regex" => whole(field.value.text_of("regex"), &text),
        _ => None,
    }
}

/// Whether all of a text matches; `None` for an expression that cannot be read. Classes and case are those of ASCII, as in RE2.
pub(super) fn whole(expression: &str, text: &str) -> Option<bool> {
    let expression = RegexBuilder::new(&format!("^(?:{expression})$"))
        .unicode(false)
        .build();
    Some(expression.ok()?.is_match(text.as_bytes()))
}

/// Whether a request fulfils a `HeaderMatcher`: of a repeated field, one value has to (Envoy before 1.39 looks at all of them joined).
pub(super) fn header(matcher: &Node, request: &Request) -> Option<bool> {
    let mut values = request.values(&matcher.text_of("name").to_lowercase());
    let truth = |name: &str| matcher.get(name).map(|node| node.json()) == Some(Value::Bool(true));
    if values.is_empty() && truth("treat_missing_header_as_empty") {
        values.push(String::new());
    }
    let known = ["name", "invert_match", "treat_missing_header_as_empty"];
    let condition = matcher
        .fields()
        .iter()
        .find(|field| !known.iter().any(|name| field.is(name)));
    let is_there = !values.is_empty();
    let Some(condition) = condition else {
        return Some(is_there != truth("invert_match"));
    };
    if condition.is("present_match") {
        let wanted = condition.value.json() == Value::Bool(true);
        return Some((is_there == wanted) != truth("invert_match"));
    }
    if !is_there {
        // A missing field fulfils nothing, inverted or not.
        return Some(false);
    }
    let mut found = false;
    for value in &values {
        found |= one(condition, value)?;
    }
    Some(found != truth("invert_match"))
}

/// Whether a value fulfils the condition of a `HeaderMatcher`.
fn one(condition: &Field, value: &str) -> Option<bool> {
    let wanted = condition.value.text().unwrap_or_default();
    Some(match condition.snake().as_str() {
        "string_match" => text(&condition.value, value)?,
        "exact_match" => value == wanted,
        "prefix_match" => value.starts_with(wanted),
        "suffix_match" => value.ends_with(wanted),
        "contains_match" => value.contains(wanted),
        "safe_regex_match" => whole(condition.value.text_of("regex"), value)?,
        "range_match" => {
            let bound = |name: &str| {
                condition
                    .value
                    .get(name)
                    .and_then(|node| node.json().as_i64())
                    .unwrap_or(0)
            };
            let number: Option<i64> = value.parse().ok();
            number.is_some_and(|number| (bound("start")..bound("end")).contains(&number))
        }
        _ => return None,
    })
}

/// Whether a request fulfils a `QueryParameterMatcher`.
pub(super) fn parameter(matcher: &Node, request: &Request) -> Option<bool> {
    let name = matcher.text_of("name");
    let value = request
        .query()
        .find(|(known, _)| *known == name)
        .map(|(_, value)| value);
    match matcher.get("string_match") {
        Some(string) => value.map_or(Some(false), |value| text(string, value)),
        None => {
            let wanted = matcher.get("present_match").map(|node| node.json());
            Some(value.is_some() != (wanted == Some(Value::Bool(false))))
        }
    }
}

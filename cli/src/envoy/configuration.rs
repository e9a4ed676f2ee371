//! The messages that may hold a plugin configuration.

use super::base64::decode;
use super::plugin::message;
use super::{Block, Found, Misplaced};
use crate::document::{read, Content, Field, Position};
use crate::filters::Filter;
use seawall_core::config::parse;
use std::rc::Rc;

const STRUCT: &str = "google.protobuf.Struct";
const TEXT: &str = "google.protobuf.StringValue";
const BYTES: &str = "google.protobuf.BytesValue";
const EMPTY: &str = "google.protobuf.Empty";

/// The settings in the `configuration` of a plugin.
pub(super) fn configuration(filter: Filter, config: &Field, found: &mut Found) -> Block {
    let mut block = Block::empty(filter, config.at);
    let Some(field) = config.value.field("configuration") else {
        return block;
    };
    block.at = field.at;
    let value = field.value.field("value");
    match message(field.value.text_of("@type")) {
        STRUCT => block.settings = value.map(|value| Rc::clone(&value.value)),
        TEXT => {
            if let Some(value) = value {
                text(&mut block, value, found);
            }
        }
        BYTES => {
            if let Some(value) = value {
                bytes(&mut block, value, found);
            }
        }
        EMPTY => {}
        other => found.problems.push(Misplaced {
            at: field.at,
            problem: format!(
                "the configuration must be a {STRUCT}, a {TEXT} or a {BYTES}, found {other:?}"
            ),
            error: true,
        }),
    }
    block
}

/// JSON in a text.
fn text(block: &mut Block, value: &Field, found: &mut Found) {
    match &value.value.content {
        Content::Text { text, literal } => json(block, text, *literal, value.value.at, found),
        _ => wrong(
            value,
            format!("the value of a {TEXT} must be a text"),
            found,
        ),
    }
}

/// JSON in bytes, or what a `Struct` is as bytes.
fn bytes(block: &mut Block, value: &Field, found: &mut Found) {
    let Some(bytes) = value.value.text().and_then(decode) else {
        let problem = format!("the value of a {BYTES} must be base64");
        return wrong(value, problem, found);
    };
    let at = value.value.at;
    let is_json = serde_json::from_slice::<serde_json::Value>(&bytes).is_ok();
    match parse(&bytes) {
        Ok(settings) if !is_json => json(block, &settings.to_string(), false, at, found),
        _ => json(block, &String::from_utf8_lossy(&bytes), false, at, found),
    }
}

fn wrong(value: &Field, problem: String, found: &mut Found) {
    found.problems.push(Misplaced {
        at: value.value.at,
        problem,
        error: true,
    });
}

/// JSON that begins here; `literal` as it stands in the file, so that each part of it has a place of its own.
fn json(block: &mut Block, text: &str, literal: bool, at: Position, found: &mut Found) {
    block.at = at;
    // Nothing but white space is no configuration.
    if text.trim().is_empty() {
        return;
    }
    // The filter reads JSON; all JSON is YAML, which knows the places.
    let refused = serde_json::from_str::<serde_json::Value>(text).err();
    let place = |line: usize, column: usize| {
        if literal {
            Position {
                line: at.line + line - 1,
                column: at.column + column - 1,
            }
        } else {
            at
        }
    };
    if let Some(error) = refused {
        found.problems.push(Misplaced {
            at: place(error.line(), error.column().max(1)),
            problem: format!(
                "{}: the configuration is not JSON: {error}",
                block.filter.namespace()
            ),
            error: true,
        });
        return;
    }
    let document = read(text)
        .ok()
        .and_then(|documents| documents.into_iter().next());
    block.settings = document.map(|document| {
        // In one line, all of it is where it begins.
        Rc::new(if literal {
            document.moved_into(at)
        } else {
            document.moved_to(at)
        })
    });
}

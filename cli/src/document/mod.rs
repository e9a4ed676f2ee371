//! YAML and JSON with the position of everything, read as Envoy reads it.

mod moved;
mod path;
mod protobuf;
mod read;
mod scalar;

pub use read::{read, NotYaml};

use serde_json::{Map, Number, Value};
use std::rc::Rc;

/// A place in a file, counted from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Position {
    /// The line.
    pub line: usize,
    /// The column.
    pub column: usize,
}

/// A value and where it stands.
#[derive(Debug, Clone)]
pub struct Node {
    /// Where it begins.
    pub at: Position,
    /// What it is.
    pub content: Content,
}

/// The kinds of values. An aliased value is shared, at its first place.
#[derive(Debug, Clone)]
pub enum Content {
    /// `null`, `~` or nothing.
    Null,
    /// A boolean.
    Bool(bool),
    /// A number.
    Number(Number),
    /// A text.
    Text {
        /// It, without quotes.
        text: String,
        /// It stands as it is, from the line after its beginning on.
        literal: bool,
    },
    /// A list.
    List(Vec<Rc<Node>>),
    /// Fields in order.
    Map(Vec<Field>),
}

/// A field of a map.
#[derive(Debug, Clone)]
pub struct Field {
    /// Its name.
    pub name: String,
    /// Where the name begins.
    pub at: Position,
    /// Its value.
    pub value: Rc<Node>,
}

impl Node {
    /// The fields of a map; none of anything else.
    pub fn fields(&self) -> &[Field] {
        match &self.content {
            Content::Map(fields) => fields,
            _ => &[],
        }
    }

    /// The items of a list; none of anything else.
    pub fn items(&self) -> &[Rc<Node>] {
        match &self.content {
            Content::List(items) => items,
            _ => &[],
        }
    }

    /// A field of a message, the last one of this name as in Envoy, or of its name in camelCase.
    pub fn field(&self, name: &str) -> Option<&Field> {
        self.fields().iter().rfind(|field| field.is(name))
    }

    /// A field of a map or of a `Struct`, whose names are just what is written.
    pub fn literal(&self, name: &str) -> Option<&Field> {
        self.fields().iter().rfind(|field| field.name == name)
    }

    /// The value of a field.
    pub fn get(&self, name: &str) -> Option<&Rc<Node>> {
        self.field(name).map(|field| &field.value)
    }

    /// The value at the end of these fields.
    pub fn find(&self, names: &[&str]) -> Option<&Node> {
        names
            .iter()
            .try_fold(self, |node, name| node.get(name).map(Rc::as_ref))
    }

    /// A text.
    pub fn text(&self) -> Option<&str> {
        match &self.content {
            Content::Text { text, .. } => Some(text),
            _ => None,
        }
    }

    /// The text of a field; empty when there is none.
    pub fn text_of(&self, name: &str) -> &str {
        self.get(name)
            .and_then(|node| node.text())
            .unwrap_or_default()
    }

    /// The same without positions.
    pub fn json(&self) -> Value {
        match &self.content {
            Content::Null => Value::Null,
            Content::Bool(truth) => Value::Bool(*truth),
            Content::Number(number) => Value::Number(number.clone()),
            Content::Text { text, .. } => Value::String(text.clone()),
            Content::List(items) => Value::Array(items.iter().map(|item| item.json()).collect()),
            Content::Map(fields) => Value::Object(Map::from_iter(
                fields
                    .iter()
                    .map(|field| (field.name.clone(), field.value.json())),
            )),
        }
    }
}

//! From text to nodes.

use super::{scalar, Content, Field, Node, Position};
use saphyr_parser::{Event, Parser, ScalarStyle, Span};
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;
use std::rc::Rc;

/// A text that is not YAML, and so not JSON either.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NotYaml {
    /// Where it ceases to be.
    pub at: Position,
    /// Why.
    pub problem: String,
}

impl fmt::Display for NotYaml {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.problem)
    }
}

impl std::error::Error for NotYaml {}

/// The most values of a file, each counted as often as aliases repeat it: aliases of aliases make of a few lines more than any machine holds.
const MOST_VALUES: usize = 10_000_000;

/// A list or a map that is not complete.
struct Open {
    at: Position,
    anchor: usize,
    values: usize,
    holds: Holds,
}

enum Holds {
    List(Vec<Rc<Node>>),
    Map(Vec<Field>, Option<(String, Position)>),
}

#[derive(Default)]
struct Builder {
    open: Vec<Open>,
    /// What they stand for, and how many values that is.
    anchors: BTreeMap<usize, (Rc<Node>, usize)>,
    documents: Vec<Rc<Node>>,
    /// The text is JSON as well.
    json: bool,
}

/// The documents of a text.
///
/// # Errors
/// What is not YAML, an alias of something that is not complete, and aliases that make too much of it.
pub fn read(text: &str) -> Result<Vec<Rc<Node>>, NotYaml> {
    let mut builder = Builder {
        json: serde_json::from_str::<serde::de::IgnoredAny>(text).is_ok(),
        ..Builder::default()
    };
    let text = if builder.json {
        without_pairs(text)
    } else {
        Cow::Borrowed(text)
    };
    for event in Parser::new_from_str(&text) {
        let (event, span) = event.map_err(|error| NotYaml {
            at: position(error.marker().line(), error.marker().col()),
            problem: format!("not YAML: {}", error.info()),
        })?;
        builder.take(event, span)?;
    }
    Ok(builder.documents)
}

/// JSON in which a character beyond the first 65,536 is escaped as YAML does it: JSON has a pair of escapes for it, which YAML
/// does not know. What is behind it in the line is two columns nearer then.
fn without_pairs(json: &str) -> Cow<'_, str> {
    let mut out = String::new();
    let mut copied = 0;
    let mut at = 0;
    while let Some(found) = json[at..].find('\\') {
        let escape = at + found;
        // An escape is of two bytes, and of six where it begins so; a backslash may itself be escaped.
        at = escape + 2;
        let unit = |from: usize| {
            let digits = json.get(from..from + 6)?.strip_prefix("\\u")?;
            u16::from_str_radix(digits, 16).ok()
        };
        let (Some(high), Some(low)) = (unit(escape), unit(escape + 6)) else {
            continue;
        };
        if let Some(Ok(character)) = char::decode_utf16([high, low])
            .next()
            .filter(|_| (0xd800..0xdc00).contains(&high))
        {
            out += &json[copied..escape];
            out += &format!("\\U{:08x}", u32::from(character));
            at = escape + 12;
            copied = at;
        }
    }
    if copied == 0 {
        return Cow::Borrowed(json);
    }
    out += &json[copied..];
    Cow::Owned(out)
}

fn position(line: usize, column: usize) -> Position {
    Position {
        line,
        column: column + 1,
    }
}

impl Builder {
    fn take(&mut self, event: Event<'_>, span: Span) -> Result<(), NotYaml> {
        let at = position(span.start.line(), span.start.col());
        match event {
            Event::Scalar(text, style, anchor, _) => {
                // A name is always a text; a value only where it is quoted. Envoy does not look at tags.
                let plain = style == ScalarStyle::Plain;
                let content = if plain && !self.is_name() {
                    scalar::plain(&text, self.json)
                } else {
                    Content::Text {
                        text: text.into_owned(),
                        literal: style == ScalarStyle::Literal,
                    }
                };
                self.add(Rc::new(Node { at, content }), anchor, 1);
            }
            Event::Alias(anchor) => {
                let Some((node, values)) = self.anchors.get(&anchor).cloned() else {
                    return Err(NotYaml {
                        at,
                        problem: "an alias of something that contains it".to_owned(),
                    });
                };
                self.add(node, 0, values);
            }
            Event::SequenceStart(anchor, _) => self.open.push(Open {
                at,
                anchor,
                values: 1,
                holds: Holds::List(Vec::new()),
            }),
            Event::MappingStart(anchor, _) => self.open.push(Open {
                at,
                anchor,
                values: 1,
                holds: Holds::Map(Vec::new(), None),
            }),
            Event::SequenceEnd | Event::MappingEnd => {
                if let Some(open) = self.open.pop() {
                    let content = match open.holds {
                        Holds::List(items) => Content::List(items),
                        Holds::Map(fields, _) => Content::Map(fields),
                    };
                    let node = Node {
                        at: open.at,
                        content,
                    };
                    self.add(Rc::new(node), open.anchor, open.values);
                }
            }
            _ => {}
        }
        match self.open.last() {
            Some(open) if open.values > MOST_VALUES => Err(NotYaml {
                at,
                problem: format!("aliases make more than {MOST_VALUES} values of this"),
            }),
            _ => Ok(()),
        }
    }

    /// True where the next thing is the name of a field.
    fn is_name(&self) -> bool {
        matches!(
            self.open.last().map(|open| &open.holds),
            Some(Holds::Map(_, None))
        )
    }

    fn add(&mut self, node: Rc<Node>, anchor: usize, values: usize) {
        if anchor > 0 {
            self.anchors.insert(anchor, (Rc::clone(&node), values));
        }
        if let Some(open) = self.open.last_mut() {
            open.values = open.values.saturating_add(values);
        }
        match self.open.last_mut().map(|open| &mut open.holds) {
            None => self.documents.push(node),
            Some(Holds::List(items)) => items.push(node),
            Some(Holds::Map(fields, name)) => match name.take() {
                None => *name = Some((key(&node), node.at)),
                Some((name, at)) => fields.push(Field {
                    name,
                    at,
                    value: node,
                }),
            },
        }
    }
}

/// A field's name; a list or a map as one is written as JSON.
fn key(node: &Node) -> String {
    match &node.content {
        Content::Text { text, .. } => text.clone(),
        _ => node.json().to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_has_its_place() {
        let documents = read("a: 1\nb:\n  - x: w\n  - 'z'\n---\n{\"c\": [true, \"d\"]}\n").unwrap();
        assert_eq!(
            documents[0].json(),
            serde_json::json!({"a": 1, "b": [{"x": "w"}, "z"]})
        );
        let b = documents[0].field("b").unwrap();
        assert_eq!((b.at.line, b.at.column), (2, 1));
        let x = b.value.items()[0].field("x").unwrap();
        assert_eq!((x.at.line, x.at.column), (3, 5));
        assert_eq!(documents[1].json(), serde_json::json!({"c": [true, "d"]}));
    }

    #[test]
    fn json_may_escape_a_character_as_a_pair() {
        let texts = [
            r#"{"a": "x\ud83d\ude00y", "b": "\u00e9", "c": "\\ud83d"}"#,
            r#"["\uD83D\uDE00\ud83d\ude01", "\\\ud83d\ude00\n"]"#,
        ];
        for text in texts {
            let theirs: serde_json::Value = serde_json::from_str(text).unwrap();
            assert_eq!(read(text).unwrap()[0].json(), theirs, "{text}");
        }
    }

    #[test]
    fn names_are_texts() {
        let documents = read("yes: yes\n010: 010\n").unwrap();
        assert_eq!(
            documents[0].json(),
            serde_json::json!({"yes": true, "010": 8})
        );
    }

    #[test]
    fn aliases_are_what_they_stand_for() {
        let documents = read("a: &a {x: 1}\nb: [*a, *a]\n").unwrap();
        assert_eq!(
            documents[0].json(),
            serde_json::json!({"a": {"x": 1}, "b": [{"x": 1}, {"x": 1}]})
        );
        assert!(read("a: &a [*a]\n").is_err());
    }

    #[test]
    fn aliases_of_aliases_do_not_make_more_than_a_machine_holds() {
        let mut text = "a0: &a0 [x]\n".to_owned();
        for level in 1..30 {
            let before = format!("*a{}", level - 1);
            let aliases = [before.as_str(); 10].join(", ");
            text += &format!("a{level}: &a{level} [{aliases}]\n");
        }
        let refused = read(&text).unwrap_err();
        assert_eq!(refused.at.line, 8, "{refused:?}");
    }

    #[test]
    fn what_is_not_yaml_has_a_place_as_well() {
        let refused = read("a: 1\nb: [1, 2\nc: 3\n").unwrap_err();
        assert!(refused.at.line >= 2, "{refused:?}");
    }
}

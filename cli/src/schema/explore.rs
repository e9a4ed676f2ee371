//! Asks a type about everything it reads, and writes the answers down as a JSON Schema.

use super::forms;
use super::trace::{Probe, Refusal, Shape, Step};
use serde::de::DeserializeOwned;
use serde_json::{json, Map, Value};
use std::cell::RefCell;

/// The schema of what a type reads.
pub(super) fn explore<T: DeserializeOwned>() -> Value {
    let asker = Asker {
        ask: &|script| {
            let seen = RefCell::new(None);
            let probe = Probe {
                script,
                seen: &seen,
            };
            let refusal = T::deserialize(probe).err();
            (seen.into_inner(), refusal)
        },
    };
    asker.schema(&mut Vec::new())
}

/// What a type says at the end of a script.
type Ask<'a> = dyn Fn(&[Step]) -> (Option<Shape>, Option<Refusal>) + 'a;

struct Asker<'a> {
    ask: &'a Ask<'a>,
}

impl Asker<'_> {
    fn schema(&self, script: &mut Vec<Step>) -> Value {
        let (seen, refusal) = (self.ask)(script);
        match seen {
            Some(Shape::Bool) => json!({"type": "boolean"}),
            Some(Shape::Whole { least, most }) => {
                json!({"type": "integer", "minimum": least, "maximum": most})
            }
            Some(Shape::Number) => forms::fraction(),
            Some(Shape::Text) => self.text(script).unwrap_or(json!({"type": "string"})),
            Some(Shape::Optional) => self.after(script, Step::Some),
            Some(Shape::List) => json!({"type": "array", "items": self.after(script, Step::Item)}),
            Some(Shape::Map) => {
                json!({"type": "object", "additionalProperties": self.after(script, Step::Entry)})
            }
            Some(Shape::Fields(fields)) => self.fields(script, fields),
            Some(Shape::Variants(variants)) => self.variants(script, variants),
            Some(Shape::Unit) => json!({"type": "null"}),
            Some(Shape::Anything) => self.anything(script),
            // It took what it was given without asking.
            None => match refusal {
                Some(refusal) => json!({"not": {}, "description": refusal.to_string()}),
                None => json!({}),
            },
        }
    }

    fn after(&self, script: &mut Vec<Step>, step: Step) -> Value {
        script.push(step);
        let schema = self.schema(script);
        script.pop();
        schema
    }

    /// How a value of some kind is taken: `None` when the kind is wrong.
    fn taken(&self, script: &mut Vec<Step>, step: Step) -> Option<Taken> {
        script.push(step);
        let (seen, refusal) = (self.ask)(script);
        script.pop();
        match (seen, refusal) {
            (Some(_), _) => Some(Taken::AsksOn),
            (None, None) => Some(Taken::Whole),
            (None, Some(Refusal::Value(expected))) => Some(Taken::Form(expected)),
            (None, Some(Refusal::Field(fields))) => Some(Taken::Fields(fields)),
            (None, Some(_)) => None,
        }
    }

    fn fields(&self, script: &mut Vec<Step>, fields: &'static [&'static str]) -> Value {
        let properties = fields
            .iter()
            .map(|name| ((*name).to_owned(), self.after(script, Step::Field(name))));
        json!({
            "type": "object",
            "properties": Map::from_iter(properties),
            "additionalProperties": false,
        })
    }

    fn variants(&self, script: &mut Vec<Step>, variants: &'static [&'static str]) -> Value {
        let mut words = Vec::new();
        let mut alternatives = Vec::new();
        for name in variants {
            script.push(Step::Variant(name));
            if (self.ask)(script).0 == Some(Shape::Unit) {
                words.push(json!(name));
            } else {
                let inside = self.schema(script);
                alternatives.push(json!({
                    "type": "object",
                    "properties": {*name: inside},
                    "required": [name],
                    "additionalProperties": false,
                }));
            }
            script.pop();
        }
        if !words.is_empty() {
            // Serde reads `{"word": null}` as well, which nobody writes.
            alternatives.insert(0, json!({"type": "string", "enum": words}));
        }
        any_of(alternatives)
    }

    /// Whether something inside of a list or a map can be right. A type that keeps whatever it is given, to look at it later,
    /// asks for anything at every depth.
    fn goes_on(&self, script: &mut Vec<Step>, step: Step) -> bool {
        if !matches!(self.taken(script, step), Some(Taken::AsksOn)) {
            return false;
        }
        script.push(step);
        let right = (self.ask)(script).0 != Some(Shape::Anything)
            || [Step::Bool, Step::Whole, Step::Text, Step::Fraction]
                .into_iter()
                .any(|step| self.taken(script, step).is_some())
            || matches!(self.taken(script, Step::Entry), Some(Taken::Fields(_)));
        script.pop();
        right
    }

    fn text(&self, script: &mut Vec<Step>) -> Option<Value> {
        match self.taken(script, Step::Text)? {
            Taken::Form(expected) => Some(forms::text(&expected)),
            _ => Some(json!({"type": "string"})),
        }
    }

    fn anything(&self, script: &mut Vec<Step>) -> Value {
        let mut alternatives = Vec::new();
        if let Some(Taken::Whole) = self.taken(script, Step::Bool) {
            alternatives.push(json!({"type": "boolean"}));
        }
        let fraction = matches!(self.taken(script, Step::Fraction), Some(Taken::Whole));
        match self.taken(script, Step::Whole) {
            Some(_) if fraction => alternatives.push(json!({"type": "number"})),
            Some(Taken::Form(expected)) => alternatives.push(forms::number(&expected)),
            Some(_) => {
                let mut number = json!({"type": "integer"});
                if !matches!(self.taken(script, Step::Negative), Some(Taken::Whole)) {
                    number["minimum"] = json!(0);
                    let large = matches!(self.taken(script, Step::Large), Some(Taken::Whole));
                    number["maximum"] = if large {
                        u64::MAX.into()
                    } else {
                        u32::MAX.into()
                    };
                }
                alternatives.push(number);
            }
            None => {}
        }
        alternatives.extend(self.text(script));
        if self.goes_on(script, Step::Item) {
            alternatives.push(json!({"type": "array", "items": self.after(script, Step::Item)}));
        }
        match self.taken(script, Step::Entry) {
            Some(Taken::Fields(fields)) => alternatives.push(self.fields(script, fields)),
            Some(Taken::AsksOn) if self.goes_on(script, Step::Entry) => alternatives.push(json!({
                "type": "object",
                "additionalProperties": self.after(script, Step::Entry),
            })),
            _ => {}
        }
        any_of(alternatives)
    }
}

/// How a value is taken.
enum Taken {
    /// As it is.
    Whole,
    /// The type asks about what is in it.
    AsksOn,
    /// This kind of value, in a form of its own.
    Form(String),
    /// A map of these fields.
    Fields(&'static [&'static str]),
}

fn any_of(mut alternatives: Vec<Value>) -> Value {
    match alternatives.len() {
        1 => alternatives.swap_remove(0),
        _ => json!({"anyOf": alternatives}),
    }
}

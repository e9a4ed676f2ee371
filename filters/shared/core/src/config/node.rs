//! A serde deserializer over JSON whose errors know where they are.
//!
//! Serde's own errors name no place, and a deserializer around another that keeps track is compiled once more for every type.
//! This one is both at once, and prints numbers without the standard library's machinery for floating point: together a
//! fifth of a module.

use super::words;
use serde::de::value::BorrowedStrDeserializer;
use serde::de::{self, DeserializeSeed, Deserializer, Expected, Unexpected, Visitor};
use serde::forward_to_deserialize_any;
use serde_json::{Map, Value};
use std::fmt;

/// One step on the way to a value.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Step {
    Field(String),
    Item(usize),
}

/// What is wrong, and where. One pointer, for it is handed on by code that is compiled once more for every type.
#[derive(Debug)]
pub(super) struct Error(Box<Problem>);

#[derive(Debug)]
struct Problem {
    /// The way to the value, last step first.
    steps: Vec<Step>,
    message: String,
}

impl Error {
    /// The way to the value.
    pub(super) fn steps(&self) -> Vec<Step> {
        self.0.steps.iter().rev().cloned().collect()
    }

    /// What is wrong there.
    pub(super) fn message(self) -> String {
        self.0.message
    }

    #[cold]
    #[inline(never)]
    fn in_field(mut self, name: &str) -> Self {
        self.0.steps.push(Step::Field(name.to_owned()));
        self
    }

    #[cold]
    #[inline(never)]
    fn in_item(mut self, at: usize) -> Self {
        self.0.steps.push(Step::Item(at));
        self
    }

    #[cold]
    #[inline(never)]
    fn new(message: String) -> Self {
        let steps = Vec::new();
        Error(Box::new(Problem { steps, message }))
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.message)
    }
}

impl std::error::Error for Error {}

impl de::Error for Error {
    fn custom<T: fmt::Display>(message: T) -> Self {
        Error::new(message.to_string())
    }

    fn invalid_type(found: Unexpected<'_>, expected: &dyn Expected) -> Self {
        Error::new(words::mismatch("type", &found, expected))
    }

    fn invalid_value(found: Unexpected<'_>, expected: &dyn Expected) -> Self {
        Error::new(words::mismatch("value", &found, expected))
    }

    fn unknown_field(name: &str, known: &'static [&'static str]) -> Self {
        Error::new(words::unknown("field", name, known))
    }

    fn unknown_variant(name: &str, known: &'static [&'static str]) -> Self {
        Error::new(words::unknown("variant", name, known))
    }
}

/// A number in decimals, to six places. The standard library can do better, at a price of 15 KB in every module.
pub fn decimal(number: f64) -> String {
    const MILLION: f64 = 1_000_000.0;
    if number.is_nan() || number.abs() >= 9.0e12 {
        return "a number beyond 9000000000000".to_owned();
    }
    let scaled = (number.abs() * MILLION).round() as u64;
    let sign = if number < 0.0 && scaled > 0 { "-" } else { "" };
    let (whole, fraction) = (scaled / 1_000_000, scaled % 1_000_000);
    let text = format!("{sign}{whole}.{fraction:06}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

/// A JSON value to be read.
#[derive(Debug, Clone, Copy)]
pub(super) struct Node<'de>(pub(super) &'de Value);

impl<'de> Node<'de> {
    fn unexpected(self) -> Unexpected<'de> {
        match self.0 {
            Value::Null => Unexpected::Unit,
            Value::Bool(value) => Unexpected::Bool(*value),
            Value::Number(number) => match (number.as_u64(), number.as_i64()) {
                (Some(number), _) => Unexpected::Unsigned(number),
                (None, Some(number)) => Unexpected::Signed(number),
                (None, None) => Unexpected::Float(number.as_f64().unwrap_or_default()),
            },
            Value::String(text) => Unexpected::Str(text),
            Value::Array(_) => Unexpected::Seq,
            Value::Object(_) => Unexpected::Map,
        }
    }

    #[inline(never)]
    fn refuse<T>(self, expected: &dyn Expected) -> Result<T, Error> {
        Err(de::Error::invalid_type(self.unexpected(), expected))
    }

    fn number<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        match self.unexpected() {
            Unexpected::Unsigned(number) => visitor.visit_u64(number),
            Unexpected::Signed(number) => visitor.visit_i64(number),
            Unexpected::Float(number) => visitor.visit_f64(number),
            _ => self.refuse(&visitor),
        }
    }

    /// A number that may have a fraction. Envoy makes a text of a fraction in YAML.
    fn fraction<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        match self.0 {
            Value::String(text) => match number_in(text) {
                Some(number) => visitor.visit_f64(number),
                None => self.refuse(&visitor),
            },
            _ => self.number(visitor),
        }
    }

    fn text<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        match self.0 {
            Value::String(text) => visitor.visit_borrowed_str(text),
            _ => self.refuse(&visitor),
        }
    }
}

/// A text that is a number of JSON, and nothing but one.
fn number_in(text: &str) -> Option<f64> {
    if text.ends_with(|c: char| !c.is_ascii_digit()) || text.starts_with(char::is_whitespace) {
        return None;
    }
    let value: Value = serde_json::from_slice(text.as_bytes()).ok()?;
    value.as_f64()
}

fn list<'de, V: Visitor<'de>>(items: &'de [Value], visitor: V) -> Result<V::Value, Error> {
    let mut left = Items {
        left: items.iter(),
        at: 0,
    };
    let value = visitor.visit_seq(&mut left)?;
    if left.left.len() > 0 {
        let expected = "fewer elements in array";
        return Err(de::Error::invalid_length(items.len(), &expected));
    }
    Ok(value)
}

fn object<'de, V: Visitor<'de>>(
    fields: &'de Map<String, Value>,
    visitor: V,
) -> Result<V::Value, Error> {
    visitor.visit_map(Fields {
        left: fields.iter(),
        present: None,
    })
}

macro_rules! as_numbers {
    ($($method:ident)*) => {
        $(fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
            self.number(visitor)
        })*
    };
}

macro_rules! as_text {
    ($($method:ident)*) => {
        $(fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
            self.text(visitor)
        })*
    };
}

// A method that is for one kind of value compiles the visitor's code for that kind alone.
impl<'de> Deserializer<'de> for Node<'de> {
    type Error = Error;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        match self.0 {
            Value::Null => visitor.visit_unit(),
            Value::Bool(value) => visitor.visit_bool(*value),
            Value::Number(_) => self.number(visitor),
            Value::String(_) => self.text(visitor),
            Value::Array(items) => list(items, visitor),
            Value::Object(fields) => object(fields, visitor),
        }
    }

    fn deserialize_bool<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        match self.0 {
            Value::Bool(value) => visitor.visit_bool(*value),
            _ => self.refuse(&visitor),
        }
    }

    as_numbers! {
        deserialize_i8 deserialize_i16 deserialize_i32 deserialize_i64
        deserialize_u8 deserialize_u16 deserialize_u32 deserialize_u64
    }

    fn deserialize_f32<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        self.fraction(visitor)
    }

    fn deserialize_f64<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        self.fraction(visitor)
    }

    as_text! { deserialize_char deserialize_str deserialize_string deserialize_identifier }

    // A null is a mistake: over what the level above says it would be the default, silently.
    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_some(self)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        visitor: V,
    ) -> Result<V::Value, Error> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        match self.0 {
            Value::Array(items) => list(items, visitor),
            _ => self.refuse(&visitor),
        }
    }

    fn deserialize_map<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        match self.0 {
            Value::Object(fields) => object(fields, visitor),
            _ => self.refuse(&visitor),
        }
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        _fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        self.deserialize_map(visitor)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _name: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        match self.0 {
            Value::String(name) => visitor.visit_enum(Variant { name, value: None }),
            Value::Object(fields) => {
                let mut all = fields.iter();
                match (all.next(), all.next()) {
                    (Some((name, value)), None) => visitor.visit_enum(Variant {
                        name,
                        value: Some(Node(value)),
                    }),
                    _ => self.refuse(&OneOf(variants)),
                }
            }
            _ => self.refuse(&OneOf(variants)),
        }
    }

    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_unit()
    }

    forward_to_deserialize_any! { bytes byte_buf unit unit_struct tuple tuple_struct i128 u128 }
}

/// The names of the variants, as what is expected.
struct OneOf(&'static [&'static str]);

impl Expected for OneOf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut before = "one of";
        for name in self.0 {
            write!(f, "{before} `{name}`")?;
            before = ",";
        }
        Ok(())
    }
}

/// The items of a list.
struct Items<'de> {
    left: std::slice::Iter<'de, Value>,
    at: usize,
}

impl<'de> de::SeqAccess<'de> for &mut Items<'de> {
    type Error = Error;

    fn next_element_seed<T: DeserializeSeed<'de>>(
        &mut self,
        seed: T,
    ) -> Result<Option<T::Value>, Error> {
        let Some(value) = self.left.next() else {
            return Ok(None);
        };
        let at = self.at;
        self.at = at.saturating_add(1);
        let read = seed.deserialize(Node(value));
        read.map(Some).map_err(|error| error.in_item(at))
    }

    fn size_hint(&self) -> Option<usize> {
        Some(self.left.len())
    }
}

/// The fields of an object.
struct Fields<'de> {
    left: serde_json::map::Iter<'de>,
    present: Option<(&'de str, &'de Value)>,
}

impl<'de> de::MapAccess<'de> for Fields<'de> {
    type Error = Error;

    fn next_key_seed<K: DeserializeSeed<'de>>(
        &mut self,
        seed: K,
    ) -> Result<Option<K::Value>, Error> {
        let Some((name, value)) = self.left.next() else {
            return Ok(None);
        };
        self.present = Some((name, value));
        let read = seed.deserialize(BorrowedStrDeserializer::new(name));
        read.map(Some).map_err(|error: Error| error.in_field(name))
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, Error> {
        let Some((name, value)) = self.present.take() else {
            return Err(de::Error::custom("a value without its name"));
        };
        seed.deserialize(Node(value))
            .map_err(|error| error.in_field(name))
    }
}

/// A variant: its name alone, or an object with the name as its only field.
struct Variant<'de> {
    name: &'de str,
    value: Option<Node<'de>>,
}

impl Variant<'_> {
    fn below(&self, error: Error) -> Error {
        error.in_field(self.name)
    }
}

impl<'de> de::EnumAccess<'de> for Variant<'de> {
    type Error = Error;
    type Variant = Self;

    fn variant_seed<V: DeserializeSeed<'de>>(self, seed: V) -> Result<(V::Value, Self), Error> {
        let read = seed.deserialize(BorrowedStrDeserializer::<Error>::new(self.name));
        match read {
            Ok(variant) => Ok((variant, self)),
            Err(error) if self.value.is_some() => Err(self.below(error)),
            Err(error) => Err(error),
        }
    }
}

impl<'de> de::VariantAccess<'de> for Variant<'de> {
    type Error = Error;

    fn unit_variant(self) -> Result<(), Error> {
        match self.value {
            None => Ok(()),
            Some(value) => value.refuse(&"unit variant").map_err(|e| self.below(e)),
        }
    }

    fn newtype_variant_seed<T: DeserializeSeed<'de>>(self, seed: T) -> Result<T::Value, Error> {
        match self.value {
            Some(value) => seed.deserialize(value).map_err(|e| self.below(e)),
            None => Err(de::Error::invalid_type(
                Unexpected::UnitVariant,
                &"newtype variant",
            )),
        }
    }

    fn tuple_variant<V: Visitor<'de>>(self, _len: usize, visitor: V) -> Result<V::Value, Error> {
        match self.value {
            Some(value) => value.deserialize_seq(visitor).map_err(|e| self.below(e)),
            None => Err(de::Error::invalid_type(
                Unexpected::UnitVariant,
                &"tuple variant",
            )),
        }
    }

    fn struct_variant<V: Visitor<'de>>(
        self,
        _fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        match self.value {
            Some(value) => value.deserialize_map(visitor).map_err(|e| self.below(e)),
            None => Err(de::Error::invalid_type(
                Unexpected::UnitVariant,
                &"struct variant",
            )),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::decimal;

    #[test]
    fn decimals() {
        for (number, text) in [
            (0.0, "0"),
            (5.5, "5.5"),
            (-0.25, "-0.25"),
            (2.0, "2"),
            (1.0 / 3.0, "0.333333"),
            (-0.000_000_1, "0"),
            (1e12, "1000000000000"),
            (1e13, "a number beyond 9000000000000"),
            (f64::NAN, "a number beyond 9000000000000"),
        ] {
            assert_eq!(decimal(number), text);
        }
    }
}

//! A deserializer that asks a type what it wants. It follows a script of answers and stops where the script ends: what the
//! type asks for there is what is seen.

use serde::de::{
    self, DeserializeSeed, Deserializer, EnumAccess, Expected, MapAccess, SeqAccess, Unexpected,
    VariantAccess, Visitor,
};
use std::cell::RefCell;
use std::fmt;

/// What a type is answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Step {
    /// A map with nothing but this field.
    Field(&'static str),
    /// A map with one entry of any name.
    Entry,
    /// A value where there may be none.
    Some,
    /// A list of one.
    Item,
    /// One of the words of an enumeration.
    Variant(&'static str),
    /// `true`.
    Bool,
    /// 1.
    Whole,
    /// -1.
    Negative,
    /// 2^32.
    Large,
    /// 0.5.
    Fraction,
    /// A text that means nothing.
    Text,
}

/// What a type asks for.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Shape {
    Bool,
    Whole {
        least: i64,
        most: u64,
    },
    Number,
    Text,
    Optional,
    List,
    Map,
    Fields(&'static [&'static str]),
    Variants(&'static [&'static str]),
    Unit,
    /// Whatever it is given; it decides by itself.
    Anything,
}

/// How a type takes an answer.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Refusal {
    /// The script was at its end.
    Stop,
    /// Not this kind of value.
    Type,
    /// This kind, but not this value; what is expected.
    Value(String),
    /// Not this field; the fields there are.
    Field(&'static [&'static str]),
    /// Anything else.
    Other(String),
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self:?}")
    }
}

impl std::error::Error for Refusal {}

impl de::Error for Refusal {
    fn custom<T: fmt::Display>(message: T) -> Self {
        Refusal::Other(message.to_string())
    }
    fn invalid_type(_: Unexpected<'_>, _: &dyn Expected) -> Self {
        Refusal::Type
    }
    fn invalid_value(_: Unexpected<'_>, expected: &dyn Expected) -> Self {
        Refusal::Value(expected.to_string())
    }
    fn unknown_field(_: &str, fields: &'static [&'static str]) -> Self {
        Refusal::Field(fields)
    }
}

/// A place in the script.
#[derive(Clone, Copy)]
pub(super) struct Probe<'a> {
    pub(super) script: &'a [Step],
    pub(super) seen: &'a RefCell<Option<Shape>>,
}

/// A name that no field has.
const NOBODY: &str = "\u{0}";

impl<'a> Probe<'a> {
    fn see(self, shape: Shape) -> Refusal {
        if let Ok(mut seen) = self.seen.try_borrow_mut() {
            *seen = Some(shape);
        }
        Refusal::Stop
    }

    fn next(self) -> Option<(Step, Probe<'a>)> {
        let (step, script) = self.script.split_first()?;
        Some((*step, Probe { script, ..self }))
    }

    /// Answers a type that asks for this.
    fn answer<'de, V: Visitor<'de>>(self, shape: Shape, visitor: V) -> Result<V::Value, Refusal> {
        match self.next() {
            None => Err(self.see(shape)),
            Some((step, rest)) => rest.give(step, visitor),
        }
    }

    fn give<'de, V: Visitor<'de>>(self, step: Step, visitor: V) -> Result<V::Value, Refusal> {
        match step {
            Step::Field(_) | Step::Entry => visitor.visit_map(One {
                step,
                probe: self,
                given: false,
            }),
            Step::Some => visitor.visit_some(self),
            Step::Item => visitor.visit_seq(One {
                step,
                probe: self,
                given: false,
            }),
            Step::Variant(name) => visitor.visit_enum(Chosen { name, probe: self }),
            Step::Bool => visitor.visit_bool(true),
            Step::Whole => visitor.visit_u64(1),
            Step::Negative => visitor.visit_i64(-1),
            Step::Large => visitor.visit_u64(1 << 32),
            Step::Fraction => visitor.visit_f64(0.5),
            Step::Text => visitor.visit_str("?"),
        }
    }
}

/// One entry or one item.
struct One<'a> {
    step: Step,
    probe: Probe<'a>,
    given: bool,
}

impl<'de> MapAccess<'de> for One<'_> {
    type Error = Refusal;

    fn next_key_seed<K: DeserializeSeed<'de>>(
        &mut self,
        seed: K,
    ) -> Result<Option<K::Value>, Refusal> {
        if std::mem::replace(&mut self.given, true) {
            return Ok(None);
        }
        let name = match self.step {
            Step::Field(name) => name,
            _ => NOBODY,
        };
        seed.deserialize(de::value::StrDeserializer::new(name))
            .map(Some)
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, Refusal> {
        seed.deserialize(self.probe)
    }
}

impl<'de> SeqAccess<'de> for One<'_> {
    type Error = Refusal;

    fn next_element_seed<T: DeserializeSeed<'de>>(
        &mut self,
        seed: T,
    ) -> Result<Option<T::Value>, Refusal> {
        if std::mem::replace(&mut self.given, true) {
            return Ok(None);
        }
        seed.deserialize(self.probe).map(Some)
    }
}

/// One of the words of an enumeration.
struct Chosen<'a> {
    name: &'static str,
    probe: Probe<'a>,
}

impl<'de, 'a> EnumAccess<'de> for Chosen<'a> {
    type Error = Refusal;
    type Variant = Probe<'a>;

    fn variant_seed<V: DeserializeSeed<'de>>(
        self,
        seed: V,
    ) -> Result<(V::Value, Probe<'a>), Refusal> {
        let variant = seed.deserialize(de::value::StrDeserializer::<Refusal>::new(self.name))?;
        Ok((variant, self.probe))
    }
}

impl<'de> VariantAccess<'de> for Probe<'_> {
    type Error = Refusal;

    fn unit_variant(self) -> Result<(), Refusal> {
        Err(self.see(Shape::Unit))
    }
    fn newtype_variant_seed<T: DeserializeSeed<'de>>(self, seed: T) -> Result<T::Value, Refusal> {
        seed.deserialize(self)
    }
    fn tuple_variant<V: Visitor<'de>>(self, _: usize, visitor: V) -> Result<V::Value, Refusal> {
        self.answer(Shape::List, visitor)
    }
    fn struct_variant<V: Visitor<'de>>(
        self,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Refusal> {
        self.answer(Shape::Fields(fields), visitor)
    }
}

/// A method of [`Deserializer`] that asks for a shape.
macro_rules! asks {
    ($($method:ident => $shape:expr;)*) => {$(
        fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Refusal> {
            self.answer($shape, visitor)
        }
    )*};
}

const fn whole(least: i64, most: u64) -> Shape {
    Shape::Whole { least, most }
}

impl<'de> Deserializer<'de> for Probe<'_> {
    type Error = Refusal;

    asks! {
        deserialize_any => Shape::Anything;
        deserialize_bool => Shape::Bool;
        deserialize_i8 => whole(i8::MIN as i64, i8::MAX as u64);
        deserialize_i16 => whole(i16::MIN as i64, i16::MAX as u64);
        deserialize_i32 => whole(i32::MIN as i64, i32::MAX as u64);
        deserialize_i64 => whole(i64::MIN, i64::MAX as u64);
        deserialize_u8 => whole(0, u8::MAX as u64);
        deserialize_u16 => whole(0, u16::MAX as u64);
        deserialize_u32 => whole(0, u32::MAX as u64);
        deserialize_u64 => whole(0, u64::MAX);
        deserialize_f32 => Shape::Number;
        deserialize_f64 => Shape::Number;
        deserialize_char => Shape::Text;
        deserialize_str => Shape::Text;
        deserialize_string => Shape::Text;
        deserialize_bytes => Shape::Text;
        deserialize_byte_buf => Shape::Text;
        deserialize_option => Shape::Optional;
        deserialize_unit => Shape::Unit;
        deserialize_seq => Shape::List;
        deserialize_map => Shape::Map;
        deserialize_identifier => Shape::Text;
        deserialize_ignored_any => Shape::Anything;
    }

    fn deserialize_unit_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, Refusal> {
        self.answer(Shape::Unit, visitor)
    }
    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, Refusal> {
        visitor.visit_newtype_struct(self)
    }
    fn deserialize_tuple<V: Visitor<'de>>(self, _: usize, visitor: V) -> Result<V::Value, Refusal> {
        self.answer(Shape::List, visitor)
    }
    fn deserialize_tuple_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: usize,
        visitor: V,
    ) -> Result<V::Value, Refusal> {
        self.answer(Shape::List, visitor)
    }
    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Refusal> {
        self.answer(Shape::Fields(fields), visitor)
    }
    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Refusal> {
        self.answer(Shape::Variants(variants), visitor)
    }
}

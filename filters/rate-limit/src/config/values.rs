//! Small forms of values: one or a list, a window, a status.

use seawall_core::time::Span;
use serde::de::value::{MapAccessDeserializer, SeqAccessDeserializer};
use serde::de::{
    Deserialize, Deserializer, Error, IntoDeserializer, MapAccess, SeqAccess, Unexpected, Visitor,
};
use std::fmt;
use std::marker::PhantomData;

/// One value, or a list of them.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Many<T>(pub Vec<T>);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Many<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct OneOrList<T>(PhantomData<T>);
        impl<'de, T: Deserialize<'de>> Visitor<'de> for OneOrList<T> {
            type Value = Many<T>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("one value or a list of values")
            }
            fn visit_str<E: Error>(self, text: &str) -> Result<Self::Value, E> {
                T::deserialize(text.into_deserializer()).map(|one| Many(vec![one]))
            }
            fn visit_u64<E: Error>(self, number: u64) -> Result<Self::Value, E> {
                T::deserialize(number.into_deserializer()).map(|one| Many(vec![one]))
            }
            fn visit_i64<E: Error>(self, number: i64) -> Result<Self::Value, E> {
                T::deserialize(number.into_deserializer()).map(|one| Many(vec![one]))
            }
            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Self::Value, A::Error> {
                T::deserialize(MapAccessDeserializer::new(map)).map(|one| Many(vec![one]))
            }
            fn visit_seq<A: SeqAccess<'de>>(self, seq: A) -> Result<Self::Value, A::Error> {
                Vec::deserialize(SeqAccessDeserializer::new(seq)).map(Many)
            }
        }
        deserializer.deserialize_any(OneOrList(PhantomData))
    }
}

/// A limit's period: a duration, or a unit of the calendar.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Period {
    /// So long.
    Lasting(Span),
    /// From Monday to Sunday.
    Week,
    /// A month.
    Month,
    /// A year.
    Year,
}

impl<'de> Deserialize<'de> for Period {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Text;
        impl Visitor<'_> for Text {
            type Value = Period;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(
                    "a duration such as \"500ms\", \"10s\", \"1m\", \"2h\" or \"1d\", or one of \"second\", \"minute\", \"hour\", \"day\", \"week\", \"month\", \"year\"",
                )
            }
            fn visit_str<E: Error>(self, text: &str) -> Result<Period, E> {
                let seconds = |seconds| Ok(Period::Lasting(Span::from_secs(seconds)));
                match text {
                    "second" => seconds(1),
                    "minute" => seconds(60),
                    "hour" => seconds(3_600),
                    "day" => seconds(86_400),
                    "week" => Ok(Period::Week),
                    "month" => Ok(Period::Month),
                    "year" => Ok(Period::Year),
                    other => {
                        let read: Result<Span, serde::de::value::Error> =
                            Span::deserialize(other.into_deserializer());
                        read.map(Period::Lasting)
                            .map_err(|_| E::invalid_value(Unexpected::Str(other), &self))
                    }
                }
            }
        }
        deserializer.deserialize_str(Text)
    }
}

/// Statuses: one, such as `401`, or a class, such as `5xx`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Statuses {
    first: u16,
    last: u16,
}

impl Statuses {
    /// True for a status in the range.
    pub fn contain(self, status: u16) -> bool {
        (self.first..=self.last).contains(&status)
    }
}

impl<'de> Deserialize<'de> for Statuses {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Form;
        impl Visitor<'_> for Form {
            type Value = Statuses;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a status from 100 to 599, or a class such as \"5xx\"")
            }
            fn visit_u64<E: Error>(self, number: u64) -> Result<Statuses, E> {
                match u16::try_from(number) {
                    Ok(status @ 100..=599) => Ok(Statuses {
                        first: status,
                        last: status,
                    }),
                    _ => Err(E::invalid_value(Unexpected::Unsigned(number), &self)),
                }
            }
            fn visit_i64<E: Error>(self, number: i64) -> Result<Statuses, E> {
                match u64::try_from(number) {
                    Ok(number) => self.visit_u64(number),
                    Err(_) => Err(E::invalid_value(Unexpected::Signed(number), &self)),
                }
            }
            fn visit_str<E: Error>(self, text: &str) -> Result<Statuses, E> {
                let wrong = || E::invalid_value(Unexpected::Str(text), &Form);
                if let Some(class) = text.strip_suffix("xx") {
                    let first = match class {
                        "1" => 100,
                        "2" => 200,
                        "3" => 300,
                        "4" => 400,
                        "5" => 500,
                        _ => return Err(wrong()),
                    };
                    return Ok(Statuses {
                        first,
                        last: u16::saturating_add(first, 99),
                    });
                }
                text.parse()
                    .map_err(|_| wrong())
                    .and_then(|number| self.visit_u64(number))
            }
        }
        deserializer.deserialize_any(Form)
    }
}

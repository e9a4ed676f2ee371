//! Types that are read from objects and words, in a fraction of the code that a derived reader takes.
//!
//! A derived reader keeps every field apart until the object is whole, and drops what it has by hand wherever reading may
//! end: in a module that reads little else that is a tenth of its size. These fill in a default value, one field after the
//! other. To serde they look the same.

use serde::de::{self, Deserialize, DeserializeSeed, Deserializer, MapAccess, Visitor};
use std::fmt;

/// The place of a name among those that are known.
#[doc(hidden)]
#[derive(Debug, Clone, Copy)]
pub enum Place {
    /// Among the fields of an object.
    Field(&'static [&'static str]),
    /// Among the words of an enumeration.
    Word(&'static [&'static str]),
}

impl<'de> DeserializeSeed<'de> for Place {
    type Value = usize;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<usize, D::Error> {
        deserializer.deserialize_identifier(self)
    }
}

impl Visitor<'_> for Place {
    type Value = usize;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Place::Field(_) => "field identifier",
            Place::Word(_) => "variant identifier",
        })
    }

    fn visit_str<E: de::Error>(self, name: &str) -> Result<usize, E> {
        let (Place::Field(known) | Place::Word(known)) = self;
        let at = known.iter().position(|known| *known == name);
        at.ok_or_else(|| match self {
            Place::Field(fields) => E::unknown_field(name, fields),
            Place::Word(words) => E::unknown_variant(name, words),
        })
    }
}

/// Reads the next value of an object into a field. Code for each type of field, not for each field.
#[doc(hidden)]
#[inline(never)]
pub fn fill<'de, T: Deserialize<'de>, A: MapAccess<'de>>(
    map: &mut A,
    field: &mut T,
) -> Result<(), A::Error> {
    *field = map.next_value()?;
    Ok(())
}

/// Declares a struct that is read from an object: every field has a default, and unknown ones are refused.
#[macro_export]
macro_rules! object {
    (
        $(#[$about:meta])*
        $visible:vis struct $name:ident {
            $($(#[$note:meta])* $open:vis $field:ident: $kind:ty,)*
        }
    ) => {
        $(#[$about])*
        #[derive(Debug, Default)]
        $visible struct $name {
            $($(#[$note])* $open $field: $kind,)*
        }

        impl<'de> ::serde::Deserialize<'de> for $name {
            fn deserialize<D: ::serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                const FIELDS: &[&str] = &[$(stringify!($field)),*];
                #[allow(non_camel_case_types, reason = "named as the fields are")]
                enum At { $($field),* }
                struct Fill;
                impl<'de> ::serde::de::Visitor<'de> for Fill {
                    type Value = $name;

                    fn expecting(&self, f: &mut ::std::fmt::Formatter<'_>) -> ::std::fmt::Result {
                        f.write_str(concat!("struct ", stringify!($name)))
                    }

                    fn visit_map<A: ::serde::de::MapAccess<'de>>(
                        self,
                        mut map: A,
                    ) -> Result<$name, A::Error> {
                        let mut object = $name::default();
                        while let Some(at) = map.next_key_seed($crate::config::Place::Field(FIELDS))? {
                            match at {
                                $(at if at == At::$field as usize => {
                                    $crate::config::fill(&mut map, &mut object.$field)?;
                                })*
                                _ => {}
                            }
                        }
                        Ok(object)
                    }
                }
                deserializer.deserialize_struct(stringify!($name), FIELDS, Fill)
            }
        }
    };
}

/// Declares an enumeration that is read from a word.
#[macro_export]
macro_rules! words {
    (
        $(#[$about:meta])*
        $visible:vis enum $name:ident {
            $($(#[$note:meta])* $variant:ident = $word:literal,)*
        }
    ) => {
        $(#[$about])*
        $visible enum $name {
            $($(#[$note])* $variant,)*
        }

        impl<'de> ::serde::Deserialize<'de> for $name {
            fn deserialize<D: ::serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                const WORDS: &[&str] = &[$($word),*];
                const VALUES: &[$name] = &[$($name::$variant),*];
                struct Choose;
                impl<'de> ::serde::de::Visitor<'de> for Choose {
                    type Value = $name;

                    fn expecting(&self, f: &mut ::std::fmt::Formatter<'_>) -> ::std::fmt::Result {
                        f.write_str(concat!("enum ", stringify!($name)))
                    }

                    fn visit_enum<A: ::serde::de::EnumAccess<'de>>(
                        self,
                        choice: A,
                    ) -> Result<$name, A::Error> {
                        use ::serde::de::VariantAccess;
                        let (at, rest) = choice.variant_seed($crate::config::Place::Word(WORDS))?;
                        rest.unit_variant()?;
                        VALUES.get(at).copied().ok_or_else(|| {
                            ::serde::de::Error::unknown_variant("", WORDS)
                        })
                    }
                }
                deserializer.deserialize_enum(stringify!($name), WORDS, Choose)
            }
        }
    };
}

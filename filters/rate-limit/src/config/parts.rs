//! The parts of a key in the configuration: a word such as `path`, or one field such as `{header: x-tenant-id}`.

use serde::de::value::MapAccessDeserializer;
use serde::de::{Deserialize, Deserializer, Error, MapAccess, Unexpected, Visitor};
use serde::Deserialize as Derive;
use std::fmt;

/// A part of a key as it is written: exactly one of the fields.
#[derive(Debug, Clone, Default, PartialEq, Derive)]
#[serde(deny_unknown_fields, default, expecting = "an object of settings")]
pub struct Fields {
    /// A header's name.
    pub header: Option<String>,
    /// A cookie's name.
    pub cookie: Option<String>,
    /// A query parameter's name.
    pub query: Option<String>,
    /// Overrides for the client address.
    pub client_address: Option<Address>,
    /// How many segments of the path, from the first on.
    pub path_prefix: Option<u32>,
    /// Which segment of the path, counted from 1.
    pub path_segment: Option<u32>,
    /// A claim's name, or the path to it.
    pub jwt_claim: Option<super::values::Many<String>>,
    /// A fixed text.
    pub constant: Option<String>,
    /// Always true: the word does the same.
    pub path: Option<bool>,
    /// Always true: the word does the same.
    pub method: Option<bool>,
    /// Always true: the word does the same.
    pub host: Option<bool>,
    /// Always true: the word does the same.
    pub route: Option<bool>,
    /// Always true: the word does the same.
    pub cluster: Option<bool>,
}

/// How a client's address is found and cut.
#[derive(Debug, Clone, Default, PartialEq, Derive)]
#[serde(deny_unknown_fields, default, expecting = "an object of settings")]
pub struct Address {
    /// Proxies in front that are trusted to have written `x-forwarded-for`.
    pub trusted_hops: Option<u32>,
    /// 0 to 32.
    pub ipv4_prefix: Option<u8>,
    /// 0 to 128.
    pub ipv6_prefix: Option<u8>,
}

/// A part as a word or as a field.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct RawPart(pub Fields);

impl<'de> Deserialize<'de> for RawPart {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct WordOrField;
        impl<'de> Visitor<'de> for WordOrField {
            type Value = RawPart;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(
                    "one of \"client_address\", \"path\", \"method\", \"host\", \"route\", \"cluster\", or an object with one of `header`, `cookie`, `query`, `client_address`, `path_prefix`, `path_segment`, `jwt_claim`, `constant`",
                )
            }
            fn visit_str<E: Error>(self, word: &str) -> Result<RawPart, E> {
                let mut fields = Fields::default();
                match word {
                    "client_address" => fields.client_address = Some(Address::default()),
                    "path" => fields.path = Some(true),
                    "method" => fields.method = Some(true),
                    "host" => fields.host = Some(true),
                    "route" => fields.route = Some(true),
                    "cluster" => fields.cluster = Some(true),
                    _ => return Err(E::invalid_value(Unexpected::Str(word), &self)),
                }
                Ok(RawPart(fields))
            }
            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<RawPart, A::Error> {
                Fields::deserialize(MapAccessDeserializer::new(map)).map(RawPart)
            }
        }
        deserializer.deserialize_any(WordOrField)
    }
}

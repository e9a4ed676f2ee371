//! `google.protobuf.Struct` as JSON, from the protobuf wire format.
//!
//! Envoy hands a `Struct` plugin configuration over as the serialised message, and route metadata likewise. Generated code
//! would decode, and ship, whole messages; this reads the few fields there are and skips the rest. Field numbers:
//! `Struct.fields = 1`; map entries `key = 1, value = 2`; `Value.{null_value = 1, number_value = 2, string_value = 3,
//! bool_value = 4, struct_value = 5, list_value = 6}`; `ListValue.values = 1`.

use crate::wire::{Decoded, Field, Malformed, Message};
use serde_json::{Map, Number, Value};

/// Deeper nesting is refused rather than risking the stack.
const DEEPEST: usize = 32;

/// A serialised `google.protobuf.Struct` as a JSON object.
pub(crate) fn decode_struct(bytes: &[u8]) -> Decoded<Value> {
    structure(bytes, 0)
}

/// Key and value of a map entry.
pub(crate) fn map_entry(entry: &[u8]) -> Decoded<(&[u8], &[u8])> {
    let (mut key, mut value): (&[u8], &[u8]) = (&[], &[]);
    for field in Message(entry) {
        match field? {
            (1, Field::Bytes(bytes)) => key = bytes,
            (2, Field::Bytes(bytes)) => value = bytes,
            _ => {}
        }
    }
    Ok((key, value))
}

fn structure(bytes: &[u8], depth: usize) -> Decoded<Value> {
    let mut fields = Map::new();
    for field in Message(bytes) {
        if let (1, Field::Bytes(entry)) = field? {
            let (key, field) = map_entry(entry)?;
            fields.insert(text(key)?, value(field, depth.saturating_add(1))?);
        }
    }
    Ok(Value::Object(fields))
}

fn list(bytes: &[u8], depth: usize) -> Decoded<Value> {
    let mut items = Vec::new();
    for field in Message(bytes) {
        if let (1, Field::Bytes(item)) = field? {
            items.push(value(item, depth.saturating_add(1))?);
        }
    }
    Ok(Value::Array(items))
}

fn value(bytes: &[u8], depth: usize) -> Decoded<Value> {
    if depth > DEEPEST {
        return Err(Malformed);
    }
    let mut found = Value::Null;
    for field in Message(bytes) {
        found = match field? {
            (1, Field::Varint(_)) => Value::Null,
            (2, Field::Fixed64(bits)) => {
                Number::from_f64(f64::from_bits(bits)).map_or(Value::Null, Value::Number)
            }
            (3, Field::Bytes(bytes)) => Value::String(text(bytes)?),
            (4, Field::Varint(number)) => Value::Bool(number != 0),
            (5, Field::Bytes(bytes)) => structure(bytes, depth)?,
            (6, Field::Bytes(bytes)) => list(bytes, depth)?,
            _ => found,
        };
    }
    Ok(found)
}

fn text(bytes: &[u8]) -> Decoded<String> {
    std::str::from_utf8(bytes)
        .map(str::to_owned)
        .map_err(|_| Malformed)
}

//! One namespace of `envoy.config.core.v3.Metadata` as JSON.
//!
//! Reads the protobuf wire format directly and skips all other namespaces: generated code would decode, and ship, the
//! whole message. Field numbers: `Metadata.filter_metadata = 1`; map entries `key = 1, value = 2`;
//! `Struct.fields = 1`; `Value.{null_value = 1, number_value = 2, string_value = 3, bool_value = 4, struct_value = 5,
//! list_value = 6}`; `ListValue.values = 1`.

use crate::config::ConfigErrors;
use serde_json::{Map, Number, Value};

/// Deeper nesting is refused rather than risking the stack.
const DEEPEST: usize = 32;

/// The settings under `namespace` of a serialised `Metadata`; `None` when it has no such namespace.
///
/// # Errors
/// Bytes that are not that message, or are nested too deeply.
pub fn namespace(metadata: &[u8], namespace: &str) -> Result<Option<Value>, ConfigErrors> {
    find(metadata, namespace)
        .map_err(|()| ConfigErrors::one("", "the metadata could not be decoded"))
        .map(|found| found.map(crate::config::whole_numbers))
}

type Decoded<T> = Result<T, ()>;

fn find(metadata: &[u8], namespace: &str) -> Decoded<Option<Value>> {
    let mut found = None;
    let mut message = Message(metadata);
    while let Some((number, field)) = message.next()? {
        if let (1, Field::Bytes(entry)) = (number, field) {
            let (key, value) = map_entry(entry)?;
            if key == namespace.as_bytes() {
                found = Some(structure(value, 0)?);
            }
        }
    }
    Ok(found)
}

fn map_entry(entry: &[u8]) -> Decoded<(&[u8], &[u8])> {
    let (mut key, mut value): (&[u8], &[u8]) = (&[], &[]);
    let mut message = Message(entry);
    while let Some((number, field)) = message.next()? {
        match (number, field) {
            (1, Field::Bytes(bytes)) => key = bytes,
            (2, Field::Bytes(bytes)) => value = bytes,
            _ => {}
        }
    }
    Ok((key, value))
}

fn structure(bytes: &[u8], depth: usize) -> Decoded<Value> {
    let mut fields = Map::new();
    let mut message = Message(bytes);
    while let Some((number, field)) = message.next()? {
        if let (1, Field::Bytes(entry)) = (number, field) {
            let (key, field) = map_entry(entry)?;
            fields.insert(text(key)?, value(field, depth.saturating_add(1))?);
        }
    }
    Ok(Value::Object(fields))
}

fn list(bytes: &[u8], depth: usize) -> Decoded<Value> {
    let mut items = Vec::new();
    let mut message = Message(bytes);
    while let Some((number, field)) = message.next()? {
        if let (1, Field::Bytes(item)) = (number, field) {
            items.push(value(item, depth.saturating_add(1))?);
        }
    }
    Ok(Value::Array(items))
}

fn value(bytes: &[u8], depth: usize) -> Decoded<Value> {
    if depth > DEEPEST {
        return Err(());
    }
    let mut found = Value::Null;
    let mut message = Message(bytes);
    while let Some((number, field)) = message.next()? {
        found = match (number, field) {
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
        .map_err(|_| ())
}

enum Field<'a> {
    Varint(u64),
    Fixed64(u64),
    Bytes(&'a [u8]),
    Fixed32,
}

/// A message being read, field by field.
struct Message<'a>(&'a [u8]);

impl<'a> Message<'a> {
    fn next(&mut self) -> Decoded<Option<(u64, Field<'a>)>> {
        if self.0.is_empty() {
            return Ok(None);
        }
        let tag = self.varint()?;
        let field = match tag & 7 {
            0 => Field::Varint(self.varint()?),
            1 => {
                let bytes: [u8; 8] = self.take(8)?.try_into().map_err(|_| ())?;
                Field::Fixed64(u64::from_le_bytes(bytes))
            }
            2 => {
                let length = usize::try_from(self.varint()?).map_err(|_| ())?;
                Field::Bytes(self.take(length)?)
            }
            5 => {
                self.take(4)?;
                Field::Fixed32
            }
            _ => return Err(()),
        };
        Ok(Some((tag >> 3, field)))
    }

    fn take(&mut self, length: usize) -> Decoded<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(length).ok_or(())?;
        self.0 = rest;
        Ok(taken)
    }

    fn varint(&mut self) -> Decoded<u64> {
        let mut number = 0u64;
        for shift in (0..64u32).step_by(7) {
            let (byte, rest) = self.0.split_first().ok_or(())?;
            self.0 = rest;
            number |= u64::from(byte & 0x7f).checked_shl(shift).ok_or(())?;
            if byte & 0x80 == 0 {
                return Ok(number);
            }
        }
        Err(())
    }
}

//! `google.protobuf.Struct` as JSON, from the protobuf wire format.
//!
//! Envoy hands a `Struct` plugin configuration over as the serialised message, and route metadata likewise. Generated code
//! would decode, and ship, whole messages; this reads the few fields there are and skips the rest. Field numbers:
//! `Struct.fields = 1`; map entries `key = 1, value = 2`; `Value.{null_value = 1, number_value = 2, string_value = 3,
//! bool_value = 4, struct_value = 5, list_value = 6}`; `ListValue.values = 1`.

use serde_json::{Map, Number, Value};

/// Deeper nesting is refused rather than risking the stack.
const DEEPEST: usize = 32;

/// What was decoded; the error is that the bytes are not that message, or are nested too deeply.
pub(crate) type Decoded<T> = Result<T, ()>;

/// A serialised `google.protobuf.Struct` as a JSON object.
pub(crate) fn decode_struct(bytes: &[u8]) -> Decoded<Value> {
    structure(bytes, 0)
}

/// Key and value of a map entry.
pub(crate) fn map_entry(entry: &[u8]) -> Decoded<(&[u8], &[u8])> {
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

/// The value of a field.
pub(crate) enum Field<'a> {
    Varint(u64),
    Fixed64(u64),
    Bytes(&'a [u8]),
    Fixed32,
}

/// A message being read, field by field.
pub(crate) struct Message<'a>(pub(crate) &'a [u8]);

impl<'a> Message<'a> {
    /// The next field and its number; `None` at the end.
    pub(crate) fn next(&mut self) -> Decoded<Option<(u64, Field<'a>)>> {
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

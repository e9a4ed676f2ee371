//! The protobuf wire format, as far as spans need it: a generated encoder would ship whole messages.

/// A message being written.
#[derive(Debug, Default)]
pub struct Message(Vec<u8>);

impl Message {
    /// An empty one with room for so many bytes.
    pub fn with_room(bytes: usize) -> Self {
        Message(Vec::with_capacity(bytes))
    }

    /// The bytes.
    pub fn finish(self) -> Vec<u8> {
        self.0
    }

    fn varint(&mut self, mut number: u64) {
        while number >= 0x80 {
            self.0.push((number as u8) | 0x80);
            number >>= 7;
        }
        self.0.push(number as u8);
    }

    fn tag(&mut self, field: u32, kind: u32) {
        self.varint(u64::from((field << 3) | kind));
    }

    /// The tag of something with a length, and that.
    fn head(&mut self, field: u32, length: usize) {
        let tag = (field << 3) | 2;
        match (u8::try_from(tag), u8::try_from(length)) {
            // Nearly always.
            (Ok(tag @ ..0x80), Ok(length @ ..0x80)) => self.0.extend_from_slice(&[tag, length]),
            _ => {
                self.tag(field, 2);
                self.varint(length as u64);
            }
        }
    }

    /// Bytes, a string, or a message within this one.
    pub fn bytes(&mut self, field: u32, bytes: &[u8]) {
        self.head(field, bytes.len());
        self.0.extend_from_slice(bytes);
    }

    /// The fields of a message, as fields of this one.
    pub fn fields_of(&mut self, other: &Message) {
        self.0.extend_from_slice(&other.0);
    }

    /// The number of bytes.
    pub fn size(&self) -> usize {
        self.0.len()
    }

    /// A message within this one.
    pub fn message(&mut self, field: u32, write: impl FnOnce(&mut Message)) {
        // Room for the length of a short one, as nearly all are.
        self.head(field, 0);
        let start = self.0.len().saturating_sub(1);
        write(self);
        let length = self.0.len().saturating_sub(start).saturating_sub(1);
        match self.0.get_mut(start) {
            Some(place) if length < 0x80 => *place = length as u8,
            _ => {
                let mut long = Message::default();
                long.varint(length as u64);
                self.0.splice(start..=start, long.0);
            }
        }
    }

    /// A whole number or an enumeration.
    pub fn number(&mut self, field: u32, number: u64) {
        self.tag(field, 0);
        self.varint(number);
    }

    /// 64 bits, little-endian.
    pub fn fixed64(&mut self, field: u32, number: u64) {
        self.tag(field, 1);
        self.0.extend_from_slice(&number.to_le_bytes());
    }

    /// 32 bits, little-endian.
    pub fn fixed32(&mut self, field: u32, number: u32) {
        self.tag(field, 5);
        self.0.extend_from_slice(&number.to_le_bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use seawall_core::wire::{Field, Message as Reader};

    #[test]
    fn messages_of_any_length_are_read_as_they_were_written() {
        for length in [0, 1, 123, 124, 125, 127, 128, 129, 16_383, 16_384, 70_000] {
            let text = vec![b'x'; length];
            let mut outer = Message::default();
            outer.message(1, |middle| {
                middle.message(2, |inner| inner.bytes(3, &text));
                middle.number(4, 5);
            });
            outer.fixed32(6, 7);
            let written = outer.finish();
            let read = |message| Reader(message).map(Result::unwrap).collect::<Vec<_>>();
            let [(1, Field::Bytes(middle)), (6, Field::Fixed32(7))] = read(&written)[..] else {
                panic!("{length}: {written:?}");
            };
            let [(2, Field::Bytes(inner)), (4, Field::Varint(5))] = read(middle)[..] else {
                panic!("{length}: {middle:?}");
            };
            assert_eq!(read(inner), [(3, Field::Bytes(&text))], "{length}");
        }
    }
}

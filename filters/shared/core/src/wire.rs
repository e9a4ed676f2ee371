//! Messages in the protobuf wire format, field by field: generated code would ship whole messages in every module.

/// The bytes are not such a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Malformed;

/// What was decoded.
pub type Decoded<T> = Result<T, Malformed>;

/// The value of a field.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Field<'a> {
    /// A number, an enumeration or a boolean.
    Varint(u64),
    /// 64 bits.
    Fixed64(u64),
    /// Bytes, a string or a message.
    Bytes(&'a [u8]),
    /// 32 bits.
    Fixed32(u32),
}

/// A message being read: the fields with their numbers, in the order in which they come. Ends with the first error.
#[derive(Debug, Clone)]
pub struct Message<'a>(pub &'a [u8]);

impl<'a> Iterator for Message<'a> {
    type Item = Decoded<(u64, Field<'a>)>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.0.is_empty() {
            return None;
        }
        let field = self.field();
        if field.is_none() {
            self.0 = &[];
        }
        Some(field.ok_or(Malformed))
    }
}

impl<'a> Message<'a> {
    fn field(&mut self) -> Option<(u64, Field<'a>)> {
        let tag = self.varint()?;
        let field = match tag & 7 {
            0 => Field::Varint(self.varint()?),
            1 => Field::Fixed64(u64::from_le_bytes(self.take(8)?.try_into().ok()?)),
            2 => {
                let length = usize::try_from(self.varint()?).ok()?;
                Field::Bytes(self.take(length)?)
            }
            5 => Field::Fixed32(u32::from_le_bytes(self.take(4)?.try_into().ok()?)),
            _ => return None,
        };
        Some((tag >> 3, field))
    }

    fn take(&mut self, length: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(taken)
    }

    fn varint(&mut self) -> Option<u64> {
        let mut number = 0u64;
        for shift in (0..64u32).step_by(7) {
            let (byte, rest) = self.0.split_first()?;
            self.0 = rest;
            number |= u64::from(byte & 0x7f).checked_shl(shift)?;
            if byte & 0x80 == 0 {
                return Some(number);
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn read(message: &[u8]) -> Decoded<Vec<(u64, Field<'_>)>> {
        Message(message).collect()
    }

    #[test]
    fn every_wire_type() {
        assert_eq!(
            read(b"\x08\xac\x02\x11\x01\0\0\0\0\0\0\0\x1a\x02ab\x25\x02\0\0\0\xf8\x7f\x01"),
            Ok(vec![
                (1, Field::Varint(300)),
                (2, Field::Fixed64(1)),
                (3, Field::Bytes(b"ab")),
                (4, Field::Fixed32(2)),
                (2047, Field::Varint(1)),
            ])
        );
        assert_eq!(read(b""), Ok(Vec::new()));
    }

    #[test]
    fn what_is_cut_short_or_of_no_wire_type_is_an_error_and_the_end() {
        for bytes in [
            &b"\x08"[..],
            b"\x08\x80",
            b"\x11abcdefg",
            b"\x1a\x03ab",
            b"\x25abc",
            b"\x0b",
            b"\x0e",
            b"\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01",
            b"\x1a\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01",
        ] {
            let whole = [b"\x08\x01", bytes].concat();
            let all: Vec<_> = Message(&whole).collect();
            assert_eq!(
                all,
                [Ok((1, Field::Varint(1))), Err(Malformed)],
                "{bytes:?}"
            );
        }
    }

    proptest! {
        #[test]
        fn any_bytes_come_to_an_end(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            prop_assert!(Message(&bytes).count() <= bytes.len());
        }
    }
}

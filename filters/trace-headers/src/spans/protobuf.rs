//! The protobuf wire format, as far as spans need it: a generated encoder would ship whole messages.

/// A message being written.
#[derive(Debug, Default)]
pub struct Message(Vec<u8>);

impl Message {
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

    /// Bytes, a string, or a message within this one.
    pub fn bytes(&mut self, field: u32, bytes: &[u8]) {
        self.tag(field, 2);
        self.varint(bytes.len() as u64);
        self.0.extend_from_slice(bytes);
    }

    /// A message within this one.
    pub fn message(&mut self, field: u32, write: impl FnOnce(&mut Message)) {
        let mut inner = Message::default();
        write(&mut inner);
        self.bytes(field, &inner.0);
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

/// The fields of a message: number, value of a number, and bytes of everything else. Ends where the message does, or where
/// it is none.
pub fn fields(mut message: &[u8]) -> impl Iterator<Item = (u64, u64, &[u8])> {
    std::iter::from_fn(move || {
        let tag = varint(&mut message)?;
        let (mut number, mut length) = (0, 0);
        match tag & 7 {
            0 => number = varint(&mut message)?,
            1 => length = 8,
            2 => length = usize::try_from(varint(&mut message)?).ok()?,
            5 => length = 4,
            _ => return None,
        }
        let (bytes, rest) = message.split_at_checked(length)?;
        message = rest;
        Some((tag >> 3, number, bytes))
    })
}

fn varint(message: &mut &[u8]) -> Option<u64> {
    let mut number = 0;
    for shift in (0..64).step_by(7) {
        let (byte, rest) = message.split_first()?;
        *message = rest;
        number |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Some(number);
        }
    }
    None
}

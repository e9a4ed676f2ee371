//! The shared-data keys of slots.

/// The key of a slot: the prefix and eight hexadecimal digits, without an allocation.
pub(super) struct Name([u8; 19]);

impl Name {
    pub(super) fn of(slot: u32) -> Self {
        let mut text = *b"seawall.rl.00000000";
        let mut rest = slot;
        for digit in text.iter_mut().rev().take(8) {
            let value = (rest & 0xf) as u8;
            let letter = if value < 10 {
                b'0'
            } else {
                b'a'.saturating_sub(10)
            };
            *digit = letter.saturating_add(value);
            rest >>= 4;
        }
        Name(text)
    }

    pub(super) fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::Name;

    #[test]
    fn every_slot_has_its_own_name() {
        assert_eq!(Name::of(0).as_str(), "seawall.rl.00000000");
        assert_eq!(Name::of(0x1f3a).as_str(), "seawall.rl.00001f3a");
        assert_eq!(Name::of(u32::MAX).as_str(), "seawall.rl.ffffffff");
    }
}

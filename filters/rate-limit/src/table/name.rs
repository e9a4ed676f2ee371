//! The shared-data keys of slots.

const PREFIX: &[u8; 11] = b"seawall.rl.";
const DIGITS: &[u8; 16] = b"0123456789abcdef";

/// The key of a slot: the prefix and eight hexadecimal digits, without an allocation.
pub(super) struct Name([u8; 19]);

impl Name {
    pub(super) fn of(slot: u32) -> Self {
        let mut text = [0; 19];
        let digits = (0..8u32).rev().map(|place| {
            let digit = (slot >> place.saturating_mul(4)) & 0xf;
            DIGITS.get(digit as usize).copied().unwrap_or(b'0')
        });
        for (to, from) in text.iter_mut().zip(PREFIX.iter().copied().chain(digits)) {
            *to = from;
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

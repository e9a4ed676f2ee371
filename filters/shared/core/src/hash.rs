//! Keyed fingerprints (SipHash-1-3, 128 bits): who does not know the secret cannot aim two keys at one slot.

use siphasher::sip128::{Hasher128, SipHasher13};
use std::hash::Hasher;

/// The secret of a fingerprint. Shared by all workers, known to nobody outside; see [`crate::shared::secret`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Secret(pub [u8; 16]);

/// A 128-bit keyed hash of a key's parts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Fingerprint(pub u128);

impl Fingerprint {
    /// Which of `slots` slots this key belongs to; zero when there are none.
    pub fn slot(self, slots: u32) -> u32 {
        // The upper half chooses the slot, the lower half tells keys of one slot apart. It is taken times `slots`, of which the
        // upper half counts; in two steps, for wasm has no product of 128 bits.
        let slots = u64::from(slots);
        let (high, low) = ((self.0 >> 96) as u32, (self.0 >> 64) as u32);
        let carried = u64::from(low).saturating_mul(slots) >> 32;
        let product = u64::from(high)
            .saturating_mul(slots)
            .saturating_add(carried);
        (product >> 32) as u32
    }

    /// The half that is kept in a slot to tell its keys apart; never zero, which marks an empty place.
    pub fn tag(self) -> u64 {
        (self.0 as u64).max(1)
    }
}

/// Hashes a key given part by part.
#[derive(Debug, Clone)]
pub struct KeyHasher(SipHasher13);

impl KeyHasher {
    /// A hasher that depends on the secret.
    pub fn new(secret: &Secret) -> Self {
        KeyHasher(SipHasher13::new_with_key(&secret.0))
    }

    /// Adds a part. Its length goes in as well, so `("ab", "c")` and `("a", "bc")` differ.
    pub fn part(&mut self, bytes: &[u8]) -> &mut Self {
        self.0.write_u64(bytes.len() as u64);
        self.0.write(bytes);
        self
    }

    /// Marks a part that is missing, which differs from an empty one.
    pub fn missing(&mut self) -> &mut Self {
        self.0.write_u64(u64::MAX);
        self
    }

    /// The fingerprint of the parts so far.
    pub fn finish(&self) -> Fingerprint {
        Fingerprint(self.0.finish128().as_u128())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(parts: &[&[u8]]) -> Fingerprint {
        let mut hasher = KeyHasher::new(&Secret([7; 16]));
        for part in parts {
            hasher.part(part);
        }
        hasher.finish()
    }

    #[test]
    fn parts_do_not_run_together() {
        assert_ne!(of(&[b"ab", b"c"]), of(&[b"a", b"bc"]));
        assert_ne!(of(&[b""]), of(&[]));
        assert_ne!(
            of(&[b""]),
            KeyHasher::new(&Secret([7; 16])).missing().finish()
        );
    }

    #[test]
    fn the_secret_matters() {
        let other = KeyHasher::new(&Secret([8; 16])).part(b"a").finish();
        assert_ne!(of(&[b"a"]), other);
    }

    #[test]
    fn slots_are_within_bounds() {
        for n in 0..1000u32 {
            assert!(of(&[&n.to_le_bytes()]).slot(7) < 7);
        }
        for (key, slots) in [
            (of(&[b"b"]).0, 1 << 20),
            (u128::MAX, u32::MAX),
            (1 << 127, 3),
        ] {
            let exact = ((key >> 64) * u128::from(slots)) >> 64;
            assert_eq!(u128::from(Fingerprint(key).slot(slots)), exact);
        }
        assert_eq!(of(&[b"a"]).slot(0), 0);
        assert_eq!(Fingerprint(u128::MAX).slot(u32::MAX), u32::MAX - 1);
        assert_eq!(Fingerprint(0).tag(), 1);
        assert_ne!(of(&[b"a"]).tag(), of(&[b"b"]).tag());
    }
}

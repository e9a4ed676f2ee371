//! One slot: the shared value that holds the entries of some keys.
//!
//! Layout, all words little-endian: 8 bytes of head, then up to [`WAYS`] entries (more, up to [`MOST`], where a request has
//! more) of 32 bytes, in no order: the tag that
//! tells the keys of a slot apart, and the three words of a [`State`]. The head counts charges that may still be taken back
//! (low 16 bits) and says when the last of them was made (milliseconds since the epoch, the other 48).

use crate::quota::State;
use seawall_core::time::Timestamp;

/// How many entries a slot holds, unless a single request needs more.
pub const WAYS: usize = 16;

/// How many entries a request may need, and a slot hold, at most.
pub const MOST: usize = 64;

const HEAD: usize = 8;
const ENTRY: usize = 32;

/// After this long, in milliseconds, an unfinished charge is that of a worker that died: it stays, as if finished.
const UNFINISHED: u64 = 1_000;

/// A slot's value, changed in place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Slot(Vec<u8>);

impl Slot {
    /// Reads a value. What is not a slot's value counts as an empty one.
    pub(super) fn read(value: Option<Vec<u8>>) -> Self {
        match value {
            Some(bytes) if is_slot(&bytes) => Slot(bytes),
            _ => {
                let mut bytes = Vec::with_capacity(HEAD.saturating_add(ENTRY));
                bytes.extend_from_slice(&[0; HEAD]);
                Slot(bytes)
            }
        }
    }

    pub(super) fn bytes(&self) -> &[u8] {
        &self.0
    }

    fn len(&self) -> usize {
        self.0.len().saturating_sub(HEAD) / ENTRY
    }

    fn word(&self, at: usize) -> u64 {
        let end = at.saturating_add(8);
        let bytes = self.0.get(at..end).and_then(|word| word.try_into().ok());
        bytes.map(u64::from_le_bytes).unwrap_or_default()
    }

    fn set_word(&mut self, at: usize, word: u64) {
        let end = at.saturating_add(8);
        if let Some(place) = self.0.get_mut(at..end) {
            place.copy_from_slice(&word.to_le_bytes());
        }
    }

    fn at(index: usize) -> usize {
        index.saturating_mul(ENTRY).saturating_add(HEAD)
    }

    fn tag(&self, index: usize) -> u64 {
        self.word(Self::at(index))
    }

    fn expires(&self, index: usize) -> u64 {
        self.word(Self::at(index).saturating_add(8))
    }

    fn find(&self, tag: u64) -> Option<usize> {
        (0..self.len()).find(|index| self.tag(*index) == tag)
    }

    /// What is held under a tag.
    pub(super) fn get(&self, tag: u64) -> Option<State> {
        let at = Self::at(self.find(tag)?);
        Some(State {
            expires: self.word(at.saturating_add(8)),
            a: self.word(at.saturating_add(16)),
            b: self.word(at.saturating_add(24)),
        })
    }

    fn write(&mut self, index: usize, tag: u64, state: State) {
        let at = Self::at(index);
        self.set_word(at, tag);
        self.set_word(at.saturating_add(8), state.expires);
        self.set_word(at.saturating_add(16), state.a);
        self.set_word(at.saturating_add(24), state.b);
    }

    /// Drops everything that is over.
    fn reclaim(&mut self, now: Timestamp, keep: &[u64]) {
        let mut index = 0;
        while index < self.len() {
            if self.expires(index) < now.as_nanos() && !keep.contains(&self.tag(index)) {
                let end = self.0.len();
                let last = end.saturating_sub(ENTRY);
                self.0.copy_within(last..end, Self::at(index));
                self.0.truncate(last);
            } else {
                index = index.saturating_add(1);
            }
        }
    }

    /// Holds a state under a tag, among at most `ways`. True when a live entry had to go for it: the one nearest to its end that is not in `keep`.
    pub(super) fn put(
        &mut self,
        tag: u64,
        state: State,
        now: Timestamp,
        keep: &[u64],
        ways: usize,
    ) -> bool {
        if let Some(index) = self.find(tag) {
            self.write(index, tag, state);
            return false;
        }
        self.reclaim(now, keep);
        let len = self.len();
        if len < ways.clamp(WAYS, MOST) {
            self.0.extend_from_slice(&[0; ENTRY]);
            self.write(len, tag, state);
            return false;
        }
        let nearest = (0..len)
            .filter(|index| !keep.contains(&self.tag(*index)))
            // All entries of a window end together; then the one that is used least goes.
            .min_by_key(|index| {
                (
                    self.expires(*index),
                    self.word(Self::at(*index).saturating_add(16)),
                )
            });
        if let Some(index) = nearest {
            self.write(index, tag, state);
        }
        true
    }

    /// True when a charge in this slot may still be taken back.
    pub(super) fn is_unfinished(&self, now: Timestamp) -> bool {
        let head = self.word(0);
        head & 0xffff != 0 && now.as_millis().abs_diff(head >> 16) < UNFINISHED
    }

    /// One more charge that may be taken back.
    pub(super) fn begin(&mut self, now: Timestamp) {
        let held = if self.is_unfinished(now) {
            self.word(0) & 0xffff
        } else {
            0
        };
        let count = held.saturating_add(1).min(0xffff);
        self.set_word(0, now.as_millis() << 16 | count);
    }

    /// One less.
    pub(super) fn end(&mut self) {
        let head = self.word(0);
        let count = (head & 0xffff).saturating_sub(1);
        self.set_word(0, (head >> 16) << 16 | count);
    }
}

fn is_slot(bytes: &[u8]) -> bool {
    let most = ENTRY.saturating_mul(MOST).saturating_add(HEAD);
    bytes.len() >= HEAD && bytes.len() <= most && bytes.len() % ENTRY == HEAD
}

#[cfg(test)]
#[allow(clippy::arithmetic_side_effects, reason = "test code")]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp(1_000);

    fn until(expires: u64) -> State {
        State {
            expires,
            a: expires + 1,
            b: expires + 2,
        }
    }

    fn full() -> Slot {
        let mut slot = Slot::read(None);
        for tag in 1..=WAYS as u64 {
            assert!(!slot.put(tag, until(5_000 - tag), NOW, &[], WAYS));
        }
        slot
    }

    #[test]
    fn holds_what_was_put() {
        let slot = Slot::read(Some(full().bytes().to_vec()));
        for tag in 1..=WAYS as u64 {
            assert_eq!(slot.get(tag), Some(until(5_000 - tag)));
        }
        assert_eq!(slot.get(99), None);
    }

    #[test]
    fn entries_that_are_over_make_room_for_free() {
        let mut slot = full();
        assert!(!slot.put(99, until(9_000), Timestamp(4_990), &[], WAYS));
        assert_eq!(slot.get(10), Some(until(4_990)), "not over yet");
        assert_eq!(slot.get(11), None);
        assert_eq!(slot.get(99), Some(until(9_000)));
        assert_eq!(slot.len(), 11);
    }

    #[test]
    fn among_live_ones_the_nearest_to_its_end_goes() {
        let mut slot = full();
        let nearest = WAYS as u64;
        assert!(slot.put(99, until(9_000), NOW, &[], WAYS));
        assert_eq!(slot.get(nearest), None);
        assert!(slot.put(98, until(9_000), NOW, &[nearest - 1], WAYS));
        assert_eq!(slot.get(nearest - 1), Some(until(5_000 - nearest + 1)));
        assert_eq!(slot.get(nearest - 2), None);
    }

    #[test]
    fn of_entries_that_end_together_the_least_used_goes() {
        let mut slot = Slot::read(None);
        let counted = |a| State { a, ..until(5_000) };
        slot.put(1, counted(100), NOW, &[], WAYS);
        for tag in 2..200 {
            slot.put(tag, counted(1), NOW, &[], WAYS);
        }
        assert_eq!(slot.get(1), Some(counted(100)));
    }

    #[test]
    fn what_is_not_a_slot_is_empty() {
        for length in [0, 1, 7, 9, 39, 41, 8 + 32 * 65] {
            assert_eq!(Slot::read(Some(vec![0xff; length])).len(), 0, "{length}");
        }
    }

    #[test]
    fn unfinished_charges_are_forgotten_after_a_while() {
        let mut slot = Slot::read(None);
        let now = Timestamp::from_secs(1_750_000_000);
        assert!(!slot.is_unfinished(now));
        slot.begin(now);
        slot.begin(now);
        slot.end();
        assert!(slot.is_unfinished(now));
        let later = Timestamp::from_secs(1_750_000_001);
        assert!(!slot.is_unfinished(later));
        slot.begin(later);
        slot.end();
        assert!(!slot.is_unfinished(later));
        slot.end();
        assert!(!slot.is_unfinished(later));
    }
}

//! One slot: the shared value that holds the entries of some keys.
//!
//! Layout, all words little-endian: 8 bytes of head, then entries of 32 bytes, in no order, those of up to [`WAYS`] keys and up to
//! [`MOST`] altogether: a tag, of which the upper 16 bits tell the keys of a slot apart and all of them the counters, and the
//! three words of a [`State`]. The head counts charges that may still be taken back (low 16 bits) and says when the last of
//! them was made (milliseconds since the epoch, the other 48).

use crate::quota::State;
use seawall_core::time::Timestamp;

/// Of how many keys a slot holds entries.
pub const WAYS: usize = 16;

/// How many entries a request may need, and a slot hold, at most.
pub const MOST: usize = 64;

/// The bits of a tag that are not the key's.
const WITHIN: u32 = 48;

/// What may be mixed into a key's tag to make that of one of its counters.
pub fn within_key(mixed: u64) -> u64 {
    mixed & ((1 << WITHIN) - 1)
}

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

    /// Holds a state under a tag. True when a live entry had to go for it: the one nearest to its end that is not in `keep`.
    pub(super) fn put(&mut self, tag: u64, state: State, now: Timestamp, keep: &[u64]) -> bool {
        if let Some(index) = self.find(tag) {
            self.write(index, tag, state);
            return false;
        }
        self.reclaim(now, keep);
        let len = self.len();
        if len < WAYS || (len < MOST && self.keys_with(tag) <= WAYS) {
            self.push(tag, state);
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
        match nearest {
            Some(index) => self.write(index, tag, state),
            None if len < MOST => {
                self.push(tag, state);
                return false;
            }
            None => {}
        }
        true
    }

    fn push(&mut self, tag: u64, state: State) {
        let len = self.len();
        self.0.extend_from_slice(&[0; ENTRY]);
        self.write(len, tag, state);
    }

    /// Of how many keys there are entries, that of this tag included.
    #[cold]
    fn keys_with(&self, tag: u64) -> usize {
        let key = |index| self.tag(index) >> WITHIN;
        let own = tag >> WITHIN;
        let others = (0..self.len()).filter(|index| {
            key(*index) != own && (0..*index).all(|other| key(other) != key(*index))
        });
        others.count().saturating_add(1)
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

    /// The tag of a key's only counter.
    fn of_key(key: u64) -> u64 {
        key << WITHIN | key
    }

    fn full() -> Slot {
        let mut slot = Slot::read(None);
        for tag in 1..=WAYS as u64 {
            assert!(!slot.put(of_key(tag), until(5_000 - tag), NOW, &[]));
        }
        slot
    }

    #[test]
    fn holds_what_was_put() {
        let slot = Slot::read(Some(full().bytes().to_vec()));
        for tag in 1..=WAYS as u64 {
            assert_eq!(slot.get(of_key(tag)), Some(until(5_000 - tag)));
        }
        assert_eq!(slot.get(of_key(99)), None);
    }

    #[test]
    fn entries_that_are_over_make_room_for_free() {
        let mut slot = full();
        assert!(!slot.put(of_key(99), until(9_000), Timestamp(4_990), &[]));
        assert_eq!(slot.get(of_key(10)), Some(until(4_990)), "not over yet");
        assert_eq!(slot.get(of_key(11)), None);
        assert_eq!(slot.get(of_key(99)), Some(until(9_000)));
        assert_eq!(slot.len(), 11);
    }

    #[test]
    fn among_live_ones_the_nearest_to_its_end_goes() {
        let mut slot = full();
        let nearest = WAYS as u64;
        assert!(slot.put(of_key(99), until(9_000), NOW, &[]));
        assert_eq!(slot.get(of_key(nearest)), None);
        assert!(slot.put(of_key(98), until(9_000), NOW, &[of_key(nearest - 1)]));
        assert_eq!(
            slot.get(of_key(nearest - 1)),
            Some(until(5_000 - nearest + 1))
        );
        assert_eq!(slot.get(of_key(nearest - 2)), None);
    }

    #[test]
    fn of_entries_that_end_together_the_least_used_goes() {
        let mut slot = Slot::read(None);
        let counted = |a| State { a, ..until(5_000) };
        slot.put(of_key(1), counted(100), NOW, &[]);
        for tag in 2..200 {
            slot.put(of_key(tag), counted(1), NOW, &[]);
        }
        assert_eq!(slot.get(of_key(1)), Some(counted(100)));
    }

    #[test]
    fn what_a_key_has_does_not_push_each_other_out() {
        let counter = |key: u64, counter: u64| (key << WITHIN) | counter;
        let mut slot = Slot::read(None);
        for step in 0..MOST as u64 {
            assert!(!slot.put(counter(step % 3, step), until(5_000), NOW, &[]));
        }
        assert!(slot.put(counter(1, 99), until(5_000), NOW, &[]));
        assert_eq!(slot.len(), MOST);
    }

    #[test]
    fn many_keys_of_some_counters_have_so_many_ways_and_no_more() {
        let counter = |key: u64, counter: u64| (key << WITHIN) | counter;
        let mut slot = Slot::read(None);
        for key in 0..1_000 {
            for of_it in 0..2 {
                slot.put(counter(key, of_it), until(5_000 + key), NOW, &[]);
            }
        }
        assert_eq!(slot.len(), 2 * WAYS);
    }

    #[test]
    fn what_is_to_be_kept_is_kept_where_nothing_else_is_there() {
        let keep: Vec<_> = (0..=WAYS as u64).map(of_key).collect();
        let mut slot = Slot::read(None);
        for tag in &keep {
            assert!(!slot.put(*tag, until(5_000), NOW, &keep));
        }
        assert_eq!(slot.len(), WAYS + 1);
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

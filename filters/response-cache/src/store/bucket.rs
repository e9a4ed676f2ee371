//! A bucket: the few slots that a key may be in, as one small value of shared data that is read for every lookup.

use seawall_core::hash::Fingerprint;
use seawall_core::time::{Span, Timestamp};

/// Slots per bucket.
pub const WAYS: usize = 8;

/// How many buckets hold so many entries.
pub fn buckets_for(entries: u32) -> u32 {
    entries.div_ceil(u32::try_from(WAYS).unwrap_or(1)).max(1)
}

const RECORD: usize = 16 + 8 + 8 + 4 + 8 + 8 + 1;

/// What a slot holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// An entry.
    Full,
    /// Nothing but the memory that its key was invalidated, against answers that were on their way then.
    Tombstone,
}

/// A slot in use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Slot {
    /// Whose.
    pub fingerprint: Fingerprint,
    /// Which write; the value names the same.
    pub generation: u64,
    /// Which write of the same key it has replaced; zero where there was none that may be used. Until the new value is
    /// written, readers that have a copy of that one use it.
    pub previous: u64,
    /// The bytes that count against the budget.
    pub weight: u32,
    /// When it was last used, about.
    pub touched: Timestamp,
    /// When it becomes useless; for [`State::Tombstone`] when that was done.
    pub until: Timestamp,
    /// What it holds.
    pub state: State,
    /// How often it was asked for lately, at most 15, by a worker that it was in demand at; see [`Slot::demand_at`].
    pub demand: u8,
}

/// Demand that is not renewed halves in this time.
const DEMAND_HALVES: Span = Span::from_secs(60);

/// A memory of invalidations later than this is one by a clock that has been set back since.
const LATEST: Span = Span::from_secs(60);

/// Whether a time may be one of the clock as it is now, and not of one that was ahead and has been set back since.
pub fn is_credible(at: Timestamp, now: Timestamp) -> bool {
    at.since(now) <= LATEST
}

/// What one value of shared data holds.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Bucket {
    /// The slots.
    pub slots: [Option<Slot>; WAYS],
    /// When the latest of the invalidations was made that no slot remembers, for others have the places.
    pub forgotten: Timestamp,
}

impl Bucket {
    /// Reads a value; what is not one is an empty bucket, for its slots could be of no use.
    pub fn decode(value: &[u8]) -> Bucket {
        let mut bucket = Bucket::default();
        let Some((forgotten, records)) = value.split_first_chunk::<8>() else {
            return bucket;
        };
        if records.len() != RECORD.saturating_mul(WAYS) {
            return bucket;
        }
        bucket.forgotten = Timestamp(u64::from_le_bytes(*forgotten));
        for (place, record) in bucket.slots.iter_mut().zip(records.chunks_exact(RECORD)) {
            *place = decode_slot(record);
        }
        bucket
    }

    /// Writes it.
    pub fn encode(&self) -> Vec<u8> {
        // Most slots are free as a rule, which is all zeros.
        let mut out = vec![0; RECORD.saturating_mul(WAYS).saturating_add(8)];
        if let Some((forgotten, records)) = out.split_first_chunk_mut::<8>() {
            *forgotten = self.forgotten.0.to_le_bytes();
            for (record, slot) in records.chunks_exact_mut(RECORD).zip(&self.slots) {
                if let Some(slot) = slot {
                    encode_slot(slot, record);
                }
            }
        }
        out
    }

    /// The way of a key.
    pub fn find(&self, fingerprint: Fingerprint) -> Option<(usize, Slot)> {
        self.slots.iter().enumerate().find_map(|(way, slot)| {
            Some((way, (*slot)?)).filter(|(_, slot)| slot.fingerprint == fingerprint)
        })
    }

    /// A way that is free.
    pub fn free(&self) -> Option<usize> {
        self.slots.iter().position(Option::is_none)
    }

    /// The way to give up first: tombstones, then what is useless by now, then the least recently used.
    pub fn worst(&self, now: Timestamp) -> Option<(usize, Slot)> {
        self.slots
            .iter()
            .enumerate()
            .filter_map(|(way, slot)| Some((way, (*slot)?)))
            .min_by_key(|(_, slot)| slot.worth(now))
    }

    /// Changes a way. An invalidation that loses its place so is remembered without its key.
    pub fn set(&mut self, way: usize, slot: Option<Slot>) {
        let Some(place) = self.slots.get_mut(way) else {
            return;
        };
        let lost = place.filter(|old| {
            let again = slot.is_some_and(|new| {
                new.fingerprint == old.fingerprint && new.state == State::Tombstone
            });
            old.state == State::Tombstone && !again
        });
        *place = slot;
        if let Some(lost) = lost {
            let latest = lost.until.later(self.forgotten);
            self.forget(lost.until, slot.map_or(latest, |new| new.touched));
        }
    }

    /// Remembers an invalidation for which there is no place: whatever was asked for before is kept out of all slots.
    pub fn forget(&mut self, at: Timestamp, now: Timestamp) {
        // What a clock that was set back since has left counts as of now, or it would hide those to come.
        let of_now = |at: Timestamp| if is_credible(at, now) { at } else { now };
        self.forgotten = of_now(self.forgotten).later(of_now(at));
    }

    /// Whether what was asked for then may have been invalidated since, as far as no slot tells.
    pub fn may_be_outdated(&self, asked: Timestamp, now: Timestamp) -> bool {
        self.forgotten > asked && is_credible(self.forgotten, now)
    }
}

impl Slot {
    /// Whether it remembers that its key was invalidated since that was asked for.
    pub fn keeps_out(&self, asked: Timestamp, now: Timestamp) -> bool {
        self.state == State::Tombstone && self.until > asked && is_credible(self.until, now)
    }

    /// What orders slots for eviction; less is given up first.
    pub fn worth(&self, now: Timestamp) -> (u8, Timestamp) {
        let class = match self.state {
            State::Tombstone => 0,
            State::Full if self.until <= now => 1,
            State::Full => 2,
        };
        (class, self.touched)
    }

    /// The demand by now. Workers count apart; here each learns what the others are asked for.
    pub fn demand_at(&self, now: Timestamp) -> u8 {
        let halvings = now.since(self.touched).0 / DEMAND_HALVES.0;
        let halvings = u32::try_from(halvings).unwrap_or(u32::MAX);
        self.demand.checked_shr(halvings).unwrap_or(0)
    }

    /// True when nobody loses anything with it.
    pub fn is_useless(&self, now: Timestamp) -> bool {
        self.worth(now).0 < 2
    }
}

fn encode_slot(slot: &Slot, record: &mut [u8]) {
    let mut rest = record;
    let state: u8 = match slot.state {
        State::Full => 1,
        State::Tombstone => 3,
    };
    for part in [
        slot.fingerprint.0.to_le_bytes().as_slice(),
        &slot.generation.to_le_bytes(),
        &slot.previous.to_le_bytes(),
        &slot.weight.to_le_bytes(),
        &slot.touched.0.to_le_bytes(),
        &slot.until.0.to_le_bytes(),
        &[state | slot.demand.min(15) << 4],
    ] {
        if let Some((place, after)) = std::mem::take(&mut rest).split_at_mut_checked(part.len()) {
            place.copy_from_slice(part);
            rest = after;
        }
    }
}

fn decode_slot(record: &[u8]) -> Option<Slot> {
    let (fingerprint, rest) = record.split_first_chunk::<16>()?;
    let (generation, rest) = rest.split_first_chunk::<8>()?;
    let (previous, rest) = rest.split_first_chunk::<8>()?;
    let (weight, rest) = rest.split_first_chunk::<4>()?;
    let (touched, rest) = rest.split_first_chunk::<8>()?;
    let (until, rest) = rest.split_first_chunk::<8>()?;
    let last = *rest.first()?;
    let state = match last & 15 {
        1 => State::Full,
        3 => State::Tombstone,
        _ => return None,
    };
    Some(Slot {
        fingerprint: Fingerprint(u128::from_le_bytes(*fingerprint)),
        generation: u64::from_le_bytes(*generation),
        previous: u64::from_le_bytes(*previous),
        weight: u32::from_le_bytes(*weight),
        touched: Timestamp(u64::from_le_bytes(*touched)),
        until: Timestamp(u64::from_le_bytes(*until)),
        state,
        demand: last >> 4,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn slot(fingerprint: u128, touched: u64, until: u64, state: State) -> Slot {
        Slot {
            fingerprint: Fingerprint(fingerprint),
            generation: 7,
            previous: 6,
            weight: 100,
            touched: Timestamp::from_secs(touched),
            until: Timestamp::from_secs(until),
            state,
            demand: 9,
        }
    }

    #[test]
    fn demand_fades_unless_it_is_renewed() {
        let slot = slot(1, 100, 1_000, State::Full);
        for (at, demand) in [
            (0, 9),
            (159, 9),
            (160, 4),
            (220, 2),
            (340, 0),
            (u64::MAX / 2_000_000_000, 0),
        ] {
            assert_eq!(slot.demand_at(Timestamp::from_secs(at)), demand, "{at}");
        }
    }

    #[test]
    fn gives_up_tombstones_then_the_expired_then_the_least_recently_used() {
        let mut bucket = Bucket::default();
        bucket.set(1, Some(slot(1, 5, 100, State::Full)));
        bucket.set(2, Some(slot(2, 4, 100, State::Full)));
        bucket.set(4, Some(slot(4, 9, 3, State::Full)));
        bucket.set(6, Some(slot(6, 9, 9, State::Tombstone)));
        let now = Timestamp::from_secs(10);
        for expected in [6, 4, 2, 1] {
            let (way, _) = bucket.worst(now).unwrap();
            assert_eq!(way, expected);
            bucket.set(way, None);
        }
        assert_eq!(bucket.worst(now), None);
        assert_eq!(bucket.free(), Some(0));
    }

    #[test]
    fn an_invalidation_that_loses_its_place_keeps_out_what_was_asked_for_before() {
        let mut bucket = Bucket::default();
        let now = Timestamp::from_secs(20);
        let outdated =
            |bucket: &Bucket, asked| bucket.may_be_outdated(Timestamp::from_secs(asked), now);
        bucket.set(3, Some(slot(3, 9, 10, State::Tombstone)));
        bucket.set(3, Some(slot(3, 9, 12, State::Tombstone)));
        assert!(!outdated(&bucket, 1), "its own place remembers it");
        bucket.set(3, Some(slot(3, 9, 90, State::Full)));
        assert!(outdated(&bucket, 11) && !outdated(&bucket, 12));
        bucket.set(4, Some(slot(4, 9, 900, State::Tombstone)));
        bucket.set(4, Some(slot(4, 9, 90, State::Full)));
        assert_eq!(bucket.forgotten, Timestamp::from_secs(12), "not of 900");
        bucket.set(3, None);
        bucket.forget(Timestamp::from_secs(5), now);
        assert!(outdated(&bucket, 11), "an earlier one changes nothing");
        // A clock that was set back does not keep everything out until it gets there again.
        let ahead = now.saturating_add(LATEST);
        bucket.forget(ahead, ahead);
        assert!(outdated(&bucket, 19));
        let ahead = ahead.saturating_add(Span::from_secs(1));
        bucket.forget(ahead, ahead);
        assert!(!outdated(&bucket, 11));
    }

    #[test]
    fn what_was_forgotten_by_a_clock_that_was_ahead_does_not_hide_what_is_forgotten_now() {
        let mut bucket = Bucket::default();
        let mut lose = |now| {
            bucket.set(4, Some(slot(4, now, now, State::Tombstone)));
            bucket.set(4, Some(slot(4, now, now, State::Full)));
            bucket.clone()
        };
        let at = Timestamp::from_secs;
        assert!(lose(900).may_be_outdated(at(899), at(901)));
        // Set back.
        let bucket = lose(20);
        assert!(bucket.may_be_outdated(at(19), at(21)));
        assert!(!bucket.may_be_outdated(at(21), at(22)));
        // Nor where no place is free for one that is remembered at once.
        let mut bucket = lose(900);
        bucket.forget(at(20), at(20));
        assert!(bucket.may_be_outdated(at(19), at(21)));
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(way in 0usize..WAYS, fingerprint in any::<u128>(), touched in 0u64..1 << 30) {
            let mut bucket = Bucket::default();
            bucket.set(way, Some(slot(fingerprint, touched, 5, State::Tombstone)));
            bucket.forget(Timestamp::from_secs(touched), Timestamp::from_secs(touched));
            let read = Bucket::decode(&bucket.encode());
            prop_assert_eq!(&read, &bucket);
            prop_assert_eq!(read.find(Fingerprint(fingerprint)).map(|(way, _)| way), Some(way));
        }

        #[test]
        fn any_bytes_are_read(value in proptest::collection::vec(any::<u8>(), 0..500)) {
            let _ = Bucket::decode(&value);
        }
    }
}

//! A bucket: the few slots that a key may be in, as one small value of shared data that is read for every lookup.

use seawall_core::hash::Fingerprint;
use seawall_core::time::{Span, Timestamp};

/// Slots per bucket.
pub const WAYS: usize = 8;

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

/// The slots of a bucket.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Bucket(pub [Option<Slot>; WAYS]);

impl Bucket {
    /// Reads a value; what is not one is an empty bucket, for its slots could be of no use.
    pub fn decode(value: &[u8]) -> Bucket {
        let mut bucket = Bucket::default();
        if value.len() != RECORD.saturating_mul(WAYS) {
            return bucket;
        }
        for (place, record) in bucket.0.iter_mut().zip(value.chunks_exact(RECORD)) {
            *place = decode_slot(record);
        }
        bucket
    }

    /// Writes it.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(RECORD.saturating_mul(WAYS));
        for slot in &self.0 {
            match slot {
                Some(slot) => {
                    out.extend_from_slice(&slot.fingerprint.0.to_le_bytes());
                    out.extend_from_slice(&slot.generation.to_le_bytes());
                    out.extend_from_slice(&slot.previous.to_le_bytes());
                    out.extend_from_slice(&slot.weight.to_le_bytes());
                    out.extend_from_slice(&slot.touched.0.to_le_bytes());
                    out.extend_from_slice(&slot.until.0.to_le_bytes());
                    let state: u8 = match slot.state {
                        State::Full => 1,
                        State::Tombstone => 3,
                    };
                    out.push(state | slot.demand.min(15) << 4);
                }
                None => out.extend_from_slice(&[0; RECORD]),
            }
        }
        out
    }

    /// The way of a key.
    pub fn find(&self, fingerprint: Fingerprint) -> Option<(usize, Slot)> {
        self.0.iter().enumerate().find_map(|(way, slot)| {
            Some((way, (*slot)?)).filter(|(_, slot)| slot.fingerprint == fingerprint)
        })
    }

    /// A way that is free.
    pub fn free(&self) -> Option<usize> {
        self.0.iter().position(Option::is_none)
    }

    /// The way to give up first: tombstones, then what is useless by now, then the least recently used.
    pub fn worst(&self, now: Timestamp) -> Option<(usize, Slot)> {
        self.0
            .iter()
            .enumerate()
            .filter_map(|(way, slot)| Some((way, (*slot)?)))
            .min_by_key(|(_, slot)| slot.worth(now))
    }

    /// Changes a way.
    pub fn set(&mut self, way: usize, slot: Option<Slot>) {
        if let Some(place) = self.0.get_mut(way) {
            *place = slot;
        }
    }
}

impl Slot {
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

    proptest! {
        #[test]
        fn what_is_written_is_read(way in 0usize..WAYS, fingerprint in any::<u128>(), touched in 0u64..1 << 30) {
            let mut bucket = Bucket::default();
            bucket.set(way, Some(slot(fingerprint, touched, 5, State::Tombstone)));
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

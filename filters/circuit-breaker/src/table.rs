//! Breakers in shared data: a fixed number of slots, each a small table of breakers by their full fingerprint.
//!
//! A fingerprint is compared whole (128 bits, keyed), so a stranger is never blocked by a collision. A breaker that could be
//! forgotten without anybody noticing gives its place up first; when all are needed, a new key goes without a breaker, and
//! a metric counts it. Shared data is never keyed by anything that a client chooses: the slot's number is the key.

use crate::breaker::{Record, State, MOST_PROBES};
use crate::settings::Policy;
use seawall_core::hash::Fingerprint;
use seawall_core::time::Timestamp;

/// Breakers per slot.
pub const WAYS: u32 = 4;

/// Version, fingerprint, state, trips, epoch, count, time, leases.
const ENTRY: usize = 16 + 1 + 1 + 4 + 4 + 8 + 8 * MOST_PROBES;
const VERSION: u8 = 1;

/// The key of a slot in shared data.
pub fn slot_name(slot: u32) -> String {
    format!("seawall.circuit_breaker.{slot:05x}")
}

/// How many slots hold so many breakers.
pub fn slots(max_keys: u32) -> u32 {
    max_keys.div_ceil(WAYS).max(1)
}

/// One slot, decoded.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Slot(Vec<(u128, Record)>);

impl Slot {
    /// Reads a slot. Anything that is not one is an empty slot.
    pub fn decode(bytes: Option<&[u8]>) -> Slot {
        let Some((&VERSION, entries)) = bytes.and_then(<[u8]>::split_first) else {
            return Slot::default();
        };
        Slot(
            entries
                .chunks_exact(ENTRY)
                .filter_map(decode_entry)
                .take(WAYS as usize)
                .collect(),
        )
    }

    /// The slot in bytes.
    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(self.0.len().saturating_mul(ENTRY).saturating_add(1));
        bytes.push(VERSION);
        for (fingerprint, record) in &self.0 {
            bytes.extend_from_slice(&fingerprint.to_le_bytes());
            bytes.push(record.state as u8);
            bytes.push(record.trips);
            bytes.extend_from_slice(&record.epoch.to_le_bytes());
            bytes.extend_from_slice(&record.count.to_le_bytes());
            bytes.extend_from_slice(&record.at.0.to_le_bytes());
            for lease in record.leases {
                bytes.extend_from_slice(&lease.0.to_le_bytes());
            }
        }
        bytes
    }

    /// The breaker of a key; an absent one has never failed.
    pub fn get(&self, key: Fingerprint) -> Record {
        self.0
            .iter()
            .find(|(other, _)| *other == key.0)
            .map(|(_, record)| *record)
            .unwrap_or_default()
    }

    /// Puts a breaker in. False when there is no place for it.
    pub fn put(
        &mut self,
        key: Fingerprint,
        record: Record,
        policy: &Policy,
        now: Timestamp,
    ) -> bool {
        if let Some((_, held)) = self.0.iter_mut().find(|(other, _)| *other == key.0) {
            *held = record;
            return true;
        }
        self.0.retain(|(_, held)| !held.is_default(policy, now));
        if self.0.len() >= WAYS as usize {
            // Failures that are still being counted matter less than a breaker that is open or recovering.
            let place = self
                .0
                .iter()
                .position(|(_, held)| held.state == State::Closed);
            let Some(place) = place.filter(|_| record.state != State::Closed || record.count > 0)
            else {
                return false;
            };
            self.0.swap_remove(place);
        }
        self.0.push((key.0, record));
        true
    }
}

/// Takes fixed-size parts off the front.
struct Parts<'a>(&'a [u8]);

impl Parts<'_> {
    fn take<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (part, rest) = self.0.split_first_chunk::<N>()?;
        self.0 = rest;
        Some(*part)
    }
}

fn decode_entry(bytes: &[u8]) -> Option<(u128, Record)> {
    let mut parts = Parts(bytes);
    let fingerprint = u128::from_le_bytes(parts.take()?);
    let state = match parts.take::<1>()? {
        [0] => State::Closed,
        [1] => State::Open,
        [2] => State::HalfOpen,
        _ => return None,
    };
    let [trips] = parts.take::<1>()?;
    let mut record = Record {
        state,
        trips,
        epoch: u32::from_le_bytes(parts.take()?),
        count: u32::from_le_bytes(parts.take()?),
        at: Timestamp(u64::from_le_bytes(parts.take()?)),
        ..Record::default()
    };
    for lease in &mut record.leases {
        *lease = Timestamp(u64::from_le_bytes(parts.take()?));
    }
    Some((fingerprint, record))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::Settings;
    use seawall_core::config::load;
    use serde_json::json;

    fn policy() -> Policy {
        load::<Settings>(&json!({})).unwrap().policy
    }

    const NOW: Timestamp = Timestamp::from_secs(1_000_000);

    fn open() -> Record {
        Record {
            state: State::Open,
            epoch: 7,
            trips: 2,
            at: NOW,
            ..Record::default()
        }
    }

    #[test]
    fn what_is_written_is_read() {
        let mut slot = Slot::default();
        let mut record = open();
        record.leases[3] = Timestamp(99);
        assert!(slot.put(Fingerprint(1), record, &policy(), NOW));
        let read = Slot::decode(Some(&slot.encode()));
        assert_eq!(read.get(Fingerprint(1)), record);
        assert_eq!(read.get(Fingerprint(2)), Record::default());
    }

    #[test]
    fn keys_are_told_apart_by_their_whole_fingerprint() {
        let mut slot = Slot::default();
        slot.put(Fingerprint(1), open(), &policy(), NOW);
        assert_eq!(slot.get(Fingerprint(1 | 1 << 100)), Record::default());
    }

    #[test]
    fn a_full_slot_keeps_its_open_breakers() {
        let mut slot = Slot::default();
        for key in 0..4 {
            assert!(slot.put(Fingerprint(key), open(), &policy(), NOW));
        }
        assert!(!slot.put(Fingerprint(9), open(), &policy(), NOW));
        assert_eq!(slot.get(Fingerprint(0)), open());
        assert_eq!(slot.encode().len(), 1 + 4 * ENTRY);
    }

    #[test]
    fn healthy_breakers_give_their_place_up() {
        let mut slot = Slot::default();
        for key in 0..4 {
            slot.put(Fingerprint(key), Record::default(), &policy(), NOW);
        }
        assert!(slot.put(Fingerprint(9), open(), &policy(), NOW));
        assert_eq!(slot.get(Fingerprint(9)), open());
    }

    #[test]
    fn bytes_that_are_no_slot_are_an_empty_one() {
        for bytes in [&b""[..], b"\x01", b"\x02abc", &[0xff; 500]] {
            assert_eq!(Slot::decode(Some(bytes)), Slot::default(), "{bytes:?}");
        }
        assert_eq!(Slot::decode(None), Slot::default());
    }
}

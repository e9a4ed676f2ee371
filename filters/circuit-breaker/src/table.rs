//! Breakers in shared data: a fixed number of slots, each a small table of breakers by their full fingerprint.
//!
//! A fingerprint is compared whole (128 bits, keyed), so a stranger is never blocked by a collision. A breaker that could be
//! forgotten without anybody noticing gives its place up first; when all are needed, a new key goes without a breaker, and
//! a metric counts it. Shared data is never keyed by anything that a client chooses: the slot's number is the key.

use crate::breaker::window::{Tally, Window, CELLS};
use crate::breaker::{Reason, Record, State, MOST_PROBES};
use crate::policy::Policy;
use seawall_core::hash::Fingerprint;
use seawall_core::name::Name;
use seawall_core::time::{Span, Timestamp};

/// Breakers per slot.
pub const WAYS: u32 = 4;

/// Fingerprint, state, reason, trips, epoch, count, two times and a limit, leases, window.
const ENTRY: usize = 16 + 3 + 4 + 4 + 24 + 8 * MOST_PROBES + 16 + 16 * CELLS;
const VERSION: u8 = 3;

/// The key of a slot in shared data.
pub fn slot_name(slot: u32) -> Name {
    Name::of("seawall.cb.", slot)
}

/// How many slots hold so many breakers.
pub fn slots(max_keys: u32) -> u32 {
    max_keys.div_ceil(WAYS).max(1)
}

/// Where a breaker was put.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Placed {
    /// Where it was before, or where nobody was.
    Free,
    /// Where one in this state was, which is forgotten.
    InsteadOf(State),
    /// There is no place for it.
    Nowhere,
}

/// One slot, decoded.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Slot(Vec<(u128, Record)>);

/// The breaker of a key in a slot's bytes; an absent one has never failed.
pub fn find(bytes: Option<&[u8]>, key: Fingerprint) -> Option<Record> {
    entries(bytes)
        .find(|entry| entry.starts_with(&key.0.to_le_bytes()))
        .and_then(decode_entry)
        .map(|(_, record)| record)
}

/// The entries of a slot. Anything that is not a slot has none.
fn entries(bytes: Option<&[u8]>) -> impl Iterator<Item = &[u8]> {
    let entries = match bytes.and_then(<[u8]>::split_first) {
        Some((&VERSION, entries)) => entries,
        _ => &[],
    };
    entries.chunks_exact(ENTRY).take(WAYS as usize)
}

impl Slot {
    /// Reads a slot.
    pub fn decode(bytes: Option<&[u8]>) -> Slot {
        Slot(entries(bytes).filter_map(decode_entry).collect())
    }

    /// The slot in bytes.
    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(self.0.len().saturating_mul(ENTRY).saturating_add(1));
        bytes.push(VERSION);
        for (fingerprint, record) in &self.0 {
            bytes.extend_from_slice(&fingerprint.to_le_bytes());
            bytes.push(record.state as u8);
            bytes.push(record.reason as u8);
            bytes.push(record.trips);
            bytes.extend_from_slice(&record.epoch.to_le_bytes());
            bytes.extend_from_slice(&record.count.to_le_bytes());
            bytes.extend_from_slice(&record.at.0.to_le_bytes());
            bytes.extend_from_slice(&record.limit.0.to_le_bytes());
            bytes.extend_from_slice(&record.rough_since.0.to_le_bytes());
            for lease in record.leases {
                bytes.extend_from_slice(&lease.0.to_le_bytes());
            }
            bytes.extend_from_slice(&record.window.width.to_le_bytes());
            bytes.extend_from_slice(&record.window.latest.to_le_bytes());
            for cell in record.window.cells {
                for count in [cell.calls, cell.failures, cell.slow, cell.refused] {
                    bytes.extend_from_slice(&count.to_le_bytes());
                }
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

    /// Puts a breaker in.
    pub fn put(
        &mut self,
        key: Fingerprint,
        record: Record,
        policy: &Policy,
        now: Timestamp,
    ) -> Placed {
        if let Some((_, held)) = self.0.iter_mut().find(|(other, _)| *other == key.0) {
            *held = record;
            return Placed::Free;
        }
        self.0.retain(|(_, held)| !held.is_default(policy, now));
        if self.0.len() >= WAYS as usize {
            let place = self.dispensable(now);
            let Some(place) = place.filter(|_| record.state != State::Closed || record.count > 0)
            else {
                return Placed::Nowhere;
            };
            let (_, gone) = self.0.swap_remove(place);
            self.0.push((key.0, record));
            return Placed::InsteadOf(gone.state);
        }
        self.0.push((key.0, record));
        Placed::Free
    }

    /// The breaker that is missed least: failures that are still being counted matter less than one that is open or
    /// recovering; and one whose time is over without a call since matters less the longer that is ago, or whoever has
    /// left for good would keep a place for ever.
    fn dispensable(&self, now: Timestamp) -> Option<usize> {
        let mut held = self.0.iter().map(|(_, held)| held);
        if let Some(place) = held.position(|held| held.state == State::Closed) {
            return Some(place);
        }
        let over = self.0.iter().enumerate().map(|(at, (_, held))| {
            let last = held.leases.iter().fold(held.at, |last, l| last.max(*l));
            (last, at)
        });
        over.filter(|(last, _)| *last <= now)
            .min()
            .map(|(_, at)| at)
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
    let [state, reason, trips] = parts.take()?;
    let mut record = Record {
        state: match state {
            0 => State::Closed,
            1 => State::Open,
            2 => State::HalfOpen,
            _ => return None,
        },
        reason: Reason::ALL
            .into_iter()
            .find(|known| *known as u8 == reason)
            .unwrap_or_default(),
        trips,
        epoch: u32::from_le_bytes(parts.take()?),
        count: u32::from_le_bytes(parts.take()?),
        at: Timestamp(u64::from_le_bytes(parts.take()?)),
        limit: Span(u64::from_le_bytes(parts.take()?)),
        rough_since: Timestamp(u64::from_le_bytes(parts.take()?)),
        ..Record::default()
    };
    for lease in &mut record.leases {
        *lease = Timestamp(u64::from_le_bytes(parts.take()?));
    }
    let mut window = Window {
        width: u64::from_le_bytes(parts.take()?),
        latest: u64::from_le_bytes(parts.take()?),
        ..Window::default()
    };
    for cell in &mut window.cells {
        *cell = Tally {
            calls: u32::from_le_bytes(parts.take()?),
            failures: u32::from_le_bytes(parts.take()?),
            slow: u32::from_le_bytes(parts.take()?),
            refused: u32::from_le_bytes(parts.take()?),
        };
    }
    record.window = window;
    Some((fingerprint, record))
}

#[cfg(test)]
mod tests;

//! Writes of entries: the room that one takes, and the slot of its bucket that it claims.

use super::bucket::{Bucket, Slot, State};
use super::table::{bucket_key, entry_key, Table, ATTEMPTS};
use crate::entry::Entry;
use crate::http::storable::Refusal;
use seawall_core::generation::Seen;
use seawall_core::host::{Expect, Host};
use seawall_core::shared::{update_from, Present, Step};
use seawall_core::time::Timestamp;
use std::cell::Cell;
use std::rc::Rc;

/// Keys and bookkeeping of an entry beside its value, in bytes, about.
const OVERHEAD: u64 = 160;

/// A write.
#[derive(Debug, Default)]
pub struct Insert {
    /// When it becomes useless.
    pub until: Timestamp,
    /// When its request went out: an invalidation after that wins.
    pub asked: Timestamp,
    /// The generation that it updates: what has come in its place meanwhile wins.
    pub updates: Option<u64>,
    /// The generation that it was made from, zero where there was none: what has come in its place meanwhile wins.
    pub expects: Option<u64>,
    /// The time.
    pub now: Timestamp,
    /// The bucket of its key, where that was read already.
    pub known: Option<BucketRead>,
}

/// A bucket as it was read.
#[derive(Debug)]
pub struct BucketRead {
    pub(super) bucket: u32,
    pub(super) read: Present,
}

/// A slot that was taken for an entry.
#[derive(Debug, Clone, Copy)]
struct Claimed {
    way: usize,
    /// What was in it.
    replaced: Option<Slot>,
    /// How often this was announced.
    tries: u64,
}

/// The room and the slot of an entry.
#[derive(Debug)]
struct Placed {
    claimed: Claimed,
    /// So much of its room is that of what it has replaced.
    covered: u64,
    /// The changes before the claim.
    before: Option<Seen>,
}

/// Erases a value that is nobody's, unless whoever has the slot by now has written another one since.
#[cold]
#[inline(never)]
fn take_back(host: &dyn Host, key: &str, value: &[u8]) {
    if let Ok(Some((present, version))) = host.shared_get(key) {
        if present == value {
            let _ = host.shared_set(key, &[], Expect::Version(version));
        }
    }
}

impl Table {
    /// Stores an entry under its key.
    ///
    /// # Errors
    /// Why it was not stored.
    pub fn insert(&self, host: &dyn Host, entry: Entry, insert: Insert) -> Result<(), Refusal> {
        let value = entry.encode().ok_or(Refusal::Internal)?;
        let weight = u64::try_from(value.len())
            .unwrap_or(u64::MAX)
            .saturating_add(OVERHEAD);
        let small = u32::try_from(weight).map_err(|_| Refusal::TooLarge)?;
        if weight > self.layout.most_bytes {
            return Err(Refusal::TooLarge);
        }
        let fingerprint = self.fingerprint(&entry.key);
        let bucket = fingerprint.slot(self.layout.buckets);
        let slot = Slot {
            fingerprint,
            generation: entry.generation(),
            weight: small,
            previous: 0,
            touched: insert.now,
            until: insert.until,
            state: State::Full,
            demand: self.demand(fingerprint),
        };
        let now = insert.now;
        let Placed {
            claimed:
                Claimed {
                    way,
                    replaced,
                    tries,
                },
            covered,
            before,
        } = self.place(host, bucket, slot, insert)?;
        let key = entry_key(bucket, way);
        let written = host.shared_set(&key, &value, Expect::Anything).is_ok();
        // Until now, copies of what it replaces were good.
        self.changes.advance(host, bucket, self.layout.buckets);
        if let Some(old) = replaced {
            let weight = u64::from(old.weight);
            self.budget.release(host, weight.saturating_sub(covered));
            if old.fingerprint != fingerprint && old.state != State::Tombstone {
                self.evicted.set(self.evicted.get().saturating_add(1));
            }
        }
        if !written {
            self.clear(host, bucket, fingerprint, entry.generation());
            return Err(Refusal::Internal);
        }
        // Somebody may have claimed the slot between the claim and the write: then the value is nobody's. Whoever did has said so
        // in between.
        let said = |before: Seen| before.number().checked_add(tries)?.checked_add(1);
        let after = self.changes.seen(host, fingerprint, now);
        let alone = after.is_some_and(|after| before.and_then(said) == Some(after.number()));
        let mine = || {
            let slots = self.read_bucket(host, bucket).ok()?;
            let (_, found) = slots.find(fingerprint)?;
            Some(found.generation == slot.generation)
        };
        if !alone && mine() != Some(true) {
            take_back(host, &key, &value);
            return Err(Refusal::Outdated);
        }
        self.keep_copy(fingerprint, Rc::new(entry));
        Ok(())
    }

    /// Takes room and a slot. What replaces an entry of its own key has the room of that already, and takes only what is more.
    fn place(
        &self,
        host: &dyn Host,
        bucket: u32,
        slot: Slot,
        mut insert: Insert,
    ) -> Result<Placed, Refusal> {
        let weight = u64::from(slot.weight);
        let known = insert.known.take().filter(|known| known.bucket == bucket);
        let read = match known {
            Some(known) => known.read,
            None => host
                .shared_get(&bucket_key(bucket))
                .map_err(|_| Refusal::Internal)?,
        };
        let own = read.as_ref().and_then(|(value, _)| {
            let (_, own) = Bucket::decode(value).find(slot.fingerprint)?;
            Some(own).filter(|own| own.state == State::Full)
        });
        let mut known = Some(read);
        let mut covered = own.map_or(0, |own| u64::from(own.weight).min(weight));
        loop {
            let more = weight.saturating_sub(covered);
            self.reserve(host, more, slot.fingerprint, covered > 0, insert.now)?;
            let before = self.changes.seen(host, slot.fingerprint, insert.now);
            match self.claim(host, bucket, slot, covered, &insert, known.take()) {
                Ok(Some(claimed)) => {
                    return Ok(Placed {
                        claimed,
                        covered,
                        before,
                    })
                }
                // Its own slot was taken away since, and the room with it: it is as new by now.
                Ok(None) if covered > 0 => {
                    self.budget.release(host, more);
                    covered = 0;
                }
                Ok(None) => {
                    self.budget.release(host, more);
                    return Err(Refusal::Internal);
                }
                Err(refusal) => {
                    self.budget.release(host, more);
                    return Err(refusal);
                }
            }
        }
    }

    /// Claims a slot; `None` where none is there any more that has the room which is `covered`.
    fn claim(
        &self,
        host: &dyn Host,
        bucket: u32,
        slot: Slot,
        covered: u64,
        insert: &Insert,
        known: Option<Present>,
    ) -> Result<Option<Claimed>, Refusal> {
        let tries = Cell::new(0u64);
        let updated = update_from(host, &bucket_key(bucket), ATTEMPTS, known, |value| {
            let mut slots = Bucket::decode(value.unwrap_or_default());
            let found = slots.find(slot.fingerprint);
            // What is updated is there still, so it was not invalidated.
            let there = found.is_some_and(|(_, old)| insert.updates == Some(old.generation));
            if !there && slots.may_be_outdated(insert.asked, insert.now) {
                return Step::Keep(Err(Refusal::Outdated));
            }
            let place = match found {
                Some((_, old)) if old.keeps_out(insert.asked, insert.now) => {
                    return Step::Keep(Err(Refusal::Outdated));
                }
                Some((_, old))
                    if old.state == State::Full
                        && insert
                            .updates
                            .or(insert.expects)
                            .is_some_and(|known| known != old.generation) =>
                {
                    return Step::Keep(Err(Refusal::Outdated));
                }
                Some((way, old)) => Some((way, Some(old))),
                None => match slots.free() {
                    Some(way) => Some((way, None)),
                    None => slots
                        .worst(insert.now)
                        .filter(|(_, victim)| self.admits(slot.fingerprint, victim, insert.now))
                        .map(|(way, victim)| (way, Some(victim))),
                },
            };
            let own = found.map(|(_, old)| old);
            let same = own.filter(|old| old.state == State::Full);
            if same.map_or(0, |old| u64::from(old.weight)) < covered {
                return Step::Keep(Ok(None));
            }
            let Some((way, replaced)) = place else {
                return Step::Keep(Err(Refusal::Admission));
            };
            let next = Slot {
                previous: same.map_or(0, |old| old.generation),
                demand: same
                    .map_or(0, |old| old.demand_at(insert.now))
                    .max(slot.demand),
                ..slot
            };
            slots.set(way, Some(next));
            // A free place is taken from nobody: who had it has lost it to somebody who said so.
            if replaced.is_some() {
                self.announce(host, bucket);
                tries.set(tries.get().saturating_add(1));
            }
            let claimed = Claimed {
                way,
                replaced,
                tries: tries.get(),
            };
            Step::Write(slots.encode(), Ok(Some(claimed)))
        });
        updated.map_err(|_| Refusal::Internal)?.result
    }
}

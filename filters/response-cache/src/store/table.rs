//! The table of entries.
//!
//! A key's fingerprint names a bucket of [`super::bucket::WAYS`] slots and the key of shared data that belongs to each slot, so the
//! number of keys is fixed however many URLs there are. A write claims its slot by compare-and-swap with a new
//! generation, then writes the value that carries the same generation; a reader that finds another one, or a damaged
//! value, has found nothing.

use super::bucket::{Bucket, Slot, State};
use super::budget::Budget;
use super::changes::Changes;
use super::hot::Hot;
use super::insert::{BucketRead, Insert};
use super::sketch::Sketch;
use crate::entry::Entry;
use crate::key::fingerprint;
use crate::refresh::Random;
use seawall_core::bytes::same;
use seawall_core::hash::{Fingerprint, Secret};
use seawall_core::host::{Answer, Expect, Host};
use seawall_core::name::Name;
use seawall_core::shared::{update, Step, UpdateError};
use seawall_core::time::Timestamp;
use std::cell::{Cell, RefCell};
use std::rc::Rc;

/// Lost races after which a write gives up.
pub(super) const ATTEMPTS: u32 = 16;

/// The size of the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Layout {
    /// How many buckets.
    pub buckets: u32,
    /// How many bytes over all entries.
    pub most_bytes: u64,
    /// How many bytes of copies a worker keeps.
    pub worker_bytes: usize,
    /// New keys must be in more demand than those that they would push out.
    pub admission: bool,
}

/// What is stored under a key.
#[derive(Debug, Clone)]
pub struct Found {
    /// The entry.
    pub entry: Rc<Entry>,
    /// When it was purged softly.
    pub purged: Option<Timestamp>,
    /// The time of last use and the demand, where the slot names this very entry.
    pub slot: Option<(Timestamp, u8)>,
}

/// The table, as one worker sees it.
#[derive(Debug)]
pub struct Table {
    pub(super) layout: Layout,
    secret: Secret,
    pub(super) changes: Changes,
    pub(super) budget: Budget,
    pub(super) hot: RefCell<Hot>,
    pub(super) sketch: RefCell<Sketch>,
    random: Cell<Random>,
    pub(super) recounted: Cell<Timestamp>,
    pub(super) evicted: Cell<u64>,
    /// The bucket in which a key was looked for last, and not found.
    lacking: RefCell<Option<BucketRead>>,
    /// The generation of what was read for a key last.
    read: Cell<u64>,
}

pub(super) fn bucket_key(bucket: u32) -> Name {
    Name::of("seawall.rc.i.", bucket)
}

pub(super) fn entry_key(bucket: u32, way: usize) -> Name {
    Name::of("seawall.rc.e.", bucket).part(way)
}

impl Table {
    /// A view of the table that all workers share.
    pub fn new(layout: Layout, secret: Secret, seed: u64, changes: Changes) -> Self {
        Table {
            layout,
            secret,
            changes,
            budget: Budget::new(layout.most_bytes),
            hot: RefCell::new(Hot::new(layout.worker_bytes)),
            sketch: RefCell::default(),
            random: Cell::new(Random::new(seed)),
            recounted: Cell::default(),
            evicted: Cell::default(),
            lacking: RefCell::default(),
            read: Cell::default(),
        }
    }

    /// The secret of its fingerprints.
    pub fn secret(&self) -> &Secret {
        &self.secret
    }

    /// Random bits.
    pub fn bits(&self) -> u64 {
        self.draw(Random::bits)
    }

    /// A random number in (0, 1].
    pub fn unit(&self) -> f64 {
        self.draw(Random::unit)
    }

    fn draw<R>(&self, what: impl FnOnce(&mut Random) -> R) -> R {
        let mut random = self.random.get();
        let drawn = what(&mut random);
        self.random.set(random);
        drawn
    }

    /// Entries given up since this was asked last.
    pub fn take_evicted(&self) -> u64 {
        self.evicted.take()
    }

    /// The fingerprint of a key.
    pub fn fingerprint(&self, key: &[u8]) -> Fingerprint {
        fingerprint(&self.secret, key)
    }

    /// Counts a request for a key; what is in demand is admitted.
    pub fn count(&self, fingerprint: Fingerprint) {
        if let Ok(mut sketch) = self.sketch.try_borrow_mut() {
            sketch.count(fingerprint);
        }
    }

    /// How often a key was asked for lately.
    pub(super) fn demand(&self, fingerprint: Fingerprint) -> u8 {
        let sketch = self.sketch.try_borrow();
        sketch.map_or(0, |sketch| sketch.estimate(fingerprint))
    }

    pub(super) fn read_bucket(&self, host: &dyn Host, bucket: u32) -> Answer<Bucket> {
        let value = host.shared_get(&bucket_key(bucket))?;
        Ok(value.map_or_else(Bucket::default, |(value, _)| Bucket::decode(&value)))
    }

    /// What tells whether a key's entry has changed.
    pub fn changes(&self) -> &Changes {
        &self.changes
    }

    /// What is stored under a key.
    ///
    /// # Errors
    /// When the host fails.
    pub fn find(&self, host: &dyn Host, key: &[u8], now: Timestamp) -> Answer<Option<Found>> {
        self.find_as(host, self.fingerprint(key), key, now)
    }

    /// The same for a key whose fingerprint is known already.
    ///
    /// # Errors
    /// When the host fails.
    pub fn find_as(
        &self,
        host: &dyn Host,
        fingerprint: Fingerprint,
        key: &[u8],
        now: Timestamp,
    ) -> Answer<Option<Found>> {
        let bucket = fingerprint.slot(self.layout.buckets);
        self.take_lacking();
        self.read.set(0);
        let read = host.shared_get(&bucket_key(bucket))?;
        let slots = read.as_ref().map(|(value, _)| Bucket::decode(value));
        let Some((way, slot)) = slots.and_then(|slots| slots.find(fingerprint)) else {
            if let Ok(mut lacking) = self.lacking.try_borrow_mut() {
                *lacking = Some(BucketRead { bucket, read });
            }
            return Ok(None);
        };
        if slot.state == State::Tombstone {
            return Ok(None);
        }
        let entry = match self.copy(fingerprint, slot.generation) {
            Some(entry) => entry,
            None => match self.load(host, bucket, way, slot.generation)? {
                Some(entry) => {
                    let entry = Rc::new(entry);
                    self.keep_copy(fingerprint, Rc::clone(&entry));
                    entry
                }
                // It is being replaced just now: what it replaces is good until then.
                None => match self.copy(fingerprint, slot.previous) {
                    Some(entry) => entry,
                    None => return Ok(None),
                },
            },
        };
        self.read.set(entry.generation());
        if !same(&entry.key, key) {
            return Ok(None);
        }
        let used = (slot.touched, slot.demand);
        let warm = self.keep_warm(host, fingerprint, slot.generation, used, now);
        let named = entry.generation() == slot.generation;
        Ok(Some(Found {
            entry,
            purged: None,
            slot: named.then_some(warm.unwrap_or(used)),
        }))
    }

    /// The bucket that [`Table::find_as`] has read last where there was no such key, for an insertion that may follow.
    pub fn take_lacking(&self) -> Option<BucketRead> {
        self.lacking.try_borrow_mut().ok()?.take()
    }

    /// The generation of what [`Table::find_as`] has read last, purged or not; zero where nothing was there to be read.
    pub fn generation_read(&self) -> u64 {
        self.read.get()
    }

    fn load(
        &self,
        host: &dyn Host,
        bucket: u32,
        way: usize,
        generation: u64,
    ) -> Answer<Option<Entry>> {
        let value = host.shared_get(&entry_key(bucket, way))?;
        Ok(value
            .and_then(|(value, _)| Entry::decode(&value))
            .filter(|entry| entry.generation() == generation))
    }

    /// Whether a key may have been invalidated since what is stored now was asked for, though something is there again.
    ///
    /// # Errors
    /// When the host fails.
    pub fn is_overtaken(&self, host: &dyn Host, key: &[u8], insert: &Insert) -> Answer<bool> {
        let bucket = self.fingerprint(key).slot(self.layout.buckets);
        let read = self.read_bucket(host, bucket)?;
        Ok(read.may_be_outdated(insert.asked, insert.now))
    }

    /// Says that a slot may be taken away, after its bucket was read and before that is written: who writes a value meanwhile
    /// learns that its slot may be another's by then.
    pub(super) fn announce(&self, host: &dyn Host, bucket: u32) {
        self.changes.advance(host, bucket, self.layout.buckets);
    }

    /// Frees a slot if it still holds this generation; true when it did.
    pub(super) fn clear(
        &self,
        host: &dyn Host,
        bucket: u32,
        fingerprint: Fingerprint,
        generation: u64,
    ) -> bool {
        let cleared = self.change(host, bucket, fingerprint, |slots, found| match found {
            Some((way, slot)) if slot.generation == generation => {
                slots.set(way, None);
                true
            }
            _ => false,
        });
        cleared.unwrap_or(false)
    }

    /// Changes a bucket and frees the value of the slot that was found, if it was taken away.
    fn change(
        &self,
        host: &dyn Host,
        bucket: u32,
        fingerprint: Fingerprint,
        change: impl Fn(&mut Bucket, Option<(usize, Slot)>) -> bool,
    ) -> Result<bool, UpdateError> {
        let updated = update(host, &bucket_key(bucket), ATTEMPTS, |value| {
            let mut slots = Bucket::decode(value.unwrap_or_default());
            let found = slots.find(fingerprint);
            if change(&mut slots, found) {
                let kept = slots.find(fingerprint).map(|(_, slot)| slot.weight);
                self.announce(host, bucket);
                Step::Write(slots.encode(), Some((found, kept)))
            } else {
                Step::Keep(None)
            }
        });
        let Some((found, kept)) = updated?.result else {
            return Ok(false);
        };
        self.changes.advance(host, bucket, self.layout.buckets);
        if let Some((way, slot)) =
            found.filter(|(_, slot)| slot.weight > 0 && kept.unwrap_or(0) == 0)
        {
            let _ = host.shared_set(&entry_key(bucket, way), &[], Expect::Anything);
            self.budget.release(host, u64::from(slot.weight));
        }
        Ok(true)
    }

    /// Whether a key was invalidated since then, or may have been.
    ///
    /// # Errors
    /// When the host fails.
    pub fn is_invalidated(
        &self,
        host: &dyn Host,
        key: &[u8],
        asked: Timestamp,
        now: Timestamp,
    ) -> Answer<bool> {
        let fingerprint = self.fingerprint(key);
        let read = self.read_bucket(host, fingerprint.slot(self.layout.buckets))?;
        let own = read.find(fingerprint);
        let kept_out = own.is_some_and(|(_, slot)| slot.keeps_out(asked, now));
        Ok(kept_out || read.may_be_outdated(asked, now))
    }

    /// Forgets what is stored under a key, and keeps answers out that are on their way. True when something was there.
    ///
    /// # Errors
    /// When the host fails, or everybody else was faster every time.
    pub fn invalidate(
        &self,
        host: &dyn Host,
        key: &[u8],
        now: Timestamp,
    ) -> Result<bool, UpdateError> {
        let fingerprint = self.fingerprint(key);
        let bucket = fingerprint.slot(self.layout.buckets);
        let generation = self.bits();
        let existed = Cell::new(false);
        self.change(host, bucket, fingerprint, |slots, found| {
            existed.set(found.is_some_and(|(_, slot)| slot.state != State::Tombstone));
            // Where there is no place for the memory of this key, entries are worth more than it.
            let place = found.map(|(way, _)| way).or_else(|| slots.free());
            let Some(way) = place else {
                slots.forget(now, now);
                return true;
            };
            let tombstone = Slot {
                fingerprint,
                generation,
                previous: 0,
                weight: 0,
                touched: now,
                until: now,
                state: State::Tombstone,
                demand: 0,
            };
            slots.set(way, Some(tombstone));
            true
        })?;
        Ok(existed.get())
    }

    /// The part of the budget that this worker has.
    pub fn budget(&self) -> &Budget {
        &self.budget
    }
}

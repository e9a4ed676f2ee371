//! The table by a worker's own copies: which of them still hold, and what is written down of their use.

use super::bucket::{Bucket, Slot};
use super::hot::View;
use super::sketch::MOST;
use super::table::{bucket_key, Found, Table};
use crate::entry::Entry;
use seawall_core::bytes::same;
use seawall_core::generation::Seen;
use seawall_core::hash::Fingerprint;
use seawall_core::host::Host;
use seawall_core::shared::{update, Step};
use seawall_core::time::{Span, Timestamp};
use std::rc::Rc;

/// A slot's time of last use is written at most this often: an order of eviction needs no more.
const TOUCH: Span = Span::from_secs(10);

impl Table {
    /// The worker's own copy of what is stored under a key, if it is that still at present; purges are considered.
    pub fn current(
        &self,
        host: &dyn Host,
        fingerprint: Fingerprint,
        key: &[u8],
        present: Seen,
        now: Timestamp,
    ) -> Option<Found> {
        let mut hot = self.hot.try_borrow_mut().ok()?;
        let (entry, view) = hot.viewed(fingerprint)?;
        let known = *view;
        if !same(&entry.key, key) || !known.seen.holds_at(present) {
            return None;
        }
        let found = Found {
            entry: Rc::clone(entry),
            purged: known.purged,
            slot: None,
        };
        drop(hot);
        if let Some((touched, demand)) = self.keep_warm(
            host,
            fingerprint,
            found.entry.generation(),
            (known.touched, known.demand),
            now,
        ) {
            let view = View {
                touched,
                demand,
                ..known
            };
            let generation = found.entry.generation();
            self.view(fingerprint, generation, view);
        }
        Some(found)
    }

    /// Remembers what [`Table::find_as`] has found, as of a `seen` that was taken before.
    pub fn keep(&self, fingerprint: Fingerprint, found: &Found, seen: Option<Seen>) {
        let (Some(seen), Some((touched, demand))) = (seen, found.slot) else {
            return;
        };
        let view = View {
            seen,
            touched,
            demand,
            purged: found.purged,
        };
        let generation = found.entry.generation();
        self.view(fingerprint, generation, view);
    }

    fn view(&self, fingerprint: Fingerprint, generation: u64, view: View) {
        if let Ok(mut hot) = self.hot.try_borrow_mut() {
            hot.view(fingerprint, generation, Some(view));
        }
    }

    /// The worker's own copy of this generation.
    pub(super) fn copy(&self, fingerprint: Fingerprint, generation: u64) -> Option<Rc<Entry>> {
        let mut hot = self.hot.try_borrow_mut().ok()?;
        hot.get(fingerprint, generation)
    }

    /// Keeps a copy.
    pub(super) fn keep_copy(&self, fingerprint: Fingerprint, entry: Rc<Entry>) {
        if let Ok(mut hot) = self.hot.try_borrow_mut() {
            hot.put(fingerprint, entry);
        }
    }

    /// Writes down that an entry is used, where it is time for that: a few times while it becomes hot, so that other workers
    /// know, and then now and again. Nothing that a copy is used for depends on it, so it is no change.
    pub(super) fn keep_warm(
        &self,
        host: &dyn Host,
        fingerprint: Fingerprint,
        generation: u64,
        (touched, known): (Timestamp, u8),
        now: Timestamp,
    ) -> Option<(Timestamp, u8)> {
        let due = now.since(touched) >= TOUCH;
        let rises_at = known.max(1).saturating_mul(2);
        if !due && rises_at > MOST {
            return None;
        }
        let demand = self.demand(fingerprint);
        if !due && demand < rises_at {
            return None;
        }
        let bucket = fingerprint.slot(self.layout.buckets);
        self.touch(host, bucket, fingerprint, generation, now, demand);
        Some((now, demand.max(known)))
    }

    fn touch(
        &self,
        host: &dyn Host,
        bucket: u32,
        fingerprint: Fingerprint,
        generation: u64,
        now: Timestamp,
        demand: u8,
    ) {
        // Whoever loses the race has nothing to add.
        let _ = update(host, &bucket_key(bucket), 1, |value| {
            let mut slots = Bucket::decode(value.unwrap_or_default());
            match slots.find(fingerprint) {
                Some((way, slot)) if slot.generation == generation => {
                    slots.set(
                        way,
                        Some(Slot {
                            touched: now,
                            demand: demand.max(slot.demand_at(now)),
                            ..slot
                        }),
                    );
                    Step::Write(slots.encode(), ())
                }
                _ => Step::Keep(()),
            }
        });
    }
}

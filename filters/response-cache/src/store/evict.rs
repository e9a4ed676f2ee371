//! Room for new entries: which ones are given up for it, and for which it is not worth it.

use super::bucket::Slot;
use super::Table;
use crate::http::storable::Refusal;
use seawall_core::hash::Fingerprint;
use seawall_core::host::Host;
use seawall_core::time::{Span, Timestamp};

/// How many slots are looked at to find one to give up.
const SAMPLE: usize = 16;
/// How often the budget is counted anew when it says that all is used and nothing is there to give up.
const RECOUNT: Span = Span::from_secs(60);

/// Victims that others have taken or that cannot be removed; after so many the store is no place to look for room.
const MOST_LOST: u32 = 8;

impl Table {
    pub(super) fn admits(&self, candidate: Fingerprint, victim: &Slot, now: Timestamp) -> bool {
        if victim.is_useless(now) || !self.layout.admission {
            return true;
        }
        let known = self.demand(victim.fingerprint);
        self.demand(candidate) > known.max(victim.demand_at(now))
    }

    /// Takes a part of the budget, giving up other entries for it where that is worth it. What is `stored` already has been admitted.
    pub(super) fn reserve(
        &self,
        host: &dyn Host,
        weight: u64,
        candidate: Fingerprint,
        stored: bool,
        now: Timestamp,
    ) -> Result<(), Refusal> {
        // One large entry may need the room of many small ones.
        let mut lost = 0u32;
        for _ in 0..256u32 {
            let reserved = self.budget.reserve(host, weight);
            if reserved.map_err(|_| Refusal::Internal)? {
                return Ok(());
            }
            let Some((bucket, victim)) = self.victim(host, candidate, now) else {
                self.recount(host, now);
                break;
            };
            if !stored && !self.admits(candidate, &victim, now) {
                return Err(Refusal::Admission);
            }
            if self.clear(host, bucket, victim.fingerprint, victim.generation) {
                self.evicted.set(self.evicted.get().saturating_add(1));
            } else {
                lost = lost.saturating_add(1);
                if lost >= MOST_LOST {
                    return Err(Refusal::Internal);
                }
            }
        }
        let reserved = self.budget.reserve(host, weight);
        if reserved.map_err(|_| Refusal::Internal)? {
            Ok(())
        } else {
            Err(Refusal::Admission)
        }
    }

    /// The worst of some slots, none of the candidate's own. Places are hashes, so neighbouring buckets are as good a sample as
    /// random ones.
    fn victim(
        &self,
        host: &dyn Host,
        candidate: Fingerprint,
        now: Timestamp,
    ) -> Option<(u32, Slot)> {
        let buckets = self.layout.buckets;
        let start = (self.bits() as u32).checked_rem(buckets)?;
        let mut seen = 0usize;
        let mut worst: Option<(u32, Slot)> = None;
        for step in 0..buckets {
            let bucket = start.checked_add(step)?.checked_rem(buckets)?;
            let read = self.read_bucket(host, bucket).ok()?;
            let slots = read.slots.iter().flatten();
            for slot in slots.filter(|slot| slot.weight > 0 && slot.fingerprint != candidate) {
                seen = seen.saturating_add(1);
                if worst.is_none_or(|(_, found)| slot.worth(now) < found.worth(now)) {
                    worst = Some((bucket, *slot));
                }
            }
            if seen >= SAMPLE {
                break;
            }
        }
        worst
    }

    /// Counts the bytes of all slots and corrects the budget: a worker that died between two writes leaves it too high.
    fn recount(&self, host: &dyn Host, now: Timestamp) {
        if now.since(self.recounted.get()) < RECOUNT {
            return;
        }
        self.recounted.set(now);
        let Ok(used) = self.budget.used(host) else {
            return;
        };
        let mut total = 0u64;
        for bucket in 0..self.layout.buckets {
            let Ok(read) = self.read_bucket(host, bucket) else {
                return;
            };
            let weight: u64 = read
                .slots
                .iter()
                .flatten()
                .map(|slot| u64::from(slot.weight))
                .sum();
            total = total.saturating_add(weight);
        }
        self.budget.correct(host, used, total);
    }
}

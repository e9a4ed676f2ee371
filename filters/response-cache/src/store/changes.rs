//! Whether a worker's copies still are what shared data holds, without reading it.
//!
//! Every change of the table, and every purge, advances a gauge; see [`Generation`]. There is one for each sixteenth of all
//! fingerprints, so that a change makes few copies be read again, and a purge advances them all.

use seawall_core::generation::{Generation, Seen};
use seawall_core::hash::Fingerprint;
use seawall_core::host::Host;
use seawall_core::time::Timestamp;

/// How many gauges.
pub const GROUPS: u32 = 16;

/// The gauges. By default there are none: then nothing is ever current.
#[derive(Debug, Clone, Copy, Default)]
pub struct Changes {
    groups: [Generation; GROUPS as usize],
    /// Of purges alone, for the list of them is the same for all.
    purges: Generation,
}

impl Changes {
    /// Makes them known to the host.
    pub fn define(host: &dyn Host) -> Self {
        let define = |name: &str| {
            Generation::define(host, &format!("seawall.response_cache.generation.{name}"))
        };
        let mut groups = [Generation::default(); GROUPS as usize];
        for (number, group) in groups.iter_mut().enumerate() {
            *group = define(&number.to_string());
        }
        Changes {
            groups,
            purges: define("purges"),
        }
    }

    fn of(&self, fingerprint: Fingerprint) -> Generation {
        let group = usize::try_from(fingerprint.slot(GROUPS)).unwrap_or(0);
        self.groups.get(group).copied().unwrap_or_default()
    }

    /// The present, to be taken before shared data is read for a key; [`Seen::holds_at`] compares two of them.
    pub fn seen(&self, host: &dyn Host, fingerprint: Fingerprint, now: Timestamp) -> Option<Seen> {
        self.of(fingerprint).seen(host, now)
    }

    /// Says that a bucket has changed. The fingerprints of one bucket belong to one group or, in a small table, to several.
    #[inline(never)]
    pub fn advance(&self, host: &dyn Host, bucket: u32, buckets: u32) {
        let (bucket, buckets) = (u64::from(bucket), u64::from(buckets.max(1)));
        let groups = u64::from(GROUPS);
        let share = |number: u64| number.checked_div(buckets).unwrap_or(0);
        let first = share(bucket.saturating_mul(groups));
        let end = bucket.saturating_add(1).saturating_mul(groups);
        let last = share(end.saturating_sub(1));
        for group in first..=last.min(groups) {
            if let Some(group) = usize::try_from(group)
                .ok()
                .and_then(|at| self.groups.get(at))
            {
                group.advance(host);
            }
        }
    }

    /// The present of the purges, to be taken before their list is read.
    pub fn seen_purges(&self, host: &dyn Host, now: Timestamp) -> Option<Seen> {
        self.purges.seen(host, now)
    }

    /// Says that there was a purge, which may concern every key.
    pub fn advance_all(&self, host: &dyn Host) {
        for group in self.groups.iter().chain([&self.purges]) {
            group.advance(host);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use seawall_core::testing::{FakeHost, World};

    fn is_current(changes: &Changes, host: &FakeHost, key: Fingerprint, seen: Seen) -> bool {
        let present = changes.seen(host, key, host.world().now());
        present.is_some_and(|present| seen.holds_at(present))
    }

    proptest! {
        #[test]
        fn a_change_of_a_bucket_is_seen_for_every_key_in_it(fingerprint in any::<u128>(), buckets in 1u32..5000) {
            let world = World::new();
            let host = FakeHost::new(&world, 1);
            let changes = Changes::define(&host);
            let key = Fingerprint(fingerprint);
            let seen = changes.seen(&host, key, world.now()).unwrap();
            prop_assert!(is_current(&changes, &host, key, seen));
            changes.advance(&host, key.slot(buckets), buckets);
            prop_assert!(!is_current(&changes, &host, key, seen));
        }
    }

    #[test]
    fn in_a_large_table_a_change_leaves_the_other_groups_alone() {
        let world = World::new();
        let host = FakeHost::new(&world, 1);
        let changes = Changes::define(&host);
        let key = Fingerprint(u128::MAX);
        let seen = changes.seen(&host, key, world.now()).unwrap();
        for bucket in 0..(4096 - 4096 / GROUPS) {
            changes.advance(&host, bucket, 4096);
        }
        assert!(is_current(&changes, &host, key, seen));
        changes.advance_all(&host);
        assert!(!is_current(&changes, &host, key, seen));
    }
}

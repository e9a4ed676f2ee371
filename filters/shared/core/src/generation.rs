//! Whether shared data has changed since a worker read it.
//!
//! Reading shared data costs an allocation through the boundary; reading a metric gives a number back and no more. So
//! whoever changes a record advances a gauge afterwards, and whoever holds a copy compares two numbers. The gauge belongs
//! to the process, like the shared data.
//!
//! A copy is never trusted for longer than [`LONGEST`]: a hot restart adds the old process's gauges to the new one's, and an
//! advance may fail. A gauge that stays at zero is one that the bootstrap's `stats_matcher` rejects, or that the
//! capability restriction hides; then nothing is ever current, and everything is read as if there were no generation.

use crate::host::{Host, MetricId, MetricKind};
use crate::time::{Span, Timestamp};

/// How long a copy may be held without looking at the original.
pub const LONGEST: Span = Span::from_secs(1);

/// The number that counts changes.
#[derive(Debug, Clone, Copy, Default)]
pub struct Generation(Option<MetricId>);

/// When something was read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Seen {
    number: u64,
    at: Timestamp,
}

impl Seen {
    fn is_young(self, now: Timestamp) -> bool {
        // A clock that stepped back makes it old as well.
        now >= self.at && now.since(self.at) < LONGEST
    }

    /// The number itself, for those who only ask whether anything has changed since.
    pub fn number(self) -> u64 {
        self.number
    }

    /// True when what was read at `self` is what shared data held at `present`. For those who need the present anyway, as
    /// they will read where it is not.
    pub fn holds_at(self, present: Seen) -> bool {
        self.number == present.number && self.is_young(present.at)
    }
}

impl Generation {
    /// Makes the gauge known, and different from zero.
    pub fn define(host: &dyn Host, name: &str) -> Self {
        let generation = Generation(host.metric_define(MetricKind::Gauge, name).ok());
        generation.advance(host);
        generation
    }

    /// The present, to be taken *before* shared data is read. `None` when nobody can tell.
    pub fn seen(&self, host: &dyn Host, at: Timestamp) -> Option<Seen> {
        match host.metric_value(self.0?) {
            Ok(0) | Err(_) => None,
            Ok(number) => Some(Seen { number, at }),
        }
    }

    /// True while what was read at `seen` is what shared data holds.
    pub fn is_current(&self, host: &dyn Host, seen: Seen, now: Timestamp) -> bool {
        seen.is_young(now)
            && self
                .seen(host, now)
                .is_some_and(|present| seen.holds_at(present))
    }

    /// Says that shared data has changed, to be called *after* each change.
    pub fn advance(&self, host: &dyn Host) {
        if let Some(id) = self.0 {
            // Where it fails, copies are renewed by their age.
            let _ = host.metric_add(id, 1);
        }
    }
}

#[cfg(all(test, feature = "testing"))]
mod tests {
    use super::*;
    use crate::host::Failure;
    use crate::testing::{FakeHost, World};

    const NAME: &str = "seawall.test.generation";

    fn two_workers() -> (World, FakeHost, FakeHost) {
        let world = World::new();
        let (one, other) = (FakeHost::new(&world, 1), FakeHost::new(&world, 2));
        (world, one, other)
    }

    #[test]
    fn a_change_by_another_worker_is_seen() {
        let (world, one, other) = two_workers();
        let (mine, theirs) = (
            Generation::define(&one, NAME),
            Generation::define(&other, NAME),
        );
        let seen = mine.seen(&one, world.now()).expect("it is known");
        assert!(mine.is_current(&one, seen, world.now()));
        theirs.advance(&other);
        assert!(!mine.is_current(&one, seen, world.now()));
    }

    #[test]
    fn nothing_is_current_for_long_or_after_a_step_back() {
        let (world, one, _) = two_workers();
        let generation = Generation::define(&one, NAME);
        let start = world.now();
        let seen = generation.seen(&one, start).expect("it is known");
        let soon = Timestamp(start.as_nanos() + LONGEST.as_nanos() - 1);
        assert!(generation.is_current(&one, seen, soon));
        let late = Timestamp(start.as_nanos() + LONGEST.as_nanos());
        assert!(!generation.is_current(&one, seen, late));
        let before = Timestamp(start.as_nanos() - 1);
        assert!(!generation.is_current(&one, seen, before));
    }

    #[test]
    fn where_metrics_do_not_work_nothing_is_current() {
        let (world, one, _) = two_workers();
        let generation = Generation::define(&one, NAME);
        let seen = generation.seen(&one, world.now()).expect("it is known");
        one.fail("metric_value", Failure::Status(10));
        assert!(!generation.is_current(&one, seen, world.now()));
        assert_eq!(generation.seen(&one, world.now()), None);
        one.heal();
        // What a rejected metric looks like: it takes everything and stays zero.
        one.fail("metric_add", Failure::Status(10));
        let rejected = Generation::define(&one, "seawall.test.rejected");
        assert_eq!(rejected.seen(&one, world.now()), None);
        assert_eq!(Generation::default().seen(&one, world.now()), None);
    }
}

//! Calls under way that have a deadline: a call that hangs must count before its timeout.
//!
//! Kept per worker and looked over from the timer. Bounded: beyond [`MOST`] calls under way, further ones are judged at their end
//! only.

use seawall_core::time::{Span, Timestamp};
use std::collections::BTreeMap;

/// Calls watched at once in one worker.
pub const MOST: usize = 10_000;

/// A worker whose timer runs looks at the clock several times in this span. Where it has not, the clock was set forward, or
/// the worker stood still: in either case the calls did not have that time.
const LEAP: Span = Span::from_secs(1);

/// The calls of a worker that are under way, soonest deadline first.
#[derive(Debug)]
pub struct Watch<T> {
    calls: BTreeMap<(Timestamp, u64), T>,
    next: u64,
    /// What is added to the clock, in nanoseconds, so that its leaps cancel out.
    offset: i64,
}

/// A call that is watched.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Watched(Timestamp, u64);

impl<T> Default for Watch<T> {
    fn default() -> Self {
        Watch {
            calls: BTreeMap::new(),
            next: 0,
            offset: 0,
        }
    }
}

impl<T> Watch<T> {
    /// The clock says this, and a moment ago said that.
    pub fn look(&mut self, last: Timestamp, now: Timestamp) {
        let between = i64::try_from(now.0.abs_diff(last.0)).unwrap_or(i64::MAX);
        if now < last {
            self.offset = self.offset.saturating_add(between);
        } else if now.since(last) > LEAP {
            self.offset = self.offset.saturating_sub(between);
        }
    }

    fn time(&self, clock: Timestamp) -> Timestamp {
        Timestamp(clock.0.saturating_add_signed(self.offset))
    }

    /// Whether its deadline has passed.
    pub fn is_over(&self, watched: Watched, now: Timestamp) -> bool {
        watched.0 <= self.time(now)
    }

    /// Watches a call; `None` when there are too many.
    pub fn add(&mut self, deadline: Timestamp, call: T) -> Option<Watched> {
        if self.calls.len() >= MOST {
            return None;
        }
        let deadline = self.time(deadline);
        self.next = self.next.wrapping_add(1);
        self.calls.insert((deadline, self.next), call);
        Some(Watched(deadline, self.next))
    }

    /// Stops watching; the call, unless it was overdue already.
    pub fn remove(&mut self, watched: Watched) -> Option<T> {
        self.calls.remove(&(watched.0, watched.1))
    }

    /// Takes one call that is overdue.
    pub fn take_overdue(&mut self, now: Timestamp) -> Option<T> {
        let now = self.time(now);
        let entry = self.calls.first_entry()?;
        (entry.key().0 <= now).then(|| entry.remove())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn overdue_calls_come_once_and_in_order() {
        let mut watch = Watch::default();
        let early = watch.add(Timestamp(10), "early").unwrap();
        let late = watch.add(Timestamp(20), "late").unwrap();
        assert_eq!(watch.take_overdue(Timestamp(9)), None);
        assert_eq!(watch.take_overdue(Timestamp(15)), Some("early"));
        assert_eq!(watch.take_overdue(Timestamp(15)), None);
        assert_eq!(watch.remove(early), None);
        assert_eq!(watch.remove(late), Some("late"));
        assert!(watch.calls.is_empty());
    }

    #[test]
    fn leaps_of_the_clock_cancel_out() {
        let at = Timestamp::from_secs;
        let mut watch = Watch::default();
        let watched = watch.add(at(1_010), "hangs").unwrap();
        watch.look(at(1_000), at(1_001));
        assert!(!watch.is_over(watched, at(1_009)) && watch.is_over(watched, at(1_010)));
        // By an hour forward, and by two back.
        watch.look(at(1_002), at(4_602));
        assert_eq!(watch.take_overdue(at(4_609)), None);
        assert!(watch.is_over(watched, at(4_610)));
        let later = watch.add(at(4_620), "hangs longer").unwrap();
        watch.look(at(8_000), at(800));
        watch.look(at(800), at(8_000));
        watch.look(at(4_603), at(0));
        assert_eq!(watch.take_overdue(at(6)), None);
        assert_eq!(watch.take_overdue(at(7)), Some("hangs"));
        assert!(!watch.is_over(later, at(16)) && watch.is_over(later, at(17)));
    }

    #[test]
    fn what_is_watched_is_bounded() {
        let mut watch = Watch::default();
        for _ in 0..MOST {
            assert!(watch.add(Timestamp(1), ()).is_some());
        }
        assert!(watch.add(Timestamp(1), ()).is_none());
    }
}

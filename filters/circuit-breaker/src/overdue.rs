//! Calls under way that have a deadline: a call that hangs must count before its timeout.
//!
//! Kept per worker and looked over from the timer. Bounded: beyond [`MOST`] calls under way, further ones are judged at their end
//! only.

use seawall_core::time::Timestamp;
use std::collections::BTreeMap;

/// Calls watched at once in one worker.
pub const MOST: usize = 10_000;

/// The calls of a worker that are under way, soonest deadline first.
#[derive(Debug)]
pub struct Watch<T> {
    calls: BTreeMap<(Timestamp, u64), T>,
    next: u64,
}

/// A call that is watched.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Watched(Timestamp, u64);

impl Watched {
    /// Whether its deadline has passed.
    pub fn is_over(&self, now: Timestamp) -> bool {
        self.0 <= now
    }
}

impl<T> Default for Watch<T> {
    fn default() -> Self {
        Watch {
            calls: BTreeMap::new(),
            next: 0,
        }
    }
}

impl<T> Watch<T> {
    /// Watches a call; `None` when there are too many.
    pub fn add(&mut self, deadline: Timestamp, call: T) -> Option<Watched> {
        if self.calls.len() >= MOST {
            return None;
        }
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
    fn what_is_watched_is_bounded() {
        let mut watch = Watch::default();
        for _ in 0..MOST {
            assert!(watch.add(Timestamp(1), ()).is_some());
        }
        assert!(watch.add(Timestamp(1), ()).is_none());
    }
}

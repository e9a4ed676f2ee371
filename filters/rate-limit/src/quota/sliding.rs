//! A sliding window as two counts: the window before counts by the share of it that still overlaps the last `per`.
//!
//! A request that costs `c` is admitted when `before * (per - elapsed) + (present + c) * per <= requests * per`, where
//! `elapsed` is the time since the present window began. All in integers.

use super::rolling::{self, roll, Rolled};
use super::{Ask, State, Verdict};
use seawall_core::time::Span;

/// At most `requests` in the last `per`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sliding {
    /// The most in any window, by the estimate above.
    pub requests: u64,
    /// The window's length in nanoseconds; at least 1.
    pub per: u64,
}

impl Sliding {
    /// `used * per`.
    fn used(&self, rolled: &Rolled) -> u128 {
        let per = u128::from(self.per);
        let elapsed = u128::from(rolled.now.saturating_sub(rolled.start));
        let before = u128::from(rolled.before).saturating_mul(per.saturating_sub(elapsed));
        before.saturating_add(u128::from(rolled.present).saturating_mul(per))
    }

    /// The time from `now` until at most `goal` of the quota is used.
    fn until(&self, rolled: &Rolled, now: u64, goal: u64) -> Span {
        let per = u128::from(self.per);
        // `before` shrinks by itself, so the first time at which `before * (per - elapsed) <= room * per`.
        let elapsed = |before: u64, room: u64| {
            let overlap = u128::from(room)
                .saturating_mul(per)
                .checked_div(u128::from(before))
                .unwrap_or(per);
            per.saturating_sub(overlap.min(per))
        };
        let (start, elapsed) = if rolled.present <= goal {
            let room = goal.saturating_sub(rolled.present);
            (rolled.start, elapsed(rolled.before, room))
        } else {
            (
                rolled.start.saturating_add(self.per),
                elapsed(rolled.present, goal),
            )
        };
        let elapsed = u64::try_from(elapsed).unwrap_or(u64::MAX);
        Span(start.saturating_add(elapsed).saturating_sub(now))
    }

    pub(super) fn check(&self, state: Option<State>, now: u64, ask: Ask) -> Verdict {
        let per = u128::from(self.per).max(1);
        let mut rolled = roll(state, now, self.per);
        let most = u128::from(self.requests).saturating_mul(per);
        let used = self.used(&rolled);
        let admitted = u128::from(ask.need)
            .saturating_mul(per)
            .saturating_add(used)
            <= most;
        let wait = (!admitted && ask.need <= self.requests)
            .then(|| self.until(&rolled, now, self.requests.saturating_sub(ask.need)));
        if admitted {
            rolled.present = rolled.present.saturating_add(ask.cost);
        }
        let left = most.saturating_sub(self.used(&rolled));
        let remaining = left.checked_div(per).unwrap_or_default() as u64;
        let goal = self.requests.saturating_sub(remaining.saturating_add(1));
        Verdict {
            admitted,
            charged: rolled.state(self.per),
            moved: rolled.moved,
            remaining,
            more: (remaining < self.requests).then(|| self.until(&rolled, now, goal)),
            wait,
        }
    }

    pub(super) fn refund(&self, state: State, at: u64, cost: u64) -> State {
        rolling::refund(state, at, cost, self.per)
    }

    pub(super) fn add(&self, state: Option<State>, now: u64, cost: u64, debt: u64) -> State {
        let mut rolled = roll(state, now, self.per);
        let most = self.requests.saturating_mul(debt).max(rolled.present);
        rolled.present = rolled.present.saturating_add(cost).min(most);
        rolled.state(self.per)
    }
}

//! What the README says about limits, a second time: fractions and whole histories instead of three words of state.

use std::collections::BTreeMap;

pub const SECOND: i128 = 1_000_000_000;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Algorithm {
    Gcra,
    Sliding,
    Fixed,
}

/// The numbers of a limit; `per` in nanoseconds.
#[derive(Debug, Clone, Copy)]
pub struct Numbers {
    pub algorithm: Algorithm,
    pub requests: i128,
    pub per: i128,
    pub burst: i128,
}

/// What one key has used.
#[derive(Debug, Clone, Default)]
pub struct Used {
    /// The theoretical arrival time in `1 / requests` of a nanosecond.
    arrival: i128,
    /// Counts by the number of their window.
    windows: BTreeMap<i128, i128>,
    pub refusals: i128,
    pub refusals_end: i128,
    pub ban_end: i128,
}

fn ceil(number: i128, by: i128) -> i128 {
    -((-number).div_euclid(by))
}

impl Numbers {
    /// The most that there can be at once.
    pub fn most(&self) -> i128 {
        match self.algorithm {
            Algorithm::Gcra => self.burst,
            Algorithm::Sliding | Algorithm::Fixed => self.requests,
        }
    }

    fn counts(&self, used: &Used, now: i128) -> (i128, i128) {
        let window = now.div_euclid(self.per);
        let of = |window| used.windows.get(&window).copied().unwrap_or_default();
        match self.algorithm {
            Algorithm::Fixed => (of(window), 0),
            _ => (of(window), of(window - 1)),
        }
    }

    /// What is used and what there is, in a unit of which `one` makes a request.
    fn account(&self, used: &Used, now: i128) -> (i128, i128, i128) {
        if self.algorithm == Algorithm::Gcra {
            // What is less than a nanosecond is not held against anybody.
            let all = self.burst * self.per + self.requests - 1;
            let taken = (used.arrival - now * self.requests).max(0);
            return (taken, all, self.per);
        }
        let (present, before) = self.counts(used, now);
        let left_of_window = self.per - now.rem_euclid(self.per);
        let taken = present * self.per + before * left_of_window;
        (taken, self.requests * self.per, self.per)
    }

    pub fn left(&self, used: &Used, now: i128) -> i128 {
        let (taken, all, one) = self.account(used, now);
        ((all - taken) / one).max(0)
    }

    pub fn fits(&self, used: &Used, now: i128, cost: i128) -> bool {
        let (taken, all, one) = self.account(used, now);
        taken + cost * one <= all
    }

    /// The time until so much is left, if nobody asks meanwhile.
    pub fn until(&self, used: &Used, now: i128, cost: i128) -> i128 {
        if self.fits(used, now, cost) {
            return 0;
        }
        if self.algorithm == Algorithm::Gcra {
            let (taken, all, one) = self.account(used, now);
            return ceil(taken + cost * one - all, self.requests);
        }
        let goal = self.requests - cost;
        let (present, before) = self.counts(used, now);
        let start = now - now.rem_euclid(self.per);
        // The first time after the start of a window at which so much of the count before it is past.
        let past =
            |count: i128, room: i128| self.per - (room * self.per).div_euclid(count).min(self.per);
        let at = match self.algorithm {
            Algorithm::Fixed => start + self.per,
            _ if present <= goal => start + past(before, goal - present),
            _ => start + self.per + past(present, goal),
        };
        at - now
    }

    /// The time until more is left than now.
    pub fn more(&self, used: &Used, now: i128) -> Option<i128> {
        let left = self.left(used, now);
        (left < self.most()).then(|| self.until(used, now, left + 1))
    }

    /// Charges without asking; a negative cost is taken back.
    pub fn charge(&self, used: &mut Used, now: i128, cost: i128) {
        used.arrival = used.arrival.max(now * self.requests) + cost * self.per;
        *used.windows.entry(now.div_euclid(self.per)).or_default() += cost;
    }

    /// Charges what was not asked for, until so many times the whole quota is owed.
    pub fn owe(&self, used: &mut Used, now: i128, cost: i128, debt: i128) {
        let taken = (used.arrival - now * self.requests).max(0);
        let owed = (taken + cost * self.per).min(self.burst * self.per * debt);
        used.arrival = now * self.requests + owed.max(taken);
        let count = used.windows.entry(now.div_euclid(self.per)).or_default();
        *count = (*count + cost).min(self.requests * debt).max(*count);
    }
}

//! The arithmetic of a limit: what a charge does to the state of a key. Integers only, no clock and no storage.
//!
//! The state of a key is three words, and what is past its `expires` equals no state at all. That makes a full table
//! lossless: such an entry can be taken by another key, and nobody is forgiven anything.

mod calendar;
mod concurrency;
mod fixed;
mod gcra;
mod narrow;
mod penalty;
mod remembered;
mod rolling;
mod sliding;

pub use calendar::Window;
pub use concurrency::Concurrency;
pub use fixed::Fixed;
pub use gcra::Gcra;
pub use penalty::Penalty;
pub use remembered::Remembered;
pub use sliding::Sliding;

use seawall_core::time::{Span, Timestamp};

/// How many times its whole quota a key may owe for what a response turned out to cost.
pub const DEBT: u64 = 10;

/// What a table keeps of one key under one limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct State {
    /// Nanoseconds since the epoch; after it this state means the same as none.
    pub expires: u64,
    /// Depends on the algorithm.
    pub a: u64,
    /// Depends on the algorithm.
    pub b: u64,
}

/// What is asked of a limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ask {
    /// So much must be left.
    pub need: u64,
    /// So much is taken then.
    pub cost: u64,
}

impl Ask {
    /// Takes what it needs.
    pub fn of(cost: u64) -> Self {
        Ask { need: cost, cost }
    }
}

/// What a limit says to an [`Ask`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Verdict {
    /// There is enough.
    pub admitted: bool,
    /// The state with the charge in it; for a refusal, the state as it is.
    pub charged: State,
    /// The clock was set back, and the state had to be moved with it: it must be written whatever the answer is, for what is
    /// moved anew by every request would never end.
    pub moved: bool,
    /// Units that are left: after the charge, or as they are for a refusal.
    pub remaining: u64,
    /// The time until more is left than now; `None` when nothing is used.
    pub more: Option<Span>,
    /// For a refusal: the time after which the same ask is admitted, if nobody else asks; `None` for never.
    pub wait: Option<Span>,
}

/// One limit's algorithm with its numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Quota {
    /// A theoretical arrival time: a rate with a burst.
    Gcra(Gcra),
    /// The last `per`, with the window before weighted by its overlap.
    Sliding(Sliding),
    /// The calendar's windows.
    Fixed(Fixed),
    /// Requests at the same time.
    Concurrency(Concurrency),
    /// A service counts; here is only what it said last.
    Remembered(Remembered),
}

impl Quota {
    /// Decides about an ask.
    pub fn check(&self, state: Option<State>, now: Timestamp, ask: Ask) -> Verdict {
        let now = now.as_nanos();
        match self {
            Quota::Gcra(limit) => limit.check(state, now, ask),
            Quota::Sliding(limit) => limit.check(state, now, ask),
            Quota::Fixed(limit) => limit.check(state, now, ask),
            Quota::Concurrency(limit) => limit.check(state, now, ask),
            Quota::Remembered(limit) => limit.check(state, now, ask),
        }
    }

    /// When a charge made at `at` counts as made, by the state that came of it: not before what workers whose clocks are ahead
    /// have charged already.
    pub fn booked(&self, charged: State, at: Timestamp) -> Timestamp {
        let begun = match self {
            Quota::Gcra(_) => charged.a,
            Quota::Sliding(limit) => rolling::present(charged, limit.per),
            Quota::Concurrency(limit) => rolling::present(charged, limit.lease),
            Quota::Fixed(limit) => limit.window.around(charged.expires.saturating_sub(1)).0,
            Quota::Remembered(_) => 0,
        };
        at.max(Timestamp(begun))
    }

    /// Takes back a charge that counts as made at `at`, see [`Quota::booked`], as far as it still counts.
    pub fn refund(&self, state: State, at: Timestamp, cost: u64) -> State {
        let at = at.as_nanos();
        match self {
            Quota::Gcra(limit) => limit.refund(state, at, cost),
            Quota::Sliding(limit) => limit.refund(state, at, cost),
            Quota::Fixed(limit) => limit.refund(state, at, cost),
            Quota::Concurrency(limit) => limit.refund(state, at, cost),
            Quota::Remembered(_) => state,
        }
    }

    /// Charges without asking. `debt` is how many times its whole quota a key may owe at most: 1 for no debt.
    pub fn add(&self, state: Option<State>, now: Timestamp, cost: u64, debt: u64) -> State {
        let now = now.as_nanos();
        match self {
            Quota::Gcra(limit) => limit.add(state, now, cost, debt),
            Quota::Sliding(limit) => limit.add(state, now, cost, debt),
            Quota::Fixed(limit) => limit.add(state, now, cost, debt),
            // A place is given back, and nothing else is settled.
            Quota::Concurrency(_) | Quota::Remembered(_) => state.unwrap_or_default(),
        }
    }

    /// A state is over after this time, however much was charged; `owes` where that may be more than the quota. Places of requests under way are not carried anywhere else:
    /// who holds them does not know, and would not give them back there.
    pub fn longest(&self, owes: bool) -> Span {
        match self {
            Quota::Gcra(limit) if owes => limit.longest().saturating_mul(DEBT),
            Quota::Gcra(limit) => limit.longest(),
            Quota::Sliding(limit) => Span(limit.per).saturating_mul(2),
            Quota::Fixed(limit) => Span(limit.window.longest()),
            Quota::Concurrency(_) | Quota::Remembered(_) => Span::ZERO,
        }
    }

    /// The most that can ever be taken at once.
    pub fn most(&self) -> u64 {
        match self {
            Quota::Gcra(limit) => limit.burst(),
            Quota::Sliding(limit) => limit.requests,
            Quota::Fixed(limit) => limit.requests,
            Quota::Concurrency(limit) => limit.max,
            Quota::Remembered(limit) => limit.requests,
        }
    }
}

/// A count that may not exceed `most`, and what it says to an ask: the part that the windows have in common.
fn room(used: u64, most: u64, ask: Ask) -> (bool, u64) {
    let left = most.saturating_sub(used);
    if ask.need <= left {
        (true, left.saturating_sub(ask.cost))
    } else {
        (false, left)
    }
}

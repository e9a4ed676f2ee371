//! Requests of a key at the same time.
//!
//! A request that is never released, because its worker died, must not hold its place for ever: what was taken is kept by
//! the window (of length `lease`) that it was taken in, and a window before the last is forgotten. So a place heals after
//! one to two leases, and a request that lasts longer than a lease may stop counting.

use super::rolling::{self, roll};
use super::{room, Ask, State, Verdict};
use seawall_core::time::Span;

/// At most `max` at the same time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Concurrency {
    /// The most at the same time.
    pub max: u64,
    /// How long a request counts at least, in nanoseconds; at least 1.
    pub lease: u64,
}

/// Nobody knows when a request ends; this is the shortest that `Retry-After` can say.
const SOON: Span = Span::from_secs(1);

impl Concurrency {
    pub(super) fn check(&self, state: Option<State>, now: u64, ask: Ask) -> Verdict {
        let mut rolled = roll(state, now, self.lease);
        let held = rolled.present.saturating_add(rolled.before);
        let (admitted, remaining) = room(held, self.max, ask);
        if admitted {
            rolled.present = rolled.present.saturating_add(ask.cost);
        }
        Verdict {
            admitted,
            charged: rolled.state(self.lease),
            moved: rolled.moved,
            remaining,
            more: None,
            wait: (!admitted && ask.need <= self.max).then_some(SOON),
        }
    }

    pub(super) fn refund(&self, state: State, at: u64, cost: u64) -> State {
        rolling::refund(state, at, cost, self.lease)
    }
}

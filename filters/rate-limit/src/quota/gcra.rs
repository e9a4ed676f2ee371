//! The generic cell rate algorithm (ITU-T I.371): one theoretical arrival time (TAT) per key.
//!
//! A request that costs `c` is admitted at `now` when `max(TAT, now) + c * T <= now + burst * T`, with `T = per / requests`,
//! and then the left side becomes the TAT. In any span of time `d` that admits at most `burst + d / T`.
//!
//! `T` is rarely a whole number of nanoseconds, so the TAT has a fraction counted in `1 / requests` of a nanosecond: no
//! rounding ever adds up. The clock has whole nanoseconds, so the last fraction of one is not held against a request.

use super::narrow::Narrow;
use super::{Ask, State, Verdict};
use seawall_core::time::Span;

/// A step back of the clock up to this is other workers being faster; beyond it the clock was set.
pub(super) const JITTER: u64 = 1_000_000_000;

/// A rate with a burst.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Gcra {
    requests: u32,
    per: u128,
    burst: u64,
    /// All that fits, in `1 / requests` of a nanosecond, with the fraction that the clock cannot see.
    capacity: u128,
    /// The same in 64 bits, where the numbers fit.
    narrow: Option<Narrow>,
}

/// Names the numbers, of which all else is made: a counter is known by this text, and it is not to change.
impl std::fmt::Debug for Gcra {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Gcra")
            .field("requests", &self.requests)
            .field("per", &self.per)
            .field("burst", &self.burst)
            .field("capacity", &self.capacity)
            .finish()
    }
}

/// How much is used of a key at some time. State: `expires` is the TAT, `a` the time of the last charge, `b` the TAT's
/// fraction (low half) and for how many milliseconds before `a` the key has been in use without a pause (high half).
struct Used {
    units: u128,
    now: u64,
    /// By how much `now` is later than the clock.
    ahead: u64,
    since: u64,
    moved: bool,
}

impl Gcra {
    /// `requests` per `per`, of which `burst` may come at once. Beyond one request per nanosecond there is no difference.
    pub fn new(requests: u32, per: Span, burst: u64, replicas: u32) -> Self {
        let requests = requests.max(1);
        let per = u128::from(per.as_nanos())
            .max(u128::from(requests))
            .saturating_mul(u128::from(replicas.max(1)));
        let burst = burst.max(1);
        let slack = u128::from(requests.saturating_sub(1));
        let capacity = per.saturating_mul(u128::from(burst)).saturating_add(slack);
        Gcra {
            requests,
            per,
            burst,
            capacity,
            narrow: Narrow::of(requests, per, burst),
        }
    }

    pub(super) fn burst(&self) -> u64 {
        self.burst
    }

    /// The time in which a key earns back its burst.
    pub(super) fn longest(&self) -> Span {
        Span(self.nanos(self.capacity).0)
    }

    fn requests(&self) -> u128 {
        u128::from(self.requests)
    }

    fn used(&self, state: Option<State>, now: u64) -> Used {
        let unused = Used {
            units: 0,
            now,
            ahead: 0,
            since: now,
            moved: false,
        };
        let Some(state) = state else { return unused };
        let last = state.a;
        let (mut tat, mut at, mut ahead) = (state.expires, now, 0);
        let back = last.saturating_sub(now);
        let moved = back > JITTER;
        if moved {
            tat = tat.saturating_sub(back);
        } else {
            at = now.max(last);
            ahead = back;
        }
        if tat < at {
            return Used {
                now: at,
                ahead,
                since: at,
                moved,
                ..unused
            };
        }
        let whole = u128::from(tat.saturating_sub(at)).saturating_mul(self.requests());
        let used_for = (state.b >> 32).saturating_mul(1_000_000);
        Used {
            units: whole.saturating_add(u128::from(state.b as u32)),
            now: at,
            ahead,
            since: last.saturating_sub(used_for).min(at),
            moved,
        }
    }

    /// `units` in nanoseconds, and the rest.
    fn nanos(&self, units: u128) -> (u64, u64) {
        let requests = self.requests();
        let whole = units.checked_div(requests).unwrap_or_default();
        let rest = units.checked_rem(requests).unwrap_or_default();
        (u64::try_from(whole).unwrap_or(u64::MAX), rest as u64)
    }

    fn state(&self, used: &Used, units: u128) -> State {
        let (whole, fraction) = self.nanos(units);
        let used_for = used.now.saturating_sub(used.since).div_ceil(1_000_000);
        State {
            expires: used.now.saturating_add(whole),
            a: used.now,
            b: fraction | used_for.min(u64::from(u32::MAX)) << 32,
        }
    }

    fn price(&self, cost: u64) -> u128 {
        self.per.saturating_mul(u128::from(cost))
    }

    /// The time until `units` have drained.
    fn drained(&self, units: u128, used: &Used) -> Span {
        let (whole, rest) = self.nanos(units);
        Span(whole)
            .saturating_add(Span(rest.min(1)))
            .saturating_add(Span(used.ahead))
    }

    #[cfg(all(test, not(target_arch = "wasm32")))]
    pub(super) fn narrow(&self) -> Option<Narrow> {
        self.narrow
    }

    pub(super) fn check(&self, state: Option<State>, now: u64, ask: Ask) -> Verdict {
        self.narrow
            .as_ref()
            .and_then(|narrow| narrow.check(state, now, ask))
            .unwrap_or_else(|| self.check_wide(state, now, ask))
    }

    pub(super) fn check_wide(&self, state: Option<State>, now: u64, ask: Ask) -> Verdict {
        let used = self.used(state, now);
        let wanted = used.units.saturating_add(self.price(ask.need));
        let admitted = wanted <= self.capacity;
        let units = if admitted {
            used.units.saturating_add(self.price(ask.cost))
        } else {
            used.units
        };
        let left = self.capacity.saturating_sub(units);
        let remaining = left.checked_div(self.per).unwrap_or_default() as u64;
        let one_more = self.price(remaining.saturating_add(1));
        Verdict {
            admitted,
            charged: self.state(&used, units),
            moved: used.moved,
            remaining,
            more: (remaining < self.burst).then(|| {
                let over = units.saturating_add(one_more).saturating_sub(self.capacity);
                self.drained(over, &used)
            }),
            wait: (!admitted && ask.need <= self.burst)
                .then(|| self.drained(wanted.saturating_sub(self.capacity), &used)),
        }
    }

    pub(super) fn refund(&self, state: State, at: u64, cost: u64) -> State {
        let since = state
            .a
            .saturating_sub((state.b >> 32).saturating_mul(1_000_000));
        if at < since {
            // The key was unused in between: the charge has drained by itself.
            return state;
        }
        let (whole, fraction) = self.nanos(self.price(cost));
        let held = state.b & u64::from(u32::MAX);
        let (borrow, rest) = match held.checked_sub(fraction) {
            Some(rest) => (0, rest),
            None => (
                1,
                held.saturating_add(u64::from(self.requests))
                    .saturating_sub(fraction),
            ),
        };
        State {
            expires: state.expires.saturating_sub(whole).saturating_sub(borrow),
            b: (state.b >> 32) << 32 | rest,
            ..state
        }
    }

    pub(super) fn add(&self, state: Option<State>, now: u64, cost: u64, debt: u64) -> State {
        let used = self.used(state, now);
        let most = self.price(self.burst).saturating_mul(u128::from(debt));
        let units = used.units.saturating_add(self.price(cost)).min(most);
        self.state(&used, units.max(used.units))
    }
}

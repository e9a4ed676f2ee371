//! What a call's end changes.

use super::window::{Tally, Window};
use super::{Chance, Reason, Record, State};
use crate::outcome::Outcome;
use crate::policy::Policy;
use seawall_core::time::{Span, Timestamp};

/// A call's end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Result {
    /// The epoch that admitted it.
    pub epoch: u32,
    /// The lease it held, where it was a probe.
    pub lease: Option<Timestamp>,
    /// What it says about the dependency.
    pub outcome: Outcome,
    /// How long the upstream asked to be left alone.
    pub retry_after: Option<Span>,
    /// Whether that alone opens.
    pub opens: bool,
}

/// A change of state, with what caused it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Transition {
    /// To open.
    Opened {
        /// Why.
        reason: Reason,
        /// For how long.
        open_for: Span,
    },
    /// Open to half-open: the time was over.
    Probing,
    /// Half-open to closed: enough probes succeeded.
    Closed,
}

impl Record {
    /// Takes a call's end, and what its worker has counted since it told last.
    pub fn settle(
        &self,
        policy: &Policy,
        result: &Result,
        pending: &Window,
        now: Timestamp,
        chance: Chance<'_>,
    ) -> (Record, Option<Transition>) {
        if result.epoch != self.epoch {
            return (*self, None);
        }
        match self.state {
            State::Closed => self.count(policy, result, pending, now, chance),
            State::HalfOpen if result.lease.is_some() => self.judge(policy, result, now, chance),
            _ => (*self, None),
        }
    }

    /// Takes what a worker has counted since it told last. That no call has ended makes no failures in a row: those there are were
    /// judged when they came, by the numbers of the route whose calls failed, and what is counted may be another route's.
    pub fn report(
        &self,
        policy: &Policy,
        epoch: u32,
        pending: &Window,
        now: Timestamp,
        chance: Chance<'_>,
    ) -> (Record, Option<Transition>) {
        if epoch != self.epoch || self.state != State::Closed {
            return (*self, None);
        }
        let mut next = *self;
        if !pending.is_empty() {
            next.window.merge(policy.window, now, pending);
        }
        next.calm(policy, now);
        match next.verdict_by_shares(policy, now) {
            Some(reason) => next.trip(policy, reason, None, now, chance),
            None => (next, None),
        }
    }

    fn count(
        &self,
        policy: &Policy,
        result: &Result,
        pending: &Window,
        now: Timestamp,
        chance: Chance<'_>,
    ) -> (Record, Option<Transition>) {
        let mut next = *self;
        if !pending.is_empty() {
            next.window.merge(policy.window, now, pending);
        }
        let tally = match result.outcome {
            Outcome::Success => Tally::SUCCESS,
            Outcome::Failure => Tally::FAILURE,
            Outcome::Slow => Tally::SLOW,
            Outcome::Neutral | Outcome::Ignored => return (*self, None),
        };
        if tally.is_rough() {
            next.count = next.count.saturating_add(1);
            if !next.is_rough(policy, now) {
                next.rough_since = now;
            }
        } else {
            next.count = 0;
        }
        next.window.add(policy.window, now, tally);
        if result.opens {
            if let Some(asked) = result.retry_after {
                return next.trip(policy, Reason::RetryAfter, Some(asked), now, chance);
            }
        }
        next.conclude(policy, result.retry_after, now, chance)
    }

    /// Forgets since when there were failures once none is left.
    fn calm(&mut self, policy: &Policy, now: Timestamp) {
        if self.rough_since != Timestamp::EPOCH && !self.is_rough(policy, now) {
            self.rough_since = Timestamp::EPOCH;
        }
    }

    /// Opens if there is a reason to.
    fn conclude(
        mut self,
        policy: &Policy,
        asked: Option<Span>,
        now: Timestamp,
        chance: Chance<'_>,
    ) -> (Record, Option<Transition>) {
        self.calm(policy, now);
        match self.verdict(policy, now) {
            Some(reason) => self.trip(policy, reason, asked, now, chance),
            None => (self, None),
        }
    }

    fn trip(
        &self,
        policy: &Policy,
        reason: Reason,
        asked: Option<Span>,
        now: Timestamp,
        chance: Chance<'_>,
    ) -> (Record, Option<Transition>) {
        let trips = self.trips_so_far(policy, now);
        let open_for = policy.opening(trips, asked, chance);
        (
            self.open(reason, trips, open_for, now),
            Some(Transition::Opened { reason, open_for }),
        )
    }

    /// The verdict of a probe. One that comes after its lease has ended is still one: the upstream did answer.
    fn judge(
        &self,
        policy: &Policy,
        result: &Result,
        now: Timestamp,
        chance: Chance<'_>,
    ) -> (Record, Option<Transition>) {
        let mut next = *self;
        let held = next.leases.iter_mut().find(|l| Some(**l) == result.lease);
        if let Some(place) = held {
            *place = Timestamp::EPOCH;
        }
        match result.outcome {
            Outcome::Ignored => (next, None),
            Outcome::Success | Outcome::Neutral => {
                next.count = next.count.saturating_add(1);
                if next.count < policy.successes {
                    return (next, None);
                }
                let closed = Record {
                    at: now,
                    limit: policy.max_open_for.max(policy.ramp),
                    ..next.enter(State::Closed)
                };
                (closed, Some(Transition::Closed))
            }
            Outcome::Failure | Outcome::Slow => {
                self.trip(policy, Reason::ProbeFailed, result.retry_after, now, chance)
            }
        }
    }
}

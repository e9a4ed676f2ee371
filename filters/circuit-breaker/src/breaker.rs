//! The state machine of one breaker, over values: time and chance come in, the next record comes out.

use crate::outcome::Outcome;
use crate::settings::Policy;
use seawall_core::time::{Span, Timestamp};

/// The most probes that may be out at once.
pub const MOST_PROBES: usize = 8;

/// What a breaker does with calls.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum State {
    /// Lets them through and counts failures.
    #[default]
    Closed,
    /// Refuses them.
    Open,
    /// Lets probes through.
    HalfOpen,
}

/// A breaker, as the workers share it. The default is one that has never failed, and equals an absent one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Record {
    /// What it does.
    pub state: State,
    /// Counts the changes of state; a call's result counts only in the epoch that admitted it.
    pub epoch: u32,
    /// Consecutive failures while closed; successful probes while half-open.
    pub count: u32,
    /// How often it has opened without a healthy period in between.
    pub trips: u8,
    /// Until when it is open; while closed, since when.
    pub at: Timestamp,
    /// When the rights of the probes end; zero is none.
    pub leases: [Timestamp; MOST_PROBES],
}

/// What may happen to a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Admission {
    /// It goes through. `failing` says whether failures are being counted, which a success would end.
    Pass {
        /// The epoch it belongs to.
        epoch: u32,
        /// Whether a success has anything to reset.
        failing: bool,
    },
    /// It goes through as a probe, by this lease.
    Probe {
        /// The epoch it belongs to.
        epoch: u32,
        /// When its right ends, which is also what tells it from other probes.
        lease: Timestamp,
    },
    /// It is refused; after this time it is worth trying again.
    Refuse {
        /// The time left.
        after: Span,
    },
}

/// A change of state, with what caused it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Transition {
    /// Closed to open: the last failure allowed.
    Tripped {
        /// For how long.
        open_for: Span,
    },
    /// Open to half-open: the time was over.
    Probing,
    /// Half-open to closed: enough probes succeeded.
    Recovered,
    /// Half-open to open: a probe failed.
    Relapsed {
        /// For how long.
        open_for: Span,
    },
}

impl Record {
    /// True when it could be forgotten without anybody noticing.
    pub fn is_default(&self, policy: &Policy, now: Timestamp) -> bool {
        self.state == State::Closed
            && self.count == 0
            && (self.trips == 0 || self.is_healthy_again(policy, now))
    }

    /// Whether it has been closed for long enough to start with the shortest open time again.
    fn is_healthy_again(&self, policy: &Policy, now: Timestamp) -> bool {
        self.state == State::Closed && now.since(self.at) >= policy.max_open_for
    }

    /// Decides on a call. The record is to be stored when it changed.
    pub fn admit(
        &self,
        policy: &Policy,
        now: Timestamp,
    ) -> (Record, Admission, Option<Transition>) {
        match self.state {
            State::Closed => {
                let failing = self.count > 0;
                (
                    *self,
                    Admission::Pass {
                        epoch: self.epoch,
                        failing,
                    },
                    None,
                )
            }
            State::Open => {
                let after = self.at.since(now);
                // A clock that stepped back must not keep it open for longer than it could ever have been.
                if !after.is_zero() && after <= policy.longest_open() {
                    return (*self, Admission::Refuse { after }, None);
                }
                let mut next = self.enter(State::HalfOpen);
                let admission = next.lease(policy, now);
                (next, admission, Some(Transition::Probing))
            }
            State::HalfOpen => {
                let mut next = *self;
                let admission = next.lease(policy, now);
                (next, admission, None)
            }
        }
    }

    /// Takes a place for a probe, if there is one.
    fn lease(&mut self, policy: &Policy, now: Timestamp) -> Admission {
        let expires = now.saturating_add(policy.probe_timeout);
        let mut soonest = policy.probe_timeout;
        for place in self.leases.iter_mut().take(policy.probes) {
            let left = place.since(now);
            // Over, or so far away that the clock must have stepped back.
            if left.is_zero() || left > policy.probe_timeout {
                *place = expires;
                return Admission::Probe {
                    epoch: self.epoch,
                    lease: expires,
                };
            }
            soonest = Span(soonest.0.min(left.0));
        }
        Admission::Refuse { after: soonest }
    }

    /// Takes the result of a call that was admitted in `epoch`, as a probe where it held a lease. `chance` is in `[0, 1)`.
    pub fn settle(
        &self,
        policy: &Policy,
        epoch: u32,
        lease: Option<Timestamp>,
        outcome: Outcome,
        now: Timestamp,
        chance: f64,
    ) -> (Record, Option<Transition>) {
        if epoch != self.epoch {
            return (*self, None);
        }
        match (self.state, outcome) {
            (State::Closed, Outcome::Success) => (Record { count: 0, ..*self }, None),
            (State::Closed, Outcome::Failure) => {
                let count = self.count.saturating_add(1);
                if count < policy.failure_threshold {
                    return (Record { count, ..*self }, None);
                }
                let trips = if self.is_healthy_again(policy, now) {
                    0
                } else {
                    self.trips
                };
                let open_for = policy.open_time(trips, chance);
                (
                    self.open(trips, open_for, now),
                    Some(Transition::Tripped { open_for }),
                )
            }
            (State::HalfOpen, outcome) if lease.is_some() => {
                self.judge(policy, lease, outcome, now, chance)
            }
            _ => (*self, None),
        }
    }

    /// The verdict of a probe.
    fn judge(
        &self,
        policy: &Policy,
        lease: Option<Timestamp>,
        outcome: Outcome,
        now: Timestamp,
        chance: f64,
    ) -> (Record, Option<Transition>) {
        let mut next = *self;
        if let Some(place) = next.leases.iter_mut().find(|place| Some(**place) == lease) {
            *place = Timestamp::EPOCH;
        }
        match outcome {
            Outcome::Ignored => (next, None),
            Outcome::Success => {
                next.count = next.count.saturating_add(1);
                if next.count < policy.successes {
                    return (next, None);
                }
                let closed = Record {
                    at: now,
                    ..next.enter(State::Closed)
                };
                (closed, Some(Transition::Recovered))
            }
            Outcome::Failure => {
                let open_for = policy.open_time(self.trips, chance);
                (
                    self.open(self.trips, open_for, now),
                    Some(Transition::Relapsed { open_for }),
                )
            }
        }
    }

    fn enter(&self, state: State) -> Record {
        Record {
            state,
            epoch: self.epoch.wrapping_add(1),
            count: 0,
            leases: [Timestamp::EPOCH; MOST_PROBES],
            ..*self
        }
    }

    fn open(&self, trips: u8, open_for: Span, now: Timestamp) -> Record {
        Record {
            trips: trips.saturating_add(1),
            at: now.saturating_add(open_for),
            ..self.enter(State::Open)
        }
    }
}

#[cfg(test)]
mod tests;

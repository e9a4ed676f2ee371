//! Whether a call may go through.

use super::throttle::refusal_share;
use super::{Chance, Record, State, Transition, SKEW};
use crate::policy::Policy;
use seawall_core::time::{Span, Timestamp};

/// What may happen to a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Admission {
    /// It goes through.
    Pass {
        /// Whether a success is to be told at once.
        tell: bool,
        /// Whether there are failures in the window: what was counted is to be told soon.
        rough: bool,
    },
    /// It goes through as a probe, by this lease.
    Probe {
        /// When its right ends, which is also what tells it from other probes.
        lease: Timestamp,
        /// Whether the place was that of a probe whose right had ended.
        replaces: bool,
    },
    /// It is refused; after this time it is worth trying again.
    Refuse {
        /// The time left.
        after: Span,
        /// On what account.
        on: Refusal,
    },
}

/// On what account a call is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// The breaker is open.
    Open,
    /// Probes are out, and their verdict is awaited.
    Probing,
    /// It has closed a short time ago, and lets more through bit by bit.
    Ramp,
    /// Adaptive mode: the upstream accepts less than is asked of it.
    Overload,
    /// The configuration says so.
    Forced,
}

impl Refusal {
    /// Its word in the response header and in the access log.
    pub fn word(self) -> &'static str {
        match self {
            Refusal::Open => "open",
            Refusal::Probing => "half_open",
            Refusal::Ramp => "ramp",
            Refusal::Overload => "overload",
            Refusal::Forced => "forced_open",
        }
    }
}

/// What a client waits that was refused to protect a dependency that does take calls.
const SOON: Span = Span::from_secs(1);

/// How long a call that is still being sent holds a place for a probe.
const SENDING: Span = Span::from_secs(1);

/// The end of the lease of a call that is whole. The last bit of a lease tells those from others.
fn ends(policy: &Policy, now: Timestamp) -> Timestamp {
    Timestamp(now.saturating_add(policy.probe_timeout).0 & !1)
}

fn is_sending(lease: Timestamp) -> bool {
    lease.0 & 1 == 1
}

impl Record {
    /// The probe of this lease has been sent to its end: its place is its own from here on. `None` where it has it no more.
    pub fn sent(
        &self,
        (epoch, lease): (u32, Timestamp),
        policy: &Policy,
        now: Timestamp,
    ) -> Option<(Record, Timestamp)> {
        let mut next = *self;
        let is_its = |place: &&mut Timestamp| **place == lease && is_sending(lease);
        let place = next.leases.iter_mut().find(is_its)?;
        *place = ends(policy, now);
        let lease = *place;
        (self.state == State::HalfOpen && self.epoch == epoch).then_some((next, lease))
    }

    /// Decides on a call that is whole. The record is to be stored when it changed.
    pub fn admit(
        &self,
        policy: &Policy,
        now: Timestamp,
        chance: Chance<'_>,
    ) -> (Record, Admission, Option<Transition>) {
        self.admit_when(true, policy, now, chance)
    }

    /// Decides on a call, of which the end may not be here yet. The record is to be stored when it changed.
    pub fn admit_when(
        &self,
        whole: bool,
        policy: &Policy,
        now: Timestamp,
        chance: Chance<'_>,
    ) -> (Record, Admission, Option<Transition>) {
        match self.state {
            State::Closed => match self.verdict(policy, now) {
                Some(reason) => {
                    let trips = self.trips_so_far(policy, now);
                    let open_for = policy.opening(trips, None, chance);
                    let refusal = Admission::Refuse {
                        after: open_for,
                        on: Refusal::Open,
                    };
                    let next = self.open(reason, trips, open_for, now);
                    let transition = Transition::Opened { reason, open_for };
                    (next, refusal, Some(transition))
                }
                None => (*self, self.pass(policy, now, chance), None),
            },
            State::Open => {
                let after = self.at.since(now);
                // A clock that stepped back must not keep it open for longer than it could ever have been.
                if !after.is_zero() && after <= self.limit.saturating_add(SKEW) {
                    let refusal = Admission::Refuse {
                        after,
                        on: Refusal::Open,
                    };
                    return (*self, refusal, None);
                }
                let mut next = self.enter(State::HalfOpen);
                let admission = next.lease(whole, policy, now);
                (next, admission, Some(Transition::Probing))
            }
            State::HalfOpen => {
                let mut next = *self;
                let admission = next.lease(whole, policy, now);
                (next, admission, None)
            }
        }
    }

    /// Lets a call through, or refuses it by chance, while closed.
    fn pass(&self, policy: &Policy, now: Timestamp, chance: Chance<'_>) -> Admission {
        if let Some(adaptive) = &policy.adaptive {
            let sum = self.window.sum(policy.window, now);
            let share = refusal_share(adaptive, policy.minimum_calls, sum);
            if share > 0.0 && chance() < share {
                return Admission::Refuse {
                    after: SOON,
                    on: Refusal::Overload,
                };
            }
        } else if let Some((share, left)) = self.ramp(policy, now) {
            if chance() >= share {
                return Admission::Refuse {
                    after: left,
                    on: Refusal::Ramp,
                };
            }
        }
        Admission::Pass {
            tell: self.is_near(policy, now),
            rough: self.rough_since != Timestamp::EPOCH,
        }
    }

    /// The share of calls that go through after the breaker has closed, and until when; `None` when all do.
    fn ramp(&self, policy: &Policy, now: Timestamp) -> Option<(f64, Span)> {
        let since = now.since(self.at);
        if self.trips == 0 || since >= policy.ramp || self.at > now {
            return None;
        }
        let part = since.as_secs_f64() / policy.ramp.as_secs_f64();
        let share = policy.ramp_from + (1.0 - policy.ramp_from) * part;
        Some((share, policy.ramp.saturating_sub(since)))
    }

    /// Takes a place for a probe, if there is one. A call that its client has not sent yet has it for a short time, and gives way to
    /// one that is whole: who sends nothing would keep the breaker half-open for everybody.
    fn lease(&mut self, whole: bool, policy: &Policy, now: Timestamp) -> Admission {
        let expires = if whole {
            ends(policy, now)
        } else {
            let soon = now.saturating_add(policy.probe_timeout.min(SENDING));
            Timestamp(soon.0 | 1)
        };
        let longest = self.limit.max(policy.probe_timeout);
        let mut soonest = longest;
        for place in self.leases.iter_mut().take(policy.probes) {
            let left = place.since(now);
            // Over, or so far away that the clock must have stepped back.
            let gives_way = whole && is_sending(*place);
            if gives_way || left.is_zero() || left > longest.saturating_add(SKEW) {
                let replaces = *place != Timestamp::EPOCH;
                *place = expires;
                self.limit = longest;
                return Admission::Probe {
                    lease: expires,
                    replaces,
                };
            }
            soonest = Span(soonest.0.min(left.0));
        }
        Admission::Refuse {
            after: soonest,
            on: Refusal::Probing,
        }
    }
}

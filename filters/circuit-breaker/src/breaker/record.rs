//! What the workers share of one breaker.

use super::window::Window;
use super::{reaches, Reason, SKEW};
use crate::policy::Policy;
use seawall_core::time::{Span, Timestamp};

/// The most probes that may be out at once.
pub const MOST_PROBES: usize = 8;

/// Once failures begin, every worker has said within this time what it has counted before; shares are judged after it.
pub const SETTLED: Span = Span::from_millis(250);

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
    /// Why it was opened last.
    pub reason: Reason,
    /// How often it has opened without a healthy period in between.
    pub trips: u8,
    /// Counts the changes of state; a call's result counts only in the epoch that admitted it.
    pub epoch: u32,
    /// Consecutive failures while closed; successful probes while half-open.
    pub count: u32,
    /// Until when it is open; while closed, since when.
    pub at: Timestamp,
    /// How long it was opened for, the longest of its leases, or how long after closing it matters that it was open: by the
    /// settings of whoever did so, for those of the next call may be another route's.
    pub limit: Span,
    /// Since when there have been failures in the window; zero when there are none.
    pub rough_since: Timestamp,
    /// When the rights of the probes end; zero is none.
    pub leases: [Timestamp; MOST_PROBES],
    /// The calls of late, as far as workers have told.
    pub window: Window,
}

impl Record {
    /// True when it could be forgotten without anybody noticing. Whoever asks wants the place for another key, whose settings
    /// need not be those of this one.
    pub fn is_default(&self, policy: &Policy, now: Timestamp) -> bool {
        self.state == State::Closed
            && self.count == 0
            && (self.trips == 0
                || self.is_healthy_again(policy, now) && now.since(self.at) >= self.limit)
            && !self.window.is_rough(now)
    }

    /// Whether calls have failed, or were overdue, within the window: then workers tell what they count.
    pub fn is_rough(&self, policy: &Policy, now: Timestamp) -> bool {
        self.window.sum(policy.window, now).is_rough()
    }

    /// Whether it has been closed for long enough to start with the shortest open time again.
    pub(super) fn is_healthy_again(&self, policy: &Policy, now: Timestamp) -> bool {
        self.state == State::Closed && now.since(self.at) >= policy.max_open_for
    }

    /// The reason to open now that a call has ended, if there is one.
    pub(super) fn verdict(&self, policy: &Policy, now: Timestamp) -> Option<Reason> {
        let opens = self.state == State::Closed && policy.adaptive.is_none();
        let in_a_row = policy.failure_threshold > 0 && self.count >= policy.failure_threshold;
        if opens && in_a_row {
            return Some(Reason::ConsecutiveFailures);
        }
        self.verdict_by_shares(policy, now)
    }

    /// The reason to open that the window gives, if it gives one.
    pub(super) fn verdict_by_shares(&self, policy: &Policy, now: Timestamp) -> Option<Reason> {
        if self.state != State::Closed || policy.adaptive.is_some() {
            return None;
        }
        let stepped_back = self.rough_since > now.saturating_add(SKEW);
        let settled = now.since(self.rough_since) >= SETTLED || stepped_back;
        if self.rough_since == Timestamp::EPOCH || !settled {
            return None;
        }
        let sum = self.window.sum(policy.window, now);
        if sum.calls < policy.minimum_calls {
            return None;
        }
        if reaches(sum.failures, sum.calls, policy.failure_percentage) {
            return Some(Reason::FailurePercentage);
        }
        reaches(sum.slow, sum.calls, policy.slow_percentage).then_some(Reason::SlowPercentage)
    }

    /// Whether the next success matters to the others at once: failures in a row are being counted, or their share is more
    /// than half of what opens.
    pub(super) fn is_near(&self, policy: &Policy, now: Timestamp) -> bool {
        if policy.adaptive.is_some() {
            return false;
        }
        if self.count > 0 {
            return true;
        }
        let sum = self.window.sum(policy.window, now);
        sum.is_rough()
            && (reaches(sum.failures, sum.calls, policy.failure_percentage / 2.0)
                || reaches(sum.slow, sum.calls, policy.slow_percentage / 2.0))
    }

    pub(super) fn enter(&self, state: State) -> Record {
        Record {
            state,
            epoch: self.epoch.wrapping_add(1),
            count: 0,
            limit: Span::ZERO,
            rough_since: Timestamp::EPOCH,
            leases: [Timestamp::EPOCH; MOST_PROBES],
            window: Window::default(),
            ..*self
        }
    }

    /// How often it has opened without a healthy period in between, as of now.
    pub(super) fn trips_so_far(&self, policy: &Policy, now: Timestamp) -> u8 {
        if self.is_healthy_again(policy, now) {
            0
        } else {
            self.trips
        }
    }

    pub(super) fn open(&self, reason: Reason, trips: u8, open_for: Span, now: Timestamp) -> Record {
        Record {
            reason,
            trips: trips.saturating_add(1),
            at: now.saturating_add(open_for),
            limit: open_for,
            ..self.enter(State::Open)
        }
    }
}

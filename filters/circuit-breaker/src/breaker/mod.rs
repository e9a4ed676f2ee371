//! The state machine of one breaker, over values: time and chance come in, the next record comes out.

mod admit;
mod record;
mod settle;
mod throttle;
pub mod window;

pub use admit::{Admission, Refusal};
pub use record::{Record, State, MOST_PROBES, SETTLED};
pub use settle::{Result, Transition};
pub use throttle::refusal_share;

use crate::policy::Policy;
use seawall_core::time::Span;

/// Why a breaker is open.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Reason {
    /// It is not, or nobody remembers.
    #[default]
    None,
    /// Consecutive failures.
    ConsecutiveFailures,
    /// The share of failures in the window.
    FailurePercentage,
    /// The share of overdue calls in the window.
    SlowPercentage,
    /// A probe failed.
    ProbeFailed,
    /// The upstream said when to come back.
    RetryAfter,
}

impl Reason {
    /// All reasons to be open.
    pub const ALL: [Reason; 5] = [
        Reason::ConsecutiveFailures,
        Reason::FailurePercentage,
        Reason::SlowPercentage,
        Reason::ProbeFailed,
        Reason::RetryAfter,
    ];

    /// Its word in metrics, the log and the response header.
    pub fn word(self) -> &'static str {
        match self {
            Reason::None => "unknown",
            Reason::ConsecutiveFailures => "consecutive_failures",
            Reason::FailurePercentage => "failure_percentage",
            Reason::SlowPercentage => "slow_percentage",
            Reason::ProbeFailed => "probe_failed",
            Reason::RetryAfter => "retry_after",
        }
    }
}

/// Chance: a number in `[0, 1)`, asked for only where it matters.
pub type Chance<'a> = &'a dyn Fn() -> f64;

/// A worker looks at the clock before it reads the record, which another may have changed meanwhile by a later look. So a time
/// may lie in the future, or seem longer than it can be, by this much, before that means that the clock has stepped back.
const SKEW: Span = Span::from_secs(1);

/// Whether so many of so many are at least this percentage of them.
fn reaches(part: u32, calls: u32, percentage: f64) -> bool {
    calls > 0 && f64::from(part) * 100.0 >= percentage * f64::from(calls)
}

impl Policy {
    /// How long a breaker opens that has opened so often before, at least as long as the upstream asked for.
    fn opening(&self, trips: u8, asked: Option<Span>, chance: Chance<'_>) -> Span {
        let chance = chance();
        let own = self.open_time(trips, chance);
        match asked {
            // Never earlier than asked for: the jitter goes one way only.
            Some(asked) => {
                let capped = Span(asked.0.min(self.retry_after_max.0));
                Span(own.0.max(capped.scale(1.0 + self.jitter * chance).0))
            }
            None => own,
        }
    }
}

#[cfg(test)]
#[allow(clippy::arithmetic_side_effects, reason = "test code")]
mod tests;

//! When a breaker opens, and how it recovers.

use seawall_core::time::Span;

/// The numbers of a breaker.
#[derive(Debug, Clone, PartialEq)]
pub struct Policy {
    /// Consecutive failures that open it; zero is none.
    pub failure_threshold: u32,
    /// Percentage of failures in the window that opens it; infinite is none.
    pub failure_percentage: f64,
    /// Percentage of overdue calls in the window that opens it; infinite is none.
    pub slow_percentage: f64,
    /// Calls in the window before percentages mean anything.
    pub minimum_calls: u32,
    /// The length of the window.
    pub window: Span,
    /// A call without response headers by then is overdue, and counts while it still hangs.
    pub slow_after: Option<Span>,
    /// How long it is open the first time.
    pub open_for: Span,
    /// How long it is open at the most; also how long it must have been healthy to start anew.
    pub max_open_for: Span,
    /// The open time varies by this part of it, both ways.
    pub jitter: f64,
    /// The most that an upstream's own word on when to come back is worth.
    pub retry_after_max: Span,
    /// How many probes may be out at once.
    pub probes: usize,
    /// Successful probes that close it.
    pub successes: u32,
    /// When the right of a probe ends.
    pub probe_timeout: Span,
    /// How long it takes after closing until everything goes through.
    pub ramp: Span,
    /// The share that goes through at once, 0 to 1.
    pub ramp_from: f64,
    /// Refuses a share of the calls instead of opening.
    pub adaptive: Option<Adaptive>,
}

/// The numbers of adaptive mode.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Adaptive {
    /// How much more than it accepts the upstream is offered.
    pub k: f64,
    /// The share of calls that always goes through, 0 to 1.
    pub floor: f64,
}

impl Policy {
    /// The open time after so many trips without a healthy period. `chance` is in `[0, 1)`.
    pub fn open_time(&self, trips: u8, chance: f64) -> Span {
        let doubled = self
            .open_for
            .saturating_mul(1u64.checked_shl(u32::from(trips)).unwrap_or(u64::MAX));
        let base = Span(doubled.0.min(self.max_open_for.0));
        base.scale(1.0 + self.jitter * (2.0 * chance - 1.0))
    }

    /// Whether shares of the calls matter, so that calls that work are counted as well.
    pub fn counts_calls(&self) -> bool {
        self.adaptive.is_some()
            || self.failure_percentage.is_finite()
            || (self.slow_percentage.is_finite() && self.slow_after.is_some())
    }
}

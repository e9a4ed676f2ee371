//! After so many refusals in some time, refuse for a while.
//!
//! State: `a` counts refusals until `expires`; with `b` set, the key is banned until then.

use super::gcra::JITTER;
use super::State;
use seawall_core::time::{Span, Timestamp};

/// Refuse for `block_for` after `refusals` in `within`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Penalty {
    /// How many refusals are too many.
    pub refusals: u64,
    /// They are counted this long from the first on.
    pub within: Span,
    /// How long the key is refused then.
    pub block_for: Span,
}

impl Penalty {
    /// A state is over after this time.
    pub fn longest(&self) -> Span {
        self.within.max(self.block_for)
    }

    /// The time until the ban ends, if there is one.
    pub fn banned(&self, state: Option<State>, now: Timestamp) -> Option<Span> {
        let state = state.filter(|state| state.b != 0)?;
        let left = Timestamp(state.expires).since(now);
        (!left.is_zero() && is_of_now(left, self.block_for)).then_some(left)
    }

    /// The state after one more refusal, and the ban that it brings.
    pub fn refused(&self, state: Option<State>, now: Timestamp) -> (State, Option<Span>) {
        let counting = state.filter(|state| {
            let left = Timestamp(state.expires).since(now);
            state.b == 0 && !left.is_zero() && is_of_now(left, self.within)
        });
        let counted = counting.unwrap_or(State {
            expires: now.saturating_add(self.within).as_nanos(),
            a: 0,
            b: 0,
        });
        let count = counted.a.saturating_add(1);
        if count < self.refusals {
            return (
                State {
                    a: count,
                    ..counted
                },
                None,
            );
        }
        let ban = State {
            expires: now.saturating_add(self.block_for).as_nanos(),
            a: count,
            b: 1,
        };
        (ban, Some(self.block_for))
    }
}

/// What lasts longer than such things do is from before the clock was set back. That other workers' clocks are a little ahead
/// is no such step.
fn is_of_now(left: Span, longest: Span) -> bool {
    left <= longest.saturating_add(Span(JITTER))
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::from_secs(1_750_000_000);
    const PENALTY: Penalty = Penalty {
        refusals: 2,
        within: Span::from_secs(10),
        block_for: Span::from_secs(60),
    };

    #[test]
    fn a_worker_whose_clock_is_behind_wipes_nothing() {
        let behind = NOW.saturating_sub(Span::from_nanos(3_000));
        let (one, _) = PENALTY.refused(None, NOW);
        let (ban, brings) = PENALTY.refused(Some(one), behind);
        assert_eq!((ban.b, brings), (1, Some(PENALTY.block_for)));
        let (ban, _) = PENALTY.refused(Some(one), NOW);
        assert!(PENALTY.banned(Some(ban), behind).is_some());
    }

    #[test]
    fn what_was_counted_before_the_clock_was_set_back_is_over() {
        let earlier = NOW.saturating_sub(Span::from_secs(3_600));
        let (one, ban) = PENALTY.refused(None, NOW);
        assert_eq!(ban, None);
        assert_eq!(PENALTY.refused(Some(one), NOW).1, Some(PENALTY.block_for));
        assert_eq!(PENALTY.refused(Some(one), earlier).1, None);
        let (banned, _) = PENALTY.refused(Some(one), NOW);
        assert_eq!(PENALTY.banned(Some(banned), NOW), Some(PENALTY.block_for));
        assert_eq!(PENALTY.banned(Some(banned), earlier), None);
    }
}

//! What a service said of a key: it is over its limit until some time. Until then nobody asks again.
//!
//! State: `expires` is how long it is remembered, `a` when it was said, `b` when the client may come back. The last two
//! differ where the service did not say when its window ends: the client is told the longest that it can be, while the
//! service is soon asked again.

use super::{Ask, State, Verdict};
use seawall_core::time::{Span, Timestamp};

/// A clock that is this much before the time of the answer was set back, and the answer is void.
const JITTER: Span = Span::from_secs(1);

/// The gate in front of a limit that a service keeps.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Remembered {
    /// The limit's number.
    pub requests: u64,
}

impl Remembered {
    /// What is kept of an answer: over the limit until `told`, to be remembered for `kept`.
    pub fn over(now: Timestamp, kept: Span, told: Span) -> State {
        State {
            expires: now.saturating_add(kept).as_nanos(),
            a: now.as_nanos(),
            b: now.saturating_add(told).as_nanos(),
        }
    }

    pub(super) fn check(&self, state: Option<State>, now: u64, ask: Ask) -> Verdict {
        let said = |state: &State| {
            let set_back = state.a > now.saturating_add(JITTER.as_nanos());
            ask.need > 0 && state.expires > now && !set_back
        };
        let wait = state
            .filter(said)
            .map(|state| Span(state.b.max(state.expires).saturating_sub(now)));
        Verdict {
            admitted: wait.is_none(),
            charged: state.unwrap_or_default(),
            moved: false,
            remaining: if wait.is_some() { 0 } else { self.requests },
            more: wait,
            wait,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::from_secs(1_750_000_000);

    fn wait(state: State, now: Timestamp) -> Option<Span> {
        let gate = Remembered { requests: 5 };
        gate.check(Some(state), now.as_nanos(), Ask { need: 1, cost: 0 })
            .wait
    }

    #[test]
    fn is_closed_until_the_reset() {
        let told = Span::from_secs(30);
        let state = Remembered::over(NOW, told, told);
        assert_eq!(wait(state, NOW), Some(told));
        let later = NOW.saturating_add(Span::from_secs(29));
        assert_eq!(wait(state, later), Some(Span::from_secs(1)));
        assert_eq!(wait(state, NOW.saturating_add(told)), None);
    }

    #[test]
    fn tells_the_longest_wait_but_asks_again_soon() {
        let state = Remembered::over(NOW, Span::from_secs(1), Span::from_secs(60));
        assert_eq!(wait(state, NOW), Some(Span::from_secs(60)));
        assert_eq!(wait(state, NOW.saturating_add(Span::from_secs(1))), None);
    }

    #[test]
    fn is_void_once_the_clock_is_set_back() {
        let told = Span::from_secs(30);
        let state = Remembered::over(NOW, told, told);
        assert_eq!(wait(state, Timestamp::from_secs(1_749_999_000)), None);
        let jitter = NOW.saturating_sub(Span::from_millis(900));
        assert!(wait(state, jitter).is_some());
    }
}

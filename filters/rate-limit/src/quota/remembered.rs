//! What a service said of a key: it is over its limit until some time. Until then nobody asks again who wants as much.
//!
//! State: `expires` is how long it is remembered, `a` when it was said, in seconds (high half), and the least cost that is
//! known to be too much (low half), `b` when the client may come back. `expires` and `b` differ where the service did not say
//! when its window ends: the client is told the longest that it can be, while the service is soon asked again.

use super::{Ask, State, Verdict};
use seawall_core::time::{Span, Timestamp};

/// A clock that is this many seconds before the time of the answer was set back, and the answer is void.
const JITTER: u64 = 1;

/// The gate in front of a limit that a service keeps.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Remembered {
    /// The limit's number.
    pub requests: u64,
    /// What costs more is never admitted, as far as is known here.
    pub most: u64,
}

fn said(state: &State) -> u64 {
    state.a >> 32
}

fn least(state: &State) -> u64 {
    state.a & u64::from(u32::MAX)
}

impl Remembered {
    /// What is kept of an answer: over the limit until `told`, for what costs as much as `least`, to be remembered for `kept`.
    pub fn over(now: Timestamp, kept: Span, told: Span, least: u64) -> State {
        State {
            expires: now.saturating_add(kept).as_nanos(),
            a: now.as_secs() << 32 | least.min(u64::from(u32::MAX)),
            b: now.saturating_add(told).as_nanos(),
        }
    }

    /// Whether an answer says more than the one that is held, which is not over yet.
    pub fn says_more(new: &State, held: &State) -> bool {
        let known = (least(held), std::cmp::Reverse(held.expires));
        said(held) > said(new) || (least(new), std::cmp::Reverse(new.expires)) < known
    }

    pub(super) fn check(&self, state: Option<State>, now: u64, ask: Ask) -> Verdict {
        let holds = |state: &State| {
            let set_back = said(state) > Timestamp(now).as_secs().saturating_add(JITTER);
            ask.need >= least(state).max(1) && state.expires > now && !set_back
        };
        let wait = state
            .filter(holds)
            .map(|state| Span(state.b.max(state.expires).saturating_sub(now)));
        Verdict {
            admitted: wait.is_none(),
            charged: state.unwrap_or_default(),
            moved: false,
            remaining: if wait.is_some() { 0 } else { self.requests },
            more: wait,
            wait: wait.filter(|_| ask.need <= self.most),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::from_secs(1_750_000_000);

    fn verdict(state: State, now: Timestamp, need: u64) -> Verdict {
        let gate = Remembered {
            requests: 5,
            most: 5,
        };
        gate.check(Some(state), now.as_nanos(), Ask { need, cost: 0 })
    }

    fn wait(state: State, now: Timestamp) -> Option<Span> {
        verdict(state, now, 1).wait
    }

    #[test]
    fn is_closed_until_the_reset() {
        let told = Span::from_secs(30);
        let state = Remembered::over(NOW, told, told, 1);
        assert_eq!(wait(state, NOW), Some(told));
        let later = NOW.saturating_add(Span::from_secs(29));
        assert_eq!(wait(state, later), Some(Span::from_secs(1)));
        assert_eq!(wait(state, NOW.saturating_add(told)), None);
    }

    #[test]
    fn tells_the_longest_wait_but_asks_again_soon() {
        let state = Remembered::over(NOW, Span::from_secs(1), Span::from_secs(60), 1);
        assert_eq!(wait(state, NOW), Some(Span::from_secs(60)));
        assert_eq!(wait(state, NOW.saturating_add(Span::from_secs(1))), None);
    }

    #[test]
    fn is_void_once_the_clock_is_set_back() {
        let told = Span::from_secs(30);
        let state = Remembered::over(NOW, told, told, 1);
        assert_eq!(wait(state, Timestamp::from_secs(1_749_999_000)), None);
        let jitter = NOW.saturating_sub(Span::from_millis(900));
        assert!(wait(state, jitter).is_some());
    }

    #[test]
    fn is_open_for_what_costs_less() {
        let told = Span::from_secs(30);
        let state = Remembered::over(NOW, told, told, 3);
        assert!(verdict(state, NOW, 2).admitted);
        assert_eq!(verdict(state, NOW, 3).wait, Some(told));
        let never = verdict(state, NOW, 6);
        assert_eq!((never.admitted, never.wait), (false, None));
    }

    #[test]
    fn the_stricter_answer_stays_and_of_equals_the_longer() {
        let said = |seconds, least| {
            let kept = Span::from_secs(seconds);
            Remembered::over(NOW, kept, kept, least)
        };
        for (new, held, more) in [
            (said(30, 1), said(30, 1), false),
            (said(31, 1), said(30, 1), true),
            (said(20, 1), said(30, 2), true),
            (said(40, 3), said(30, 2), false),
        ] {
            assert_eq!(Remembered::says_more(&new, &held), more, "{new:?} {held:?}");
        }
        let later = Remembered::over(
            NOW.saturating_add(Span::from_secs(5)),
            Span::from_secs(30),
            Span::ZERO,
            1,
        );
        assert!(
            Remembered::says_more(&said(1, 9), &later),
            "the clock was set back"
        );
    }
}

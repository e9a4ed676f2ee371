//! A count per window of the calendar.
//!
//! State: `expires` is the end of the window, `a` the count.

use super::{room, Ask, State, Verdict, Window};
use seawall_core::time::Span;

/// At most `requests` in each window of the calendar.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fixed {
    /// The most in a window.
    pub requests: u64,
    /// The windows.
    pub window: Window,
}

impl Fixed {
    /// The count at this time, and whether it had to be moved because the clock was set back.
    fn count(&self, state: Option<State>, now: u64) -> (State, bool) {
        let (_, end) = self.window.around(now);
        let empty = State {
            expires: end,
            a: 0,
            b: 0,
        };
        let Some(state) = state else {
            return (empty, false);
        };
        if state.expires == end {
            (state, false)
        } else if state.expires < end {
            (empty, false)
        } else {
            // The clock stepped back. Over an edge, the window that has begun goes on; further, what is counted counts now.
            let (held, _) = self.window.around(state.expires.saturating_sub(1));
            if held == end {
                (state, false)
            } else {
                let moved = State {
                    expires: end,
                    ..state
                };
                (moved, true)
            }
        }
    }

    pub(super) fn check(&self, state: Option<State>, now: u64, ask: Ask) -> Verdict {
        let (mut state, moved) = self.count(state, now);
        let (admitted, remaining) = room(state.a, self.requests, ask);
        if admitted {
            state.a = state.a.saturating_add(ask.cost);
        }
        let left = Span(state.expires.saturating_sub(now));
        Verdict {
            admitted,
            charged: state,
            moved,
            remaining,
            more: (remaining < self.requests).then_some(left),
            wait: (!admitted && ask.need <= self.requests).then_some(left),
        }
    }

    pub(super) fn refund(&self, state: State, at: u64, cost: u64) -> State {
        let (_, end) = self.window.around(at);
        let mut state = state;
        if end >= state.expires {
            state.a = state.a.saturating_sub(cost);
        }
        // Where nothing counts any more, the state is over, and makes room.
        if state.a == 0 {
            return State::default();
        }
        state
    }

    pub(super) fn add(&self, state: Option<State>, now: u64, cost: u64, debt: u64) -> State {
        let (mut state, _) = self.count(state, now);
        let most = self.requests.saturating_mul(debt).max(state.a);
        state.a = state.a.saturating_add(cost).min(most);
        state
    }
}

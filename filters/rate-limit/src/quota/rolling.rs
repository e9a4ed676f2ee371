//! Two counts, of the present window and of the one before, that roll over by themselves.
//!
//! State: `expires` is the end of the window after the present one, `a` the present count, `b` the one before.

use super::State;

/// The two counts as they are at some time.
#[derive(Debug, Clone, Copy)]
pub(super) struct Rolled {
    pub(super) present: u64,
    pub(super) before: u64,
    /// The start of the present window.
    pub(super) start: u64,
    /// The time inside the present window, at least its start.
    pub(super) now: u64,
    /// The clock was set back, and the counts moved with it.
    pub(super) moved: bool,
}

fn start_of(now: u64, length: u64) -> u64 {
    now.saturating_sub(now.checked_rem(length).unwrap_or_default())
}

/// The start of the window that a state has for the present one.
pub(super) fn present(state: State, length: u64) -> u64 {
    state.expires.saturating_sub(length).saturating_sub(length)
}

pub(super) fn roll(state: Option<State>, now: u64, length: u64) -> Rolled {
    let start = start_of(now, length);
    let empty = Rolled {
        present: 0,
        before: 0,
        start,
        now,
        moved: false,
    };
    let Some(state) = state else { return empty };
    let held = self::present(state, length);
    let (present, before) = (state.a, state.b);
    if held == start {
        Rolled {
            present,
            before,
            ..empty
        }
    } else if held.saturating_add(length) == start {
        Rolled {
            before: present,
            ..empty
        }
    } else if held < start {
        empty
    } else if held == start.saturating_add(length) {
        // The clock stepped back over the edge: the window that has begun goes on.
        Rolled {
            present,
            before,
            start: held,
            now: held,
            moved: false,
        }
    } else {
        // The clock was set back: what is counted counts now, rather than in a far future.
        Rolled {
            present,
            before,
            moved: true,
            ..empty
        }
    }
}

impl Rolled {
    pub(super) fn state(&self, length: u64) -> State {
        State {
            expires: self.start.saturating_add(length).saturating_add(length),
            a: self.present,
            b: self.before,
        }
    }
}

/// Takes `cost` out of the window that `at` was in, if it is still held. Where nothing counts any more, the state is over.
pub(super) fn refund(state: State, at: u64, cost: u64, length: u64) -> State {
    let held = present(state, length);
    let charged = start_of(at, length);
    let mut state = state;
    if charged.saturating_add(length) == held {
        state.b = state.b.saturating_sub(cost);
    } else if charged >= held {
        state.a = state.a.saturating_sub(cost);
    }
    if state.a == 0 && state.b == 0 {
        return State::default();
    }
    state
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_charge_is_taken_back_from_its_own_window_and_from_no_other() {
        let held = State {
            expires: 120,
            a: 3,
            b: 2,
        };
        let after = |at| {
            let state = refund(held, at, 1, 10);
            (state.a, state.b, state.expires)
        };
        assert_eq!(after(105), (2, 2, 120));
        assert_eq!(after(100), (2, 2, 120));
        assert_eq!(after(99), (3, 1, 120));
        assert_eq!(after(90), (3, 1, 120));
        assert_eq!(after(89), (3, 2, 120), "it has left the windows by itself");
        assert_eq!(after(115), (2, 2, 120), "the clock was set back since");
    }
}

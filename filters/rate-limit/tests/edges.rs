//! Around the edges of windows and of numbers: workers whose clocks differ by a little, charges that are taken back later, and
//! limits beyond 64 bits.
#![cfg(not(target_arch = "wasm32"))]
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::arithmetic_side_effects,
    reason = "test code"
)]

use seawall_core::time::{Span, Timestamp};
use seawall_rate_limit::quota::{Ask, Concurrency, Fixed, Gcra, Quota, Sliding, State, Window};

const SECOND: u64 = 1_000_000_000;
const PER: u64 = 10 * SECOND;
/// A window begins here.
const EDGE: u64 = 1_750_000_000 * SECOND;

/// Asks, and keeps the state as the table does. True when it is admitted.
fn ask(quota: &Quota, state: &mut Option<State>, now: u64, cost: u64) -> bool {
    let verdict = quota.check(*state, Timestamp(now), Ask::of(cost));
    if verdict.admitted || verdict.moved {
        *state = Some(verdict.charged);
    }
    verdict.admitted
}

fn windows(requests: u64) -> [Quota; 2] {
    let window = Window::Every(PER);
    [
        Quota::Fixed(Fixed { requests, window }),
        Quota::Sliding(Sliding { requests, per: PER }),
    ]
}

#[test]
fn a_worker_that_is_still_before_the_edge_counts_in_the_window_that_has_begun() {
    for quota in windows(2) {
        let mut state = None;
        assert!(ask(&quota, &mut state, EDGE, 1));
        assert!(ask(&quota, &mut state, EDGE - 1, 1));
        for later in [0, PER / 2, PER - 1] {
            assert!(!ask(&quota, &mut state, EDGE + later, 1), "{quota:?}");
        }
    }
}

#[test]
fn what_is_taken_back_after_the_edge_is_taken_from_the_window_that_it_was_in() {
    let [fixed, sliding] = windows(4);
    for (quota, left) in [(fixed, 3), (sliding, 2)] {
        let mut state = None;
        assert!(ask(&quota, &mut state, EDGE - 1, 2));
        assert!(ask(&quota, &mut state, EDGE, 1));
        let state = quota.refund(state.unwrap(), Timestamp(EDGE - 1), 1);
        let nothing = Ask { need: 0, cost: 0 };
        let verdict = quota.check(Some(state), Timestamp(EDGE), nothing);
        assert_eq!(verdict.remaining, left, "{quota:?}");
    }
}

#[test]
fn a_place_that_was_taken_before_the_edge_is_free_after_it() {
    let quota = Quota::Concurrency(Concurrency { max: 2, lease: PER });
    let mut state = None;
    assert!(ask(&quota, &mut state, EDGE - 1, 1));
    assert!(ask(&quota, &mut state, EDGE, 1));
    assert!(!ask(&quota, &mut state, EDGE, 1));
    state = Some(quota.refund(state.unwrap(), Timestamp(EDGE - 1), 1));
    assert!(ask(&quota, &mut state, EDGE, 1));
    assert!(!ask(&quota, &mut state, EDGE, 1));
}

/// A worker whose clock is behind charges at the time that the others have got to, and takes it back from there.
#[test]
fn what_a_slow_clock_charged_is_taken_back_where_it_was_charged() {
    let [fixed, sliding] = windows(4);
    let places = Quota::Concurrency(Concurrency { max: 4, lease: PER });
    let gcra = Quota::Gcra(Gcra::new(4, Span(PER), 4, 1));
    for quota in [fixed, sliding, places, gcra] {
        let mut state = None;
        assert!(ask(&quota, &mut state, EDGE, 1));
        let before = state;
        let behind = Timestamp(EDGE - 2_000);
        let verdict = quota.check(state, behind, Ask::of(1));
        assert!(verdict.admitted);
        let booked = quota.booked(verdict.charged, behind);
        assert_eq!(booked, Timestamp(EDGE), "{quota:?}");
        let after = Some(quota.refund(verdict.charged, booked, 1));
        let left = |state| {
            let nothing = Ask { need: 0, cost: 0 };
            quota.check(state, Timestamp(EDGE), nothing).remaining
        };
        assert_eq!(left(after), left(before), "{quota:?}");
        let alone = quota.check(None, behind, Ask::of(1));
        assert_eq!(quota.booked(alone.charged, behind), behind, "{quota:?}");
    }
}

#[test]
fn limits_beyond_64_bits_admit_exactly_their_burst() {
    // Two nanoseconds more, so that three requests do not share it evenly.
    let year = Span(366 * 86_400 * SECOND + 2);
    for (requests, burst) in [(3, 1_000), (1_000_000, 100_000_000)] {
        let quota = Quota::Gcra(Gcra::new(requests, year, burst, 1));
        let mut state = None;
        assert!(ask(&quota, &mut state, EDGE, burst - 1));
        assert!(ask(&quota, &mut state, EDGE, 1));
        let refused = quota.check(state, Timestamp(EDGE), Ask::of(1));
        assert!(!refused.admitted);
        // The last fraction of a nanosecond is not held against a request.
        let each = year.as_nanos() / u64::from(requests);
        assert_eq!(refused.wait, Some(Span(each)));
        assert!(!ask(&quota, &mut state, EDGE + each - 1, 1));
        assert!(ask(&quota, &mut state, EDGE + each, 1));
    }
}

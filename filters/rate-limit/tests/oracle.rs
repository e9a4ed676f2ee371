//! Every algorithm against an exact oracle that keeps everything it has seen.
#![cfg(not(target_arch = "wasm32"))]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "test code"
)]

use proptest::prelude::*;
use seawall_core::time::{Span, Timestamp};
use seawall_rate_limit::quota::{Ask, Concurrency, Fixed, Gcra, Quota, Sliding, State, Window};

const SECOND: u64 = 1_000_000_000;
const START: u64 = 1_750_000_000 * SECOND;

/// Runs asks through a quota as the table does.
struct Key {
    quota: Quota,
    state: Option<State>,
}

impl Key {
    fn new(quota: Quota) -> Self {
        Key { quota, state: None }
    }

    fn ask(&mut self, now: u64, cost: u64) -> bool {
        let verdict = self.quota.check(self.state, Timestamp(now), Ask::of(cost));
        if verdict.moved {
            self.state = Some(verdict.charged);
        }
        assert!(verdict.remaining <= self.quota.most());
        if verdict.admitted {
            self.state = Some(verdict.charged);
        } else if let Some(wait) = verdict.wait {
            // What is said of the wait is true, and to the nanosecond.
            let at = |nanos| {
                self.quota
                    .check(self.state, Timestamp(nanos), Ask::of(cost))
                    .admitted
            };
            // Nobody knows when a request ends.
            if !matches!(self.quota, Quota::Concurrency(_)) {
                assert!(
                    at(now + wait.as_nanos()),
                    "{:?} at {now} waits {wait:?}",
                    self.state
                );
                assert!(
                    !at(now + wait.as_nanos() - 1),
                    "could have come back earlier"
                );
            }
        } else {
            assert!(cost > self.quota.most());
        }
        if let Some(more) = verdict
            .more
            .filter(|_| !matches!(self.quota, Quota::Concurrency(_)))
        {
            let later = self
                .quota
                .check(self.state, Timestamp(now + more.as_nanos()), Ask::of(0));
            assert!(
                later.remaining > verdict.remaining,
                "{more:?} brings nothing"
            );
        }
        verdict.admitted
    }
}

/// A theoretical arrival time as an exact fraction: `numerator / requests` nanoseconds.
struct ExactGcra {
    requests: u128,
    per: u128,
    burst: u128,
    tat: u128,
}

impl ExactGcra {
    fn ask(&mut self, now: u64, cost: u64) -> bool {
        let now = u128::from(now) * self.requests;
        let next = self.tat.max(now) + u128::from(cost) * self.per;
        // The clock has whole nanoseconds.
        let admitted = next < now + self.requests + self.per * self.burst;
        if admitted {
            self.tat = next;
        }
        admitted
    }
}

fn gcra(requests: u32, per: u64, burst: u64) -> Quota {
    Quota::Gcra(Gcra::new(requests, Span(per), burst, 1))
}

/// Steps in time and costs, with many small ones.
fn trace() -> impl Strategy<Value = Vec<(u64, u64)>> {
    let step = prop_oneof![
        Just(0),
        0..1_000u64,
        0..SECOND / 100,
        0..3 * SECOND,
        0..100 * SECOND
    ];
    let cost = prop_oneof![4 => Just(1u64), 2 => 0..5u64, 1 => 0..200u64, 1 => any::<u64>()];
    proptest::collection::vec((step, cost), 1..200)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]

    #[test]
    fn gcra_is_the_exact_fraction(
        requests in prop_oneof![1..100u32, 1..1_000_000_000u32],
        per in prop_oneof![Just(SECOND), Just(86_400 * SECOND), SECOND..10 * SECOND],
        burst in prop_oneof![1..10u64, 1..1_000_000u64],
        trace in trace(),
    ) {
        let mut key = Key::new(gcra(requests, per, burst));
        let mut exact = ExactGcra {
            requests: u128::from(requests), per: u128::from(per), burst: u128::from(burst), tat: 0,
        };
        let mut now = START;
        for (step, cost) in trace {
            now += step;
            let wanted = if cost > 1 << 60 { false } else { exact.ask(now, cost) };
            prop_assert_eq!(key.ask(now, cost), wanted, "at {}", now - START);
        }
    }

    #[test]
    fn gcra_never_admits_more_than_the_burst_and_the_rate(
        requests in 1..50u32, burst in 1..20u64, trace in trace(),
    ) {
        let mut key = Key::new(gcra(requests, SECOND, burst));
        let mut now = START;
        let mut admitted: Vec<(u64, u64)> = Vec::new();
        for (step, cost) in trace {
            now += step;
            if cost < 1_000 && key.ask(now, cost) {
                admitted.push((now, cost));
                // Over every span that ends here.
                let mut sum = 0u128;
                for (at, cost) in admitted.iter().rev() {
                    sum += u128::from(*cost);
                    let earned = u128::from(now - at + 1) * u128::from(requests);
                    prop_assert!(
                        sum * u128::from(SECOND) <= u128::from(burst) * u128::from(SECOND) + earned
                    );
                }
            }
        }
    }

    #[test]
    fn a_clock_that_steps_back_neither_forgives_nor_locks_out(
        back in prop_oneof![0..SECOND, 0..1_000_000 * SECOND],
        requests in 1..50u32, burst in 1..20u64,
    ) {
        let mut key = Key::new(gcra(requests, SECOND, burst));
        for _ in 0..burst {
            prop_assert!(key.ask(START, 1));
        }
        prop_assert!(!key.ask(START, 1));
        let now = START - back;
        prop_assert!(!key.ask(now, 1), "forgiven");
        prop_assert!(!key.ask(now, 1), "forgiven with the second");
        let verdict = key.quota.check(key.state, Timestamp(now), Ask::of(1));
        let wait = verdict.wait.unwrap().as_nanos();
        prop_assert!(wait <= SECOND / u64::from(requests) + SECOND + 1, "locked out for {}", wait);
    }

    #[test]
    fn windows_survive_a_clock_that_steps_back(
        back in prop_oneof![0..SECOND, 0..1_000_000 * SECOND], most in 1..20u64, per in SECOND..100 * SECOND,
    ) {
        for quota in [
            Quota::Sliding(Sliding { requests: most, per }),
            Quota::Fixed(Fixed { requests: most, window: Window::Every(per) }),
        ] {
            let mut key = Key::new(quota);
            for _ in 0..most {
                prop_assert!(key.ask(START, 1));
            }
            let mut now = START - back;
            prop_assert!(!key.ask(now, 1), "forgiven");
            let verdict = quota.check(key.state, Timestamp(now), Ask::of(1));
            let wait = verdict.wait.unwrap().as_nanos();
            prop_assert!(wait <= 3 * per, "locked out for {}", wait);
            now += wait;
            prop_assert!(key.ask(now, 1));
        }
    }

    #[test]
    fn a_refund_is_as_if_nothing_had_been_charged(
        requests in 1..1_000_000u32, burst in 2..100u64, before in 0..50u64, cost in 1..50u64, after in 0..20u64,
    ) {
        let quota = gcra(requests, SECOND, burst + 200);
        let (mut with, mut without) = (Key::new(quota), Key::new(quota));
        for _ in 0..before {
            with.ask(START, 1);
            without.ask(START, 1);
        }
        prop_assert!(with.ask(START, cost));
        for _ in 0..after {
            with.ask(START, 1);
            without.ask(START, 1);
        }
        let refunded = quota.refund(with.state.unwrap(), Timestamp(START), cost);
        let nothing = State { expires: START, a: START, b: 0 };
        prop_assert_eq!(refunded, without.state.unwrap_or(nothing));
    }

    #[test]
    fn sliding_windows_weigh_the_window_before(
        most in 1..50u64, per in prop_oneof![Just(SECOND), 1..10 * SECOND], trace in trace(),
    ) {
        let mut key = Key::new(Quota::Sliding(Sliding { requests: most, per }));
        let mut seen: Vec<(u64, u64)> = Vec::new();
        let mut now = START;
        for (step, cost) in trace {
            now += step;
            let count = |window: u64| -> u128 {
                seen.iter().filter(|(at, _)| at / per == window).map(|(_, cost)| u128::from(*cost)).sum()
            };
            let (window, per) = (now / per, u128::from(per));
            let elapsed = u128::from(now) % per;
            let used = count(window - 1) * (per - elapsed) + count(window) * per;
            let wanted = used + u128::from(cost) * per <= u128::from(most) * per;
            prop_assert_eq!(key.ask(now, cost), wanted, "at {}", now - START);
            if wanted {
                seen.push((now, cost));
            }
        }
    }

    #[test]
    fn fixed_windows_count_what_the_calendar_says(
        most in 1..50u64,
        window in prop_oneof![
            Just(Window::Every(SECOND)), Just(Window::Every(60 * SECOND)), Just(Window::Week),
            Just(Window::Month), Just(Window::Year)
        ],
        scale in prop_oneof![Just(1u64), Just(86_400), Just(1_000_000)],
        trace in trace(),
    ) {
        let mut key = Key::new(Quota::Fixed(Fixed { requests: most, window }));
        let mut seen: Vec<(u64, u64)> = Vec::new();
        let mut now = START;
        for (step, cost) in trace {
            now = now.saturating_add((step % (2 * SECOND)).saturating_mul(scale));
            if now > 9_000_000_000 * SECOND {
                break;
            }
            let (start, end) = window.around(now);
            let used: u128 = seen.iter().filter(|(at, _)| (start..end).contains(at)).map(|(_, cost)| u128::from(*cost)).sum();
            let wanted = used + u128::from(cost) <= u128::from(most);
            prop_assert_eq!(key.ask(now, cost), wanted);
            if wanted {
                seen.push((now, cost));
            }
        }
    }

    #[test]
    fn places_are_as_many_as_there_are_whoever_comes_and_goes(
        max in 1..10u64, turns in proptest::collection::vec((0..SECOND, any::<bool>()), 1..200),
    ) {
        let lease = 1_000 * SECOND;
        let quota = Quota::Concurrency(Concurrency { max, lease });
        let mut key = Key::new(quota);
        let mut inside: Vec<u64> = Vec::new();
        let mut now = START;
        for (step, comes) in turns {
            now += step;
            if comes {
                let wanted = (inside.len() as u64) < max;
                prop_assert_eq!(key.ask(now, 1), wanted);
                if wanted {
                    inside.push(now);
                }
            } else if let Some(at) = inside.pop() {
                key.state = Some(quota.refund(key.state.unwrap(), Timestamp(at), 1));
            }
        }
    }

    #[test]
    fn any_state_and_any_number_is_answered(
        expires in any::<u64>(), a in any::<u64>(), b in any::<u64>(), now in any::<u64>(), at in any::<u64>(),
        cost in any::<u64>(), requests in any::<u32>(), per in any::<u64>(), burst in any::<u64>(), debt in any::<u64>(),
    ) {
        for quota in [
            Quota::Gcra(Gcra::new(requests, Span(per), burst, requests)),
            Quota::Sliding(Sliding { requests: burst, per }),
            Quota::Fixed(Fixed { requests: burst, window: Window::Every(per) }),
            Quota::Fixed(Fixed { requests: burst, window: Window::Month }),
            Quota::Concurrency(Concurrency { max: burst, lease: per }),
        ] {
            let state = Some(State { expires, a, b });
            let now = Timestamp(now);
            let verdict = quota.check(state, now, Ask { need: cost, cost: burst });
            quota.add(state, now, cost, debt);
            quota.refund(verdict.charged, Timestamp(at), cost);
        }
    }
}

#[test]
fn six_hundred_a_second_are_six_hundred_a_second() {
    for burst in [1, 600] {
        let mut key = Key::new(gcra(600, SECOND, burst));
        for number in 0..600 * 60u64 {
            let now = START + number * SECOND / 600;
            assert!(key.ask(now, 1), "request {number} with burst {burst}");
        }
        assert!(burst > 1 || !key.ask(START + (600 * 60 - 1) * SECOND / 600, 1));
    }
}

#[test]
fn more_than_the_burst_is_never_admitted() {
    for quota in [
        gcra(10, SECOND, 5),
        Quota::Sliding(Sliding {
            requests: 5,
            per: SECOND,
        }),
        Quota::Fixed(Fixed {
            requests: 5,
            window: Window::Every(SECOND),
        }),
    ] {
        let verdict = quota.check(None, Timestamp(START), Ask::of(6));
        assert_eq!((verdict.admitted, verdict.wait), (false, None));
        assert_eq!(verdict.remaining, 5);
    }
}

#[test]
fn replicas_share_a_rate_exactly() {
    let quota = Quota::Gcra(Gcra::new(10, Span(SECOND), 1, 3));
    let mut key = Key::new(quota);
    let admitted = (0..30_000u64)
        .filter(|ms| key.ask(START + ms * 1_000_000, 1))
        .count();
    assert_eq!(admitted, 100, "10 a second over 3 replicas in 30 seconds");
}

#[test]
fn what_is_owed_has_a_bound() {
    let quota = gcra(10, SECOND, 10);
    let state = quota.add(None, Timestamp(START), u64::MAX, 10);
    let wait = quota
        .check(Some(state), Timestamp(START), Ask::of(1))
        .wait
        .unwrap();
    assert!(wait <= Span::from_secs(10), "{wait:?}");
    let state = quota.add(None, Timestamp(START), u64::MAX, 1);
    let wait = quota
        .check(Some(state), Timestamp(START), Ask::of(1))
        .wait
        .unwrap();
    assert_eq!(wait, Span::from_millis(100));
}

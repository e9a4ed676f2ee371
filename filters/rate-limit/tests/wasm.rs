//! The same on wasm32: 128-bit arithmetic, hashing, 32-bit lengths, and whole requests on the fake host.
#![cfg(target_arch = "wasm32")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    dead_code,
    reason = "test code"
)]

mod common;

use common::filter::{ask, count, errors, passing, rig, wait};
use seawall_core::time::{Span, Timestamp};
use seawall_rate_limit::quota::{Ask, Fixed, Gcra, Quota, Sliding, State, Window};
use serde_json::json;
use wasm_bindgen_test::wasm_bindgen_test;

const SECOND: u64 = 1_000_000_000;
const START: u64 = 1_750_000_000 * SECOND;

#[wasm_bindgen_test]
fn six_hundred_a_second_are_six_hundred_a_second() {
    let quota = Quota::Gcra(Gcra::new(600, Span(SECOND), 1, 1));
    let mut state = None;
    for number in 0..6_000u64 {
        let now = Timestamp(START + number * SECOND / 600);
        let verdict = quota.check(state, now, Ask::of(1));
        assert!(verdict.admitted, "{number}");
        state = Some(verdict.charged);
    }
}

#[wasm_bindgen_test]
fn extreme_numbers_are_answered() {
    let numbers = [0, 1, u64::from(u32::MAX), u64::MAX / 2, u64::MAX];
    for expires in numbers {
        for a in numbers {
            for now in numbers {
                for cost in numbers {
                    for quota in [
                        Quota::Gcra(Gcra::new(u32::MAX, Span(u64::MAX), u64::MAX, u32::MAX)),
                        Quota::Sliding(Sliding {
                            requests: u64::MAX,
                            per: u64::MAX,
                        }),
                        Quota::Fixed(Fixed {
                            requests: u64::MAX,
                            window: Window::Month,
                        }),
                    ] {
                        let state = Some(State {
                            expires,
                            a,
                            b: u64::MAX,
                        });
                        let verdict = quota.check(state, Timestamp(now), Ask::of(cost));
                        quota.refund(verdict.charged, Timestamp(now), cost);
                    }
                }
            }
        }
    }
}

#[wasm_bindgen_test]
fn the_filter_counts_and_answers() {
    let mut rig = rig(json!({"limits": [
        {"name": "a", "key": [{"header": "t"}], "requests": 3, "per": "1m"},
        {"name": "b", "requests": 100, "per": "month", "algorithm": "fixed_window"},
    ]}));
    assert_eq!(passing(&mut rig, &[("t", "1")], 9), 3);
    let refused = ask(&mut rig, &[("t", "1")]).unwrap();
    assert_eq!(refused.header("retry-after"), Some("20"));
    wait(&rig, 20);
    assert_eq!(passing(&mut rig, &[("t", "1")], 9), 1);
    assert_eq!(count(&rig, "b", "allowed"), 4);
}

#[wasm_bindgen_test]
fn mistakes_have_the_same_words() {
    assert_eq!(
        errors(json!({"limits": [{"name": "a", "requests": 0, "per": "1m"}]})),
        ["limits[0].requests: must be from 1 to 1000000000, got 0"]
    );
}

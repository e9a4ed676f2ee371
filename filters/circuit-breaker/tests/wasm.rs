//! The same state machine on wasm32: 32-bit sizes, float casts.
#![cfg(target_arch = "wasm32")]
#![allow(clippy::unwrap_used, reason = "test code")]

use seawall_circuit_breaker::breaker::window::Window;
use seawall_circuit_breaker::breaker::{Record, Result, State};
use seawall_circuit_breaker::table::{Placed, Slot};
use seawall_circuit_breaker::{Outcome, Settings};
use seawall_core::config::load;
use seawall_core::hash::Fingerprint;
use seawall_core::time::{Span, Timestamp};
use serde_json::json;
use wasm_bindgen_test::wasm_bindgen_test;

#[wasm_bindgen_test]
fn opens_on_the_fifth_failure_for_the_time_configured() {
    let policy = load::<Settings>(&json!({"open_for": "10s", "jitter": 0.2}))
        .unwrap()
        .policy;
    let now = Timestamp::from_secs(1_000_000);
    let mut record = Record::default();
    for _ in 0..5 {
        assert_eq!(record.state, State::Closed);
        let result = Result {
            epoch: record.epoch,
            lease: None,
            outcome: Outcome::Failure,
            retry_after: None,
            opens: false,
        };
        record = record
            .settle(&policy, &result, &Window::default(), now, &|| 0.5)
            .0;
    }
    assert_eq!(record.state, State::Open);
    assert_eq!(record.at, now.saturating_add(Span::from_secs(10)));
}

#[wasm_bindgen_test]
fn open_times_saturate() {
    let policy = load::<Settings>(&json!({"open_for": "60s", "max_open_for": "1d"}))
        .unwrap()
        .policy;
    assert_eq!(policy.open_time(255, 0.5), Span::from_secs(86_400));
}

#[wasm_bindgen_test]
fn slots_are_read_as_written() {
    let policy = load::<Settings>(&json!({})).unwrap().policy;
    let mut slot = Slot::default();
    let record = Record {
        state: State::Open,
        epoch: 3,
        ..Record::default()
    };
    let placed = slot.put(Fingerprint(7), record, &policy, Timestamp::EPOCH);
    assert_eq!(placed, Placed::Free);
    assert_eq!(
        Slot::decode(Some(&slot.encode())).get(Fingerprint(7)),
        record
    );
}

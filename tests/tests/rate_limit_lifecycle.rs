//! rate-limit in a real Envoy over its life: listener updates under load.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "test code"
)]

use seawall_tests::client::burst;
use seawall_tests::prelude::*;

fn tenant(requests: u64, more: Value) -> Value {
    let mut configuration = json!({"limits": [
        {"name": "tenant", "key": [{"header": "x-tenant-id"}], "requests": requests, "per": "1d"}
    ]});
    for (field, value) in more.as_object().unwrap() {
        configuration[field] = value.clone();
    }
    configuration
}

async fn passing(envoy: &Envoy, count: usize) -> usize {
    let answers = burst(envoy.address, count, 32, |_| {
        (
            "/".to_owned(),
            vec![("x-tenant-id".to_owned(), "acme".to_owned())],
        )
    })
    .await;
    answers.iter().filter(|answer| answer.status == 200).count()
}

#[tokio::test(flavor = "multi_thread")]
async fn counters_survive_listener_updates_under_load_and_end_with_a_changed_limit() {
    let upstream = Upstream::start().await;
    let builder = |requests, more| {
        Envoy::to(&upstream)
            .dynamic()
            .filter("rate-limit", tenant(requests, more))
    };
    let envoy = builder(1_000, json!({})).start().await;
    let load = async {
        let mut passed = 0;
        for _ in 0..8 {
            passed += passing(&envoy, 400).await;
        }
        passed
    };
    let updates = async {
        for number in 0..4 {
            // Something else changes each time.
            let body = json!({"answer": {"body": format!("number {number}")}});
            envoy.swap_listener(&builder(1_000, body)).await;
        }
    };
    let (passed, ()) = tokio::join!(load, updates);
    assert_eq!(passed, 1_000);
    assert_eq!(upstream.hits(), 1_000);
    envoy.swap_listener(&builder(50, json!({}))).await;
    // The old listener drains; new connections meet the new limit, which begins anew.
    let fifty = eventually("the new limit is in force", || async {
        let passed = passing(&envoy, 200).await;
        (passed > 0).then_some(passed)
    })
    .await;
    assert_eq!(fifty, 50);
}

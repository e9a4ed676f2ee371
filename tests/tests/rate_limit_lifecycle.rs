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
use std::sync::atomic::{AtomicUsize, Ordering};

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
    // The old listener drains and lets nothing pass any more; new connections meet the new limit, which begins anew. Workers
    // change over one by one, so the fifty may come in parts.
    let fifty = AtomicUsize::new(0);
    eventually("the new limit is in force", || async {
        let passed = passing(&envoy, 200).await;
        (fifty.fetch_add(passed, Ordering::SeqCst) + passed >= 50).then_some(())
    })
    .await;
    assert_eq!(fifty.into_inner() + passing(&envoy, 200).await, 50);
}

#[tokio::test(flavor = "multi_thread")]
async fn only_the_limit_that_changed_begins_anew() {
    let upstream = Upstream::start().await;
    let of = |name: &str, requests: u64| {
        json!({"name": name, "key": [{"header": "x-tenant-id"}], "requests": requests, "per": "1d",
            "match": {"path": format!("/{name}")}})
    };
    let builder = |limits: Value, answer: &str| {
        Envoy::to(&upstream).dynamic().filter(
            "rate-limit",
            json!({"limits": limits, "answer": {"body": answer}}),
        )
    };
    let envoy = builder(json!([of("one", 5), of("two", 5)]), "before")
        .start()
        .await;
    let passing = |path: &'static str, count: usize| {
        let fresh = Client::fresh(envoy.address);
        async move {
            let mut passed = 0;
            let mut last = String::new();
            for _ in 0..count {
                let answer = fresh.get_with(path, &[("x-tenant-id", "acme")]).await;
                passed += usize::from(answer.status == 200);
                last = answer.text();
            }
            (passed, last)
        }
    };
    assert_eq!(passing("/one", 3).await.0, 3);
    assert_eq!(passing("/two", 3).await.0, 3);
    // Somebody of whom all is used up, whose refusals say which configuration is in force.
    let probe = [("x-tenant-id", "probe")];
    assert_eq!(
        envoy.statuses("/two", &probe, 6).await,
        [200, 200, 200, 200, 200, 429]
    );
    // The other way round, with more exemptions, and one of them with another number.
    envoy
        .swap_listener(&builder(json!([of("two", 5), of("one", 6)]), "after"))
        .await;
    all_workers_say(&envoy, "/two", &probe, "after").await;
    let (two, last) = passing("/two", 9).await;
    assert_eq!((two, last.as_str()), (2, "after"), "the same limit goes on");
    assert_eq!(passing("/one", 9).await.0, 6, "another limit begins anew");
}

/// Waits until no worker answers by an older configuration: refusals say which one is in force.
async fn all_workers_say(envoy: &Envoy, path: &str, headers: &[(&str, &str)], words: &str) {
    eventually("all workers have changed over", || async {
        // With one of four workers behind, so many connections miss it once in ten thousand million times.
        for _ in 0..80 {
            let answer = Client::fresh(envoy.address).get_with(path, headers).await;
            if answer.status == 200 || answer.text() != words {
                return None;
            }
        }
        Some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn counters_go_on_in_a_table_of_another_size() {
    let upstream = Upstream::start().await;
    let builder = |max_keys: u32| {
        Envoy::to(&upstream).dynamic().filter(
            "rate-limit",
            json!({
                "max_keys": max_keys,
                "answer": {"body": format!("{max_keys} keys")},
                "limits": [
                    {"name": "tenant", "key": [{"header": "x-tenant-id"}], "requests": 100, "per": "1d", "missing": "skip"},
                    {"name": "probe", "match": {"path": "/probe"}, "requests": 1, "per": "1d"},
                ],
            }),
        )
    };
    let envoy = builder(65_536).start().await;
    assert_eq!(passing(&envoy, 30).await, 30);
    let mut passed = 30;
    for max_keys in [1_000_000, 64, 500_000, 16] {
        envoy.swap_listener(&builder(max_keys)).await;
        all_workers_say(&envoy, "/probe", &[], &format!("{max_keys} keys")).await;
        passed += passing(&envoy, 15).await;
    }
    assert_eq!(passed, 90);
    assert_eq!(passing(&envoy, 200).await, 10);
    // What is used up stays so.
    envoy.swap_listener(&builder(128)).await;
    all_workers_say(&envoy, "/probe", &[], "128 keys").await;
    assert_eq!(passing(&envoy, 200).await, 0);
}

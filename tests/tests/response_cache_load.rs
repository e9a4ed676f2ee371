//! response-cache under load: a hot key that expires again and again, many writers, a flood of distinct URLs.
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
use std::time::Instant;

const METRIC: &str = "wasmcustom.seawall.response_cache.";

/// Loads one path over 32 connections until the origin has seen so many requests; all answers.
async fn load_until(envoy: &Envoy, upstream: &Upstream, hits: usize) -> (usize, Duration) {
    let begun = Instant::now();
    let mut answers = 0;
    within("the origin is asked that often", async {
        while upstream.hits() < hits {
            for answer in envoy.burst("/hot", 400, 32).await {
                assert_eq!((answer.status, answer.text().as_str()), (200, "hot"));
                answers += 1;
            }
        }
    })
    .await;
    (answers, begun.elapsed())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hot_key_costs_the_origin_about_one_request_per_lifetime() {
    for refresh in [
        json!({}),
        json!({"background": {"enabled": true}}),
        json!({"algorithm": "window", "window": "500ms", "probability": 0.1}),
        json!({"algorithm": "off"}),
    ] {
        let upstream = Upstream::serving(|_| {
            Reply::ok("hot")
                .header("cache-control", "max-age=2")
                .after(Duration::from_millis(50))
        })
        .await;
        let envoy = Envoy::to(&upstream)
            .filter("response-cache", json!({"refresh": refresh}))
            .start()
            .await;
        let (answers, took) = load_until(&envoy, &upstream, 4).await;
        // Never more than one request per second of lifetime left: the entry lives two seconds, and is refreshed a little
        // earlier at most.
        let lifetimes = took.as_secs_f64() / 2.0;
        let asked = upstream.hits();
        assert!(
            asked as f64 <= 2.0 * lifetimes + 2.0,
            "{refresh}: {asked} requests in {took:?}"
        );
        assert!(
            answers > 100 * asked,
            "{refresh}: {answers} answers for {asked} requests"
        );
        if refresh["background"]["enabled"] == true {
            // Warm: nobody waits for the origin again, so nothing was coalesced after the first.
            assert!(envoy.stat(&format!("{METRIC}refreshes_background")).await >= 2);
        }
    }
}

/// A body that proves itself: the same number over and over.
fn uniform(number: usize, length: usize) -> String {
    let word = format!("{number:08}");
    word.repeat(length / 8)
}

#[tokio::test(flavor = "multi_thread")]
async fn no_answer_is_ever_torn_or_mixed_while_many_write() {
    let upstream = Upstream::serving(|seen| {
        let length = 8 * (1 + seen.number % 40_000);
        Reply::ok(uniform(seen.number, length))
            .header("cache-control", "max-age=1, stale-while-revalidate=1")
            .header("etag", &format!("\"{}\"", seen.number))
            .header("x-number", &seen.number.to_string())
            .header("vary", "x-variant")
    })
    .await;
    // Without single flight, so that many write the same slots at once; too little room for all, so that slots change hands.
    let envoy = Envoy::to(&upstream)
        .filter("response-cache", json!({
            "max_bytes": "2MiB", "max_entries": 16, "max_entry_bytes": "512KiB", "admission": false,
            "coalesce": {"enabled": false}, "refresh": {"algorithm": "window", "window": "1h", "probability": 0.05},
            "worker_memory": "256KiB",
        }))
        .start()
        .await;
    let answers = burst(envoy.address, 6_000, 48, |number| {
        let headers = vec![("x-variant".to_owned(), (number % 3).to_string())];
        (format!("/{}", number % 11), headers)
    })
    .await;
    let mut hits = 0;
    for answer in &answers {
        assert!(answer.status == 200 && answer.whole);
        let number: usize = answer.header("x-number").unwrap().parse().unwrap();
        assert_eq!(
            answer.header("etag"),
            Some(format!("\"{number}\"").as_str())
        );
        let text = answer.text();
        assert!(
            text == uniform(number, text.len()) && text.len() == 8 * (1 + number % 40_000),
            "a torn answer"
        );
        hits += usize::from(answer.header("cache-status").unwrap().contains("hit"));
    }
    assert!(hits > 100, "only {hits} hits: the test shows nothing");
    assert!(
        envoy.stat(&format!("{METRIC}evicted")).await > 0,
        "nothing was evicted: the test shows nothing"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flood_of_distinct_urls_stays_within_its_bytes_and_leaves_the_hot_set() {
    const ROUND: usize = 10_000;
    let upstream =
        Upstream::serving(|_| Reply::ok("x".repeat(1000)).header("cache-control", "max-age=600"))
            .await;
    let most = 4 << 20;
    let envoy = Envoy::to(&upstream)
        .filter(
            "response-cache",
            json!({"max_bytes": most, "worker_memory": "1MiB", "coalesce": {"enabled": false}}),
        )
        .start()
        .await;
    for _ in 0..20 {
        burst(envoy.address, 200, 16, |number| {
            (format!("/hot/{}", number % 50), Vec::new())
        })
        .await;
    }
    let mut memory = Vec::new();
    for round in 0..4 {
        burst(envoy.address, ROUND, 32, |number| {
            (format!("/flood/{round}/{number}"), Vec::new())
        })
        .await;
        memory.push(envoy.memory());
    }
    // The gauge is brought up to date once a second.
    eventually("the cache is full", || async {
        (envoy.stat(&format!("{METRIC}bytes")).await > most / 2).then_some(())
    })
    .await;
    assert!(envoy.stat(&format!("{METRIC}bytes")).await <= most);
    let growth = memory[3].saturating_sub(memory[1]);
    assert!(
        growth < 16 << 20,
        "grew by {growth} bytes in the last two rounds: {memory:?}"
    );
    let before = upstream.hits();
    burst(envoy.address, 200, 16, |number| {
        (format!("/hot/{}", number % 50), Vec::new())
    })
    .await;
    let lost = upstream.hits() - before;
    assert!(
        lost <= 10,
        "the flood has pushed out {lost} of 50 hot entries"
    );
}

//! rate-limit in a real Envoy: a limit of 600 a second lets 600 a second pass, for a minute. Alone in its file, so that no other
//! test disturbs the beat.

use futures_util::stream::{FuturesUnordered, StreamExt};
use seawall_tests::client::burst;
use seawall_tests::prelude::*;
use std::sync::Arc;
use tokio::sync::Semaphore;
use tokio::time::Instant;

const RATE: u32 = 600;
const SECONDS: u32 = 60;

/// Requests under way at once. What a machine that stood still sends late, half a second of requests, and these together are
/// fewer than the burst of a second: however long each of them waits for the proxy, they never come to more than it allows.
const FLYING: usize = 250;

#[tokio::test(flavor = "multi_thread")]
async fn six_hundred_a_second_pass_for_a_minute() {
    let upstream = Upstream::start().await;
    let envoy = Envoy::to(&upstream)
        .filter(
            "rate-limit",
            json!({"limits": [{"name": "all", "requests": RATE, "per": "1s", "cost": {"header": "x-cost"}}]}),
        )
        .route(Route::prefix("/").direct(200, "ok"))
        .start()
        .await;
    let beat = Duration::from_secs(1) / RATE;
    let mut next = Instant::now();
    let mut flying = FuturesUnordered::new();
    let places = Arc::new(Semaphore::new(FLYING));
    for _ in 0..RATE * SECONDS {
        tokio::time::sleep_until(next).await;
        let place = Arc::clone(&places).acquire_owned().await;
        let client = envoy.client();
        flying.push(tokio::spawn(async move {
            let status = client.get("/").await.status;
            drop(place);
            status
        }));
        // A machine that stood still for a moment does not catch up by a burst beyond what the limit allows.
        next = (next + beat).max(
            Instant::now()
                .checked_sub(Duration::from_millis(500))
                .unwrap(),
        );
    }
    let mut passed = 0;
    while let Some(status) = flying.next().await {
        assert_eq!(status.unwrap(), 200, "after {passed}");
        passed += 1;
    }
    assert_eq!(passed, RATE * SECONDS);
    // The limit is there and has counted each: what comes at once beyond the burst is refused, here 64 whole bursts.
    let allowed = "wasmcustom.seawall.rate_limit.limit.all.allowed";
    assert_eq!(envoy.stat(allowed).await, u64::from(RATE * SECONDS));
    let whole = vec![("x-cost".to_owned(), RATE.to_string())];
    let at_once = burst(envoy.address, 64, 32, |_| ("/".to_owned(), whole.clone())).await;
    assert!(at_once.iter().any(|answer| answer.status == 429));
}

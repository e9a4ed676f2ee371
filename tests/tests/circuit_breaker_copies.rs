//! Workers hold copies of breakers that are well; a trip ends them all at once, whether the gauge that tells works or not.

use futures_util::future::join_all;
use seawall_tests::prelude::*;

const GENERATION: &str = "wasmcustom.seawall.circuit_breaker.generation";

/// Breakers are spread over slots of four by a secret hash: with so many slots, five of twenty never meet in one.
fn policy() -> Value {
    json!({"failure_threshold": 5, "open_for": "60s", "jitter": 0, "key": ["cluster", "host"], "max_keys": 65_536})
}

/// Twenty breakers that all workers have seen well, each of which then fails: the fifth failure opens it.
async fn trips_exactly(envoy: &Envoy, upstream: &Upstream) {
    upstream.behave(|seen| match seen.path.as_str() {
        "/fail" => Reply::status(500),
        _ => Reply::ok("well"),
    });
    for round in 0..20 {
        let host = format!("round-{round}");
        let headers = [("host", host.as_str())];
        let client = Client::fresh(envoy.address);
        // Enough connections that the kernel gives each worker some, twice: to read, and to rest on what was read.
        for _ in 0..2 {
            let well = join_all((0..20).map(|_| client.get_with("/", &headers))).await;
            assert!(well.iter().all(|answer| answer.status == 200));
        }
        for call in 0..5 {
            let answer = client.get_with("/fail", &headers).await;
            assert_eq!(answer.status, 500, "round {round}, call {call}");
        }
        let before = upstream.hits();
        let refused = join_all((0..40).map(|_| client.get_with("/", &headers))).await;
        for answer in refused {
            assert_eq!(answer.header("x-seawall-breaker"), Some("open"), "{round}");
        }
        assert_eq!(upstream.hits(), before, "round {round}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_trip_is_known_to_all_workers_that_held_a_copy() {
    let upstream = Upstream::start().await;
    let envoy = Envoy::to(&upstream)
        .filter("circuit-breaker", policy())
        .start()
        .await;
    trips_exactly(&envoy, &upstream).await;
    // Five failures for each of twenty, and what they opened.
    let generation = envoy.stat(GENERATION).await;
    assert!(generation >= 100, "{generation}");
}

#[tokio::test(flavor = "multi_thread")]
async fn where_statistics_are_rejected_the_trip_is_as_exact() {
    let upstream = Upstream::start().await;
    let envoy = Envoy::to(&upstream)
        .filter("circuit-breaker", policy())
        .bootstrap(
            "stats_config",
            json!({"stats_matcher": {"reject_all": true}}),
        )
        .start()
        .await;
    trips_exactly(&envoy, &upstream).await;
    let stats = envoy.stats().await;
    assert_eq!(stats.get(GENERATION), None, "it was rejected");
}

#[tokio::test(flavor = "multi_thread")]
async fn two_listeners_that_share_breakers_share_the_gauge_too() {
    let upstream = Upstream::start().await;
    let builder = || Envoy::to(&upstream).filter("circuit-breaker", policy());
    let envoy = builder().dynamic().start().await;
    let client = envoy.client();
    let host = [("host", "shop")];
    upstream.behave(|seen| match seen.path.as_str() {
        "/fail" => Reply::status(500),
        _ => Reply::ok("well"),
    });
    for _ in 0..3 {
        assert_eq!(client.get_with("/fail", &host).await.status, 500);
    }
    let before = envoy.stat(GENERATION).await;
    let more = Envoy::to(&upstream).filter("circuit-breaker", {
        let mut policy = policy();
        policy["open_for"] = json!("61s");
        policy
    });
    envoy.swap_listener(&more).await;
    // The new VMs count on where the old ones were, and know what the old ones knew.
    let fresh = Client::fresh(envoy.address);
    for _ in 0..2 {
        assert_eq!(fresh.get_with("/fail", &host).await.status, 500);
    }
    let refused = fresh.get_with("/", &host).await;
    assert_eq!(refused.header("x-seawall-breaker"), Some("open"));
    assert!(envoy.stat(GENERATION).await > before);
}

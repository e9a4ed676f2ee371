//! The four filters as one module in a real Envoy: what they do in a chain they do here, also where one of them holds a
//! request or a response on its way through the others.

use seawall_tests::prelude::*;

fn limits(requests: u32) -> Value {
    json!({"limits": [{"name": "tenant", "key": [{"header": "x-tenant-id"}], "requests": requests, "per": "1h"}]})
}

fn all() -> Value {
    json!({
        "trace_headers": {},
        "rate_limit": limits(1_000_000),
        "response_cache": {"refresh": {"algorithm": "off"}, "coalesce": {"wait": "30s"}},
        "circuit_breaker": {"failure_threshold": 5, "open_for": "1h", "max_open_for": "1h"},
    })
}

const ACME: &[(&str, &str)] = &[("x-tenant-id", "acme")];

#[tokio::test(flavor = "multi_thread")]
async fn a_hit_has_been_through_all_of_them() {
    let upstream =
        Upstream::serving(|_| Reply::ok("one").header("cache-control", "max-age=60")).await;
    let envoy = Envoy::to(&upstream).filter("seawall", all()).start().await;
    for expected in ["seawall; fwd=uri-miss", "seawall; hit"] {
        let answer = envoy.get_with("/x", ACME).await;
        assert_eq!((answer.status, answer.text().as_str()), (200, "one"));
        assert!(answer.header("cache-status").unwrap().starts_with(expected));
        assert!(answer.header("x-request-id").is_some());
        assert!(answer.header("ratelimit").is_some());
    }
    assert_eq!(upstream.hits(), 1);
    let seen = upstream.last();
    assert!(seen.header("traceparent").is_some());
    assert_eq!(seen.all("x-request-id").len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hundred_are_a_hundred_over_all_workers() {
    let upstream = Upstream::serving(|_| Reply::ok("x").header("cache-control", "no-store")).await;
    let mut configuration = all();
    configuration["rate_limit"] = json!({"limits": [{"name": "all", "key": [{"constant": "all"}], "requests": 100, "per": "1d"}]});
    let envoy = Envoy::to(&upstream)
        .workers(4)
        .filter("seawall", configuration)
        .start()
        .await;
    let answers = envoy.burst("/", 1000, 32).await;
    let admitted = answers.iter().filter(|answer| answer.status == 200).count();
    let refused: Vec<_> = answers
        .iter()
        .filter(|answer| answer.status == 429)
        .collect();
    assert_eq!((admitted, refused.len()), (100, 900));
    for answer in refused {
        assert!(answer.header("retry-after").is_some());
        assert!(answer.header("x-request-id").is_some());
    }
    assert_eq!(upstream.hits(), 100);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_waits_in_the_cache_is_answered_over_all_workers() {
    let (upstream, gate) =
        Upstream::gated(|_| Reply::ok("one").header("cache-control", "max-age=60")).await;
    let envoy = Envoy::to(&upstream)
        .workers(4)
        .filter("seawall", all())
        .start()
        .await;
    let (answers, ()) = tokio::join!(envoy.burst("/hot", 200, 200), async {
        envoy
            .wait_for_stat("wasmcustom.seawall.response_cache.coalesced", 199)
            .await;
        gate.open();
    });
    for answer in &answers {
        assert_eq!((answer.status, answer.text().as_str()), (200, "one"));
        assert!(answer.header("x-request-id").is_some());
    }
    assert_eq!((answers.len(), upstream.hits()), (200, 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn who_waited_for_an_answer_that_nobody_may_share_goes_on_to_the_upstream() {
    let (upstream, gate) =
        Upstream::gated(|_| Reply::ok("mine").header("cache-control", "private")).await;
    let envoy = Envoy::to(&upstream)
        .workers(4)
        .filter("seawall", all())
        .start()
        .await;
    let (answers, ()) = tokio::join!(envoy.burst("/", 20, 20), async {
        envoy
            .wait_for_stat("wasmcustom.seawall.response_cache.coalesced", 19)
            .await;
        gate.open();
    });
    assert!(answers.iter().all(|answer| answer.text() == "mine"));
    assert_eq!(upstream.hits(), 20);
    // Each went through the filters before with its own identity.
    let mut ids: Vec<_> = upstream
        .seen()
        .iter()
        .map(|seen| seen.header("x-request-id").unwrap().to_owned())
        .collect();
    ids.sort();
    ids.dedup();
    assert_eq!(ids.len(), 20);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_304_becomes_the_stored_answer_and_carries_the_id() {
    let upstream = Upstream::serving(|seen| {
        let reply = if seen.header("if-none-match").is_some() {
            Reply::status(304)
        } else {
            Reply::ok("x".repeat(100_000))
        };
        reply
            .header("cache-control", "max-age=1")
            .header("etag", "\"v1\"")
    })
    .await;
    let envoy = Envoy::to(&upstream).filter("seawall", all()).start().await;
    envoy.get_with("/", ACME).await;
    let answer = eventually("the stored answer is revalidated", || async {
        let answer = envoy.get_with("/", ACME).await;
        answer
            .header("cache-status")
            .unwrap()
            .contains("fwd-status=304")
            .then_some(answer)
    })
    .await;
    assert_eq!(
        (answer.status, answer.body.len(), answer.whole),
        (200, 100_000, true)
    );
    assert_eq!(answer.all("x-request-id").len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_breaker_opens_on_the_fifth_failure_and_its_refusal_carries_the_id() {
    let upstream = Upstream::serving(|_| Reply::status(500)).await;
    let envoy = Envoy::to(&upstream)
        .workers(4)
        .filter("seawall", all())
        .start()
        .await;
    for _ in 0..5 {
        assert_eq!(envoy.get_fresh("/").await.status, 500);
    }
    let refused = envoy.get_fresh("/").await;
    assert_eq!(refused.status, 503);
    assert!(refused.header("retry-after").is_some());
    assert!(refused.header("x-request-id").is_some());
    assert_eq!(upstream.hits(), 5);
}

#[tokio::test(flavor = "multi_thread")]
async fn routes_set_each_filter_under_its_own_name() {
    let upstream =
        Upstream::serving(|_| Reply::ok("x").header("cache-control", "max-age=60")).await;
    let envoy = Envoy::to(&upstream)
        .filter("seawall", all())
        .route(
            Route::prefix("/reports")
                .metadata("seawall.rate_limit", limits(1))
                .metadata("seawall.response_cache", json!({"enabled": false})),
        )
        .route(Route::prefix("/"))
        .start()
        .await;
    let first = envoy.get_with("/reports", ACME).await;
    assert_eq!((first.status, first.header("cache-status")), (200, None));
    assert_eq!(envoy.get_with("/reports", ACME).await.status, 429);
    assert!(envoy
        .get_with("/", ACME)
        .await
        .header("cache-status")
        .is_some());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bad_block_is_refused_at_load_with_its_path() {
    let upstream = Upstream::start().await;
    let mut configuration = all();
    configuration["circuit_breaker"]["open_for"] = json!("soon");
    let refused = Envoy::to(&upstream)
        .filter("seawall", configuration)
        .validate()
        .await
        .unwrap_err();
    assert!(refused.contains("circuit_breaker.open_for: "), "{refused}");
}

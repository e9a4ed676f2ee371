//! response-cache among other filters: what circuit-breaker refuses is answered with a stale copy where that is allowed, and a
//! background refresh that goes through the listener keeps the rules of its route.

use seawall_tests::envoy::free_address;
use seawall_tests::prelude::*;

#[tokio::test(flavor = "multi_thread")]
async fn what_the_breaker_refuses_is_answered_stale_and_the_fallback_is_never_stored() {
    let upstream = Upstream::serving(|seen| match seen.path.as_str() {
        "/bridged" => Reply::ok("old").header("cache-control", "max-age=1, stale-if-error=600"),
        "/strict" => Reply::ok("old").header(
            "cache-control",
            "max-age=1, must-revalidate, stale-if-error=600",
        ),
        _ => Reply::status(500),
    })
    .await;
    for status in [503, 200] {
        let fallback = json!({"status": status, "body": "fallback", "headers": {"cache-control": "max-age=600"}});
        let envoy = Envoy::to(&upstream)
            .filter("response-cache", json!({"refresh": {"algorithm": "off"}}))
            .filter(
                "circuit-breaker",
                json!({"failure_threshold": 2, "open_for": "60s", "fallback": fallback}),
            )
            .start()
            .await;
        for path in ["/bridged", "/strict"] {
            assert_eq!(envoy.get(path).await.text(), "old");
        }
        for path in ["/bridged", "/strict"] {
            eventually("the stored answer is stale", || async {
                let only = [("cache-control", "only-if-cached")];
                (envoy.get_with(path, &only).await.status == 504).then_some(())
            })
            .await;
        }
        eventually("the breaker is open", || async {
            let answer = envoy.get("/fails").await;
            answer.header("x-seawall-breaker").map(drop)
        })
        .await;
        upstream.forget();
        let stale = envoy.get("/bridged").await;
        assert_eq!((stale.status, stale.text().as_str()), (200, "old"));
        assert_eq!(stale.header("x-seawall-breaker"), None);
        assert!(stale
            .header("cache-status")
            .unwrap()
            .ends_with("detail=stale-if-error"));
        for path in ["/strict", "/never-seen", "/never-seen"] {
            let refused = envoy.get(path).await;
            assert_eq!(
                (refused.status, refused.text().as_str()),
                (status, "fallback"),
                "{path}"
            );
            assert!(refused.header("age").is_none());
        }
        assert_eq!(upstream.hits(), 0, "the breaker lets nothing through");
        assert_eq!(
            envoy
                .wait_for_stat("wasmcustom.seawall.response_cache.stale.if_error", 1)
                .await,
            1
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_background_refresh_through_the_listener_keeps_the_rules_of_the_route() {
    let upstream = Upstream::serving(|seen| {
        assert_eq!(seen.path, "/v2/thing", "every request is rewritten");
        let reply = match seen.header("if-none-match") {
            Some(_) => Reply::status(304),
            None => Reply::ok("body").header("etag", "\"a\""),
        };
        reply
            .header("cache-control", "max-age=1, stale-while-revalidate=600")
            .header("x-number", &seen.number.to_string())
    })
    .await;
    let address = free_address();
    let refresh = json!({"algorithm": "off", "background": {"enabled": true, "cluster": "self"}});
    let envoy = Envoy::to(&upstream)
        .filter("response-cache", json!({"refresh": refresh}))
        .route(Route::prefix("/api/").action("prefix_rewrite", json!("/v2/")))
        .cluster("self", address, json!({}))
        .start_on(address)
        .await;
    assert_eq!(envoy.get("/api/thing").await.header("x-number"), Some("0"));
    for number in 1..4 {
        // Nobody waits: every answer comes from the cache, and the refreshed one after a while.
        eventually("the entry is refreshed", || async {
            let answer = envoy.get("/api/thing").await;
            assert_eq!((answer.status, answer.text().as_str()), (200, "body"));
            let status = answer.header("cache-status").unwrap().to_owned();
            assert!(status.starts_with("seawall; hit;"), "{status}");
            let shown: usize = answer.header("x-number").unwrap().parse().unwrap();
            (shown >= number).then_some(())
        })
        .await;
    }
    assert!(
        envoy
            .wait_for_stat("wasmcustom.seawall.response_cache.refreshes_background", 3)
            .await
            >= 3
    );
}

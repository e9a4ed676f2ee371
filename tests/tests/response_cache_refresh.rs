//! What a refresh in the background makes of what the origin says, and what is served meanwhile.

use seawall_tests::prelude::*;

const STORED: &str = "max-age=1, stale-while-revalidate=600";

fn cache() -> Value {
    json!({"refresh": {"algorithm": "off", "background": {"enabled": true}}})
}

/// Asks until what is stored has expired, and is served while it is refreshed.
async fn expire(envoy: &Envoy, path: &str) {
    eventually("it is served stale", || async {
        let got = envoy.get(path).await;
        let status = got.header("cache-status").unwrap_or_default();
        status
            .ends_with("detail=stale-while-revalidate")
            .then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_origin_withdraws_is_not_served_any_longer() {
    let upstream = Upstream::start().await;
    let mut cache = cache();
    // Each request would find it stale and be answered with it, rather than go to the origin for a while.
    cache["coalesce"] = json!({"uncacheable_for": "1ms"});
    let envoy = Envoy::to(&upstream)
        .filter("response-cache", cache)
        .start()
        .await;
    for (path, withdrawn) in [
        (
            "/secret",
            Reply::ok("new").header("cache-control", "no-store"),
        ),
        (
            "/private",
            Reply::ok("new").header("cache-control", "private"),
        ),
        ("/gone", Reply::status(410)),
    ] {
        upstream.always(Reply::ok("old").header("cache-control", STORED));
        assert_eq!(envoy.get(path).await.text(), "old");
        upstream.always(withdrawn);
        expire(&envoy, path).await;
        eventually("it is forgotten", || async {
            (envoy.get(path).await.text() != "old").then_some(())
        })
        .await;
        for _ in 0..20 {
            let got = envoy.get_fresh(path).await;
            assert_ne!(got.text(), "old", "{path}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_304_for_another_tag_makes_nothing_fresh() {
    let upstream = Upstream::serving(|seen| {
        let (reply, lifetime, tag) = match seen.number {
            0 => (Reply::ok("old"), STORED, "\"a\""),
            1 => (Reply::status(304), "max-age=600", "\"b\""),
            _ => (Reply::ok("new"), "max-age=600", "\"b\""),
        };
        reply.header("cache-control", lifetime).header("etag", tag)
    })
    .await;
    let envoy = Envoy::to(&upstream)
        .filter("response-cache", cache())
        .start()
        .await;
    envoy.get("/").await;
    expire(&envoy, "/").await;
    eventually("the new one is fetched", || async {
        (envoy.get("/").await.text() == "new").then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_origin_that_wants_fewer_requests_gets_no_more_of_them() {
    let upstream = Upstream::start().await;
    let envoy = Envoy::to(&upstream)
        .filter("response-cache", cache())
        .start()
        .await;
    upstream.always(Reply::ok("old").header("cache-control", STORED));
    envoy.get("/").await;
    upstream.always(Reply::status(429));
    expire(&envoy, "/").await;
    upstream.wait_for_hits(2).await;
    for _ in 0..40 {
        let got = envoy.get_fresh("/").await;
        assert_eq!((got.status, got.text()), (200, "old".to_owned()));
    }
}

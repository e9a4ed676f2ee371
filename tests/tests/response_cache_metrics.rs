//! The metrics of response-cache in a real Envoy, each moved by what it counts.

use seawall_tests::prelude::*;

#[tokio::test(flavor = "multi_thread")]
async fn every_outcome_is_counted_and_is_in_the_access_log() {
    let gate = Gate::new();
    let held = gate.clone();
    let upstream = Upstream::serving(move |seen| {
        let ok = |line: &str| Reply::ok("body").header("cache-control", line);
        match seen.path.as_str() {
            "/fresh" => ok("max-age=600").header("etag", "\"a\""),
            "/stale" if seen.header("if-none-match").is_some() => {
                Reply::status(304).header("cache-control", "max-age=600")
            }
            "/stale" => ok("max-age=1").header("etag", "\"a\""),
            "/swr" if seen.number > 3 => ok("max-age=600").gated(&held),
            "/swr" => ok("max-age=1, stale-while-revalidate=600"),
            "/error" if seen.number > 3 => Reply::status(500),
            "/error" => ok("max-age=1, stale-if-error=600"),
            "/no-store" => ok("no-store"),
            "/private" => ok("private"),
            "/authorization" => ok("max-age=600"),
            "/set-cookie" => ok("max-age=600").header("set-cookie", "a=b"),
            "/vary" => ok("max-age=600").header("vary", "*"),
            "/large" => Reply::ok("x".repeat(70_000)).header("cache-control", "max-age=600"),
            "/malformed" => ok("max-age=600, a=\""),
            _ => Reply::ok("none"),
        }
    })
    .await;
    let envoy = Envoy::to(&upstream)
        .filter("response-cache", json!({
            "max_entry_bytes": "64KiB", "access_log": true, "refresh": {"algorithm": "off"},
            "coalesce": {"lease": "1h"},
            "purge": {"cidrs": ["127.0.0.0/8"]}, "bypass": [{"path": "/bypass"}], "no_store": [{"path": "/rule"}],
        }))
        .access_log(json!({"cache": "%FILTER_STATE(wasm.seawall.response_cache:PLAIN)%", "path": "%REQ(:PATH)%"}))
        .route(Route::prefix("/").timeout("0s"))
        .start()
        .await;
    for path in ["/fresh", "/fresh", "/swr", "/error", "/stale"] {
        assert_eq!(envoy.get(path).await.status, 200);
    }
    eventually("all three are stale", || async {
        let only = [("cache-control", "only-if-cached")];
        let gone = [
            envoy.get_with("/stale", &only).await.status,
            envoy.get_with("/error", &only).await.status,
        ];
        (gone == [504, 504]).then_some(())
    })
    .await;
    let patient = envoy
        .get_with("/stale", &[("cache-control", "max-stale=600")])
        .await;
    assert!(patient
        .header("cache-status")
        .unwrap()
        .ends_with("detail=max-stale"));
    for path in ["/error", "/stale"] {
        assert_eq!(envoy.get(path).await.status, 200, "{path}");
    }
    // One is served stale while another refreshes.
    let hits = upstream.hits();
    let refreshing = tokio::spawn({
        let client = Client::fresh(envoy.address);
        async move { client.get("/swr").await }
    });
    upstream.wait_for_hits(hits + 1).await;
    let meanwhile = envoy.get("/swr").await;
    assert!(meanwhile
        .header("cache-status")
        .unwrap()
        .ends_with("detail=stale-while-revalidate"));
    gate.open();
    assert_eq!(refreshing.await.unwrap().status, 200);
    for path in [
        "/no-store",
        "/private",
        "/set-cookie",
        "/vary",
        "/large",
        "/malformed",
        "/none",
        "/rule",
        "/bypass",
    ] {
        assert_eq!(envoy.get(path).await.status, 200);
    }
    envoy
        .get_with("/authorization", &[("authorization", "x")])
        .await;
    envoy
        .get_with("/request-no-store", &[("cache-control", "no-store")])
        .await;
    envoy.send("POST", "/fresh", &[], b"").await;
    envoy.send("PURGE", "/swr", &[], b"").await;
    for (name, least) in [
        ("hits", 1),
        ("misses", 10),
        ("bypasses", 1),
        ("stored", 5),
        ("revalidated", 1),
        ("refreshes", 2),
        ("stale.while_revalidate", 1),
        ("stale.if_error", 1),
        ("stale.max_stale", 1),
        ("invalidated", 1),
        ("purges", 1),
        ("bytes", 1),
        ("rejected.no_store", 1),
        ("rejected.private", 1),
        ("rejected.set_cookie", 1),
        ("rejected.vary_star", 1),
        ("rejected.too_large", 1),
        ("rejected.malformed", 1),
        ("rejected.no_freshness", 1),
        ("rejected.rule", 1),
        ("rejected.authorization", 1),
        ("rejected.request_no_store", 1),
    ] {
        envoy
            .wait_for_stat(&format!("wasmcustom.seawall.response_cache.{name}"), least)
            .await;
    }
    let prometheus = envoy.prometheus().await;
    assert!(
        prometheus.contains("seawall_response_cache_hits"),
        "{prometheus}"
    );
    for (path, beginning) in [
        ("/fresh", "seawall; hit; ttl="),
        ("/stale", "seawall; fwd=stale; fwd-status=304; stored"),
        (
            "/error",
            "seawall; fwd=stale; fwd-status=500; detail=stale-if-error",
        ),
        (
            "/private",
            "seawall; fwd=uri-miss; fwd-status=200; detail=private",
        ),
        ("/bypass", "seawall; fwd=bypass"),
    ] {
        let is_it = |line: &Value| {
            let cache = line["cache"].as_str().unwrap_or_default();
            line["path"] == path && cache.starts_with(beginning)
        };
        eventually(&format!("{path} {beginning:?} in the log"), || async {
            envoy.access_log(1).await.iter().any(is_it).then_some(())
        })
        .await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_request_is_counted_once() {
    let upstream = Upstream::serving(|seen| {
        let line = match seen.path.as_str() {
            "/short" => "max-age=1, stale-while-revalidate=600",
            "/none" => "no-store",
            _ => "max-age=600",
        };
        Reply::ok("body")
            .header("cache-control", line)
            .header("etag", "\"a\"")
    })
    .await;
    let cache = json!({
        "bypass": [{"path": "/bypass"}],
        "refresh": {"background": {"enabled": true}},
    });
    let envoy = Envoy::to(&upstream)
        .filter("response-cache", cache)
        .start()
        .await;
    let mut sent = 0;
    let long = format!("/{}", "a".repeat(9_000));
    for path in ["/long", "/short", "/none", "/bypass", long.as_str()] {
        for (name, value) in [
            ("x-plain", "1"),
            ("cache-control", "only-if-cached"),
            ("cache-control", "no-cache"),
            ("cache-control", "max-stale"),
            ("if-none-match", "\"a\""),
            ("range", "bytes=0-1"),
            ("if-match", "\"a\""),
        ] {
            for method in ["GET", "HEAD"] {
                envoy.send(method, path, &[(name, value)], b"").await;
                sent += 1;
            }
        }
        envoy.send("GET", path, &[], b"a body").await;
        sent += 1;
    }
    sent += envoy.burst("/short", 100, 10).await.len() as u64;
    let counted = || async {
        let stats = envoy.stats().await;
        let of = |name: &str| stats[&format!("wasmcustom.seawall.response_cache.{name}")];
        let answered = of("hits") + of("only_if_cached") + of("bypasses");
        let stale = of("stale.while_revalidate") + of("stale.max_stale");
        answered + stale + of("misses") + of("refreshes") - of("refreshes_background")
    };
    eventually("all are counted", || async {
        (counted().await >= sent).then_some(())
    })
    .await;
    assert_eq!(counted().await, sent);
}

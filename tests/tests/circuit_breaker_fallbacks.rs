//! What is answered instead: a stale copy, an answer from the configuration, another route, or 503.

use seawall_tests::prelude::*;

fn policy(more: Value) -> Value {
    let mut policy = json!({"failure_threshold": 1, "open_for": "60s", "jitter": 0, "ramp": "0s"});
    for (field, value) in more.as_object().into_iter().flatten() {
        policy[field] = value.clone();
    }
    policy
}

const NAMESPACE: &str = "seawall.circuit_breaker";

#[tokio::test(flavor = "multi_thread")]
async fn with_a_warm_cache_a_dead_upstream_is_not_noticed() {
    let fresh = || {
        Reply::ok("prices")
            .header("cache-control", "max-age=1, stale-if-error=600")
            .header("content-type", "text/plain")
    };
    let upstream = Upstream::serving(move |_| fresh()).await;
    // Also where the breaker has an answer of its own: the stale copy comes first.
    let own = json!({"fallback": {"status": 200, "body": "nothing known"}});
    let envoy = Envoy::to(&upstream)
        .route(Route::prefix("/own").metadata(NAMESPACE, own))
        .route(Route::prefix("/"))
        .filter("response-cache", json!({}))
        .filter("circuit-breaker", policy(json!({"failure_threshold": 5})))
        .start()
        .await;
    for path in ["/prices", "/own/prices"] {
        assert_eq!(envoy.get(path).await.text(), "prices");
    }
    upstream.refuse().await;
    // The copies are no longer fresh.
    tokio::time::sleep(Duration::from_millis(1_200)).await;
    for path in ["/prices", "/own/prices"] {
        let answers = envoy.burst(path, 1_000, 20).await;
        let errors = answers
            .iter()
            .filter(|a| a.status != 200 || a.text() != "prices");
        assert_eq!(errors.count(), 0, "{path}");
    }
    let stats = envoy.stats().await;
    let tries = stats["cluster.upstream.upstream_rq_total"]
        + stats["cluster.upstream.upstream_cx_connect_fail"];
    println!("2,000 requests of a dead upstream: {tries} tries, no error");
    assert!(stats["wasmcustom.seawall.circuit_breaker.opened.consecutive_failures"] == 1);
    // A method that changes something never gets a copy, nor does what is not stored.
    let post = envoy.send("POST", "/prices", &[], b"1").await;
    assert_eq!(
        (post.status, post.header("x-seawall-breaker")),
        (503, Some("open"))
    );
    assert_eq!(envoy.get("/unknown").await.status, 503);
    assert_eq!(envoy.get("/own/unknown").await.text(), "nothing known");
    let post = envoy.send("POST", "/own/prices", &[], b"1").await;
    assert_eq!(post.text(), "nothing known");
}

#[tokio::test(flavor = "multi_thread")]
async fn answers_from_the_configuration_by_route_and_by_what_the_client_accepts() {
    let upstream = Upstream::serving(|_| Reply::status(500)).await;
    let by_type = json!({"fallback": {"by_type": [
        {"type": "application/json", "status": 200, "body": "{\"degraded\":true}"},
        {"type": "text/html", "status": 200, "body": "<p>later</p>", "headers": {"content-type": "text/html; charset=utf-8"}},
    ]}});
    let list = json!({"fallback": {"status": 200, "body": "[]", "headers": {"content-type": "application/json"}}});
    let envoy = Envoy::to(&upstream)
        .route(Route::prefix("/off").metadata(NAMESPACE, json!({"enabled": false})))
        .route(Route::prefix("/list").metadata(NAMESPACE, list))
        .route(Route::prefix("/page").metadata(NAMESPACE, by_type))
        .route(Route::prefix("/"))
        .filter("circuit-breaker", policy(json!({})))
        .start()
        .await;
    assert_eq!(envoy.get("/").await.status, 500);
    let list = envoy.get("/list").await;
    assert_eq!((list.status, list.text().as_str()), (200, "[]"));
    assert_eq!(list.header("content-type"), Some("application/json"));
    for (accept, status, body, kind) in [
        (
            "application/json",
            200,
            "{\"degraded\":true}",
            "application/json",
        ),
        (
            "text/html,*/*;q=0.1",
            200,
            "<p>later</p>",
            "text/html; charset=utf-8",
        ),
        (
            "image/png",
            503,
            "the service is unavailable\n",
            "text/plain",
        ),
    ] {
        let answer = envoy.get_with("/page", &[("accept", accept)]).await;
        assert_eq!(
            (answer.status, answer.text().as_str()),
            (status, body),
            "{accept}"
        );
        assert_eq!(answer.header("content-type"), Some(kind), "{accept}");
        let wait = answer.header("retry-after").expect("it says when");
        let seconds: u64 = wait.parse().expect("a number");
        assert!((50..=60).contains(&seconds), "{accept}: {wait}");
    }
    assert_eq!(envoy.get("/off").await.status, 500);
    let stats = envoy.stats().await;
    let count = |kind: &str| stats[&format!("wasmcustom.seawall.circuit_breaker.fallback.{kind}")];
    assert_eq!((count("answer"), count("unavailable")), (3, 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn another_cluster_answers_while_it_is_open() {
    let upstream = Upstream::serving(|_| Reply::status(500)).await;
    let backup = Upstream::serving(|seen| Reply::ok(format!("backup {}", seen.path))).await;
    let matched = json!({"prefix": "/", "headers": [{"name": "x-degraded", "string_match": {"exact": "yes"}}]});
    let envoy = Envoy::to(&upstream)
        .cluster("backup", backup.address, json!({}))
        .route(Route::prefix("/").to("backup").field("match", matched))
        .route(Route::prefix("/"))
        .filter(
            "circuit-breaker",
            policy(json!({"fallback": {"route": {"header": "x-degraded", "value": "yes"}}})),
        )
        .start()
        .await;
    assert_eq!(envoy.get("/1").await.status, 500);
    for n in 2..50 {
        let path = format!("/{n}");
        let answer = envoy.send("POST", &path, &[], b"body").await;
        assert_eq!(
            (answer.status, answer.text()),
            (200, format!("backup {path}"))
        );
    }
    assert_eq!(upstream.hits(), 1);
    assert_eq!(backup.last().body, b"body");
    assert_eq!(
        envoy
            .stat("wasmcustom.seawall.circuit_breaker.fallback.route")
            .await,
        48
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_that_fails_while_closed_is_answered_too_when_asked() {
    let upstream = Upstream::serving(|seen| match seen.path.as_str() {
        "/500" => Reply::status(500).chunk("a long error page"),
        "/close" => Reply::Close,
        "/404" => Reply::status(404),
        _ => Reply::ok("ok"),
    })
    .await;
    let envoy = Envoy::to(&upstream)
        .filter(
            "circuit-breaker",
            policy(json!({"failure_threshold": 100, "fallback": {"status": 200, "body": "instead", "on_failure": true}})),
        )
        .start()
        .await;
    for path in ["/500", "/close"] {
        for _ in 0..3 {
            let answer = envoy.get(path).await;
            assert_eq!(
                (answer.status, answer.text().as_str()),
                (200, "instead"),
                "{path}"
            );
            assert_eq!(answer.header("x-seawall-breaker"), Some("fallback"));
        }
    }
    assert_eq!(envoy.get("/404").await.status, 404);
    assert_eq!(envoy.get("/").await.text(), "ok");
    let stats = envoy.stats().await;
    assert_eq!(
        stats["wasmcustom.seawall.circuit_breaker.fallback.on_failure"],
        6
    );
    assert_eq!(stats["wasmcustom.seawall.circuit_breaker.failures"], 6);
}

#[tokio::test(flavor = "multi_thread")]
async fn grpc_failures_count_and_grpc_callers_are_refused_in_grpc() {
    let upstream = Upstream::serving(|_| Reply::grpc(14)).await;
    let envoy = Envoy::to(&upstream)
        .http2_upstream()
        .filter("circuit-breaker", policy(json!({"failure_threshold": 2, "fallback": {"status": 200, "body": "not for gRPC"}})))
        .start()
        .await;
    let client = Client::http2(envoy.address);
    let headers = [("content-type", "application/grpc"), ("te", "trailers")];
    let refused = eventually("gRPC failures have opened it", || async {
        let answer = client.send("POST", "/s/m", &headers, &[0; 5]).await;
        answer
            .header("x-seawall-breaker")
            .is_some()
            .then_some(answer)
    })
    .await;
    assert_eq!(upstream.hits(), 2);
    assert_eq!(refused.status, 200);
    assert_eq!(refused.header("grpc-status"), Some("14"));
    assert!(refused.header("grpc-retry-pushback-ms").is_some());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_that_fails_while_closed_gets_the_stale_copy() {
    let fresh = || Reply::ok("prices").header("cache-control", "max-age=1, stale-if-error=600");
    let upstream = Upstream::serving(move |_| fresh()).await;
    let envoy = Envoy::to(&upstream)
        .filter("response-cache", json!({}))
        .filter("circuit-breaker", policy(json!({"failure_threshold": 100})))
        .start()
        .await;
    assert_eq!(envoy.get("/").await.text(), "prices");
    upstream.always(Reply::status(500).chunk("a long error page"));
    tokio::time::sleep(Duration::from_millis(1_200)).await;
    assert_eq!(envoy.get("/").await.text(), "prices");
    assert_eq!(envoy.get("/unknown").await.status, 500);
}

/// What a call gets that fails while the breaker is closed and has an answer for it: the copy, if there is one.
async fn copies_come_before_the_answer_for_failed_calls(
    chain: impl Fn(EnvoyBuilder, Value) -> EnvoyBuilder,
) {
    let fresh = || Reply::ok("prices").header("cache-control", "max-age=1, stale-if-error=600");
    let upstream = Upstream::serving(move |_| fresh()).await;
    // 429 is an error to the breaker only, and its answer looks like a success.
    let breaker = policy(
        json!({"failure_threshold": 1000, "failure_percentage": 0, "failures": {"statuses": ["5xx", 429]},
        "fallback": {"status": 200, "body": "instead", "on_failure": true}}),
    );
    let envoy = chain(Envoy::to(&upstream), breaker).start().await;
    let client = envoy.client();
    assert_eq!(client.get("/prices").await.text(), "prices");
    // The copy is no longer fresh.
    tokio::time::sleep(Duration::from_millis(1_200)).await;
    let mut failures = 0;
    for failure in [
        Reply::status(500).chunk("a long error page"),
        Reply::status(503),
        Reply::status(429).chunk("too many"),
        Reply::status(429),
        Reply::Close,
    ] {
        upstream.always(failure.clone());
        for _ in 0..3 {
            let answer = client.get("/prices").await;
            let seen = (answer.status, answer.text());
            assert_eq!(seen, (200, "prices".to_owned()), "{failure:?}");
            assert!(answer.header("age").is_some(), "{failure:?}");
            assert_eq!(answer.header("x-seawall-breaker"), None, "{failure:?}");
        }
        let head = client.send("HEAD", "/prices", &[], b"").await;
        assert_eq!(head.status, 200);
        assert!(head.header("age").is_some(), "{failure:?}");
        // No copy: not of this URL, not for who refuses one, and never for a method that changes something.
        let wary = [("cache-control", "no-cache")];
        for answer in [
            client.get("/unknown").await,
            client.get_with("/prices", &wary).await,
            client.send("POST", "/unknown", &[], b"1").await,
        ] {
            let seen = (answer.status, answer.text());
            assert_eq!(seen, (200, "instead".to_owned()), "{failure:?}");
            assert_eq!(answer.header("x-seawall-breaker"), Some("fallback"));
            assert_eq!(answer.header("age"), None);
        }
        failures += 7;
    }
    // And an answer that is no failure is the upstream's own.
    upstream.always(Reply::status(404).chunk("no such thing"));
    let answer = client.get("/unknown").await;
    assert_eq!(
        (answer.status, answer.text().as_str()),
        (404, "no such thing")
    );
    let stats = envoy.stats().await;
    let count = |name: &str| stats[&format!("wasmcustom.seawall.{name}")];
    assert_eq!(count("circuit_breaker.failures"), failures);
    assert_eq!(count("circuit_breaker.fallback.on_failure"), 15);
    assert_eq!(count("circuit_breaker.refused"), 0, "it was closed");
    // What the cache counts is told from its timer.
    let stale = "wasmcustom.seawall.response_cache.stale.if_error";
    assert_eq!(envoy.wait_for_stat(stale, 20).await, 20);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_copy_comes_before_the_answer_for_failed_calls() {
    copies_come_before_the_answer_for_failed_calls(|envoy, breaker| {
        envoy
            .filter("trace-headers", json!({}))
            .filter(
                "rate-limit",
                json!({"limits": [{"name": "tenant", "key": [{"header": "x-tenant-id"}],
                "requests": 1_000_000, "per": "1s"}]}),
            )
            .filter("response-cache", json!({}))
            .filter("circuit-breaker", breaker)
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn so_it_does_in_the_four_as_one() {
    copies_come_before_the_answer_for_failed_calls(|envoy, breaker| {
        envoy.filter(
            "seawall",
            json!({"trace_headers": {}, "response_cache": {}, "circuit_breaker": breaker}),
        )
    })
    .await;
}

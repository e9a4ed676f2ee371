//! rate-limit in a real Envoy: what clients and operators see, and settings per route.

use seawall_tests::envoy::Shipped;
use seawall_tests::prelude::*;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::Arc;

fn limit(more: Value) -> Value {
    let mut limit = json!({"name": "a", "requests": 2, "per": "1d"});
    for (field, value) in more.as_object().unwrap() {
        limit[field] = value.clone();
    }
    json!({"limits": [limit]})
}

fn metric(limit: &str, what: &str) -> String {
    format!("wasmcustom.seawall.rate_limit.limit.{limit}.{what}")
}

#[tokio::test(flavor = "multi_thread")]
async fn fields_and_answers() {
    let upstream = Upstream::start().await;
    upstream.always(Reply::ok("hi").header("ratelimit", "\"origin\";r=1;t=2"));
    let envoy = Envoy::to(&upstream)
        .filter("rate-limit", limit(json!({})))
        .start()
        .await;
    let first = envoy.get("/").await;
    assert_eq!(first.status, 200);
    assert_eq!(
        first.all("ratelimit"),
        ["\"origin\";r=1;t=2", "\"a\";r=1;t=43200"]
    );
    assert_eq!(first.all("ratelimit-policy"), ["\"a\";q=2;w=86400"]);
    envoy.get("/").await;
    let refused = envoy.get("/").await;
    assert_eq!(
        (refused.status, refused.text().as_str()),
        (429, "rate limit exceeded\n")
    );
    assert_eq!(refused.all("content-type"), ["text/plain"]);
    assert_eq!(refused.all("ratelimit").len(), 1);
    assert!(refused
        .header("ratelimit")
        .unwrap()
        .starts_with("\"a\";r=0;t=4"));
    let wait: u64 = refused.header("retry-after").unwrap().parse().unwrap();
    assert!((43_100..=43_200).contains(&wait), "{wait}");
    let problem = envoy
        .get_with("/", &[("accept", "application/problem+json")])
        .await;
    assert_eq!(problem.all("content-type"), ["application/problem+json"]);
    let document: Value = serde_json::from_slice(&problem.body).unwrap();
    assert_eq!(document["violated-policies"], json!(["a"]));
}

#[tokio::test(flavor = "multi_thread")]
async fn grpc_callers_get_trailers_only_over_http2() {
    let upstream = Upstream::start().await;
    upstream.always(Reply::grpc(0));
    let envoy = Envoy::to(&upstream)
        .http2_upstream()
        .filter("rate-limit", limit(json!({})))
        .start()
        .await;
    let client = Client::http2(envoy.address);
    let call = || {
        client.send(
            "POST",
            "/shop.Cart/Add",
            &[("content-type", "application/grpc"), ("te", "trailers")],
            &[0; 5],
        )
    };
    assert_eq!(call().await.status, 200);
    assert_eq!(
        call().await.header("grpc-status"),
        None,
        "it is in the trailers"
    );
    let refused = call().await;
    assert_eq!(refused.status, 200);
    assert_eq!(refused.header("grpc-status"), Some("8"));
    assert_eq!(refused.header("grpc-message"), Some("rate limit exceeded"));
    assert_eq!(refused.header("content-type"), Some("application/grpc"));
    let pushback: u64 = refused
        .header("grpc-retry-pushback-ms")
        .unwrap()
        .parse()
        .unwrap();
    assert!((43_100_000..=43_200_000).contains(&pushback), "{pushback}");
    assert!(refused.body.is_empty());
    assert_eq!(upstream.hits(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn each_route_has_its_own_settings() {
    let upstream = Upstream::start().await;
    let own = json!({"limits": [{"name": "own", "requests": 1, "per": "1d"}]});
    let envoy = Envoy::to(&upstream)
        .filter("rate-limit", limit(json!({"requests": 3})))
        .virtual_host_metadata(
            "seawall.rate_limit",
            json!({"answer": {"status": 503, "headers": {"x-reason": "busy"}}}),
        )
        .route(
            Route::prefix("/own")
                .named("own")
                .metadata("seawall.rate_limit", own),
        )
        .route(Route::prefix("/off").metadata("seawall.rate_limit", json!({"enabled": false})))
        .route(Route::prefix("/bad").named("bad").metadata(
            "seawall.rate_limit",
            json!({"limits": [{"name": "x", "requests": "many"}]}),
        ))
        .route(Route::prefix("/"))
        .start()
        .await;
    assert_eq!(envoy.statuses("/own", &[], 3).await, [200, 503, 503]);
    assert_eq!(envoy.statuses("/off", &[], 5).await, [200; 5]);
    assert_eq!(envoy.statuses("/", &[], 2).await, [200, 200]);
    // The bad route falls back to the level below, with its counters.
    assert_eq!(envoy.statuses("/bad", &[], 2).await, [200, 503]);
    let refused = envoy.get("/bad").await;
    assert_eq!(refused.header("x-reason"), Some("busy"));
    envoy.wait_for_log("limits[0].requests").await;
    assert!(envoy.log().contains("route \"bad\""), "{}", envoy.log());
    envoy
        .wait_for_stat("wasmcustom.seawall.rate_limit.config_errors", 1)
        .await;
    assert_eq!(envoy.stat(&metric("own", "refused")).await, 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn failed_log_ins_count_and_successes_are_free() {
    let upstream = Upstream::start().await;
    upstream.behave(|seen| {
        Reply::status(if seen.header("password") == Some("right") {
            200
        } else {
            401
        })
    });
    let limits =
        limit(json!({"requests": 5, "key": ["client_address"], "charge": {"status": 401}}));
    let envoy = Envoy::to(&upstream)
        .filter("rate-limit", limits)
        .start()
        .await;
    assert_eq!(
        envoy.statuses("/login", &[("password", "right")], 30).await,
        [200; 30]
    );
    let answers = envoy.burst("/login", 200, 16).await;
    assert_eq!(
        answers.iter().filter(|answer| answer.status == 401).count(),
        5
    );
    assert_eq!(
        answers.iter().filter(|answer| answer.status == 429).count(),
        195
    );
}

/// Envoy answers 200 and `grpc-status: 7` to whoever says so of a request that it denies: that is a 403 all the same.
#[tokio::test(flavor = "multi_thread")]
async fn a_refused_log_in_counts_also_where_its_client_says_it_is_grpc() {
    let upstream = Upstream::start().await;
    let limits =
        limit(json!({"requests": 5, "key": ["client_address"], "charge": {"status": 403}}));
    let envoy = Envoy::to(&upstream)
        .filter("rate-limit", limits)
        .native_filter(json!({
            "name": "envoy.filters.http.rbac",
            "typed_config": {
                "@type": "type.googleapis.com/envoy.extensions.filters.http.rbac.v3.RBAC",
                "rules": {"action": "ALLOW", "policies": {}},
            },
        }))
        .start()
        .await;
    let grpc = [("content-type", "application/grpc")];
    for status in [Some("7"); 5].into_iter().chain([Some("8"); 3]) {
        let answer = envoy.send("POST", "/login", &grpc, b"").await;
        assert_eq!((answer.status, answer.header("grpc-status")), (200, status));
    }
    assert_eq!(upstream.hits(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_upstream_says_how_many_tokens_a_request_used() {
    let upstream = Upstream::start().await;
    upstream.behave(|seen| {
        let used = if seen.path == "/dear" { "40" } else { "1" };
        Reply::ok("answer").header("x-tokens", used)
    });
    let limits = limit(
        json!({"requests": 100, "key": ["path"], "charge": {"header": "x-tokens", "reserve": 10}}),
    );
    let envoy = Envoy::to(&upstream)
        .filter("rate-limit", limits)
        .start()
        .await;
    // The fields of a response know what it cost.
    for left in ["60", "20"] {
        let answer = envoy.get("/dear").await;
        let field = answer.header("ratelimit").unwrap();
        assert!(field.starts_with(&format!("\"a\";r={left};t=")), "{field}");
    }
    // The third begins with 20 left, of which it reserves 10, and makes the key owe 20.
    assert_eq!(envoy.statuses("/dear", &[], 3).await, [200, 429, 429]);
    // What is reserved and not used comes back: with 90 used the last 10 can be reserved once more.
    let passed = envoy.statuses("/cheap", &[], 100).await;
    assert_eq!(passed.iter().filter(|status| **status == 200).count(), 91);
}

#[tokio::test(flavor = "multi_thread")]
async fn places_are_free_again_when_a_client_leaves() {
    let upstream = Upstream::start().await;
    let gate = Gate::new();
    upstream.always(Reply::ok("done").gated(&gate));
    let limits = json!({"limits": [{"name": "c", "concurrent": 3}]});
    let envoy = Envoy::to(&upstream)
        .filter("rate-limit", limits)
        .start()
        .await;
    let client = Client::fresh(envoy.address);
    let held: Vec<_> = (0..3)
        .map(|_| {
            let client = client.clone();
            tokio::spawn(async move { client.get("/").await.status })
        })
        .collect();
    upstream.wait_for_hits(3).await;
    assert_eq!(envoy.get("/").await.status, 429);
    // One client resets its connection; its place is free, and only its.
    held[0].abort();
    let (envoy, upstream) = (&envoy, &upstream);
    let tries = AtomicUsize::new(0);
    let fourth = eventually("a place is free", || {
        let number = tries.fetch_add(1, Ordering::SeqCst);
        async move {
            let client = Client::fresh(envoy.address);
            let path = format!("/{number}");
            let mut request = tokio::spawn({
                let path = path.clone();
                async move { client.get(&path).await.status }
            });
            // Either it is refused, or the upstream has it.
            let held = eventually("one or the other", || async {
                (upstream.hits_of(&path) == 1).then_some(())
            });
            tokio::select! {
                () = held => Some(request),
                status = &mut request => {
                    assert_eq!(status.unwrap(), 429);
                    None
                }
            }
        }
    })
    .await;
    assert_eq!(envoy.get("/").await.status, 429);
    gate.open();
    assert_eq!(within("the fourth", fourth).await.unwrap(), 200);
    for request in held.into_iter().skip(1) {
        assert_eq!(request.await.unwrap(), 200);
    }
    let answers = envoy.burst("/", 300, 3).await;
    assert!(
        answers.iter().all(|answer| answer.status == 200),
        "all places are free again"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn never_more_at_the_same_time_than_there_are_places() {
    let upstream = Arc::new(Upstream::start().await);
    // With every request that comes the upstream looks how many it has: that is when they are most.
    let most = Arc::new(AtomicUsize::new(0));
    let (looking, itself) = (Arc::clone(&most), Arc::downgrade(&upstream));
    upstream.behave(move |_| {
        let in_flight = itself.upgrade().map_or(0, |upstream| upstream.in_flight());
        looking.fetch_max(in_flight, Ordering::SeqCst);
        Reply::ok("done").after(Duration::from_millis(3))
    });
    let limits = json!({"limits": [{"name": "c", "concurrent": 4}]});
    let envoy = Envoy::to(&upstream)
        .filter("rate-limit", limits)
        .start()
        .await;
    let answers = envoy.burst("/", 1_000, 32).await;
    let most = most.load(Ordering::SeqCst);
    assert!((1..=4).contains(&most), "{most}");
    assert!(answers.iter().any(|answer| answer.status == 429));
    assert!(
        answers.iter().filter(|answer| answer.status == 200).count() > 4,
        "places are used again"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn the_access_log_knows_the_decision() {
    let upstream = Upstream::start().await;
    let mut configuration = limit(json!({"requests": 1}));
    configuration["access_log"] = json!(true);
    let envoy = Envoy::to(&upstream)
        .filter("rate-limit", configuration)
        .access_log(json!({
            "decision": "%FILTER_STATE(wasm.seawall.rate_limit.decision:PLAIN)%",
            "limit": "%FILTER_STATE(wasm.seawall.rate_limit.limit:PLAIN)%",
            "remaining": "%FILTER_STATE(wasm.seawall.rate_limit.remaining:PLAIN)%",
            "field": "%RESP(RATELIMIT)%",
            "details": "%RESPONSE_CODE_DETAILS%",
        }))
        .start()
        .await;
    assert_eq!(envoy.statuses("/", &[], 2).await, [200, 429]);
    let lines = envoy.access_log(2).await;
    assert_eq!(lines[0]["decision"], "allowed");
    assert_eq!(
        (&lines[1]["decision"], &lines[1]["limit"]),
        (&json!("refused"), &json!("a"))
    );
    assert_eq!(lines[1]["remaining"].to_string().trim_matches('"'), "0");
    assert_eq!(lines[1]["details"], "seawall.rate_limit.refused.a");
    assert!(lines[0]["field"].as_str().unwrap().starts_with("\"a\";r=0"));
}

#[tokio::test(flavor = "multi_thread")]
async fn shadow_limits_count_and_refuse_nothing() {
    let upstream = Upstream::start().await;
    let envoy = Envoy::to(&upstream)
        .filter("rate-limit", limit(json!({"shadow": true})))
        .start()
        .await;
    assert_eq!(envoy.statuses("/", &[], 6).await, [200; 6]);
    assert_eq!(envoy.get("/").await.header("ratelimit"), None);
    assert_eq!(envoy.stat(&metric("a", "allowed")).await, 2);
    assert_eq!(envoy.stat(&metric("a", "shadow_refused")).await, 5);
}

#[tokio::test(flavor = "multi_thread")]
async fn every_limit_counts_what_it_does() {
    let upstream = Upstream::start().await;
    let envoy = Envoy::to(&upstream)
        .filter(
            "rate-limit",
            json!({
                "exempt": {"path": "/healthz"},
                "limits": [
                    {"name": "hard", "requests": 2, "per": "1d", "exempt": {"header": {"x-internal": true}}},
                    {"name": "soft", "requests": 1, "per": "1d", "shadow": true},
                ],
            }),
        )
        .start()
        .await;
    assert_eq!(envoy.statuses("/healthz", &[], 3).await, [200; 3]);
    assert_eq!(
        envoy.statuses("/", &[("x-internal", "1")], 4).await,
        [200; 4]
    );
    assert_eq!(envoy.statuses("/", &[], 5).await, [200, 200, 429, 429, 429]);
    let stats = envoy.stats().await;
    for (limit, what, wanted) in [
        ("hard", "allowed", 2),
        ("hard", "refused", 3),
        ("hard", "shadow_refused", 0),
        ("hard", "exempt", 4),
        ("hard", "live_evictions", 0),
        ("hard", "errors", 0),
        ("soft", "allowed", 1),
        ("soft", "refused", 0),
        ("soft", "shadow_refused", 8),
        ("soft", "exempt", 0),
    ] {
        assert_eq!(
            stats.get(&metric(limit, what)),
            Some(&wanted),
            "{limit}.{what}"
        );
    }
    assert!(stats.contains_key(&metric("hard", "swap_retries")));
    assert_eq!(stats["wasmcustom.seawall.rate_limit.exempt"], 3);
    assert_eq!(stats["wasmcustom.seawall.rate_limit.errors"], 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bad_configuration_is_refused_at_load_with_every_field() {
    let upstream = Upstream::start().await;
    let refused = Envoy::to(&upstream)
        .filter(
            "rate-limit",
            json!({"limits": [{"name": "a", "requests": 0, "per": "1m", "bust": 2}]}),
        )
        .validate()
        .await
        .unwrap_err();
    assert!(
        refused.contains("limits[0].bust: unknown field `bust`"),
        "{refused}"
    );
    assert!(
        refused.contains("limits[0].requests: must be from 1 to 1000000000, got 0"),
        "{refused}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn the_smallest_example_does_what_it_says() {
    let upstream = Upstream::start().await;
    let envoy = Shipped::new("envoy/rate-limit.yaml")
        .port(8080, upstream.address)
        .start(2)
        .await;
    assert_eq!(
        envoy.statuses("/login", &[], 6).await,
        [200, 200, 200, 200, 200, 429]
    );
    let tenant = [("x-tenant-id", "acme")];
    let begun = std::time::Instant::now();
    let many = envoy.statuses("/", &tenant, 120).await;
    // A hundred, and what comes back meanwhile, a hundred in a minute.
    let more = begun.elapsed().as_millis() as usize * 100 / 60_000 + 1;
    let passed = many.iter().filter(|status| **status == 200).count();
    assert!((100..=100 + more).contains(&passed), "{passed}, {more}");
    assert_eq!(envoy.statuses("/healthz", &tenant, 3).await, [200; 3]);
}

//! Capability restriction: with no more than the example allows, each filter does all of its work; with less, it fails safely.

use seawall_tests::client::burst;
use seawall_tests::envoy::{dist, repository, wasm_filter, FILTERS};
use seawall_tests::prelude::*;

/// What `envoy/envoy.yaml` allows a filter; what it allows all four, for the four as one.
fn allowed(filter: &str) -> Vec<String> {
    if filter == "seawall" {
        return FILTERS.iter().flat_map(|one| allowed(one)).collect();
    }
    let text = std::fs::read_to_string(repository().join("envoy/envoy.yaml")).expect("readable");
    let vm = format!("vm_id: seawall.{}\n", filter.replace('-', "_"));
    let after = text.split_once(&vm).expect("the filter is there").1;
    let list = after
        .split_once("allowed_capabilities:")
        .expect("restricted")
        .1;
    let names = list.lines().skip(1).map(str::trim);
    names
        .map_while(|line| line.strip_suffix(": {}"))
        .map(str::to_owned)
        .collect()
}

fn restricted(filter: &str, configuration: &Value, without: &[&str]) -> Value {
    let name = format!("seawall.{}", filter.replace('-', "_"));
    let mut native = wasm_filter(&name, &dist(filter), &name, configuration);
    let names = allowed(filter);
    let left = names
        .iter()
        .filter(|name| !without.contains(&name.as_str()));
    let map: serde_json::Map<String, Value> = left.map(|name| (name.clone(), json!({}))).collect();
    native["typed_config"]["config"]["capability_restriction_config"] =
        json!({"allowed_capabilities": map});
    native
}

fn limits() -> Value {
    json!({"limits": [
        {"name": "tenant", "key": [{"header": "x-tenant-id"}], "requests": 5, "per": "1d"},
        {"name": "places", "key": ["client_address"], "concurrent": 50},
        {"name": "failures", "key": ["path"], "requests": 50, "per": "1m", "charge": {"status": "5xx"}}]})
}

#[tokio::test(flavor = "multi_thread")]
async fn the_shipped_chain_works_with_what_it_allows() {
    let stage = seawall_tests::demo::Stage::set().await;
    let one = |path: &'static str| stage.envoy.get_with(path, &[("x-tenant-id", "acme")]);
    // Two seconds of life, which a slow machine may need for one request.
    let again = eventually("an order is served from the cache", || async {
        let answer = one("/orders/1").await;
        assert_eq!(answer.status, 200);
        let status = answer.header("cache-status")?;
        status.contains("hit").then(|| answer.clone())
    })
    .await;
    assert!(again.header("x-request-id").is_some());
    assert!(again.header("ratelimit").is_some());
    assert_eq!(one("/payments/break").await.status, 200);
    eventually("the breaker refuses", || async {
        (one("/payments/x").await.status == 503).then_some(())
    })
    .await;
    let log = stage.envoy.log();
    assert!(!log.contains("restricted"), "something was refused");
}

#[tokio::test(flavor = "multi_thread")]
async fn with_everything_switched_on_no_call_is_refused() {
    let upstream = Upstream::serving(|seen| match seen.path.as_str() {
        "/fails" => Reply::status(500),
        _ => Reply::ok(seen.number.to_string())
            .header("cache-control", "max-age=1, stale-while-revalidate=60")
            .header("etag", "\"v\"")
            .header("surrogate-key", "one"),
    })
    .await;
    let collector = Upstream::serving(|_| Reply::ok("{}")).await;
    let trace = json!({"sampling": {"mode": "always"}, "spans": {"cluster": "collector", "interval": "100ms"},
        "write": ["w3c", "b3"], "response": {"server_timing": "trace", "traceresponse": true},
        "latency": {"routes": ["all"]}});
    let cache = json!({"refresh": {"background": {"enabled": true}}, "access_log": true,
        "purge": {"secret_header": "x-purge", "secret": "0123456789abcdef"}});
    let breaker = json!({"failure_threshold": 3, "open_for": "1h", "max_open_for": "1h", "slow_after": "10s", "access_log": true,
        "key": ["cluster", "route", {"header": "x-tenant-id"}]});
    let envoy = Envoy::to(&upstream)
        .native_filter(restricted("trace-headers", &trace, &[]))
        .native_filter(restricted("rate-limit", &limits(), &[]))
        .native_filter(restricted("response-cache", &cache, &[]))
        .native_filter(restricted("circuit-breaker", &breaker, &[]))
        .cluster("collector", collector.address, json!({}))
        .route(Route::prefix("/").named("all"))
        .start()
        .await;
    let tenant = [("x-tenant-id", "acme")];
    let passed = |answers: &[Answer]| answers.iter().filter(|a| a.status == 200).count();
    let mut answers = Vec::new();
    for _ in 0..10 {
        answers.push(envoy.get_with("/one", &tenant).await);
    }
    assert_eq!(passed(&answers), 5, "five a day");
    let purge = [("x-purge", "0123456789abcdef"), ("x-tenant-id", "other")];
    let purged = envoy.send("PURGE", "/one", &purge, b"").await;
    assert_eq!(purged.status, 200, "{}", purged.text());
    // Many at once for what is not stored: one flight, over all workers.
    let shared = burst(envoy.address, 100, 20, |number| {
        let tenant = vec![("x-tenant-id".to_owned(), format!("t{number}"))];
        ("/shared".to_owned(), tenant)
    })
    .await;
    assert_eq!(passed(&shared), 100);
    let mut refused = 0;
    for _ in 0..5 {
        let answer = envoy
            .get_with("/fails", &[("x-tenant-id", "failing")])
            .await;
        refused += usize::from(answer.header("retry-after").is_some());
    }
    assert!(refused > 0, "the breaker never opened");
    collector.wait_for_hits(1).await;
    for (filter, metric) in [
        ("rate_limit", "limit.tenant.refused"),
        ("response_cache", "stored"),
        ("circuit_breaker", "refused"),
        ("trace_headers", "traces_started"),
    ] {
        envoy
            .wait_for_stat(&format!("wasmcustom.seawall.{filter}.{metric}"), 1)
            .await;
    }
    for metric in [
        "rate_limit.errors",
        "response_cache.errors",
        "trace_headers.errors",
    ] {
        assert_eq!(
            envoy.stat(&format!("wasmcustom.seawall.{metric}")).await,
            0,
            "{metric}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn with_less_requests_pass_and_it_is_counted() {
    let upstream = Upstream::start().await;
    let envoy = Envoy::to(&upstream)
        .native_filter(restricted(
            "rate-limit",
            &limits(),
            &["proxy_set_shared_data"],
        ))
        .start()
        .await;
    let answers = envoy.burst("/", 100, 4).await;
    assert!(
        answers.iter().all(|answer| answer.status == 200),
        "on_error is allow"
    );
    let stats = envoy.stats().await;
    let errors: u64 = stats
        .iter()
        .filter(|(name, _)| name.contains("rate_limit") && name.ends_with("errors"))
        .map(|(_, value)| value)
        .sum();
    assert!(
        errors > 0,
        "{:?}",
        stats
            .iter()
            .filter(|(n, v)| n.contains("seawall") && **v > 0)
            .collect::<Vec<_>>()
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn without_its_gauge_the_breaker_reads_more_and_is_as_exact() {
    let upstream = Upstream::start().await;
    let breaker = json!({"failure_threshold": 5, "open_for": "60s"});
    let envoy = Envoy::to(&upstream)
        .native_filter(restricted(
            "circuit-breaker",
            &breaker,
            &["proxy_get_metric"],
        ))
        .start()
        .await;
    let client = Client::fresh(envoy.address);
    for _ in 0..40 {
        assert_eq!(client.get("/").await.status, 200);
    }
    upstream.always(Reply::status(500));
    upstream.forget();
    for _ in 0..5 {
        assert_eq!(client.get("/").await.status, 500);
    }
    for _ in 0..20 {
        assert_eq!(client.get("/").await.status, 503);
    }
    assert_eq!(upstream.hits(), 5);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_four_as_one_work_with_what_the_four_are_allowed() {
    let upstream = Upstream::serving(|seen| match seen.path.as_str() {
        "/fails" => Reply::status(500),
        _ => Reply::ok("page").header("cache-control", "max-age=60"),
    })
    .await;
    let all = json!({"trace_headers": {}, "rate_limit": limits(), "response_cache": {},
        "circuit_breaker": {"failure_threshold": 2}});
    let envoy = Envoy::to(&upstream)
        .native_filter(restricted("seawall", &all, &[]))
        .start()
        .await;
    let statuses =
        |answers: &[Answer]| -> Vec<u16> { answers.iter().map(|answer| answer.status).collect() };
    let acme = [("x-tenant-id", "acme")];
    let mut answers = Vec::new();
    for _ in 0..6 {
        answers.push(envoy.get_with("/page", &acme).await);
    }
    assert_eq!(statuses(&answers), [200, 200, 200, 200, 200, 429]);
    assert_eq!(upstream.hits(), 1, "one, and then hits");
    let mut answers = Vec::new();
    for _ in 0..3 {
        answers.push(envoy.get_with("/fails", &[("x-tenant-id", "other")]).await);
    }
    assert_eq!(statuses(&answers), [500, 500, 503]);
    assert!(answers
        .iter()
        .all(|answer| answer.header("x-request-id").is_some()));
    assert!(!envoy.log().contains("restricted"), "something was refused");
}

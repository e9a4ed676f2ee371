//! Whose breaker a call has: cluster, route, host, header, and what they are together; bounded, and never a stranger's.

use seawall_tests::client::burst;
use seawall_tests::prelude::*;

fn policy(key: Value) -> Value {
    json!({"key": key, "failure_threshold": 2, "open_for": "60s", "ramp": "0s"})
}

fn behaviour(seen: &Seen) -> Reply {
    if seen.path.ends_with("fail") {
        Reply::status(500)
    } else {
        Reply::ok("ok")
    }
}

/// Whether the breaker refuses this call.
async fn is_refused(envoy: &Envoy, path: &str, headers: &[(&str, &str)]) -> bool {
    envoy
        .get_with(path, headers)
        .await
        .header("x-seawall-breaker")
        .is_some()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_breaker_belongs_to_what_its_key_says() {
    let upstream = Upstream::serving(behaviour).await;
    let (a, b) = (
        [("host", "a"), ("x-tenant-id", "1")],
        [("host", "b"), ("x-tenant-id", "2")],
    );
    // The key, and whether it is refused: another route of the cluster, another host and tenant of the route, another cluster.
    for (key, expected) in [
        (json!(["cluster"]), [true, true, false]),
        (json!(["route"]), [false, true, false]),
        (json!(["host"]), [true, false, true]),
        (json!([{"header": "x-tenant-id"}]), [true, false, true]),
        (
            json!(["cluster", {"header": "x-tenant-id"}]),
            [true, false, false],
        ),
        (json!(["route", "host"]), [false, false, false]),
    ] {
        let envoy = Envoy::to(&upstream)
            .workers(2)
            .cluster("other", upstream.address, json!({}))
            .route(Route::prefix("/one/").named("one"))
            .route(Route::prefix("/two/").named("two"))
            .route(Route::prefix("/other/").named("three").to("other"))
            .filter("circuit-breaker", policy(key.clone()))
            .start()
            .await;
        for _ in 0..2 {
            assert!(!is_refused(&envoy, "/one/fail", &a).await);
        }
        assert!(is_refused(&envoy, "/one/", &a).await, "{key}");
        let found = [
            is_refused(&envoy, "/two/", &a).await,
            is_refused(&envoy, "/one/", &b).await,
            is_refused(&envoy, "/other/", &a).await,
        ];
        assert_eq!(found, expected, "{key}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_that_the_configuration_does_not_give_is_no_breaker() {
    let upstream = Upstream::serving(behaviour).await;
    let envoy = Envoy::to(&upstream)
        .workers(1)
        .filter("circuit-breaker", policy(json!(["route"])))
        .start()
        .await;
    for _ in 0..5 {
        assert_eq!(envoy.get("/fail").await.status, 500);
    }
    assert_eq!(
        envoy
            .stat("wasmcustom.seawall.circuit_breaker.no_key")
            .await,
        5
    );
    envoy
        .wait_for_log("a call passes without a breaker: it has no Route")
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn failing_tenants_in_any_number_leave_memory_flat_and_strangers_alone() {
    let upstream = Upstream::serving(behaviour).await;
    let mut settings = policy(json!([{"header": "x-tenant-id"}]));
    settings["failure_threshold"] = json!(1);
    settings["max_keys"] = json!(256);
    let envoy = Envoy::to(&upstream)
        .filter("circuit-breaker", settings)
        .start()
        .await;
    let flood = |from: usize, count: usize| {
        burst(envoy.address, count, 32, move |n| {
            (
                "/fail".to_owned(),
                vec![("x-tenant-id".to_owned(), format!("tenant-{}", from + n))],
            )
        })
    };
    // What Envoy, the filter and the connections need once they are warm.
    flood(0, 10_000).await;
    let before = envoy.memory();
    let answers = flood(10_000, 30_000).await;
    let refused = answers.iter().filter(|answer| answer.status != 500).count();
    assert_eq!(refused, 0, "every tenant is a stranger the first time");
    let grown = envoy.memory().saturating_sub(before);
    println!("30,000 more failing tenants: {} KiB more", grown / 1024);
    assert!(grown < 10 << 20, "{grown} bytes");
    assert!(
        envoy
            .stat("wasmcustom.seawall.circuit_breaker.table_full")
            .await
            > 0
    );
    // Nor does the log grow with them: a line for each was 40,000.
    let lines = envoy
        .log()
        .lines()
        .filter(|line| line.contains("breaker x-tenant-id="))
        .count();
    assert!(lines <= 4 * 60 * 5, "{lines} lines");
}

//! Control and sight: modes, metrics, log lines, the response header; a listener update; native outlier detection beside it.

use seawall_tests::prelude::*;

const METRIC: &str = "wasmcustom.seawall.circuit_breaker";
const NAMESPACE: &str = "seawall.circuit_breaker";

fn policy(more: Value) -> Value {
    let mut policy = json!({"failure_threshold": 3, "open_for": "60s", "jitter": 0, "ramp": "0s", "successes": 1});
    for (field, value) in more.as_object().into_iter().flatten() {
        policy[field] = value.clone();
    }
    policy
}

#[tokio::test(flavor = "multi_thread")]
async fn modes_are_chosen_by_route() {
    let upstream = Upstream::serving(|_| Reply::status(500)).await;
    let mode = |mode: &str| json!({"mode": mode, "key": ["route"]});
    let envoy = Envoy::to(&upstream)
        .route(
            Route::prefix("/shadow")
                .named("shadow")
                .metadata(NAMESPACE, mode("shadow")),
        )
        .route(
            Route::prefix("/open")
                .named("open")
                .metadata(NAMESPACE, mode("forced_open")),
        )
        .route(
            Route::prefix("/closed")
                .named("closed")
                .metadata(NAMESPACE, mode("forced_closed")),
        )
        .filter("circuit-breaker", policy(json!({})))
        .start()
        .await;
    let open = envoy.get("/open").await;
    assert_eq!(
        (open.status, open.header("x-seawall-breaker")),
        (503, Some("forced_open"))
    );
    assert_eq!(upstream.hits(), 0);
    for n in 0..10 {
        assert_eq!(envoy.get("/shadow").await.status, 500, "{n}");
        assert_eq!(envoy.get("/closed").await.status, 500, "{n}");
    }
    assert_eq!(upstream.hits(), 20);
    let stats = envoy.stats().await;
    assert_eq!(stats[&format!("{METRIC}.shadow_refused")], 7);
    assert_eq!(
        stats[&format!("{METRIC}.opened.consecutive_failures")],
        1,
        "of the shadow alone"
    );
    assert_eq!(stats[&format!("{METRIC}.breaker.shadow.state")], 2);
    assert_eq!(stats[&format!("{METRIC}.refused")], 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_happens_is_seen_in_metrics_log_and_header() {
    let upstream = Upstream::serving(|_| Reply::status(500)).await;
    let envoy = Envoy::to(&upstream)
        .filter(
            "circuit-breaker",
            policy(json!({"open_for": "3s", "response_header": "full"})),
        )
        .start()
        .await;
    let ids = [("x-request-id", "c0ffee")];
    let stat = |name: &'static str| {
        let envoy = &envoy;
        async move { envoy.stat(&format!("{METRIC}.{name}")).await }
    };
    for _ in 0..3 {
        envoy.get_with("/", &ids).await;
    }
    let refused = envoy.get_with("/", &ids).await;
    let told = refused.header("x-seawall-breaker").expect("it says why");
    let wait = told
        .strip_prefix("open; reason=consecutive_failures; key=\"cluster=upstream\"; retry=")
        .unwrap_or_else(|| panic!("{told}"));
    assert!(["1", "2", "3"].contains(&wait), "{told}");
    assert_eq!(
        (
            stat("open").await,
            stat("half_open").await,
            stat("breaker.upstream.state").await
        ),
        (1, 0, 2)
    );
    // A probe that fails, and one that succeeds.
    envoy.wait_for_stat(&format!("{METRIC}.refused"), 1).await;
    eventually("a probe has failed", || async {
        envoy.get_with("/", &ids).await;
        (stat("probe.failed").await == 1).then_some(())
    })
    .await;
    assert_eq!(stat("opened.probe_failed").await, 1);
    upstream.always(Reply::ok("well"));
    eventually("it is closed", || async {
        envoy.get_with("/", &ids).await;
        (stat("closed").await == 1).then_some(())
    })
    .await;
    assert_eq!(
        (
            stat("open").await,
            stat("half_open").await,
            stat("breaker.upstream.state").await
        ),
        (0, 0, 0)
    );
    assert_eq!(
        (
            stat("probe.sent").await,
            stat("probe.succeeded").await,
            stat("probing").await
        ),
        (2, 1, 2)
    );
    let refused = stat("refused").await;
    assert_eq!(stat("fallback.unavailable").await, refused);
    let log = envoy.log();
    let lines: Vec<&str> = log
        .lines()
        .filter(|line| line.contains("breaker cluster=upstream"))
        .collect();
    assert_eq!(lines.len(), 5, "one line for each transition: {lines:#?}");
    for (line, text) in lines.iter().zip([
        "open for 3000 ms, too many failures in a row",
        "half-open",
        "open for 6000 ms, a probe failed",
        "half-open",
        "closed",
    ]) {
        assert!(line.contains(text), "{line}");
        // And it leads to the request behind it.
        assert!(line.ends_with(" request_id=c0ffee"), "{line}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_open_breaker_survives_a_listener_update() {
    let upstream = Upstream::serving(|_| Reply::status(500)).await;
    let builder = |header: &str| {
        Envoy::to(&upstream)
            .filter(
                "circuit-breaker",
                policy(json!({"open_for": "2s", "response_header": header})),
            )
            .dynamic()
    };
    let envoy = builder("state").start().await;
    for _ in 0..3 {
        envoy.get_fresh("/").await;
    }
    assert_eq!(envoy.get_fresh("/").await.status, 503);
    envoy.swap_listener(&builder("full")).await;
    let answer = eventually("the new configuration answers", || async {
        let answer = envoy.get_fresh("/").await;
        let new = answer
            .header("x-seawall-breaker")
            .is_some_and(|text| text.contains("reason="));
        // On a slow machine the open time may be over; then this was the probe, and it is open again.
        new.then_some(answer)
    })
    .await;
    assert!(answer
        .header("x-seawall-breaker")
        .is_some_and(|text| text.starts_with("open;")));
    upstream.always(Reply::ok("well"));
    eventually("it closes", || async {
        (envoy.get_fresh("/").await.status == 200).then_some(())
    })
    .await;
    let stats = envoy.stats().await;
    assert_eq!(stats[&format!("{METRIC}.open")], 0);
    assert_eq!(stats[&format!("{METRIC}.half_open")], 0);
}

/// Three hosts with native detection that ejects a host after three errors in a row, and a route that tries another host.
fn recipe(hosts: &[Upstream; 3]) -> (Value, Route) {
    let endpoints = hosts.each_ref().map(|host| {
        let socket = json!({"address": "127.0.0.1", "port_value": host.address.port()});
        json!({"endpoint": {"address": {"socket_address": socket}}})
    });
    let cluster = json!({
        "lb_policy": "ROUND_ROBIN",
        // Envoy allows 3 retries at once otherwise.
        "circuit_breakers": {"thresholds": [{"max_retries": 1000}]},
        "load_assignment": {"cluster_name": "upstream", "endpoints": [{"lb_endpoints": endpoints}]},
        "outlier_detection": {
            "consecutive_5xx": 3, "interval": "0.2s", "base_ejection_time": "60s", "max_ejection_percent": 100,
        },
    });
    let other = json!({"name": "envoy.retry_host_predicates.previous_hosts", "typed_config": {
        "@type": "type.googleapis.com/envoy.extensions.retry.host.previous_hosts.v3.PreviousHostsPredicate"}});
    let retry = json!({"retry_on": "5xx,reset,connect-failure", "num_retries": 2,
        "retry_host_predicate": [other], "host_selection_retry_max_attempts": 5});
    (cluster, Route::prefix("/").action("retry_policy", retry))
}

#[tokio::test(flavor = "multi_thread")]
async fn hosts_are_left_to_outlier_detection_and_the_dependency_is_the_breakers() {
    let hosts = [
        Upstream::start().await,
        Upstream::start().await,
        Upstream::start().await,
    ];
    let (cluster, route) = recipe(&hosts);
    let [one, two, three] = &hosts;
    let envoy = Envoy::to(one)
        .upstream_fields(cluster.clone())
        .route(route.clone())
        .filter("circuit-breaker", policy(json!({"failure_threshold": 5})))
        .start()
        .await;
    // One bad host: it is ejected, retries hide it, and the breaker has nothing to do.
    one.always(Reply::status(503));
    let ejected = "cluster.upstream.outlier_detection.ejections_active";
    eventually("the bad host is ejected", || async {
        assert!(envoy
            .burst("/", 20, 10)
            .await
            .iter()
            .all(|answer| answer.status == 200));
        (envoy.stat(ejected).await == 1).then_some(())
    })
    .await;
    let opened = format!("{METRIC}.opened.consecutive_failures");
    assert_eq!(envoy.stat(&opened).await, 0);
    // All bad: Envoy panics and would go on calling them; the breaker opens.
    two.always(Reply::status(503));
    three.always(Reply::status(503));
    eventually("the breaker is open", || async {
        envoy.burst("/", 5, 5).await;
        (envoy.stat(&opened).await >= 1).then_some(())
    })
    .await;
    let hits = || hosts.iter().map(Upstream::hits).sum::<usize>();
    let before = hits();
    assert!(envoy
        .burst("/", 200, 20)
        .await
        .iter()
        .all(|answer| answer.status == 503));
    assert_eq!(hits(), before);

    // Without the breaker, for comparison.
    let bare = Envoy::to(one)
        .upstream_fields(cluster.clone())
        .route(route.clone())
        .start()
        .await;
    bare.burst("/", 50, 10).await;
    let before = hits();
    bare.burst("/", 200, 20).await;
    println!(
        "native detection alone: {} more calls of 200 reached hosts that were all bad",
        hits() - before
    );
    assert!(hits() - before >= 200);
}

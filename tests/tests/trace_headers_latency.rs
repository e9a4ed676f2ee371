//! Latency of trace-headers: what a real Envoy tells of known delays, in `/stats` and to Prometheus.

use seawall_tests::client::burst;
use seawall_tests::envoy::Shipped;
use seawall_tests::prelude::*;

/// Delays of the upstream in milliseconds, and how many of a hundred requests have them.
const DELAYS: [(u64, usize); 3] = [(20, 93), (300, 5), (1200, 2)];

/// What the upstream does with `/orders/<n>`: waits as long as the n-th of a hundred shall.
fn delayed(seen: &Seen) -> Reply {
    let number: usize = seen.path.rsplit('/').next().unwrap().parse().unwrap();
    let mut at = number % 100;
    for (delay, count) in DELAYS {
        if at < count {
            return Reply::ok("x").after(Duration::from_millis(delay));
        }
        at -= count;
    }
    unreachable!("there are a hundred")
}

/// The quantiles since the start of a histogram in `/stats`: `name: P50(nan,12.3) …`.
fn quantiles(stats: &str, name: &str) -> Option<Vec<(String, f64)>> {
    let line = stats
        .lines()
        .find(|line| line.starts_with(&format!("{name}: ")))?;
    let found = line.split_whitespace().filter_map(|part| {
        let (name, values) = part.split_once('(')?;
        let total = values.trim_end_matches(')').split(',').nth(1)?;
        Some((name.to_owned(), total.parse().ok()?))
    });
    let found: Vec<(String, f64)> = found.collect();
    (!found.is_empty() && found.iter().all(|(_, value)| !value.is_nan())).then_some(found)
}

/// The bucket of Envoy's histogram that a value from 10 on is in: all that begins with the same two digits.
fn bucket(value: f64) -> (f64, f64) {
    let width = 10_f64.powf(value.log10().floor() - 1.0);
    let low = (value / width).floor() * width;
    (low, low + width)
}

async fn settled(envoy: &Envoy, name: &str) -> Vec<(String, f64)> {
    eventually(&format!("{name} has quantiles"), || async {
        quantiles(&envoy.admin("/stats").await, name)
    })
    .await
}

/// What the histograms have counted whose name holds this.
fn count(text: &str, part: &str) -> Option<u64> {
    let of = |line: &&str| line.contains(part) && line.contains("duration_ms_count");
    let line = text.lines().find(of)?;
    line.rsplit(' ').next()?.parse().ok()
}

/// What Prometheus gets once these have counted as many.
async fn counted(envoy: &Envoy, expected: &[(&str, u64)]) -> String {
    eventually("every request is in its histograms", || async {
        let text = envoy.prometheus().await;
        let told = |(part, most): &(&str, u64)| count(&text, part) == Some(*most);
        expected.iter().all(told).then_some(text)
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn quantiles_are_those_of_the_requests() {
    let upstream = Upstream::serving(delayed).await;
    let envoy = Envoy::to(&upstream)
        .bootstrap("stats_flush_interval", json!("0.500s"))
        .filter(
            "trace-headers",
            json!({"latency": {"routes": ["orders"], "upstreams": ["upstream"]}}),
        )
        .access_log(json!({"path": "%REQ(:PATH)%", "ms": "%DURATION%"}))
        .route(Route::prefix("/orders/").named("orders"))
        .route(Route::prefix("/other/").named("other-route"))
        .start()
        .await;
    let path = |n: usize| (format!("/orders/{n}"), Vec::new());
    let answers = burst(envoy.address, 100, 10, path).await;
    assert!(answers.iter().all(|answer| answer.status == 200));
    envoy.get("/other/0").await;
    envoy.get("/nowhere").await;

    // What Envoy itself has measured is what must be found, whatever this machine added to the delays.
    let mut measured: Vec<f64> = envoy
        .access_log(102)
        .await
        .iter()
        .filter(|line| line["path"].as_str().unwrap().starts_with("/orders/"))
        .map(|line| line["ms"].as_f64().unwrap())
        .collect();
    measured.sort_by(f64::total_cmp);
    assert_eq!(measured.len(), 100);
    let route = "wasmcustom.seawall.trace_headers.route.orders.duration_ms";
    // The upstream's has one more; what the configuration does not name is `other`.
    let expected = [
        ("route_orders", 100),
        ("upstream_upstream", 101),
        ("route_other", 2),
        ("upstream_other", 1),
    ];
    let text = counted(&envoy, &expected).await;
    let found = settled(&envoy, route).await;
    for (name, at) in [("P50", 50), ("P95", 95), ("P99", 99)] {
        let value = found.iter().find(|(known, _)| known == name).unwrap().1;
        // Between the neighbours and within their buckets. The log has rounded down, and we to the nearest.
        let (low, high) = (bucket(measured[at - 2]).0, bucket(measured[at] + 1.0).1);
        assert!(
            (low..=high).contains(&value),
            "{name}: {value}, not {low} to {high}"
        );
    }
    let p50 = found.iter().find(|(known, _)| known == "P50").unwrap().1;
    let p95 = found.iter().find(|(known, _)| known == "P95").unwrap().1;
    let p99 = found.iter().find(|(known, _)| known == "P99").unwrap().1;
    assert!(p50 >= 19.0 && p95 >= 295.0 && p99 >= 1180.0, "{found:?}");

    // Nothing is named by a request.
    for name in ["other-route", "other_route", "nowhere"] {
        let ours = text.lines().filter(|line| line.contains("trace_headers"));
        assert!(ours.into_iter().all(|line| !line.contains(name)), "{name}");
    }
}

/// What a cache or a breaker answers at once would make a slow upstream look fast.
#[tokio::test(flavor = "multi_thread")]
async fn what_went_to_no_upstream_is_not_its_latency() {
    let kept = |_: &Seen| Reply::ok("x").header("cache-control", "max-age=600");
    let upstream = Upstream::serving(kept).await;
    let latency = json!({"latency": {"routes": ["shop"], "upstreams": ["upstream"]}});
    let breaker = json!({"failure_threshold": 2, "open_for": "1h"});
    let envoy = Envoy::to(&upstream)
        .bootstrap("stats_flush_interval", json!("0.500s"))
        .all_filters_with(&[("trace-headers", latency), ("circuit-breaker", breaker)])
        .route(Route::prefix("/").named("shop"))
        .start()
        .await;
    for _ in 0..4 {
        assert_eq!(envoy.get("/kept").await.status, 200);
    }
    assert_eq!(upstream.hits(), 1, "three are hits");
    // Two that nobody accepts, and two that the breaker refuses.
    upstream.refuse().await;
    for _ in 0..4 {
        let answer = envoy.get_with("/", &[("cache-control", "no-store")]);
        assert_eq!(answer.await.status, 503);
    }
    let expected = [
        ("route_shop", 8),
        ("upstream_upstream", 3),
        ("upstream_other", 5),
    ];
    counted(&envoy, &expected).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_shipped_buckets_and_labels_reach_prometheus() {
    let upstream = Upstream::serving(delayed).await;
    let envoy = Shipped::new("envoy/envoy.yaml")
        .port(8081, upstream.address)
        .port(8082, upstream.address)
        .port(10001, seawall_tests::envoy::free_address())
        .start(2)
        .await;
    let path = |n: usize| {
        let tenant = ("x-tenant-id".to_owned(), format!("tenant-{n}"));
        (format!("/orders/{n}"), vec![tenant])
    };
    let answers = burst(envoy.address, 100, 10, path).await;
    assert!(answers.iter().all(|answer| answer.status == 200));
    let text = eventually("the histograms are told", || async {
        let text = envoy.prometheus().await;
        let told = |line: &str| line.contains("duration_ms_count{seawall_route=\"orders\"} 100");
        text.lines().any(told).then_some(text)
    })
    .await;
    let bucket = |label: &str, le: &str| -> u64 {
        let name = format!("seawall_trace_headers_duration_ms_bucket{{{label},le=\"{le}\"}} ");
        let line = text.lines().find(|line| line.contains(&name));
        let line = line.unwrap_or_else(|| panic!("{name} in {text}"));
        line.rsplit(' ').next().unwrap().parse().unwrap()
    };
    for label in ["seawall_route=\"orders\"", "seawall_upstream=\"orders\""] {
        // Below the shortest delay there is nothing; at the longest buckets everything.
        assert_eq!(bucket(label, "10"), 0);
        assert!(bucket(label, "200") <= 93);
        assert!(bucket(label, "1000") <= 98);
        assert_eq!(bucket(label, "60000"), 100);
    }
}

//! A flood of tenants, URLs and trace ids, nearly all of them new, through all four filters: after the warm-up memory is flat, and
//! there is no metric, log line or request in flight more than before.
//!
//! `make soak` runs the same with a million requests (`SOAK_REQUESTS`).

use seawall_tests::client::burst;
use seawall_tests::prelude::*;
use std::time::Instant;

const REQUESTS: usize = 24_000;
/// What the process may grow by in the second half: allocators are never quite still.
const MOST_GROWTH: u64 = 12 << 20;

/// Everything that is bounded has a small bound, so that the warm-up reaches it.
fn chain(upstream: &Upstream) -> EnvoyBuilder {
    let limits = json!({"max_keys": 4_096, "limits": [
        {"name": "tenant", "key": [{"header": "x-tenant-id"}], "requests": 1_000, "per": "1h", "burst": 5},
        {"name": "address", "key": [{"header": "x-tenant-id"}, "path"], "requests": 2, "per": "1s"},
        {"name": "places", "key": [{"header": "x-tenant-id"}], "concurrent": 8}]});
    let breaker = json!({"key": ["cluster", {"header": "x-tenant-id"}], "max_keys": 1_024});
    let cache = json!({"max_bytes": "4MiB", "worker_memory": "1MiB", "admission": false});
    let trace = json!({"sampling": {"mode": "always"}, "spans": {"cluster": "nowhere", "interval": "200ms", "max_spans": 256}});
    Envoy::to(upstream)
        .all_filters_with(&[
            ("trace-headers", trace),
            ("rate-limit", limits),
            ("response-cache", cache),
            ("circuit-breaker", breaker),
        ])
        .cluster(
            "nowhere",
            "127.0.0.1:1".parse().expect("an address"),
            json!({}),
        )
}

/// A number that looks random and is the same in every run.
fn mixed(number: usize) -> u64 {
    let mut x = number as u64 ^ 0x9e37_79b9_7f4a_7c15;
    for _ in 0..3 {
        x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        x ^= x >> 27;
    }
    x
}

/// Requests from `from` on: one in eight is of the few who are always there, the rest comes once.
async fn flood(envoy: &Envoy, from: usize, count: usize) -> Vec<Answer> {
    burst(envoy.address, count, 16, move |number| {
        let id = mixed(from + number);
        let (tenant, path) = match number % 8 {
            0 => (format!("regular-{}", id % 20), format!("/hot/{}", id % 50)),
            _ => (format!("tenant-{id:x}"), format!("/flood/{id:x}?q={id}")),
        };
        let trace = format!("00-{id:016x}{:016x}-{:016x}-01", !id, id | 1);
        let headers = vec![
            ("x-tenant-id".to_owned(), tenant),
            ("traceparent".to_owned(), trace),
            ("x-request-id".to_owned(), format!("{id:x}\"<script>")),
            ("baggage".to_owned(), format!("k{id:x}=v")),
        ];
        (path, headers)
    })
    .await
}

async fn names(envoy: &Envoy) -> usize {
    let text = envoy.admin("/stats?filter=seawall").await;
    text.lines().count()
}

#[tokio::test(flavor = "multi_thread")]
async fn memory_metrics_and_log_are_flat_after_the_warm_up() {
    let requests = std::env::var("SOAK_REQUESTS")
        .ok()
        .map_or(REQUESTS, |number| {
            number.parse().expect("SOAK_REQUESTS is a number")
        });
    let upstream = Upstream::serving(|seen| {
        let reply = Reply::ok("x".repeat(600)).header("cache-control", "max-age=60");
        match seen.number % 50 {
            7 => Reply::status(503),
            11 => Reply::Close,
            _ => reply,
        }
    })
    .await;
    let envoy = chain(&upstream).start().await;
    let begun = Instant::now();
    // Parts, so that neither the client nor the upstream keeps much.
    let part = 4_000.min(requests / 4);
    let parts = (requests / part).max(4);
    let (mut memory, mut counts) = (Vec::new(), std::collections::BTreeMap::new());
    let (mut names_then, mut lines_then) = (0, 0);
    for number in 0..parts {
        for answer in flood(&envoy, number * part, part).await {
            *counts.entry(answer.status).or_insert(0usize) += 1;
        }
        upstream.forget();
        memory.push(envoy.memory());
        if number + 1 == parts / 2 {
            (names_then, lines_then) = (names(&envoy).await, envoy.log().lines().count());
        }
    }
    let (names_now, lines_now) = (names(&envoy).await, envoy.log().lines().count());
    let mib: Vec<u64> = memory.iter().map(|bytes| bytes >> 20).collect();
    println!(
        "{} requests in {:?}: {counts:?}; MiB after each {part}: {mib:?}; {names_now} metrics; {lines_now} log lines",
        parts * part,
        begun.elapsed()
    );
    assert!(
        counts
            .keys()
            .all(|status| [200, 429, 502, 503].contains(status)),
        "{counts:?}"
    );
    let growth = memory[parts - 1].saturating_sub(memory[parts / 2 - 1]);
    assert!(
        growth < MOST_GROWTH,
        "grew by {growth} bytes in the second half: {mib:?}"
    );
    assert_eq!(
        names_now, names_then,
        "metrics were made from what clients sent"
    );
    // A line a minute and kind is allowed; a line per request would be thousands.
    assert!(
        lines_now - lines_then < 40,
        "{lines_then} lines, and then {lines_now}"
    );
    eventually("nothing is in flight", || async {
        (envoy.stat("http.ingress.downstream_rq_active").await == 0).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_waits_for_one_flight_is_let_go_and_leaves_nothing() {
    const WAITING: usize = 600;
    let upstream = Upstream::start().await;
    let envoy = Envoy::to(&upstream)
        .filter(
            "response-cache",
            json!({"coalesce": {"wait": "20s", "lease": "20s"}}),
        )
        .start()
        .await;
    let mut grown = Vec::new();
    let before = envoy.memory();
    for round in 0..3 {
        let path = format!("/hot/{round}");
        let gate = Gate::new();
        let fresh = Reply::ok("hot").header("cache-control", "max-age=600");
        upstream.always(fresh.gated(&gate));
        let client = Client::http2(envoy.address);
        let requests = (0..WAITING).map(|_| client.get(&path));
        let (answers, ()) = tokio::join!(futures_util::future::join_all(requests), async {
            eventually("all are there", || async {
                let active = envoy.stat("http.ingress.downstream_rq_active").await;
                (active >= 100).then_some(())
            })
            .await;
            gate.open();
        });
        let odd = answers.iter().find(|answer| answer.text() != "hot");
        assert!(odd.is_none(), "round {round}: {odd:?}");
        grown.push(envoy.memory().saturating_sub(before) >> 20);
    }
    assert!(
        upstream.hits() < 3 * WAITING / 4,
        "{} of {} went to the origin",
        upstream.hits(),
        3 * WAITING
    );
    assert!(grown[2] < 64, "MiB after each round: {grown:?}");
    eventually("nothing is in flight", || async {
        (envoy.stat("http.ingress.downstream_rq_active").await == 0).then_some(())
    })
    .await;
}

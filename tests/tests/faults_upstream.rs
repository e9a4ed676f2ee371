//! An upstream that fails in every way, behind all four filters. Beside each fault: what must hold while it lasts. Afterwards,
//! always: the service comes back by itself, no VM has failed, and nothing is left in flight.

use seawall_tests::client::burst;
use seawall_tests::prelude::*;
use std::sync::atomic::Ordering;

/// Requests that a tenant may have at once.
const PLACES: usize = 40;

/// The chain with a breaker that opens soon and recovers soon. No request takes too long, unless this is what it is about.
fn chain(upstream: &Upstream) -> EnvoyBuilder {
    timed(upstream, "0s")
}

/// The same with a route timeout; `/all` has none.
fn timed(upstream: &Upstream, timeout: &str) -> EnvoyBuilder {
    let limit = json!({"limits": [
        {"name": "places", "key": [{"header": "x-tenant-id"}], "concurrent": PLACES, "lease": "1h"}]});
    let breaker = json!({"failure_threshold": 5, "open_for": "200ms", "max_open_for": "1s"});
    Envoy::to(upstream)
        .all_filters_with(&[("rate-limit", limit), ("circuit-breaker", breaker)])
        .route(Route::prefix("/all").timeout("0s"))
        .route(Route::prefix("/").timeout(timeout))
}

async fn load(envoy: &Envoy, count: usize) -> Vec<Answer> {
    burst(envoy.address, count, 16, |number| {
        let tenant = vec![("x-tenant-id".to_owned(), format!("t{}", number % 7))];
        (format!("/{number}"), tenant)
    })
    .await
}

fn statuses(answers: &[Answer]) -> std::collections::BTreeMap<u16, usize> {
    let mut counts = std::collections::BTreeMap::new();
    for answer in answers {
        *counts.entry(answer.status).or_default() += 1;
    }
    counts
}

/// What always holds afterwards.
async fn recovers(envoy: &Envoy, upstream: &Upstream) {
    upstream.always(Reply::ok("well"));
    // Closed, not half-open: several in a row pass.
    let row = std::sync::atomic::AtomicUsize::new(0);
    eventually("the service is back", || async {
        let answer = envoy.get_with("/all/back", &[("x-tenant-id", "t1")]).await;
        let well = answer.status == 200 && answer.text() == "well";
        let passed = row.fetch_add(1, Ordering::SeqCst) + 1;
        row.store(if well { passed } else { 0 }, Ordering::SeqCst);
        (well && passed >= 5).then_some(())
    })
    .await;
    eventually("nothing is in flight", || async {
        let stats = envoy.stats().await;
        let busy = [
            "http.ingress.downstream_rq_active",
            "cluster.upstream.upstream_rq_active",
        ]
        .iter()
        .map(|name| stats.get(*name).copied().unwrap_or_default())
        .sum::<u64>();
        (busy == 0).then_some(())
    })
    .await;
    // Every place is free again, and the breaker has let the traffic in step by step: as many at once as there are places.
    upstream.always(Reply::ok("x").after(Duration::from_millis(100)));
    eventually("all places are free and all pass", || async {
        let answers = burst(envoy.address, PLACES, PLACES, |number| {
            let tenant = vec![("x-tenant-id".to_owned(), "t1".to_owned())];
            (format!("/all/{number}"), tenant)
        })
        .await;
        (statuses(&answers) == [(200, PLACES)].into()).then_some(())
    })
    .await;
    healthy(envoy);
}

fn healthy(envoy: &Envoy) {
    let log = envoy.log();
    for word in [
        "panicked",
        "unreachable",
        "wasm_fail",
        "Function: proxy_on",
        "critical",
    ] {
        let line = log
            .lines()
            .find(|line| line.contains(word) && line.contains("wasm"));
        assert!(line.is_none(), "a VM failed: {line:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_every_answer_is_a_200_or_a_503_and_refusals_are_fast() {
    let upstream = Upstream::start().await;
    let envoy = chain(&upstream).start().await;
    assert_eq!(statuses(&load(&envoy, 100).await), [(200, 100)].into());
    let (answers, ()) = tokio::join!(load(&envoy, 3_000), async {
        upstream.wait_for_hits(300).await;
        upstream.refuse().await;
    });
    let counts = statuses(&answers);
    // A connection that dies with its request is Envoy's 503, a refused one as well, and so is the breaker's.
    assert!(
        counts.keys().all(|status| [200, 503].contains(status)),
        "{counts:?}"
    );
    assert!(counts[&503] > 0, "{counts:?}");
    let refused = answers
        .iter()
        .filter(|a| a.header("retry-after").is_some())
        .count();
    assert!(refused > 0, "the breaker never opened");
    assert!(
        answers.iter().all(|a| a.header("x-request-id").is_some()),
        "an id is missing"
    );
    upstream.revive();
    recovers(&envoy, &upstream).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn hanging_every_request_ends_within_the_route_timeout() {
    let upstream = Upstream::serving(|_| Reply::Hang).await;
    let envoy = timed(&upstream, "0.3s").start().await;
    let counts = statuses(&load(&envoy, 300).await);
    assert!(
        counts.keys().all(|status| [503, 504].contains(status)),
        "{counts:?}"
    );
    // The breaker spares the upstream most of them.
    assert!(
        upstream.hits() < 150,
        "{} requests reached it",
        upstream.hits()
    );
    recovers(&envoy, &upstream).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn resetting_or_closing_every_answer_is_a_503() {
    for fault in [Reply::Reset, Reply::Close] {
        let upstream = Upstream::serving(move |_| fault.clone()).await;
        let envoy = chain(&upstream).start().await;
        let counts = statuses(&load(&envoy, 300).await);
        assert_eq!(counts.keys().collect::<Vec<_>>(), [&503], "{counts:?}");
        recovers(&envoy, &upstream).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn cut_short_no_answer_that_ended_early_is_ever_served_again() {
    let upstream = Upstream::serving(|_| {
        Reply::ok("the first half")
            .header("cache-control", "max-age=600")
            .cut_short()
    })
    .await;
    let envoy = chain(&upstream).start().await;
    let client = Client::fresh(envoy.address);
    for _ in 0..20 {
        let answer = client.get("/cut").await;
        assert!(
            !answer.whole || answer.status == 503,
            "served as whole: {answer:?}"
        );
    }
    upstream.always(Reply::ok("whole").header("cache-control", "max-age=600"));
    eventually("the whole answer comes", || async {
        let answer = client.get("/cut").await;
        (answer.status == 200 && answer.whole && answer.text() == "whole").then_some(())
    })
    .await;
    recovers(&envoy, &upstream).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn flapping_every_answer_is_its_own_and_the_breaker_follows() {
    let upstream = Upstream::serving(|seen| match (seen.number / 40) % 2 {
        0 => Reply::ok(seen.path.clone()),
        _ => [Reply::status(500), Reply::Reset, Reply::Close][seen.number % 3].clone(),
    })
    .await;
    let envoy = chain(&upstream).start().await;
    let answers = load(&envoy, 3_000).await;
    let counts = statuses(&answers);
    assert!(
        counts.keys().all(|status| [200, 500, 503].contains(status)),
        "{counts:?}"
    );
    for (number, answer) in order(3_000).zip(&answers) {
        if answer.status == 200 {
            assert_eq!(
                answer.text(),
                format!("/{number}"),
                "somebody else's answer"
            );
        }
    }
    recovers(&envoy, &upstream).await;
}

/// The numbers of requests in the order in which a burst of 16 lanes returns them.
fn order(count: usize) -> impl Iterator<Item = usize> {
    (0..16).flat_map(move |lane| (lane..count).step_by(16))
}

#[tokio::test(flavor = "multi_thread")]
async fn slow_at_random_every_answer_is_whole_or_a_timeout() {
    let upstream = Upstream::serving(|seen| {
        // From nothing to a bit more than the route's timeout.
        let wait = Duration::from_millis((seen.number as u64 * 7_919) % 330);
        Reply::ok(seen.path.clone()).chunk("!").after(wait)
    })
    .await;
    let envoy = timed(&upstream, "0.3s").start().await;
    let answers = load(&envoy, 600).await;
    let counts = statuses(&answers);
    assert!(
        counts.keys().all(|status| [200, 503, 504].contains(status)),
        "{counts:?}"
    );
    for (number, answer) in order(600).zip(&answers).filter(|(_, a)| a.status == 200) {
        assert_eq!((answer.text(), answer.whole), (format!("/{number}!"), true));
    }
    recovers(&envoy, &upstream).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_collector_that_is_dead_slow_or_mad_costs_no_request() {
    let upstream = Upstream::start().await;
    let collector = Upstream::start().await;
    let spans = json!({"sampling": {"mode": "always"}, "spans": {
        "cluster": "collector", "interval": "100ms", "timeout": "200ms", "max_spans": 64}});
    let envoy = Envoy::to(&upstream)
        .all_filters_with(&[("trace-headers", spans)])
        .cluster("collector", collector.address, json!({}))
        .start()
        .await;
    let faults: [(&str, Reply); 7] = [
        ("well", Reply::ok("{}")),
        ("refusing", Reply::status(503)),
        (
            "mad",
            Reply::ok(vec![0xff; 100_000]).header("content-type", "\u{fc}"),
        ),
        ("hanging", Reply::Hang),
        ("resetting", Reply::Reset),
        ("slow", Reply::ok("{}").after(Duration::from_millis(150))),
        ("cut short", Reply::ok("{").cut_short()),
    ];
    for (about, fault) in faults {
        collector.always(fault);
        let asked = collector.hits();
        eventually("the collector is asked", || async {
            let counts = statuses(&load(&envoy, 500).await);
            assert_eq!(counts, [(200, 500)].into(), "{about}");
            (collector.hits() > asked).then_some(())
        })
        .await;
    }
    let dropped = "wasmcustom.seawall.trace_headers.spans_dropped";
    assert!(envoy.wait_for_stat(dropped, 1).await > 0);
    collector.refuse().await;
    let before = envoy.memory();
    for _ in 0..4 {
        assert_eq!(
            statuses(&load(&envoy, 1_000).await),
            [(200, 1_000)].into(),
            "dead"
        );
    }
    let grown = envoy.memory().saturating_sub(before);
    println!("Envoy grew by {} KiB", grown >> 10);
    assert!(
        grown < 16 << 20,
        "spans for a dead collector took {grown} bytes"
    );
    collector.revive();
    collector.always(Reply::ok("{}"));
    let sent = "wasmcustom.seawall.trace_headers.spans_sent";
    let before = envoy.stat(sent).await;
    // Some may take longer than the time limit on a slow machine.
    eventually("spans are sent again", || async {
        load(&envoy, 100).await;
        (envoy.stat(sent).await > before).then_some(())
    })
    .await;
    healthy(&envoy);
}

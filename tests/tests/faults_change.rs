//! Change under load: listener updates every second, draining, hot restart. No request fails, and limits stay exact.

use seawall_tests::client::burst;
use seawall_tests::prelude::*;
use std::sync::atomic::{AtomicBool, Ordering};

const LIMIT: usize = 5_000;

fn chain(upstream: &Upstream, generation: usize) -> EnvoyBuilder {
    let limits = json!({
        "limits": [{"name": "tenant", "key": [{"header": "x-tenant-id"}], "requests": LIMIT, "per": "1d"}],
        "answer": {"body": format!("refused by generation {generation}\n")},
    });
    Envoy::to(upstream)
        .dynamic()
        .all_filters_with(&[("rate-limit", limits)])
        .route(Route::prefix("/").named(&format!("generation-{generation}")))
}

/// Loads until `stop`; every answer's status and body.
async fn load_until(envoy: std::net::SocketAddr, stop: &AtomicBool) -> Vec<Answer> {
    let mut answers = Vec::new();
    while !stop.load(Ordering::SeqCst) {
        answers.extend(
            burst(envoy, 200, 8, |number| {
                let tenant = vec![("x-tenant-id".to_owned(), "acme".to_owned())];
                (format!("/{number}"), tenant)
            })
            .await,
        );
    }
    answers
}

fn count(answers: &[Answer], status: u16) -> usize {
    answers
        .iter()
        .filter(|answer| answer.status == status)
        .count()
}

#[tokio::test(flavor = "multi_thread")]
async fn listener_updates_every_second_fail_no_request_and_forget_no_count() {
    let upstream = Upstream::start().await;
    let envoy = chain(&upstream, 0).start().await;
    let stop = AtomicBool::new(false);
    let (answers, ()) = tokio::join!(load_until(envoy.address, &stop), async {
        let mut every = tokio::time::interval(Duration::from_secs(1));
        for generation in 1..=10 {
            every.tick().await;
            envoy.swap_listener(&chain(&upstream, generation)).await;
        }
        // Once the load has used up the limit, the last generation must be the one that refuses.
        let refused = "wasmcustom.seawall.rate_limit.limit.tenant.refused";
        envoy.wait_for_stat(refused, 1).await;
        eventually("the last generation refuses", || async {
            let answer = Client::fresh(envoy.address)
                .get_with("/", &[("x-tenant-id", "acme")])
                .await;
            (answer.status == 429 && answer.text().contains("generation 10")).then_some(())
        })
        .await;
        stop.store(true, Ordering::SeqCst);
    });
    let failed: Vec<_> = answers
        .iter()
        .filter(|a| ![200, 429].contains(&a.status))
        .collect();
    assert!(
        failed.is_empty(),
        "{} of {} failed: {failed:?}",
        failed.len(),
        answers.len()
    );
    assert!(answers.iter().all(|answer| answer.whole));
    assert_eq!(upstream.hits(), LIMIT, "of {} requests", answers.len());
    assert!(answers.len() > LIMIT, "too few requests to show anything");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_listener_that_drains_fails_no_request() {
    let upstream = Upstream::serving(|_| Reply::ok("x").after(Duration::from_millis(50))).await;
    let envoy = Envoy::to(&upstream).all_filters().start().await;
    let client = envoy.client();
    let paths: Vec<String> = (0..60).map(|number| format!("/{number}")).collect();
    let requests = paths.iter().map(|path| client.get(path));
    let (answers, ()) = tokio::join!(futures_util::future::join_all(requests), async {
        upstream.wait_for_hits(1).await;
        envoy.admin_post("/drain_listeners?graceful").await;
    });
    assert_eq!(count(&answers, 200), 60);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hot_restart_fails_no_request_and_every_filter_works_on() {
    let upstream = Upstream::serving(|seen| {
        Reply::ok(seen.path.clone()).header("cache-control", "max-age=600")
    })
    .await;
    let mut envoy = Envoy::to(&upstream).all_filters().start().await;
    let (address, stop) = (envoy.address, AtomicBool::new(false));
    let (answers, envoy) = tokio::join!(load_until(address, &stop), async {
        upstream.wait_for_hits(100).await;
        envoy.hot_restart().await;
        stop.store(true, Ordering::SeqCst);
        envoy
    });
    assert_eq!(count(&answers, 200), answers.len(), "of {}", answers.len());
    assert!(answers
        .iter()
        .all(|answer| answer.whole && answer.header("x-request-id").is_some()));
    // What is shared is shared within a process: the new one begins anew, and works.
    let hits = upstream.hits();
    for _ in 0..5 {
        assert_eq!(envoy.get("/after").await.text(), "/after");
    }
    assert_eq!(upstream.hits(), hits + 1, "stored once, served four times");
}

//! response-cache over all workers: one request per key goes to the origin, and what it brings is served everywhere.

use seawall_tests::envoy::EnvoyBuilder;
use seawall_tests::prelude::*;
use std::sync::atomic::{AtomicUsize, Ordering};

fn cacheable(body: &str, seconds: u32) -> Reply {
    Reply::ok(body).header("cache-control", &format!("max-age={seconds}"))
}

/// Nobody is given up, by whomever: a machine that stands still for some seconds must not count as a leader that is dead, as an
/// origin that takes too long, or as a key whose answers are shared again.
fn patient(upstream: &Upstream, wait: &str) -> EnvoyBuilder {
    let coalesce = json!({"wait": wait, "lease": "1h", "uncacheable_for": "1h"});
    Envoy::to(upstream)
        .filter("response-cache", json!({"coalesce": coalesce}))
        .route(Route::prefix("/").timeout("0s"))
}

/// The first request hangs, all others are answered.
async fn hanging_once() -> Upstream {
    let count = AtomicUsize::new(0);
    Upstream::serving(move |_| {
        if count.fetch_add(1, Ordering::SeqCst) == 0 {
            Reply::Hang
        } else {
            cacheable("second", 600)
        }
    })
    .await
}

/// A client whose request has come to the upstream.
async fn leading(envoy: &Envoy, upstream: &Upstream) -> tokio::task::JoinHandle<Answer> {
    let client = Client::fresh(envoy.address);
    let leader = tokio::spawn(async move { client.get("/").await });
    upstream.wait_for_hits(1).await;
    leader
}

#[tokio::test(flavor = "multi_thread")]
async fn five_hundred_requests_for_a_cold_key_make_one_request_to_the_origin() {
    let gate = Gate::new();
    let held = gate.clone();
    let upstream = Upstream::serving(move |_| cacheable("one", 600).gated(&held)).await;
    let envoy = patient(&upstream, "1h").start().await;
    let (answers, ()) = tokio::join!(envoy.burst("/hot", 500, 500), async {
        // Everybody but the leader waits before the origin answers.
        envoy
            .wait_for_stat("wasmcustom.seawall.response_cache.coalesced", 499)
            .await;
        gate.open();
    });
    assert_eq!(answers.len(), 500);
    for answer in &answers {
        assert_eq!((answer.status, answer.text().as_str()), (200, "one"));
    }
    assert_eq!(upstream.hits(), 1);
    let collapsed = answers
        .iter()
        .filter(|answer| answer.header("cache-status").unwrap().contains("collapsed"))
        .count();
    assert_eq!(collapsed, 499);
}

/// Each with a copy that is still right, as browsers ask after the proxy has started anew.
#[tokio::test(flavor = "multi_thread")]
async fn conditional_requests_for_a_cold_key_make_one_request_to_the_origin() {
    let gate = Gate::new();
    let held = gate.clone();
    let upstream = Upstream::serving(move |request| {
        let reply = match request.header("if-none-match") {
            Some(_) => Reply::status(304),
            None => cacheable("whole", 600),
        };
        reply.header("etag", "\"a\"").gated(&held)
    })
    .await;
    let envoy = patient(&upstream, "1h").start().await;
    let clients = (0..200).map(|_| {
        let client = Client::fresh(envoy.address);
        tokio::spawn(async move { client.get_with("/hot", &[("if-none-match", "\"a\"")]).await })
    });
    let clients: Vec<_> = clients.collect();
    envoy
        .wait_for_stat("wasmcustom.seawall.response_cache.coalesced", 199)
        .await;
    gate.open();
    let mut whole = 0;
    for client in clients {
        let answer = client.await.unwrap();
        match answer.status {
            200 => {
                assert_eq!(answer.text(), "whole");
                whole += 1;
            }
            status => assert_eq!((status, answer.text().as_str()), (304, "")),
        }
        assert_eq!(answer.header("etag"), Some("\"a\""));
    }
    assert_eq!((upstream.hits(), whole), (1, 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn every_worker_serves_what_one_has_stored() {
    let upstream = Upstream::serving(|_| cacheable("stored", 600).header("x-a", "1")).await;
    let envoy = Envoy::to(&upstream)
        .filter("response-cache", json!({}))
        .start()
        .await;
    assert_eq!(
        envoy.get("/x").await.header("cache-status"),
        Some("seawall; fwd=uri-miss; fwd-status=200; stored")
    );
    for _ in 0..100 {
        let answer = envoy.get_fresh("/x").await;
        assert_eq!((answer.status, answer.text().as_str()), (200, "stored"));
        assert_eq!(answer.header("x-a"), Some("1"));
        assert!(answer.header("age").is_some());
        assert!(answer
            .header("cache-status")
            .unwrap()
            .starts_with("seawall; hit; ttl="));
    }
    assert_eq!(upstream.hits(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn answers_that_are_not_shared_release_who_waits_and_are_remembered() {
    let gate = Gate::new();
    let held = gate.clone();
    let upstream = Upstream::serving(move |_| {
        Reply::ok("mine")
            .header("cache-control", "private")
            .gated(&held)
    })
    .await;
    let envoy = patient(&upstream, "1h").start().await;
    let (answers, ()) = tokio::join!(envoy.burst("/", 20, 20), async {
        envoy
            .wait_for_stat("wasmcustom.seawall.response_cache.coalesced", 19)
            .await;
        gate.open();
    });
    assert!(answers.iter().all(|answer| answer.text() == "mine"));
    assert_eq!(upstream.hits(), 20);
    // Remembered: the next ones are all at the origin at once.
    let gate = Gate::new();
    let held = gate.clone();
    upstream.behave(move |_| {
        Reply::ok("mine")
            .header("cache-control", "private")
            .gated(&held)
    });
    tokio::join!(envoy.burst("/", 20, 20), async {
        upstream.wait_for_in_flight(20).await;
        gate.open();
    });
}

#[tokio::test(flavor = "multi_thread")]
async fn an_origin_that_breaks_off_releases_all_who_wait_at_once() {
    let (first, others) = (Gate::new(), Gate::new());
    let held = first.clone();
    let upstream = Upstream::serving(move |_| {
        let reply = cacheable("the beginning", 60).cut_short();
        reply.gated(&held)
    })
    .await;
    let envoy = patient(&upstream, "1h").start().await;
    let (answers, ()) = tokio::join!(envoy.burst("/", 20, 20), async {
        envoy
            .wait_for_stat("wasmcustom.seawall.response_cache.coalesced", 19)
            .await;
        let held = others.clone();
        upstream.behave(move |_| cacheable("whole", 60).gated(&held));
        first.open();
        // One after the other, they would never all be there.
        upstream.wait_for_in_flight(19).await;
        others.open();
    });
    let whole = answers.iter().filter(|answer| answer.text() == "whole");
    assert_eq!(whole.count(), 19);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_leader_whose_client_leaves_hands_over() {
    let upstream = hanging_once().await;
    let envoy = patient(&upstream, "1h").start().await;
    let leader = leading(&envoy, &upstream).await;
    let (answers, ()) = tokio::join!(envoy.burst("/", 10, 10), async {
        envoy
            .wait_for_stat("wasmcustom.seawall.response_cache.coalesced", 10)
            .await;
        leader.abort();
    });
    assert!(answers.iter().all(|answer| answer.text() == "second"));
    assert_eq!(upstream.hits(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_origin_that_hangs_holds_others_no_longer_than_configured() {
    let upstream = hanging_once().await;
    let envoy = patient(&upstream, "300ms").start().await;
    let leader = leading(&envoy, &upstream).await;
    let answers = envoy.burst("/", 10, 10).await;
    assert!(answers.iter().all(|answer| answer.text() == "second"));
    assert!(
        envoy
            .stat("wasmcustom.seawall.response_cache.waits_timed_out")
            .await
            >= 1
    );
    leader.abort();
}

/// What one client is answered for how it asked; then many others ask for the same, in the usual way.
async fn others_are_one_request(asks: (&str, &str), answer: Reply) {
    let upstream = Upstream::serving(move |_| answer.clone()).await;
    let envoy = patient(&upstream, "1h").start().await;
    envoy.get_with("/hot", &[asks]).await;
    let gate = Gate::new();
    let held = gate.clone();
    upstream.behave(move |_| cacheable("for all", 600).gated(&held));
    let (answers, ()) = tokio::join!(envoy.burst("/hot", 50, 50), async {
        envoy
            .wait_for_stat("wasmcustom.seawall.response_cache.coalesced", 49)
            .await;
        gate.open();
    });
    assert!(answers.iter().all(|answer| answer.text() == "for all"));
    assert_eq!(upstream.hits(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_has_credentials_does_not_open_the_key_to_all() {
    let answer = cacheable("for one", 600);
    others_are_one_request(("authorization", "Bearer x"), answer).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_asks_in_a_way_that_is_refused_does_not_open_the_key_to_all() {
    others_are_one_request(("x-strange", "y"), Reply::status(400)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_origin_that_answers_at_once_is_asked_once_by_those_who_just_came_too_late() {
    let upstream = Upstream::serving(|_| cacheable("one", 600)).await;
    let envoy = patient(&upstream, "1h").workers(4).start().await;
    // Some look for it just before it is stored, and could lead just after.
    for round in 0..100 {
        let path = format!("/{round}");
        let answers = envoy.burst(&path, 40, 40).await;
        assert!(answers.iter().all(|answer| answer.text() == "one"));
        assert_eq!(upstream.hits_of(&path), 1, "{path}");
    }
}

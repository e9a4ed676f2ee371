//! More requests than are woken at once wait in one worker, and what they wait for never comes: one of them fetches it then, or
//! the stale copy stands in, and the worker goes on serving.

use seawall_tests::envoy::EnvoyBuilder;
use seawall_tests::prelude::*;

const CROWD: usize = 200;
const SECRET: (&str, &str) = ("x-purge", "let-me-in");
const COALESCED: &str = "wasmcustom.seawall.response_cache.coalesced";

/// Nobody is given up by the clock.
fn patient(upstream: &Upstream, workers: u32) -> EnvoyBuilder {
    let coalesce = json!({"wait": "1h", "lease": "1h", "uncacheable_for": "1h"});
    let purge = json!({"secret_header": SECRET.0, "secret": SECRET.1});
    Envoy::to(upstream)
        .filter(
            "response-cache",
            json!({"coalesce": coalesce, "purge": purge, "refresh": {"algorithm": "off"}}),
        )
        .route(Route::prefix("/").timeout("0s"))
        .workers(workers)
}

fn fresh(body: &str) -> Reply {
    Reply::ok(body).header("cache-control", "max-age=600")
}

#[tokio::test(flavor = "multi_thread")]
async fn when_the_leader_leaves_one_of_them_fetches_it_for_all() {
    for (workers, more) in [
        (1, &[][..]),
        (4, &[]),
        // Envoy has answered this one itself, in between.
        (1, &[("expect", "100-continue")]),
    ] {
        let upstream = Upstream::serving(|_| Reply::Hang).await;
        let envoy = patient(&upstream, workers).start().await;
        let client = Client::fresh(envoy.address);
        let leader = tokio::spawn(async move { client.get_with("/", more).await });
        upstream.wait_for_hits(1).await;
        let (answers, ()) = tokio::join!(envoy.burst("/", CROWD, CROWD), async {
            envoy.wait_for_stat(COALESCED, CROWD as u64).await;
            upstream.always(fresh("second"));
            leader.abort();
        });
        assert!(answers.iter().all(|answer| answer.text() == "second"));
        assert_eq!(upstream.hits(), 2, "{workers} workers, {more:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn when_it_is_invalidated_on_its_way_one_of_them_fetches_it_anew() {
    for unsafe_method in ["POST", "PURGE"] {
        let gate = Gate::new();
        let held = gate.clone();
        let upstream = Upstream::serving(move |_| fresh("old").gated(&held)).await;
        let envoy = patient(&upstream, 1).start().await;
        let client = Client::fresh(envoy.address);
        let leader = tokio::spawn(async move { client.get("/").await });
        upstream.wait_for_hits(1).await;
        let (answers, ()) = tokio::join!(envoy.burst("/", CROWD, CROWD), async {
            envoy.wait_for_stat(COALESCED, CROWD as u64).await;
            upstream.always(fresh("new"));
            let changed = envoy.send(unsafe_method, "/", &[SECRET], b"").await;
            assert_eq!(changed.status, 200);
            gate.open();
        });
        assert_eq!(leader.await.unwrap().text(), "old");
        assert!(answers.iter().all(|answer| answer.text() == "new"));
        let asked = if unsafe_method == "POST" { 3 } else { 2 };
        assert_eq!(upstream.hits(), asked, "{unsafe_method}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn when_the_origin_fails_all_get_the_stale_copy_and_it_is_asked_once() {
    for workers in [1, 4] {
        let upstream = Upstream::serving(|_| {
            Reply::ok("old").header("cache-control", "max-age=600, stale-if-error=600")
        })
        .await;
        let envoy = patient(&upstream, workers).start().await;
        assert_eq!(envoy.get("/").await.text(), "old");
        let soft = [SECRET, ("seawall-purge-mode", "soft")];
        assert_eq!(envoy.send("PURGE", "/", &soft, b"").await.status, 200);
        let gate = Gate::new();
        let held = gate.clone();
        upstream.behave(move |_| Reply::status(503).gated(&held));
        let (answers, ()) = tokio::join!(envoy.burst("/", CROWD, CROWD), async {
            envoy.wait_for_stat(COALESCED, CROWD as u64 - 1).await;
            gate.open();
        });
        for answer in &answers {
            assert_eq!((answer.status, answer.text().as_str()), (200, "old"));
            let status = answer.header("cache-status").unwrap();
            assert!(status.ends_with("detail=stale-if-error"), "{status}");
        }
        assert_eq!(upstream.hits(), 2, "{workers} workers");
        envoy
            .wait_for_stat(
                "wasmcustom.seawall.response_cache.stale.if_error_coalesced",
                CROWD as u64 - 1,
            )
            .await;
    }
}

//! rate-limit in a real Envoy with several workers: a limit that is enforced for a share of requests, and places of requests
//! whose worker's VM died.

use seawall_tests::envoy::{trapping_module, wasm_filter};
use seawall_tests::prelude::*;

fn metric(limit: &str, what: &str) -> String {
    format!("wasmcustom.seawall.rate_limit.limit.{limit}.{what}")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_share_of_what_is_too_much_is_refused_and_all_of_it_is_counted() {
    const ASKED: usize = 2_010;
    const TOO_MUCH: u64 = 2_000;
    for (percent, least, most) in [(0, 0, 0), (50, 850, 1_150), (100, 2_000, 2_000)] {
        let upstream = Upstream::start().await;
        let limits = json!({"limits": [
            {"name": "a", "requests": 10, "per": "1d", "enforce_percent": percent}]});
        let envoy = Envoy::to(&upstream)
            .filter("rate-limit", limits)
            .start()
            .await;
        let answers = envoy.burst("/", ASKED, 32).await;
        let of = |status| answers.iter().filter(move |answer| answer.status == status);
        let (passed, refused) = (of(200).count(), of(429).count());
        assert_eq!(passed + refused, ASKED, "{percent}");
        assert_eq!(upstream.hits(), passed, "{percent}");
        // Half of 2,000 with a standard deviation of 22.
        assert!((least..=most).contains(&refused), "{percent}: {refused}");
        // A limit that refuses nobody is not there for clients.
        let told = of(200).filter(|answer| answer.header("ratelimit").is_some());
        assert!(percent > 0 || told.count() == 0);
        let stats = envoy.stats().await;
        let stat = |what| stats.get(&metric("a", what)).copied().unwrap_or_default();
        assert_eq!(stat("allowed"), 10, "{percent}");
        assert_eq!(stat("refused"), refused as u64, "{percent}");
        assert_eq!(
            stat("shadow_refused"),
            TOO_MUCH - refused as u64,
            "{percent}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_limit_that_only_watches_counts_what_a_penalty_would_refuse() {
    let upstream = Upstream::start().await;
    let envoy = Envoy::to(&upstream)
        .filter(
            "rate-limit",
            json!({"limits": [{
                "name": "a", "requests": 1000, "per": "1s", "burst": 1, "shadow": true,
                "penalty": {"refusals": 1, "within": "1m", "block_for": "1h"}
            }]}),
        )
        .start()
        .await;
    let stat = async |what: &str| envoy.stat(&metric("a", what)).await;
    // One of a burst would be refused, which would ban.
    while stat("shadow_refused").await == 0 {
        envoy.burst("/", 32, 8).await;
    }
    let allowed = stat("allowed").await;
    for _ in 0..20 {
        assert_eq!(envoy.get("/").await.status, 200);
    }
    assert_eq!(stat("allowed").await, allowed, "the ban would be in force");
}

#[tokio::test(flavor = "multi_thread")]
async fn places_of_a_dead_worker_are_free_again_after_their_lease() {
    let upstream = Upstream::start().await;
    let gate = Gate::new();
    let held = gate.clone();
    upstream.behave(move |seen| match seen.path.as_str() {
        "/held" => Reply::ok("held").gated(&held),
        _ => Reply::ok("x"),
    });
    let limits = json!({"limits": [{"name": "places", "concurrent": 2, "lease": "20s"}]});
    let module = trapping_module();
    let envoy = Envoy::to(&upstream)
        .native_filter(wasm_filter(
            "seawall.trap",
            &module,
            "seawall.trap",
            &limits,
        ))
        .start()
        .await;
    // One connection is one worker: the two places are held in the VM that dies.
    let client = Client::http2(envoy.address);
    assert_eq!(client.get("/first").await.status, 200);
    let holding: Vec<_> = (0..2)
        .map(|_| {
            let client = client.clone();
            tokio::spawn(async move { client.get("/held").await.status })
        })
        .collect();
    eventually("both are held", || async {
        (upstream.hits_of("/held") == 2).then_some(())
    })
    .await;
    for _ in 0..8 {
        assert_eq!(Client::fresh(envoy.address).get("/other").await.status, 429);
    }
    let _ = client.get_with("/trap", &[("x-trap", "request")]).await;
    envoy.wait_for_log("trapped on purpose").await;
    gate.open();
    for request in holding {
        within("a held request ends", request).await.unwrap();
    }
    // Both requests are over and nobody gave their places back: other workers find them taken, until the lease ends.
    let mut refused = 0;
    let begun = std::time::Instant::now();
    loop {
        match Client::fresh(envoy.address).get("/other").await.status {
            200 => break,
            429 => refused += 1,
            // The worker whose VM died, until it has a new one.
            _ => {}
        }
        assert!(
            begun.elapsed() < Duration::from_secs(60),
            "the places are not free again"
        );
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert!(refused > 0, "the places were given back by somebody");
    // There are two again, on whatever worker.
    let gate = Gate::new();
    let held = gate.clone();
    upstream.behave(move |seen| match seen.path.as_str() {
        "/again" => Reply::ok("held").gated(&held),
        _ => Reply::ok("x"),
    });
    let holding: Vec<_> = (0..2)
        .map(|_| {
            let client = Client::fresh(envoy.address);
            tokio::spawn(async move {
                // The worker whose VM died may still be without.
                let client = &client;
                eventually("a worker serves", || async move {
                    let status = client.get("/again").await.status;
                    (status == 200).then_some(())
                })
                .await;
            })
        })
        .collect();
    eventually("both are held", || async {
        (upstream.hits_of("/again") == 2).then_some(())
    })
    .await;
    let last = Client::fresh(envoy.address).get("/other").await.status;
    assert_ne!(last, 200);
    gate.open();
    for request in holding {
        within("a held request ends", request).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn clients_that_have_left_need_no_room_in_the_table() {
    let upstream = Upstream::start().await;
    let envoy = Envoy::to(&upstream)
        .filter(
            "rate-limit",
            json!({"max_keys": 16, "limits": [
                {"name": "places", "key": [{"header": "x-user"}], "concurrent": 1, "lease": "1h"},
                {"name": "failures", "key": [{"header": "x-user"}], "algorithm": "sliding_window", "requests": 5, "per": "1d",
                 "charge": {"status": 401}},
            ]}),
        )
        .start()
        .await;
    let client = envoy.client();
    for number in 0..200 {
        let user = number.to_string();
        assert_eq!(client.get_with("/", &[("x-user", &user)]).await.status, 200);
    }
    for limit in ["places", "failures"] {
        assert_eq!(envoy.stat(&metric(limit, "allowed")).await, 200);
        assert_eq!(
            envoy.stat(&metric(limit, "live_evictions")).await,
            0,
            "{limit}"
        );
    }
}

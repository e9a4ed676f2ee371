//! A VM that traps: only a module made for it can. With `FAIL_RELOAD` the service is back within the back-off, what the workers
//! share is intact, and the other filters notice nothing.

use seawall_tests::envoy::{trapping_module, wasm_filter};
use seawall_tests::prelude::*;

const TENANT: (&str, &str) = ("x-tenant-id", "acme");
const LIMIT: usize = 40;

fn chain(upstream: &Upstream) -> EnvoyBuilder {
    let limits = json!({"limits": [
        {"name": "tenant", "key": [{"header": "x-tenant-id"}], "requests": LIMIT, "per": "1d"}]});
    let trapping = wasm_filter("seawall.trap", &trapping_module(), "seawall.trap", &limits);
    Envoy::to(upstream)
        .filter("trace-headers", json!({}))
        .native_filter(trapping)
        .filter("response-cache", json!({}))
        .filter("circuit-breaker", json!({}))
}

/// Sends requests until the limit refuses; how many passed. Refusals by a failed VM do not count, and end.
async fn passing(envoy: &Envoy, client: &Client) -> usize {
    let mut passed = 0;
    let begun = std::time::Instant::now();
    loop {
        match client.get_with("/uncached", &[TENANT]).await.status {
            200 => passed += 1,
            429 => return passed,
            status => {
                let log = envoy.log();
                let last = log.lines().last().unwrap_or_default();
                assert!(
                    begun.elapsed() < Duration::from_secs(180),
                    "still {status}: {last}"
                );
                tokio::task::yield_now().await;
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn in_any_callback_the_filter_comes_back_with_what_was_counted() {
    for callback in ["request", "response", "log"] {
        let upstream = Upstream::serving(|seen| match seen.path.as_str() {
            "/kept" => Reply::ok("kept").header("cache-control", "max-age=600"),
            _ => Reply::ok("x").header("cache-control", "no-store"),
        })
        .await;
        let envoy = chain(&upstream).workers(2).start().await;
        let client = envoy.client();
        assert_eq!(client.get_with("/kept", &[TENANT]).await.status, 200);
        for _ in 0..9 {
            assert_eq!(client.get_with("/uncached", &[TENANT]).await.status, 200);
        }
        // Ten of the quota are used. On either worker a VM is lost; where it falls is the kernel's choice.
        let mut charged = 0;
        for _ in 0..8 {
            let answer = Client::fresh(envoy.address)
                .get_with("/uncached", &[TENANT, ("x-trap", callback)])
                .await;
            // In the request callback the request is lost before it is counted; later it has been.
            assert!(
                [0, 200, 503].contains(&answer.status),
                "{callback}: {}",
                answer.status
            );
            charged += usize::from(answer.status == 200);
        }
        envoy.wait_for_log("trapped on purpose").await;
        // Whoever is answered by the trace filter alone has an id, so that filter works on.
        let other = Client::fresh(envoy.address).get("/anything").await;
        assert!(other.header("x-request-id").is_some(), "{other:?}");
        let seen_by_upstream = upstream.hits_of("/uncached");
        let passed = passing(&envoy, &client).await;
        let total = upstream.hits_of("/uncached") + 1;
        assert!(
            total + 8 >= LIMIT && total <= LIMIT,
            "{callback}: {total} of {LIMIT} after {seen_by_upstream}, {passed} passed, {charged} charged"
        );
        // On the worker whose VM was lost nobody may have asked since.
        let stats = eventually("a VM is started anew", || async {
            Client::fresh(envoy.address).get("/anything").await;
            let stats = envoy.stats().await;
            let reloaded = stats
                .iter()
                .any(|(name, value)| name.ends_with("vm_reload_success") && *value > 0);
            reloaded.then_some(stats)
        })
        .await;
        // The cache has kept what it had, and the breaker stayed closed.
        assert_eq!(upstream.hits_of("/kept"), 1);
        let opened = stats
            .iter()
            .filter(|(name, _)| name.contains("circuit_breaker") && name.ends_with("opened"))
            .map(|(_, value)| value)
            .sum::<u64>();
        assert_eq!(opened, 0, "{callback}");
    }
}

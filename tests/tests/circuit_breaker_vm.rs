//! A worker's VM dies while it holds the lease of a probe: the place is free again when the lease ends.

use seawall_tests::envoy::{trapping_module, wasm_filter};
use seawall_tests::prelude::*;

const NAME: &str = "seawall.circuit_breaker";

#[tokio::test(flavor = "multi_thread")]
async fn a_probe_whose_vm_dies_gives_its_place_back() {
    let upstream = Upstream::serving(|_| Reply::status(500)).await;
    let breaker = json!({"breaker": {"failure_threshold": 1, "open_for": "300ms", "jitter": 0, "probe_timeout": "3s",
        "successes": 1, "ramp": "0s"}});
    let envoy = Envoy::to(&upstream)
        .workers(2)
        .native_filter(wasm_filter(NAME, &trapping_module(), NAME, &breaker))
        .start()
        .await;
    // One connection, so one worker, and one VM.
    let client = Client::http2(envoy.address);
    assert_eq!(client.get("/").await.status, 500);
    upstream.always(Reply::Hang);
    upstream.forget();
    // Refused until the open time is over; then it is the probe, and hangs.
    let probe = tokio::spawn({
        let client = client.clone();
        async move { while client.get("/").await.header("x-seawall-breaker").is_some() {} }
    });
    upstream.wait_for_in_flight(1).await;
    let lost = client.get_with("/", &[("x-trap", "request")]).await;
    assert_ne!(lost.status, 200);
    envoy.wait_for_log("trapped on purpose").await;
    upstream.always(Reply::ok("well"));
    eventually("the breaker is closed", || async {
        (Client::fresh(envoy.address).get("/").await.status == 200).then_some(())
    })
    .await;
    let stats = envoy.stats().await;
    let count = |name: &str| stats[&format!("wasmcustom.{NAME}.{name}")];
    // No verdict came of the first probe: it was not failed, nor given back, nor did its client leave in time.
    assert_eq!(count("probe.sent"), 2);
    assert_eq!(count("probe.expired"), 1);
    assert_eq!(count("probe.succeeded"), 1);
    assert_eq!(count("probe.failed") + count("probe.ignored"), 0);
    assert_eq!(count("closed"), 1);
    // Its worker serves again, in a new VM, which it starts with the next call that it gets.
    eventually("the VM has been replaced", || async {
        let served = client.get("/").await.status == 200;
        envoy.get_fresh("/").await;
        let stats = envoy.stats().await;
        let mut reloads = stats
            .iter()
            .filter(|(name, _)| name.ends_with("vm_reload_success"));
        (served && reloads.any(|(_, count)| *count > 0)).then_some(())
    })
    .await;
    probe.abort();
}

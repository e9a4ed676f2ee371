//! A leader whose VM dies while the origin still thinks: nobody tells those who wait for it, so its lease releases them.

use seawall_tests::envoy::{trapping_module, wasm_filter};
use seawall_tests::prelude::*;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::Arc;
use tokio::task::JoinSet;

const NAME: &str = "seawall.response_cache";
const WAITING: usize = 60;

/// The connections that each worker has.
async fn connections(envoy: &Envoy) -> Vec<usize> {
    let stats = envoy.stats().await;
    stats
        .into_iter()
        .filter(|(name, _)| name.contains(".worker_") && name.ends_with("downstream_cx_active"))
        .map(|(_, value)| value as usize)
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn who_waits_for_a_leader_whose_vm_died_is_released_by_its_lease() {
    let never = Gate::new();
    let held = never.clone();
    let upstream = Upstream::serving(move |_| Reply::ok("never").gated(&held)).await;
    // Without the lease they would wait for longer than a client does. It is long enough for a machine that stands still for a
    // few seconds while the leader lives.
    let cache = json!({"cache": {"coalesce": {"wait": "1h", "lease": "10s"}, "refresh": {"algorithm": "off"}}});
    let envoy = Envoy::to(&upstream)
        .native_filter(wasm_filter(NAME, &trapping_module(), NAME, &cache))
        .route(Route::prefix("/").timeout("0s"))
        .workers(4)
        .start()
        .await;
    // One connection, so that what kills the VM reaches the worker of the leader.
    let leader = Client::http2(envoy.address);
    let leading = tokio::spawn({
        let leader = leader.clone();
        async move { leader.get("/hot").await }
    });
    upstream.wait_for_hits(1).await;
    let served = Arc::new(AtomicUsize::new(0));
    let mut waiting = JoinSet::new();
    for _ in 0..WAITING {
        let (client, served) = (Client::fresh(envoy.address), Arc::clone(&served));
        waiting.spawn(async move {
            let answer = client.get("/hot").await;
            if answer.status == 200 {
                assert_eq!(answer.text(), "second");
                served.fetch_add(1, Ordering::SeqCst);
            }
        });
    }
    envoy
        .wait_for_stat(
            "wasmcustom.seawall.response_cache.coalesced",
            WAITING as u64,
        )
        .await;
    // What waits in the VM that dies is lost with it: at most what the busiest worker has.
    let lost = connections(&envoy).await.into_iter().max().unwrap();
    assert!(lost < WAITING, "all on one worker");
    upstream.always(Reply::ok("second").header("cache-control", "max-age=600"));
    let trap = [("x-trap", "request")];
    assert_ne!(leader.get_with("/kill", &trap).await.status, 200);
    envoy.wait_for_log("trapped on purpose").await;

    eventually("the others are served", || async {
        (served.load(Ordering::SeqCst) >= WAITING - lost).then_some(())
    })
    .await;
    // One went in the place of the leader, for all workers.
    assert_eq!(upstream.hits_of("/hot"), 2);
    assert_eq!(
        envoy
            .stat("wasmcustom.seawall.response_cache.waits_timed_out")
            .await,
        0
    );
    waiting.abort_all();
    // The worker comes back, and serves what the others have stored.
    eventually("every worker serves it", || async {
        let answers = envoy.burst("/hot", 40, 40).await;
        answers
            .iter()
            .all(|answer| answer.text() == "second")
            .then_some(())
    })
    .await;
    assert_eq!(upstream.hits_of("/hot"), 2);
    never.open();
    leading.abort();
}

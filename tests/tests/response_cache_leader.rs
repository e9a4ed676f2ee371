//! A leader whose VM dies while the origin still thinks: nobody tells those who wait for it, so its lease releases them.

use seawall_tests::envoy::{trapping_module, wasm_filter};
use seawall_tests::prelude::*;

const NAME: &str = "seawall.response_cache";
const WAITING: usize = 60;

#[tokio::test(flavor = "multi_thread")]
async fn who_waits_for_a_leader_whose_vm_died_is_released_by_its_lease() {
    let never = Gate::new();
    let held = never.clone();
    let upstream = Upstream::serving(move |_| Reply::ok("never").gated(&held)).await;
    // Without the lease they would wait for longer than a client does.
    let cache = json!({"cache": {"coalesce": {"wait": "10m", "lease": "1s"}, "refresh": {"algorithm": "off"}}});
    let envoy = Envoy::to(&upstream)
        .native_filter(wasm_filter(NAME, &trapping_module(), NAME, &cache))
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
    let waiting: Vec<_> = (0..WAITING)
        .map(|_| {
            let client = Client::fresh(envoy.address);
            tokio::spawn(async move { client.get("/hot").await })
        })
        .collect();
    envoy
        .wait_for_stat(
            "wasmcustom.seawall.response_cache.coalesced",
            WAITING as u64,
        )
        .await;
    upstream.always(Reply::ok("second").header("cache-control", "max-age=600"));
    let trap = [("x-trap", "request")];
    assert_ne!(leader.get_with("/kill", &trap).await.status, 200);
    envoy.wait_for_log("trapped on purpose").await;

    let mut served = 0;
    for request in waiting {
        let answer = request.await.unwrap();
        match (answer.status, answer.text().as_str()) {
            (200, "second") => served += 1,
            // It waited in the VM that died, and went with it.
            (0 | 503, _) => {}
            (status, body) => panic!("{status} {body}"),
        }
    }
    assert!(served >= WAITING / 4, "{served} of {WAITING}");
    // One went in the place of the leader, for all workers.
    assert_eq!(upstream.hits_of("/hot"), 2);
    assert_eq!(
        envoy
            .stat("wasmcustom.seawall.response_cache.waits_timed_out")
            .await,
        0
    );
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

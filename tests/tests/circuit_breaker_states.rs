//! The breaker in a real Envoy with 4 workers.

use seawall_tests::prelude::*;
use std::time::Instant;

fn policy(more: Value) -> Value {
    let mut policy = json!({"failure_threshold": 5, "open_for": "60s", "jitter": 0, "successes": 1, "ramp": "0s"});
    for (field, value) in more.as_object().into_iter().flatten() {
        policy[field] = value.clone();
    }
    policy
}

#[tokio::test(flavor = "multi_thread")]
async fn the_upstream_sees_exactly_five_failures_and_the_sixth_answer_is_the_breakers() {
    let upstream = Upstream::serving(|_| Reply::status(500)).await;
    // A breaker per host, so that each round has a new one.
    let envoy = Envoy::to(&upstream)
        .filter(
            "circuit-breaker",
            policy(json!({"key": ["cluster", "host"]})),
        )
        .start()
        .await;
    for round in 0..20 {
        upstream.forget();
        let host = format!("round-{round}");
        let client = Client::fresh(envoy.address);
        for call in 0..5 {
            let answer = client.get_with("/", &[("host", &host)]).await;
            assert_eq!(answer.status, 500, "round {round}, call {call}");
        }
        let sixth = client.get_with("/", &[("host", &host)]).await;
        assert_eq!(sixth.status, 503, "round {round}");
        assert_eq!(sixth.header("x-seawall-breaker"), Some("open"));
        assert_eq!(sixth.header("retry-after"), Some("60"));
        let headers = [("host", host.as_str())];
        let parallel =
            futures_util::future::join_all((0..50).map(|_| client.get_with("/", &headers)));
        assert!(parallel.await.iter().all(|answer| answer.status == 503));
        assert_eq!(upstream.hits(), 5, "round {round}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_way_to_fail_counts_and_what_is_not_its_fault_does_not() {
    let upstream = Upstream::start().await;
    let envoy = Envoy::to(&upstream)
        .route(Route::prefix("/").timeout("0.3s"))
        .filter(
            "circuit-breaker",
            policy(json!({"key": ["host"], "failure_threshold": 2})),
        )
        .start()
        .await;
    for (host, reply) in [
        ("500", Reply::status(500)),
        ("close", Reply::Close),
        ("reset", Reply::Reset),
        ("timeout", Reply::Hang),
        ("cut", Reply::ok("half").cut_short()),
    ] {
        upstream.always(reply);
        for _ in 0..2 {
            let answer = envoy.get_with("/", &[("host", host)]).await;
            assert_eq!(answer.header("x-seawall-breaker"), None, "{host}");
        }
        // What is known only at the end of the call is counted just after its client knows it.
        eventually(&format!("{host} has opened"), || async {
            let answer = envoy.get_with("/", &[("host", host)]).await;
            answer.header("x-seawall-breaker").map(drop)
        })
        .await;
    }
    upstream.always(Reply::status(404));
    for _ in 0..10 {
        assert_eq!(
            envoy.get_with("/", &[("host", "missing")]).await.status,
            404
        );
    }
    upstream.refuse().await;
    for _ in 0..2 {
        assert_eq!(
            envoy
                .get_with("/", &[("host", "refused")])
                .await
                .header("x-seawall-breaker"),
            None
        );
    }
    assert_eq!(
        envoy
            .get_with("/", &[("host", "refused")])
            .await
            .header("x-seawall-breaker"),
        Some("open")
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn one_probe_decides_and_the_breaker_closes_by_itself() {
    let upstream = Upstream::serving(|_| Reply::status(500)).await;
    let envoy = Envoy::to(&upstream)
        .filter(
            "circuit-breaker",
            policy(json!({"failure_threshold": 1, "open_for": "1s", "probe_timeout": "30s"})),
        )
        .start()
        .await;
    assert_eq!(envoy.get("/").await.status, 500);
    let gate = Gate::new();
    upstream.forget();
    upstream.always(Reply::ok("well").gated(&gate));
    // Requests keep coming; the first one after the open time is the probe.
    let probe = tokio::spawn({
        let client = envoy.client();
        async move {
            loop {
                let answer = client.get("/").await;
                if answer.status == 200 {
                    break;
                }
            }
        }
    });
    upstream.wait_for_hits(1).await;
    let answers = envoy.burst("/", 500, 50).await;
    assert!(
        answers.iter().all(|answer| answer.status == 503),
        "all but the probe are refused"
    );
    assert_eq!(upstream.hits(), 1);
    gate.open();
    within("the probe has an answer", probe)
        .await
        .expect("it did not panic");
    eventually("the breaker is closed", || async {
        (envoy.get("/").await.status == 200).then_some(())
    })
    .await;
    assert!(envoy
        .burst("/", 100, 20)
        .await
        .iter()
        .all(|answer| answer.status == 200));
    assert_eq!(
        envoy
            .stat("wasmcustom.seawall.circuit_breaker.closed")
            .await,
        1
    );
    assert_eq!(
        envoy
            .stat("wasmcustom.seawall.circuit_breaker.probe.sent")
            .await,
        1
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn calls_that_still_hang_open_it_long_before_their_timeout() {
    let upstream = Upstream::serving(|_| Reply::Hang).await;
    let envoy = Envoy::to(&upstream)
        .route(Route::prefix("/").timeout("30s"))
        .filter("circuit-breaker", policy(json!({"slow_after": "1s"})))
        .start()
        .await;
    let start = Instant::now();
    let hanging: Vec<_> = (0..5)
        .map(|_| {
            let client = Client::fresh(envoy.address);
            tokio::spawn(async move { client.get("/").await })
        })
        .collect();
    envoy
        .wait_for_stat(
            "wasmcustom.seawall.circuit_breaker.opened.consecutive_failures",
            1,
        )
        .await;
    assert!(
        hanging.iter().all(|call| !call.is_finished()),
        "they still hang"
    );
    assert!(start.elapsed() < Duration::from_secs(30));
    assert_eq!(
        envoy.get("/").await.header("x-seawall-breaker"),
        Some("open")
    );
    assert_eq!(
        envoy
            .stat("wasmcustom.seawall.circuit_breaker.overdue")
            .await,
        5
    );
    hanging.iter().for_each(tokio::task::JoinHandle::abort);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_route_has_a_fallback_of_its_own_and_may_switch_it_off() {
    let upstream = Upstream::serving(|_| Reply::status(500)).await;
    let fallback = json!({"fallback": {
        "status": 200, "body": "[]", "headers": {"content-type": "application/json"}}});
    let envoy = Envoy::to(&upstream)
        .route(Route::prefix("/off").metadata("seawall.circuit_breaker", json!({"enabled": false})))
        .route(Route::prefix("/list").metadata("seawall.circuit_breaker", fallback))
        .route(Route::prefix("/"))
        .filter("circuit-breaker", policy(json!({"failure_threshold": 1})))
        .start()
        .await;
    assert_eq!(envoy.get("/").await.status, 500);
    let list = envoy.get("/list").await;
    assert_eq!((list.status, list.text().as_str()), (200, "[]"));
    assert_eq!(list.header("content-type"), Some("application/json"));
    assert_eq!(envoy.get("/off").await.status, 500);
}

#[tokio::test(flavor = "multi_thread")]
async fn grpc_failures_count_and_grpc_callers_are_refused_in_grpc() {
    let upstream = Upstream::serving(|_| Reply::grpc(14)).await;
    let envoy = Envoy::to(&upstream)
        .http2_upstream()
        .filter("circuit-breaker", policy(json!({"failure_threshold": 2})))
        .start()
        .await;
    let client = Client::http2(envoy.address);
    let headers = [("content-type", "application/grpc"), ("te", "trailers")];
    let refused = eventually("gRPC failures have opened it", || async {
        let answer = client.send("POST", "/s/m", &headers, &[0; 5]).await;
        answer
            .header("x-seawall-breaker")
            .is_some()
            .then_some(answer)
    })
    .await;
    assert_eq!(upstream.hits(), 2);
    assert_eq!(refused.status, 200);
    assert_eq!(refused.header("grpc-status"), Some("14"));
    assert!(refused.header("grpc-retry-pushback-ms").is_some());
}

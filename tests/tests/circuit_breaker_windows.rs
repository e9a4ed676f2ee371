//! Shares of failures and of slow calls over a window, and calls that still hang.

use futures_util::future::join_all;
use seawall_tests::prelude::*;
use std::time::Instant;
use tokio::task::JoinSet;

const OPENED: &str = "wasmcustom.seawall.circuit_breaker.opened";

fn behaviour(seen: &Seen) -> Reply {
    match seen.path.as_str() {
        "/fail" => Reply::status(500),
        "/neutral" => Reply::status(404),
        "/hang" => Reply::Hang,
        _ => Reply::ok("ok"),
    }
}

fn shares(more: Value) -> Value {
    let mut policy = json!({"failure_threshold": 0, "minimum_calls": 20, "window": "60s", "open_for": "60s", "key": ["host"]});
    for (field, value) in more.as_object().into_iter().flatten() {
        policy[field] = value.clone();
    }
    policy
}

/// A hundred calls over fresh connections, so that all workers take part; so many of them go to `bad`, spread evenly. Shares
/// mean something once all of them are counted, however long that takes.
fn hundred(envoy: &Envoy, host: &'static str, bad: &'static str, count: usize) -> JoinSet<()> {
    let address = envoy.address;
    let mut calls = JoinSet::new();
    for n in 0..100 {
        let is_bad = (n + 1) * count / 100 > n * count / 100;
        let path = if is_bad { bad } else { "/ok" };
        calls.spawn(async move {
            let answer = Client::fresh(address)
                .get_with(path, &[("host", host)])
                .await;
            assert_eq!(answer.header("x-seawall-breaker"), None, "{host}, call {n}");
        });
    }
    calls
}

async fn opens(envoy: &Envoy, host: &str, reason: &str) {
    envoy.wait_for_stat(&format!("{OPENED}.{reason}"), 1).await;
    let refused = envoy.get_with("/ok", &[("host", host)]).await;
    assert_eq!(refused.header("x-seawall-breaker"), Some("open"), "{host}");
}

#[tokio::test(flavor = "multi_thread")]
async fn below_the_percentage_it_stays_closed_and_above_it_opens() {
    let upstream = Upstream::serving(behaviour).await;
    let envoy = Envoy::to(&upstream)
        .filter("circuit-breaker", shares(json!({"minimum_calls": 100})))
        .start()
        .await;
    for (host, count) in [("49", 49), ("51", 51)] {
        hundred(&envoy, host, "/fail", count).join_all().await;
    }
    opens(&envoy, "51", "failure_percentage").await;
    // Whatever is told late is told within two ticks; each of these calls, which themselves say nothing, would find it open.
    for _ in 0..100 {
        let answer = Client::fresh(envoy.address)
            .get_with("/neutral", &[("host", "49")])
            .await;
        assert_eq!(answer.status, 404);
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let opened = format!("{OPENED}.failure_percentage");
    assert_eq!(envoy.stat(&opened).await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn above_the_percentage_of_calls_that_are_slow_it_opens() {
    let upstream = Upstream::serving(behaviour).await;
    let gate = Gate::new();
    let shut = gate.clone();
    upstream.behave(move |seen| match seen.path.as_str() {
        "/slow" => Reply::ok("late").gated(&shut),
        _ => behaviour(seen),
    });
    let envoy = Envoy::to(&upstream)
        .filter(
            "circuit-breaker",
            shares(json!({"minimum_calls": 100, "slow_after": "3s", "slow_percentage": 60})),
        )
        .start()
        .await;
    let calls = hundred(&envoy, "slow", "/slow", 65);
    opens(&envoy, "slow", "slow_percentage").await;
    // They were let through, and end as they would have.
    gate.open();
    calls.join_all().await;
    let opened = format!("{OPENED}.failure_percentage");
    assert_eq!(envoy.stat(&opened).await, 0, "they are slow, not failed");
}

#[tokio::test(flavor = "multi_thread")]
async fn old_failures_leave_the_window() {
    let upstream = Upstream::serving(behaviour).await;
    let envoy = Envoy::to(&upstream)
        .filter(
            "circuit-breaker",
            shares(json!({"window": "1s", "minimum_calls": 10})),
        )
        .start()
        .await;
    let headers = [("host", "old")];
    for _ in 0..9 {
        assert_eq!(envoy.get_with("/fail", &headers).await.status, 500);
    }
    // The time that is being tested.
    tokio::time::sleep(Duration::from_millis(1_100)).await;
    for _ in 0..9 {
        let answer = envoy.get_with("/fail", &headers).await;
        assert_eq!(answer.status, 500, "the first nine are forgotten");
    }
    envoy.get_with("/fail", &headers).await;
    // Unless the machine was so slow that some are forgotten again, ten within a second open it.
    eventually("ten in the window open it", || async {
        let answer = envoy.get_with("/fail", &headers).await;
        answer.header("x-seawall-breaker").map(drop)
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn calls_that_still_hang_open_it_long_before_their_timeout() {
    let upstream = Upstream::serving(behaviour).await;
    let envoy = Envoy::to(&upstream)
        .route(Route::prefix("/").timeout("30s"))
        .filter(
            "circuit-breaker",
            json!({"slow_after": "1s", "open_for": "60s"}),
        )
        .start()
        .await;
    let address = envoy.address;
    let start = Instant::now();
    let hanging: Vec<_> = (0..5)
        .map(|_| tokio::spawn(async move { Client::fresh(address).get("/hang").await }))
        .collect();
    upstream.wait_for_in_flight(5).await;
    envoy
        .wait_for_stat(&format!("{OPENED}.consecutive_failures"), 1)
        .await;
    let opened = start.elapsed();
    let asked = Instant::now();
    let refused = envoy.get("/").await;
    println!("open after {opened:?}, refused in {:?}", asked.elapsed());
    assert_eq!(refused.header("x-seawall-breaker"), Some("open"));
    // What is promised is 1.5 s; a call that is counted at its end would make it 30.
    assert!(opened < Duration::from_secs(10), "{opened:?}");
    assert!(
        hanging.iter().all(|call| !call.is_finished()),
        "they still hang"
    );
    let count = |name: &'static str| {
        let envoy = &envoy;
        async move {
            envoy
                .stat(&format!("wasmcustom.seawall.circuit_breaker.{name}"))
                .await
        }
    };
    assert_eq!(count("overdue").await, 5);
    // Their end counts nothing more.
    hanging.iter().for_each(tokio::task::JoinHandle::abort);
    eventually("the calls have ended", || async {
        (envoy.stat("cluster.upstream.upstream_rq_active").await == 0).then_some(())
    })
    .await;
    assert_eq!(count("failures").await, 5);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_that_ends_late_is_overdue_whether_the_timer_has_seen_it_or_not() {
    // Answers come between two ticks of the timer.
    let upstream = Upstream::serving(|_| Reply::ok("late").after(Duration::from_millis(215))).await;
    let envoy = Envoy::to(&upstream)
        .filter(
            "circuit-breaker",
            shares(json!({"slow_after": "200ms", "slow_percentage": 100, "minimum_calls": 50})),
        )
        .start()
        .await;
    let address = envoy.address;
    let headers = [("host", "late")];
    // Begun at all phases of the timer.
    let calls = (0..60u64).map(|n| async move {
        tokio::time::sleep(Duration::from_millis(n * 5)).await;
        Client::fresh(address).get_with("/", &headers).await;
    });
    join_all(calls).await;
    envoy
        .wait_for_stat(&format!("{OPENED}.slow_percentage"), 1)
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn failures_between_calls_that_work_are_not_in_a_row_however_long_calls_take() {
    let (upstream, bad) = (Upstream::start().await, Gate::new());
    let other = Upstream::serving(|_| Reply::ok("ok")).await;
    let gates: Vec<Gate> = (0..4).map(|_| Gate::new()).collect();
    let behaviour = {
        let (bad, gates) = (bad.clone(), gates.clone());
        move |seen: &Seen| match seen.path.trim_start_matches('/').parse::<usize>() {
            Ok(n) => Reply::ok("ok").gated(&gates[n]),
            Err(_) => Reply::status(500).gated(&bad),
        }
    };
    upstream.behave(behaviour);
    let envoy = Envoy::to(&upstream)
        .cluster("other", other.address, json!({}))
        .route(Route::prefix("/other").to("other"))
        .route(Route::prefix("/"))
        .filter(
            "circuit-breaker",
            json!({"failure_threshold": 3, "failure_percentage": 0, "open_for": "60s"}),
        )
        .start()
        .await;
    // Under way before anything fails, on one worker each or not.
    let works: Vec<_> = (0..gates.len())
        .map(|n| {
            let client = Client::fresh(envoy.address);
            tokio::spawn(async move { client.get(&format!("/{n}")).await.status })
        })
        .collect();
    upstream.wait_for_in_flight(gates.len()).await;
    bad.open();
    for (work, gate) in works.into_iter().zip(&gates) {
        for _ in 0..2 {
            assert_eq!(envoy.get_fresh("/bad").await.status, 500);
        }
        // Every worker sees a call after that, of another breaker: the kernel spreads connections by chance, and leaves out a
        // certain one of four workers once in ten thousand million times.
        for _ in 0..80 {
            assert_eq!(envoy.get_fresh("/other").await.status, 200);
        }
        gate.open();
        assert_eq!(within("it works", work).await.expect("no panic"), 200);
    }
    assert_eq!(
        envoy.stat(&format!("{OPENED}.consecutive_failures")).await,
        0
    );
    for _ in 0..3 {
        envoy.get_fresh("/bad").await;
    }
    let refused = envoy.get("/bad").await;
    assert_eq!(refused.header("x-seawall-breaker"), Some("open"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_delay_that_envoy_injects_says_nothing_about_the_upstream() {
    let upstream = Upstream::serving(|_| Reply::ok("ok")).await;
    let fault = json!({"name": "fault", "typed_config": {
        "@type": "type.googleapis.com/envoy.extensions.filters.http.fault.v3.HTTPFault",
        "delay": {"fixed_delay": "5s", "percentage": {"numerator": 100}},
        "headers": [{"name": "x-delay", "present_match": true}],
    }});
    let envoy = Envoy::to(&upstream)
        .filter(
            "circuit-breaker",
            json!({"failure_threshold": 3, "slow_after": "2s", "open_for": "60s"}),
        )
        .native_filter(fault)
        .start()
        .await;
    let delayed = || envoy.get_with("/", &[("x-delay", "1")]);
    // Others pass meanwhile, on whose occasion overdue calls are counted as well.
    let (first, _, second) = tokio::join!(delayed(), envoy.burst("/", 40, 4), delayed());
    assert_eq!((first.status, second.status), (200, 200));
    let stat = |name: &str| format!("wasmcustom.seawall.circuit_breaker.{name}");
    assert_eq!(envoy.stat(&stat("overdue")).await, 0);
    // What the upstream answers then counts, once.
    upstream.always(Reply::status(500));
    tokio::join!(delayed(), delayed(), delayed());
    assert_eq!(envoy.stat(&stat("failures")).await, 3);
    assert_eq!(envoy.get("/").await.status, 503);
    assert_eq!(envoy.stat(&stat("opened.consecutive_failures")).await, 1);
}

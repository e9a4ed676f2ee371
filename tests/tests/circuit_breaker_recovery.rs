//! Half-open by leases, open times that grow, what the upstream asks for, and the ramp.

use seawall_tests::prelude::*;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::Arc;
use std::time::Instant;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

fn policy(more: Value) -> Value {
    let mut policy = json!({"failure_threshold": 5, "open_for": "60s", "jitter": 0, "successes": 1, "ramp": "0s"});
    for (field, value) in more.as_object().into_iter().flatten() {
        policy[field] = value.clone();
    }
    policy
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

/// Waits until a call goes through, and returns how long that took.
async fn admitted(envoy: &Envoy, path: &str) -> Duration {
    let start = Instant::now();
    eventually("a call goes through", || async {
        let answer = envoy.get(path).await;
        answer.header("x-seawall-breaker").is_none().then_some(())
    })
    .await;
    start.elapsed()
}

#[tokio::test(flavor = "multi_thread")]
async fn probes_that_are_abandoned_or_hang_give_their_place_back() {
    let upstream = Upstream::serving(|_| Reply::status(500)).await;
    let envoy = Envoy::to(&upstream)
        .filter(
            "circuit-breaker",
            policy(json!({"failure_threshold": 1, "open_for": "200ms", "probe_timeout": "1s", "probes": 2})),
        )
        .start()
        .await;
    assert_eq!(envoy.get("/").await.status, 500);
    upstream.always(Reply::Hang);
    // Clients that leave after some time by chance, until a hundred of them were probes.
    let address = envoy.address;
    let enough = Arc::new(AtomicBool::new(false));
    let clients: Vec<_> = (0..8u64)
        .map(|n| {
            let enough = Arc::clone(&enough);
            tokio::spawn(async move {
                let kinds = [Client::fresh(address), Client::http2(address)];
                for round in 0.. {
                    if enough.load(Ordering::SeqCst) {
                        return;
                    }
                    let patience = Duration::from_millis((n * 7919 + round * 104_729) % 120);
                    kinds[(round % 2) as usize].abandon("/", patience).await;
                    // Who is refused comes again soon.
                    tokio::time::sleep(Duration::from_millis(5)).await;
                }
            })
        })
        .collect();
    let ignored = "wasmcustom.seawall.circuit_breaker.probe.ignored";
    envoy.wait_for_stat(ignored, 100).await;
    enough.store(true, Ordering::SeqCst);
    for client in clients {
        client.await.expect("it did not panic");
    }
    // Two more that nobody leaves take both places, until their leases end.
    let hanging: Vec<_> = (0..2)
        .map(|_| {
            tokio::spawn(async move {
                let client = Client::fresh(address);
                while client.get("/").await.header("x-seawall-breaker").is_some() {}
            })
        })
        .collect();
    upstream.wait_for_in_flight(2).await;
    eventually("a lease has ended", || async {
        let client = Client::fresh(address);
        client.abandon("/", Duration::from_millis(50)).await;
        let expired = "wasmcustom.seawall.circuit_breaker.probe.expired";
        (envoy.stat(expired).await > 0).then_some(())
    })
    .await;
    // The upstream is well again, and nobody helps.
    upstream.always(Reply::ok("well"));
    eventually("the breaker is closed", || async {
        (envoy
            .stat("wasmcustom.seawall.circuit_breaker.closed")
            .await
            == 1)
            .then_some(())
            .or({
                envoy.get("/").await;
                None
            })
    })
    .await;
    assert!(envoy
        .burst("/", 100, 20)
        .await
        .iter()
        .all(|answer| answer.status == 200));
    hanging.iter().for_each(tokio::task::JoinHandle::abort);
}

#[tokio::test(flavor = "multi_thread")]
async fn open_times_double_up_to_the_longest_and_begin_anew_after_a_healthy_time() {
    let upstream = Upstream::serving(|_| Reply::status(500)).await;
    let envoy = Envoy::to(&upstream)
        .filter(
            "circuit-breaker",
            policy(json!({"failure_threshold": 1, "open_for": "250ms", "max_open_for": "1s"})),
        )
        .start()
        .await;
    envoy.get("/").await;
    for _ in 0..4 {
        admitted(&envoy, "/").await;
    }
    let told = |ms: u32| format!("breaker cluster=upstream: open for {ms} ms");
    let opened = || -> Vec<String> {
        let log = envoy.log();
        let lines = log.lines().filter(|line| line.contains(": open for "));
        lines.map(str::to_owned).collect()
    };
    eventually("five lines", || async {
        (opened().len() == 5).then_some(())
    })
    .await;
    for (line, ms) in opened().iter().zip([250, 500, 1000, 1000, 1000]) {
        assert!(line.contains(&told(ms)), "{line} and not {ms}");
    }
    upstream.always(Reply::ok("well"));
    admitted(&envoy, "/").await;
    // As long as the longest open time: that is healthy.
    tokio::time::sleep(Duration::from_millis(1_100)).await;
    assert_eq!(envoy.get("/").await.status, 200);
    upstream.always(Reply::status(500));
    envoy.get("/").await;
    eventually("one more", || async { (opened().len() == 6).then_some(()) }).await;
    assert!(opened()[5].contains(&told(250)), "{}", opened()[5]);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upstream_that_says_when_is_left_alone_as_long_up_to_a_cap() {
    let asking = |value: &str| Reply::status(503).header("retry-after", value);
    let upstream = Upstream::start().await;
    let envoy = Envoy::to(&upstream)
        .filter(
            "circuit-breaker",
            policy(json!({"key": ["host"], "failure_threshold": 2, "open_for": "5s", "retry_after": {"max": "60s", "opens": [503]}})),
        )
        .start()
        .await;
    for (host, value, least, most) in [
        ("seconds", "30", 20, 30),
        ("huge", "99999999999999999999", 50, 60),
        ("past", "Sun, 06 Nov 1994 08:49:37 GMT", 1, 5),
    ] {
        upstream.always(asking(value));
        let headers = [("host", host)];
        assert_eq!(
            envoy
                .get_with("/", &headers)
                .await
                .header("x-seawall-breaker"),
            None
        );
        let refused = envoy.get_with("/", &headers).await;
        let wait: u64 = refused
            .header("retry-after")
            .expect("it says when")
            .parse()
            .expect("a number");
        assert_eq!(
            refused.header("x-seawall-breaker"),
            Some("open"),
            "{host}: one is enough"
        );
        assert!((least..=most).contains(&wait), "{host}: {wait}");
    }
    // What is no time counts as any other failure.
    upstream.always(asking("soon"));
    let headers = [("host", "nonsense")];
    for _ in 0..2 {
        assert_eq!(
            envoy
                .get_with("/", &headers)
                .await
                .header("x-seawall-breaker"),
            None
        );
    }
    assert_eq!(
        envoy
            .get_with("/", &headers)
            .await
            .header("x-seawall-breaker"),
        Some("open")
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn after_closing_it_lets_more_and_more_through() {
    let upstream = Upstream::serving(|_| Reply::status(500)).await;
    let envoy = Envoy::to(&upstream)
        .filter("circuit-breaker", policy(json!({"failure_threshold": 1, "open_for": "200ms", "ramp": "6s", "max_open_for": "60s"})))
        .start()
        .await;
    envoy.get("/").await;
    upstream.always(Reply::ok("well"));
    admitted(&envoy, "/").await;
    let start = Instant::now();
    let mut thirds = [(0u32, 0u32); 3];
    while start.elapsed() < Duration::from_secs(6) {
        for answer in envoy.burst("/", 20, 10).await {
            let third = (start.elapsed().as_millis() / 2_000).min(2) as usize;
            thirds[third].0 += 1;
            thirds[third].1 += u32::from(answer.status == 200);
            if answer.status == 503 {
                assert_eq!(answer.header("x-seawall-breaker"), Some("ramp"));
            }
        }
    }
    let shares = thirds.map(|(all, passed)| f64::from(passed) / f64::from(all.max(1)));
    println!("passed in the thirds of the ramp: {shares:.2?}, expected about 0.25, 0.55, 0.85");
    assert!(
        shares[0] < 0.45 && shares[0] < shares[1] && shares[1] < shares[2],
        "{shares:?}"
    );
    eventually("the ramp is over", || async {
        let answers = envoy.burst("/", 50, 10).await;
        answers
            .iter()
            .all(|answer| answer.status == 200)
            .then_some(())
    })
    .await;
}

/// A client that never sends the rest of its request would keep the breaker half-open for everybody.
#[tokio::test(flavor = "multi_thread")]
async fn a_request_without_its_end_gives_the_place_of_a_probe_to_a_whole_one() {
    let upstream = Upstream::serving(|_| Reply::status(500)).await;
    let settings = json!({"failure_threshold": 1, "open_for": "100ms", "probe_timeout": "1h", "access_log": true});
    let envoy = Envoy::to(&upstream)
        .filter("circuit-breaker", policy(settings))
        .start()
        .await;
    assert_eq!(envoy.get("/").await.status, 500);
    upstream.always(Reply::ok("well"));
    let sent = "wasmcustom.seawall.circuit_breaker.probe.sent";
    let held = std::sync::Mutex::new(Vec::new());
    eventually("one has the place", || async {
        let mut connection = TcpStream::connect(envoy.address).await.ok()?;
        let head = b"POST /held HTTP/1.1\r\nhost: a\r\ncontent-length: 9\r\n\r\n";
        connection.write_all(head).await.ok()?;
        held.lock().unwrap().push(connection);
        (envoy.stat(sent).await > 0).then_some(())
    })
    .await;
    assert_eq!(envoy.get("/").await.status, 200);
}

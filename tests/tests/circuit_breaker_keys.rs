//! Whose breaker a call has: cluster, route, host, header, and what they are together; bounded, and never a stranger's.

use futures_util::future::join_all;
use seawall_tests::prelude::*;
use std::net::SocketAddr;
use std::ops::Range;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

fn policy(key: Value) -> Value {
    json!({"key": key, "failure_threshold": 2, "open_for": "60s", "ramp": "0s"})
}

fn behaviour(seen: &Seen) -> Reply {
    if seen.path.ends_with("fail") {
        Reply::status(500)
    } else {
        Reply::ok("ok")
    }
}

/// Whether the breaker refuses this call.
async fn is_refused(envoy: &Envoy, path: &str, headers: &[(&str, &str)]) -> bool {
    envoy
        .get_with(path, headers)
        .await
        .header("x-seawall-breaker")
        .is_some()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_breaker_belongs_to_what_its_key_says() {
    let upstream = Upstream::serving(behaviour).await;
    let (a, b) = (
        [("host", "a"), ("x-tenant-id", "1")],
        [("host", "b"), ("x-tenant-id", "2")],
    );
    // The key, and whether it is refused: another route of the cluster, another host and tenant of the route, another cluster.
    for (key, expected) in [
        (json!(["cluster"]), [true, true, false]),
        (json!(["route"]), [false, true, false]),
        (json!(["host"]), [true, false, true]),
        (json!([{"header": "x-tenant-id"}]), [true, false, true]),
        (
            json!(["cluster", {"header": "x-tenant-id"}]),
            [true, false, false],
        ),
        (json!(["route", "host"]), [false, false, false]),
    ] {
        let envoy = Envoy::to(&upstream)
            .workers(2)
            .cluster("other", upstream.address, json!({}))
            .route(Route::prefix("/one/").named("one"))
            .route(Route::prefix("/two/").named("two"))
            .route(Route::prefix("/other/").named("three").to("other"))
            .filter("circuit-breaker", policy(key.clone()))
            .start()
            .await;
        for _ in 0..2 {
            assert!(!is_refused(&envoy, "/one/fail", &a).await);
        }
        let spelt_otherwise = [("host", "A:8080"), ("x-tenant-id", "1")];
        for a in [&a, &spelt_otherwise] {
            assert!(is_refused(&envoy, "/one/", a).await, "{key}");
        }
        let found = [
            is_refused(&envoy, "/two/", &a).await,
            is_refused(&envoy, "/one/", &b).await,
            is_refused(&envoy, "/other/", &a).await,
        ];
        assert_eq!(found, expected, "{key}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_that_the_configuration_does_not_give_is_no_breaker() {
    let upstream = Upstream::serving(behaviour).await;
    let envoy = Envoy::to(&upstream)
        .workers(1)
        .filter("circuit-breaker", policy(json!(["route"])))
        .start()
        .await;
    for _ in 0..5 {
        assert_eq!(envoy.get("/fail").await.status, 500);
    }
    assert_eq!(
        envoy
            .stat("wasmcustom.seawall.circuit_breaker.no_key")
            .await,
        5
    );
    envoy
        .wait_for_log("a call passes without a breaker: its key has no route")
        .await;
}

/// One request for each number, each of a tenant of its own, over kept-alive connections. Returns how many were refused.
async fn flood(address: SocketAddr, path: &str, numbers: Range<usize>) -> usize {
    flood_of(address, path, numbers, 0).await
}

/// The same, with names that are at least so long.
async fn flood_of(address: SocketAddr, path: &str, numbers: Range<usize>, long: usize) -> usize {
    const LANES: usize = 32;
    let parts = (0..LANES).map(|lane| {
        let numbers = numbers.clone().skip(lane).step_by(LANES);
        async move {
            // A client without comfort: the proxy is to be busy, not the test.
            let mut connection = TcpStream::connect(address).await.expect("it listens");
            let mut buffer = vec![0; 4_096];
            let mut refused = 0;
            for number in numbers {
                let request = format!(
                    "GET {path} HTTP/1.1\r\nhost: a\r\nx-tenant-id: {number:0long$}\r\n\r\n"
                );
                let sent = connection.write_all(request.as_bytes()).await;
                sent.expect("it takes requests");
                let mut size = 0;
                // No answer here has a body of more than a few bytes, and all of it comes at once.
                while !buffer[..size].windows(4).any(|end| end == b"\r\n\r\n") {
                    let read = connection.read(&mut buffer[size..]).await;
                    let read = read.expect("it answers");
                    assert!(read > 0, "the connection was closed");
                    size += read;
                }
                refused += usize::from(buffer.starts_with(b"HTTP/1.1 503"));
            }
            refused
        }
    });
    join_all(parts).await.into_iter().sum()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_million_tenants_leave_memory_flat_and_strangers_alone() {
    let upstream = Upstream::serving(|_| Reply::status(500)).await;
    let mut settings = policy(json!([{"header": "x-tenant-id"}]));
    settings["failure_threshold"] = json!(1);
    settings["max_keys"] = json!(256);
    let envoy = Envoy::to(&upstream)
        .route(Route::prefix("/ok").direct(204, ""))
        .route(Route::prefix("/"))
        .filter("circuit-breaker", settings)
        .start()
        .await;
    let failing = 40_000;
    // What Envoy, the filter and the connections need once they are warm.
    flood(envoy.address, "/fail", 0..10_000).await;
    flood(envoy.address, "/ok", 0..10_000).await;
    let before = envoy.memory();
    let refused = flood(envoy.address, "/fail", 10_000..failing).await;
    assert_eq!(refused, 0, "every tenant is a stranger the first time");
    flood(envoy.address, "/ok", failing..1_000_000).await;
    let grown = envoy.memory().saturating_sub(before);
    println!(
        "a million tenants, {failing} of them failing: {} KiB more",
        grown / 1024
    );
    assert!(grown < 10 << 20, "{grown} bytes");
    assert!(
        envoy
            .stat("wasmcustom.seawall.circuit_breaker.table_full")
            .await
            > 0
    );
    // Nor does the log grow with them: it has 60 lines in a minute and worker, whatever happens.
    let log = envoy.log();
    let lines = log
        .lines()
        .filter(|line| line.contains("breaker x-tenant-id="));
    let lines = lines.count();
    assert!(lines < failing / 10, "{lines} lines");
}

#[tokio::test(flavor = "multi_thread")]
async fn long_names_of_tenants_are_not_kept() {
    let upstream = Upstream::serving(|_| Reply::ok("ok")).await;
    let envoy = Envoy::to(&upstream)
        .route(Route::prefix("/").direct(204, ""))
        .filter(
            "circuit-breaker",
            policy(json!([{"header": "x-tenant-id"}])),
        )
        .start()
        .await;
    // What the connections need.
    flood_of(envoy.address, "/", 0..64, 40_000).await;
    let before = envoy.memory();
    flood_of(envoy.address, "/", 64..8_000, 40_000).await;
    let grown = envoy.memory().saturating_sub(before);
    println!("8,000 long names: {} KiB more", grown / 1024);
    assert!(grown < 30 << 20, "{grown} bytes");
}

#[tokio::test(flavor = "multi_thread")]
async fn tenants_that_left_while_theirs_was_open_do_not_keep_the_table_full() {
    let upstream = Upstream::serving(behaviour).await;
    let mut configuration = policy(json!([{"header": "x-tenant-id"}]));
    configuration["max_keys"] = json!(4);
    configuration["open_for"] = json!("300ms");
    configuration["max_open_for"] = json!("300ms");
    let envoy = Envoy::to(&upstream)
        .filter("circuit-breaker", configuration)
        .start()
        .await;
    for tenant in ["a", "b", "c", "d"] {
        for _ in 0..2 {
            let headers = [("x-tenant-id", tenant)];
            assert!(!is_refused(&envoy, "/fail", &headers).await, "{tenant}");
        }
    }
    eventually("another tenant has a breaker", || async {
        let headers = [("x-tenant-id", "e")];
        is_refused(&envoy, "/fail", &headers).await.then_some(())
    })
    .await;
    let stats = envoy.stats().await;
    let gauge = |name: &str| {
        let name = format!("wasmcustom.seawall.circuit_breaker.{name}");
        stats.get(&name).copied().unwrap_or_default()
    };
    assert!(gauge("open") + gauge("half_open") <= 4, "{stats:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_route_with_shorter_times_does_not_end_what_another_has_begun() {
    let upstream = Upstream::serving(|_| Reply::status(500)).await;
    let shorter = json!({"open_for": "200ms", "max_open_for": "200ms", "probe_timeout": "200ms"});
    let envoy = Envoy::to(&upstream)
        .route(
            Route::prefix("/short")
                .named("short")
                .metadata("seawall.circuit_breaker", shorter),
        )
        .route(Route::prefix("/"))
        .filter(
            "circuit-breaker",
            json!({"failure_threshold": 3, "open_for": "8s", "jitter": 0, "probe_timeout": "60s"}),
        )
        .start()
        .await;
    for _ in 0..3 {
        assert_eq!(envoy.get("/").await.status, 500);
    }
    for _ in 0..8 {
        assert!(is_refused(&envoy, "/short", &[]).await, "it is open");
    }
    assert_eq!(upstream.hits(), 3);
    // The one that probes has a long lease.
    upstream.always(Reply::Hang);
    let address = envoy.address;
    let probe = tokio::spawn(async move {
        let client = Client::fresh(address);
        while client.get("/").await.header("x-seawall-breaker").is_some() {}
    });
    upstream.wait_for_in_flight(1).await;
    for _ in 0..8 {
        assert!(is_refused(&envoy, "/short", &[]).await, "a probe is out");
    }
    assert_eq!(upstream.hits(), 4);
    probe.abort();
}

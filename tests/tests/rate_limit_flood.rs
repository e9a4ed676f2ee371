//! rate-limit in a real Envoy under a million clients: no more memory, and who is limited stays so.

use futures_util::future::join_all;
use seawall_tests::prelude::*;
use std::net::SocketAddr;
use std::ops::Range;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

const MILLION: usize = 1_000_000;

/// How a refusal ends.
const REFUSED: &[u8] = b"rate limit exceeded\n";

/// One request for each number, each by a client of its own, over kept-alive connections. Returns how many passed.
async fn flood(address: SocketAddr, numbers: Range<usize>) -> usize {
    let lanes = 32;
    let parts = (0..lanes).map(|lane| {
        let numbers = numbers.clone().skip(lane).step_by(lanes);
        async move {
            // A client without comfort: the proxy is to be busy, not the test.
            let mut connection = TcpStream::connect(address).await.unwrap();
            let mut buffer = vec![0; 4_096];
            let mut passed = 0;
            for number in numbers {
                let request = format!("GET / HTTP/1.1\r\nhost: a\r\nx-client: {number}\r\n\r\n");
                connection.write_all(request.as_bytes()).await.unwrap();
                let mut size = 0;
                while !buffer[..size].ends_with(b"\r\n\r\nok") && !buffer[..size].ends_with(REFUSED)
                {
                    let read = connection.read(&mut buffer[size..]).await.unwrap();
                    assert!(read > 0, "the connection was closed");
                    size += read;
                }
                passed += usize::from(buffer.starts_with(b"HTTP/1.1 200"));
            }
            passed
        }
    });
    join_all(parts).await.into_iter().sum()
}

async fn passing(envoy: &Envoy, client: &str, count: usize) -> usize {
    let mut passed = 0;
    for _ in 0..count {
        let answer = envoy.get_with("/", &[("x-client", client)]).await;
        passed += usize::from(answer.status == 200);
    }
    passed
}

#[tokio::test(flavor = "multi_thread")]
async fn a_million_clients_need_no_more_memory_and_forgive_nobody() {
    let upstream = Upstream::start().await;
    for (algorithm, per) in [("gcra", "1d"), ("fixed_window", "year")] {
        let envoy = Envoy::to(&upstream)
            .filter(
                "rate-limit",
                json!({
                    "max_keys": 8_192,
                    "headers": "none",
                    "limits": [{"name": "client", "key": [{"header": "x-client"}], "requests": 5, "per": per, "algorithm": algorithm}],
                }),
            )
            .route(Route::prefix("/").direct(200, "ok"))
            .start()
            .await;
        assert_eq!(passing(&envoy, "greedy", 9).await, 5);
        // Warm-up: all slots are there and full, and so are Envoy's own buffers.
        let warm = 50_000;
        assert_eq!(flood(envoy.address, 0..warm).await, warm);
        let (before, names) = (envoy.memory(), envoy.stats().await.len());
        // The exact one for the whole million, the other for a tenth of it.
        let more = if algorithm == "gcra" {
            MILLION
        } else {
            MILLION / 10
        };
        assert_eq!(flood(envoy.address, warm..warm + more).await, more);
        let grown = envoy.memory().saturating_sub(before);
        println!("{algorithm}: {before} bytes before {more} more clients, {grown} more after");
        assert!(grown < 8 * 1024 * 1024, "grew by {grown} bytes");
        assert_eq!(envoy.stats().await.len(), names, "a metric for a client");
        let evictions = "wasmcustom.seawall.rate_limit.limit.client.live_evictions";
        assert!(envoy.stat(evictions).await > 0);
        // One request in a day is near its end, five of five are far from it.
        assert_eq!(passing(&envoy, "greedy", 9).await, 0, "{algorithm}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn fifty_thousand_clients_that_have_used_up_their_day_all_stay_limited() {
    let upstream = Upstream::start().await;
    let envoy = Envoy::to(&upstream)
        .filter(
            "rate-limit",
            // The table as it is without `max_keys`.
            json!({
                "headers": "none",
                "limits": [{"name": "client", "key": [{"header": "x-client"}], "requests": 1, "per": "1d"}],
            }),
        )
        .route(Route::prefix("/").direct(200, "ok"))
        .start()
        .await;
    let clients = 50_000;
    assert_eq!(flood(envoy.address, 0..clients).await, clients);
    assert_eq!(flood(envoy.address, 0..clients).await, 0, "forgiven");
    let evictions = "wasmcustom.seawall.rate_limit.limit.client.live_evictions";
    assert_eq!(envoy.stat(evictions).await, 0);
}

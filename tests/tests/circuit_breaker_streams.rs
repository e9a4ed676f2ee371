//! Calls that last: tunnels, streams that are open for long, and uploads. None of them fails or hangs by lasting.

use seawall_tests::client::{open_until, raw};
use seawall_tests::prelude::*;
use std::net::SocketAddr;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

const PREFIX: &str = "wasmcustom.seawall.circuit_breaker";

/// Agrees to every upgrade, says something, and closes the connection, as a WebSocket server does first (RFC 6455, section
/// 7.1.1).
async fn tunnels() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    tokio::spawn(async move {
        while let Ok((mut connection, _)) = listener.accept().await {
            tokio::spawn(async move {
                let mut bytes = [0; 4096];
                let _ = connection.read(&mut bytes).await;
                let agreed = b"HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n\x88\x00";
                let _ = connection.write_all(agreed).await;
            });
        }
    });
    address
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tunnel_that_the_upstream_closes_has_worked() {
    let envoy = Envoy::to_address(tunnels().await)
        .manager("upgrade_configs", json!([{"upgrade_type": "websocket"}]))
        .filter(
            "circuit-breaker",
            json!({"failure_threshold": 2, "slow_after": "60s"}),
        )
        .start()
        .await;
    let upgrade = b"GET / HTTP/1.1\r\nhost: a\r\nconnection: upgrade\r\nupgrade: websocket\r\n\
        sec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
    for round in 0..6 {
        let answer = raw(envoy.address, upgrade).await;
        assert!(
            answer.starts_with(b"HTTP/1.1 101"),
            "round {round}: {answer:?}"
        );
        assert!(answer.ends_with(b"\x88\x00"), "round {round}: {answer:?}");
    }
    assert_eq!(envoy.stat(&format!("{PREFIX}.failures")).await, 0);
}

/// Reads what comes and resets the connection, as many servers end theirs.
async fn resets() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    tokio::spawn(async move {
        while let Ok((mut connection, _)) = listener.accept().await {
            tokio::spawn(async move {
                let mut bytes = [0; 4096];
                let _ = connection.read(&mut bytes).await;
                #[allow(deprecated, reason = "a zero linger does not block")]
                let _ = connection.set_linger(Some(Duration::ZERO));
            });
        }
    });
    address
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connect_tunnel_has_worked_once_it_stands() {
    let connect = json!([{"upgrade_type": "CONNECT", "connect_config": {}}]);
    let route = |name: &str, cluster: &str| {
        let header = json!({"name": "x-to", "string_match": {"exact": name}});
        Route::prefix("/")
            .field("match", json!({"connect_matcher": {}, "headers": [header]}))
            .to(cluster)
            .action("upgrade_configs", connect.clone())
    };
    let envoy = Envoy::to_address(resets().await)
        .cluster("nobody", SocketAddr::from(([127, 0, 0, 1], 1)), json!({}))
        .manager("upgrade_configs", json!([{"upgrade_type": "CONNECT"}]))
        .route(route("a", "upstream"))
        .route(route("b", "nobody"))
        .filter("circuit-breaker", json!({"failure_threshold": 2}))
        .start()
        .await;
    let tunnel =
        |to: &str| format!("CONNECT a:443 HTTP/1.1\r\nhost: a:443\r\nx-to: {to}\r\n\r\nhello");
    for round in 0..6 {
        let answer = raw(envoy.address, tunnel("a").as_bytes()).await;
        let answer = String::from_utf8_lossy(&answer);
        assert!(
            answer.starts_with("HTTP/1.1 200"),
            "round {round}: {answer}"
        );
    }
    // One that does not come to stand fails.
    for _ in 0..3 {
        raw(envoy.address, tunnel("b").as_bytes()).await;
    }
    assert_eq!(envoy.stat(&format!("{PREFIX}.failures")).await, 2);
    assert_eq!(envoy.stat(&format!("{PREFIX}.refused")).await, 1);
}

/// An answer that goes on, and its status line.
async fn open(address: SocketAddr) -> (TcpStream, String) {
    open_until(address, b"GET /events HTTP/1.1\r\nhost: a\r\n\r\n", "\r\n").await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_probe_whose_stream_is_still_open_when_its_lease_ends_has_succeeded() {
    let upstream = Upstream::serving(|_| Reply::status(500)).await;
    let policy = json!({"failure_threshold": 1, "open_for": "300ms", "max_open_for": "300ms", "jitter": 0,
        "probe_timeout": "1s", "successes": 2, "ramp": "0s"});
    let envoy = Envoy::to(&upstream)
        .filter("circuit-breaker", policy)
        .start()
        .await;
    envoy.get("/").await;
    upstream.always(
        Reply::ok("data: 1\n\n")
            .header("content-type", "text/event-stream")
            .chunk("data: 2\n\n")
            .slowly(Duration::from_secs(600)),
    );
    // Nothing but streams that stay open.
    let streams = std::sync::Mutex::new(Vec::new());
    eventually("the breaker closes", || async {
        let opened = open(envoy.address).await;
        streams.lock().expect("no panic").push(opened);
        (envoy.stat(&format!("{PREFIX}.closed")).await == 1).then_some(())
    })
    .await;
    for _ in 0..20 {
        let (_stream, status) = open(envoy.address).await;
        assert!(status.starts_with("HTTP/1.1 200"), "{status}");
    }
    assert_eq!(envoy.stat(&format!("{PREFIX}.failures")).await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn how_long_a_client_takes_to_send_is_not_the_upstreams_fault() {
    let upstream = Upstream::serving(|seen| match seen.path.as_str() {
        "/hang" => Reply::Hang,
        _ => Reply::ok("ok"),
    })
    .await;
    let envoy = Envoy::to(&upstream)
        .filter(
            "circuit-breaker",
            json!({"failure_threshold": 3, "slow_after": "1s"}),
        )
        .start()
        .await;
    let mut uploads = Vec::new();
    for _ in 0..5 {
        let mut connection = TcpStream::connect(envoy.address)
            .await
            .expect("Envoy listens");
        connection
            .write_all(b"POST /up HTTP/1.1\r\nhost: a\r\ncontent-length: 10\r\n\r\nhello")
            .await
            .expect("it is sent");
        uploads.push(connection);
    }
    upstream.wait_for_in_flight(5).await;
    // The time that is being tested: three times as long as a call may hang.
    tokio::time::sleep(Duration::from_secs(3)).await;
    assert_eq!(envoy.stat(&format!("{PREFIX}.overdue")).await, 0);
    for connection in &mut uploads {
        connection.write_all(b"world").await.expect("it is sent");
        let mut head = [0; 12];
        within("an answer", connection.read_exact(&mut head))
            .await
            .expect("it is whole");
        assert_eq!(&head, b"HTTP/1.1 200");
    }
    assert_eq!(envoy.stat(&format!("{PREFIX}.failures")).await, 0);
    // Who has sent everything waits for the upstream.
    for _ in 0..3 {
        let client = Client::fresh(envoy.address);
        tokio::spawn(async move { client.send("POST", "/hang", &[], b"hello").await });
    }
    envoy.wait_for_stat(&format!("{PREFIX}.overdue"), 3).await;
    let refused = envoy.get("/").await;
    assert_eq!(refused.header("x-seawall-breaker"), Some("open"));
}

/// An upgrade has no end of its request from which the time could run.
#[tokio::test(flavor = "multi_thread")]
async fn a_handshake_that_hangs_is_overdue() {
    let upstream = Upstream::serving(|_| Reply::Hang).await;
    let envoy = Envoy::to(&upstream)
        .manager("upgrade_configs", json!([{"upgrade_type": "websocket"}]))
        .filter(
            "circuit-breaker",
            json!({"failure_threshold": 3, "slow_after": "300ms", "open_for": "1h", "max_open_for": "1h"}),
        )
        .start()
        .await;
    let upgrade = b"GET / HTTP/1.1\r\nhost: a\r\nconnection: upgrade\r\nupgrade: websocket\r\n\
        sec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
    let mut clients = Vec::new();
    for _ in 0..3 {
        let mut connection = TcpStream::connect(envoy.address)
            .await
            .expect("Envoy listens");
        connection.write_all(upgrade).await.expect("it is sent");
        clients.push(connection);
    }
    envoy.wait_for_stat(&format!("{PREFIX}.overdue"), 3).await;
    let refused = envoy.get("/").await;
    assert_eq!(refused.header("x-seawall-breaker"), Some("open"));
}

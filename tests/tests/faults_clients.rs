//! Clients that leave, in every phase of a request, behind all four filters: nobody else notices, and nothing is left behind.

use seawall_tests::prelude::*;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

const PLACES: usize = 8;

fn chain(upstream: &Upstream) -> EnvoyBuilder {
    let limits = json!({"limits": [{"name": "places", "concurrent": PLACES, "lease": "1h"}]});
    Envoy::to(upstream)
        .all_filters_with(&[("rate-limit", limits)])
        .route(Route::prefix("/").timeout("0s"))
}

/// Closes hard: a reset instead of a farewell.
fn reset(connection: TcpStream) {
    #[allow(deprecated, reason = "a zero linger does not block")]
    let _ = connection.set_linger(Some(Duration::ZERO));
}

async fn sent(envoy: &Envoy, bytes: &[u8]) -> TcpStream {
    let mut connection = TcpStream::connect(envoy.address).await.expect("it listens");
    connection.write_all(bytes).await.expect("sent");
    connection
}

/// All places are free, and taken places are counted: exactly as many fit as there are.
async fn all_places_are_free(envoy: &Envoy, upstream: &Upstream) {
    eventually("nothing is in flight", || async {
        let stats = envoy.stats().await;
        (stats.get("http.ingress.downstream_rq_active") == Some(&0)).then_some(())
    })
    .await;
    // A request that was given up may be on its way there for a moment longer.
    upstream.wait_for_in_flight(0).await;
    let gate = Gate::new();
    upstream.always(Reply::ok("x").gated(&gate));
    let client = Client::fresh(envoy.address);
    let requests = (0..PLACES).map(|number| {
        let client = client.clone();
        async move { client.get(&format!("/place/{number}")).await.status }
    });
    let (answers, ()) = tokio::join!(futures_util::future::join_all(requests), async {
        eventually("each has a place", || async {
            (0..PLACES)
                .all(|number| upstream.hits_of(&format!("/place/{number}")) == 1)
                .then_some(())
        })
        .await;
        assert_eq!(client.get("/one-too-many").await.status, 429);
        gate.open();
    });
    assert_eq!(answers, [200; PLACES]);
    let log = envoy.log();
    let line = log.lines().find(|line| line.contains("panicked"));
    assert!(line.is_none(), "a VM failed: {line:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn in_the_head_or_the_body_of_the_request() {
    let upstream = Upstream::start().await;
    let envoy = chain(&upstream).start().await;
    let request = b"POST /up HTTP/1.1\r\nhost: a\r\nx-tenant-id: t\r\ncontent-length: 100\r\n\r\nhalf of the body";
    // After every byte of it, once with a farewell and once without.
    for cut in 1..=request.len() {
        let connection = sent(&envoy, &request[..cut]).await;
        if cut % 2 == 0 {
            reset(connection);
        }
    }
    // Envoy may not have looked at the last ones yet.
    eventually("all have come and gone", || async {
        let stats = envoy.stats().await;
        let count = |name: &str| stats.get(name).copied().unwrap_or_default();
        // And the one by which the harness saw that the listener is up.
        let come = count("http.ingress.downstream_cx_total") > request.len() as u64;
        (come && count("http.ingress.downstream_cx_active") == 0).then_some(())
    })
    .await;
    all_places_are_free(&envoy, &upstream).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn before_the_response_begins() {
    let upstream = Upstream::serving(|_| Reply::Hang).await;
    let envoy = chain(&upstream).start().await;
    for round in 0..5 {
        let mut connections = Vec::new();
        for number in 0..PLACES {
            let request = format!("GET /hang/{round}/{number} HTTP/1.1\r\nhost: a\r\n\r\n");
            connections.push(sent(&envoy, request.as_bytes()).await);
        }
        upstream.wait_for_in_flight(PLACES).await;
        connections.into_iter().for_each(reset);
        upstream.wait_for_in_flight(0).await;
    }
    all_places_are_free(&envoy, &upstream).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn while_waiting_for_somebody_elses_request_to_the_origin() {
    let fresh = |_: &Seen| Reply::ok("shared").header("cache-control", "max-age=600");
    let (upstream, gate) = Upstream::gated(fresh).await;
    let envoy = chain(&upstream).start().await;
    let one = |path: &str| {
        format!("GET {path} HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n").into_bytes()
    };
    let leader = sent(&envoy, &one("/shared")).await;
    upstream.wait_for_in_flight(1).await;
    let mut waiting = Vec::new();
    for _ in 0..PLACES - 1 {
        waiting.push(sent(&envoy, &one("/shared")).await);
    }
    eventually("all are there", || async {
        let active = envoy.stat("http.ingress.downstream_rq_active").await;
        (active == PLACES as u64).then_some(())
    })
    .await;
    assert_eq!(upstream.hits(), 1, "one goes to the origin");
    // Some who wait leave, then the one in front.
    let last = waiting.pop().expect("somebody waits");
    waiting.into_iter().for_each(reset);
    reset(leader);
    // Who is left goes to the origin itself.
    upstream.wait_for_hits(2).await;
    gate.open();
    let mut last = last;
    let mut text = String::new();
    within("an answer", last.read_to_string(&mut text))
        .await
        .expect("open");
    assert!(
        text.starts_with("HTTP/1.1 200") && text.ends_with("shared"),
        "{text}"
    );
    all_places_are_free(&envoy, &upstream).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn in_the_midst_of_the_response() {
    let upstream = Upstream::serving(|_| {
        Reply::ok(vec![b'x'; 4 << 20])
            .chunk(vec![b'y'; 4 << 20])
            .header("cache-control", "max-age=600")
    })
    .await;
    let envoy = chain(&upstream).start().await;
    for number in 0..40 {
        // Those before have left, but Envoy may not have noticed yet.
        eventually("a place is free", || async {
            let active = envoy.stat("http.ingress.downstream_rq_active").await;
            (active < PLACES as u64).then_some(())
        })
        .await;
        let request = format!("GET /big/{number} HTTP/1.1\r\nhost: a\r\n\r\n");
        let mut connection = sent(&envoy, request.as_bytes()).await;
        let mut part = vec![0; 1 + number * 10_000];
        within("a part of it", connection.read_exact(&mut part))
            .await
            .expect("open");
        if number % 2 == 0 {
            reset(connection);
        }
    }
    all_places_are_free(&envoy, &upstream).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn by_resetting_streams_of_http2() {
    let upstream = Upstream::serving(|_| Reply::Hang).await;
    let envoy = chain(&upstream).start().await;
    let client = Client::http2(envoy.address);
    for round in 0..10 {
        let paths: Vec<String> = (0..PLACES).map(|n| format!("/h2/{round}/{n}")).collect();
        let requests = paths.iter().map(|path| client.get(path));
        let leave = async {
            upstream.wait_for_in_flight(PLACES).await;
        };
        // Dropping a request resets its stream.
        tokio::select! {
            _ = futures_util::future::join_all(requests) => panic!("nobody answers"),
            () = leave => {}
        }
        upstream.wait_for_in_flight(0).await;
    }
    all_places_are_free(&envoy, &upstream).await;
}

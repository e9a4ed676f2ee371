//! HTTP/1.1 and HTTP/2 through all four filters: what the client and the upstream see is what they see without any filter, but for
//! the fields that the filters document.

#[path = "protocols_common/mod.rs"]
mod common;

use common::{answer, cases, others};
use seawall_tests::client::{open_until, raw};
use seawall_tests::prelude::*;

#[tokio::test(flavor = "multi_thread")]
async fn requests_and_responses_are_what_they_are_without_filters() {
    let upstream = Upstream::serving(answer).await;
    let bare = Envoy::to(&upstream).start().await;
    let chain = Envoy::to(&upstream).all_filters().start().await;
    for (method, path, headers, body) in cases() {
        for http2 in [false, true] {
            let client = |envoy: &Envoy| match http2 {
                true => Client::http2(envoy.address),
                false => Client::new(envoy.address),
            };
            let expected = client(&bare).send(method, path, &headers, &body).await;
            let request = upstream.last();
            let got = client(&chain).send(method, path, &headers, &body).await;
            let forwarded = upstream.last();
            let what = format!("{method} {path}, HTTP/2: {http2}");
            assert_eq!(got.status, expected.status, "{what}");
            assert!(got.whole && expected.whole, "{what}");
            assert_eq!(got.body, expected.body, "{what}");
            assert_eq!(others(&got.headers), others(&expected.headers), "{what}");
            assert_eq!(forwarded.method, request.method, "{what}");
            assert_eq!(forwarded.path, request.path, "{what}");
            assert_eq!(forwarded.body, request.body, "{what}");
            assert_eq!(
                others(&forwarded.headers),
                others(&request.headers),
                "{what}"
            );
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_of_one_http2_connection_run_side_by_side() {
    let (upstream, gate) = Upstream::gated(|seen| Reply::ok(seen.path.clone())).await;
    let envoy = Envoy::to(&upstream)
        .all_filters()
        .http2_upstream()
        .start()
        .await;
    let client = Client::http2(envoy.address);
    let paths: Vec<String> = (0..60).map(|number| format!("/{number}")).collect();
    let requests = paths.iter().map(|path| client.get(path));
    let (answers, ()) = tokio::join!(futures_util::future::join_all(requests), async {
        upstream.wait_for_in_flight(60).await;
        gate.open();
    });
    for (answer, path) in answers.iter().zip(&paths) {
        assert_eq!((answer.status, &answer.text()), (200, path));
    }
    let connections = envoy.stat("http.ingress.downstream_cx_http2_total").await;
    assert_eq!(connections, 1, "they shared one connection");
}

#[tokio::test(flavor = "multi_thread")]
async fn pipelined_requests_are_answered_in_order() {
    let upstream = Upstream::serving(|seen| Reply::ok(seen.path.clone())).await;
    let envoy = Envoy::to(&upstream).all_filters().start().await;
    let mut requests: String = (0..5)
        .map(|number| format!("GET /p{number} HTTP/1.1\r\nhost: a\r\n\r\n"))
        .collect();
    requests.push_str("GET /last HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n");
    let text = String::from_utf8_lossy(&raw(envoy.address, requests.as_bytes()).await).into_owned();
    let places: Vec<_> = (0..5).map(|n| text.find(&format!("/p{n}"))).collect();
    assert!(places.iter().all(Option::is_some), "{text}");
    assert!(places.is_sorted(), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_is_asked_for_by_100_continue() {
    let upstream = Upstream::serving(|seen| Reply::ok(seen.body.clone())).await;
    let envoy = Envoy::to(&upstream).all_filters().start().await;
    let mut connection = tokio::net::TcpStream::connect(envoy.address).await.unwrap();
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let head = b"POST /c HTTP/1.1\r\nhost: a\r\ncontent-length: 4\r\nexpect: 100-continue\r\nconnection: close\r\n\r\n";
    connection.write_all(head).await.unwrap();
    let mut interim = [0; 25];
    within("100 comes", connection.read_exact(&mut interim))
        .await
        .unwrap();
    assert_eq!(&interim, b"HTTP/1.1 100 Continue\r\n\r\n");
    connection.write_all(b"body").await.unwrap();
    let mut rest = String::new();
    within("the answer comes", connection.read_to_string(&mut rest))
        .await
        .unwrap();
    assert!(
        rest.starts_with("HTTP/1.1 200") && rest.ends_with("body"),
        "{rest}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_body_is_not_asked_for() {
    let upstream = Upstream::start().await;
    let none = json!({"limits": [{"name": "one", "requests": 1, "per": "1d"}]});
    let envoy = Envoy::to(&upstream)
        .all_filters_with(&[("rate-limit", none)])
        .start()
        .await;
    assert_eq!(envoy.get("/").await.status, 200);
    let head = b"POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 4\r\nexpect: 100-continue\r\n\r\n";
    let answer = String::from_utf8_lossy(&raw(envoy.address, head).await).into_owned();
    assert!(answer.contains("HTTP/1.1 429"), "{answer}");
    assert_eq!(upstream.hits(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn chunked_uploads_and_trailers_of_http1_arrive() {
    let upstream = Upstream::serving(|seen| {
        Reply::ok("got ")
            .chunk(seen.body.clone())
            .header("trailer", "x-sum")
            .trailer("x-sum", "7")
    })
    .await;
    let envoy = Envoy::to(&upstream)
        .all_filters()
        .manager("http_protocol_options", json!({"enable_trailers": true}))
        .upstream_fields(json!({"typed_extension_protocol_options": {
        "envoy.extensions.upstreams.http.v3.HttpProtocolOptions": {
            "@type": "type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions",
            "explicit_http_config": {"http_protocol_options": {"enable_trailers": true}},
        }}}))
        .start()
        .await;
    let request = b"POST /t HTTP/1.1\r\nhost: a\r\nte: trailers\r\ntransfer-encoding: chunked\r\nconnection: close\r\n\r\n\
        3\r\nabc\r\n1\r\nd\r\n0\r\nx-after: 1\r\n\r\n";
    let answer = String::from_utf8_lossy(&raw(envoy.address, request).await).into_owned();
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    assert_eq!(upstream.last().body, b"abcd");
    assert!(
        answer.contains("abcd") && answer.contains("x-sum: 7"),
        "{answer}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn events_arrive_one_by_one() {
    let upstream = Upstream::serving(|_| {
        Reply::ok("data: 1\n\n")
            .chunk("data: 2\n\n")
            .header("content-type", "text/event-stream")
            .slowly(Duration::from_secs(600))
    })
    .await;
    let envoy = Envoy::to(&upstream)
        .all_filters()
        .route(Route::prefix("/").timeout("0s"))
        .start()
        .await;
    let request = b"GET /events HTTP/1.1\r\nhost: a\r\naccept: text/event-stream\r\n\r\n";
    // The first one does not wait for the second one.
    let (_open, text) = open_until(envoy.address, request, "data: 1\n\n").await;
    assert!(text.starts_with("HTTP/1.1 200"), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn large_uploads_and_downloads_pass_without_being_kept() {
    const SIZE: usize = 64 << 20;
    let body: Vec<u8> = (0..SIZE).map(|at| (at * 31 + at / 257) as u8).collect();
    let sent = body.clone();
    let upstream = Upstream::serving(move |seen| match seen.path.as_str() {
        "/up" => Reply::ok(seen.body.len().to_string()),
        _ => Reply::ok(sent.clone()).header("cache-control", "max-age=60"),
    })
    .await;
    let envoy = Envoy::to(&upstream).all_filters().start().await;
    assert_eq!(envoy.get("/warm").await.body.len(), SIZE);
    let before = envoy.memory();
    for http2 in [false, true] {
        let client = match http2 {
            true => Client::http2(envoy.address),
            false => Client::new(envoy.address),
        };
        let answer = client.send("POST", "/up", &[], &body).await;
        assert_eq!(answer.text(), SIZE.to_string(), "HTTP/2: {http2}");
        assert!(
            upstream.last().body == body,
            "the upload was changed, HTTP/2: {http2}"
        );
        let answer = client.get("/down").await;
        assert!(
            answer.whole && answer.body == body,
            "the download was changed, HTTP/2: {http2}"
        );
    }
    let grown = envoy.memory().saturating_sub(before);
    println!("Envoy grew by {} KiB", grown >> 10);
    // What is on its way may fill the windows of HTTP/2, 16 MiB and 24 MiB; what is kept would be all of it.
    assert!(grown < SIZE as u64 / 8 * 7, "grew by {grown} bytes");
}

//! What is no plain request and response, through all four filters: gRPC of all kinds, WebSocket, trailers of HTTP/2.

use bytes::Bytes;
use h2::{client, server, RecvStream, SendStream};
use http::{HeaderMap, Method, Request, Response};
use seawall_tests::prelude::*;
use std::net::SocketAddr;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// A message in gRPC's frame.
fn message(text: &str) -> Bytes {
    let mut bytes = vec![0];
    bytes.extend((text.len() as u32).to_be_bytes());
    bytes.extend(text.as_bytes());
    bytes.into()
}

async fn data(stream: &mut RecvStream) -> Option<Bytes> {
    let bytes = within("data comes", stream.data())
        .await?
        .expect("no reset");
    let _ = stream.flow_control().release_capacity(bytes.len());
    Some(bytes)
}

async fn echo(mut body: RecvStream, mut reply: server::SendResponse<Bytes>) {
    let response = Response::builder()
        .header("content-type", "application/grpc")
        .header("x-initial", "1")
        .body(())
        .expect("a response");
    let mut out: SendStream<Bytes> = reply.send_response(response, false).expect("open");
    while let Some(Ok(bytes)) = body.data().await {
        let _ = body.flow_control().release_capacity(bytes.len());
        if out.send_data(bytes, false).is_err() {
            return;
        }
    }
    let after = body.trailers().await.ok().flatten().unwrap_or_default();
    let mut trailers = HeaderMap::new();
    trailers.insert("grpc-status", "0".parse().expect("a value"));
    if let Some(value) = after.get("x-after") {
        trailers.insert("x-after-seen", value.clone());
    }
    let _ = out.send_trailers(trailers);
}

/// An HTTP/2 server that sends back every part of a body as soon as it is there, and then trailers.
async fn echo_server() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("bound");
    tokio::spawn(async move {
        while let Ok((connection, _)) = listener.accept().await {
            tokio::spawn(async move {
                let Ok(mut connection) = server::handshake(connection).await else {
                    return;
                };
                while let Some(Ok((request, reply))) = connection.accept().await {
                    tokio::spawn(echo(request.into_body(), reply));
                }
            });
        }
    });
    address
}

async fn chain(address: SocketAddr) -> Envoy {
    Envoy::to_address(address)
        .http2_upstream()
        .all_filters()
        .route(Route::prefix("/").timeout("0s"))
        .start()
        .await
}

async fn connect(envoy: &Envoy) -> client::SendRequest<Bytes> {
    let connection = TcpStream::connect(envoy.address).await.expect("it listens");
    let (sender, connection) = client::handshake(connection).await.expect("HTTP/2");
    tokio::spawn(async move {
        let _ = connection.await;
    });
    sender.ready().await.expect("open")
}

fn call() -> Request<()> {
    Request::builder()
        .method(Method::POST)
        .uri("http://shop.example/seawall.Echo/Talk")
        .header("content-type", "application/grpc")
        .header("te", "trailers")
        .body(())
        .expect("a request")
}

#[tokio::test(flavor = "multi_thread")]
async fn both_sides_of_a_grpc_stream_talk_in_turns() {
    let envoy = chain(echo_server().await).await;
    let mut sender = connect(&envoy).await;
    let (response, mut out) = sender.send_request(call(), false).expect("sent");
    // Each message is answered before the next one is sent: nothing on the way waits for the end.
    out.send_data(message("number 0"), false).expect("sent");
    let response = within("the headers come", response)
        .await
        .expect("an answer");
    assert_eq!(response.status(), 200);
    assert_eq!(response.headers()["x-initial"], "1");
    assert!(response.headers().contains_key("x-request-id"));
    let mut body = response.into_body();
    assert_eq!(data(&mut body).await, Some(message("number 0")));
    for number in 1..50 {
        let text = message(&format!("number {number}"));
        out.send_data(text.clone(), false).expect("sent");
        assert_eq!(data(&mut body).await, Some(text));
    }
    let mut trailers = HeaderMap::new();
    trailers.insert("x-after", "end".parse().expect("a value"));
    out.send_trailers(trailers).expect("sent");
    assert_eq!(data(&mut body).await, None);
    let trailers = body.trailers().await.expect("no reset").expect("trailers");
    assert_eq!(trailers["grpc-status"], "0");
    assert_eq!(trailers["x-after-seen"], "end", "request trailers arrive");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_unary_call_and_its_failure_arrive_as_they_are() {
    let upstream = Upstream::serving(|_| Reply::grpc(0)).await;
    let envoy = chain(upstream.address).await;
    let client = Client::http2(envoy.address);
    let headers = [("content-type", "application/grpc"), ("te", "trailers")];
    let answer = client
        .send("POST", "/seawall.Echo/One", &headers, &message("m"))
        .await;
    assert_eq!(
        (answer.status, answer.body.len(), answer.whole),
        (200, 5, true)
    );
    assert_eq!(upstream.last().body, message("m"));
    assert_eq!(upstream.last().header("te"), Some("trailers"));
    upstream.always(Reply::grpc_trailers_only(5).header("grpc-message", "no such order"));
    let answer = client
        .send("POST", "/seawall.Echo/One", &headers, &message("m"))
        .await;
    assert_eq!(answer.header("grpc-status"), Some("5"));
    assert_eq!(answer.header("grpc-message"), Some("no such order"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_grpc_stream_that_the_client_cancels_leaves_nothing_behind() {
    let envoy = chain(echo_server().await).await;
    let mut sender = connect(&envoy).await;
    for _ in 0..20 {
        let (response, mut out) = sender.send_request(call(), false).expect("sent");
        out.send_data(message("m"), false).expect("sent");
        let mut body = within("headers", response)
            .await
            .expect("an answer")
            .into_body();
        assert!(data(&mut body).await.is_some());
        out.send_reset(h2::Reason::CANCEL);
    }
    eventually("no request is left", || async {
        (envoy.stat("http.ingress.downstream_rq_active").await == 0).then_some(())
    })
    .await;
    let (response, mut out) = sender.send_request(call(), false).expect("sent");
    out.send_data(message("m"), true).expect("sent");
    assert_eq!(
        within("an answer", response)
            .await
            .expect("an answer")
            .status(),
        200
    );
}

/// Agrees to any upgrade and sends back whatever comes.
async fn websocket_server() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("bound");
    tokio::spawn(async move {
        while let Ok((mut connection, _)) = listener.accept().await {
            tokio::spawn(async move {
                let mut head = Vec::new();
                while !head.ends_with(b"\r\n\r\n") {
                    head.push(connection.read_u8().await?);
                }
                let agreed = b"HTTP/1.1 101 Switching Protocols\r\nconnection: Upgrade\r\nupgrade: websocket\r\n\
                    sec-websocket-accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n";
                connection.write_all(agreed).await?;
                let (mut from, mut to) = connection.split();
                tokio::io::copy(&mut from, &mut to).await
            });
        }
    });
    address
}

#[tokio::test(flavor = "multi_thread")]
async fn a_websocket_carries_frames_both_ways() {
    let envoy = Envoy::to_address(websocket_server().await)
        .all_filters()
        .manager("upgrade_configs", json!([{"upgrade_type": "websocket"}]))
        .start()
        .await;
    let mut connection = TcpStream::connect(envoy.address).await.expect("it listens");
    let request = b"GET /chat HTTP/1.1\r\nhost: shop.example\r\nconnection: Upgrade\r\nupgrade: websocket\r\n\
        sec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
    connection.write_all(request).await.expect("sent");
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(
            within("the head comes", connection.read_u8())
                .await
                .expect("open"),
        );
    }
    let head = String::from_utf8_lossy(&head).to_lowercase();
    assert!(head.starts_with("http/1.1 101"), "{head}");
    assert!(
        head.contains("sec-websocket-accept: s3pplmbitxaq9kygzzhzrbk+xoo="),
        "{head}"
    );
    for length in [0usize, 1, 125, 60_000] {
        // A binary frame from the client, masked with zeros (RFC 6455, section 5.2).
        let mut frame = vec![0x82];
        match length {
            0..=125 => frame.push(0x80 | length as u8),
            _ => {
                frame.push(0x80 | 126);
                frame.extend((length as u16).to_be_bytes());
            }
        }
        frame.extend([0; 4]);
        frame.extend((0..length).map(|at| at as u8));
        connection.write_all(&frame).await.expect("sent");
        let mut back = vec![0; frame.len()];
        within("the frame comes back", connection.read_exact(&mut back))
            .await
            .expect("open");
        assert_eq!(back, frame);
    }
    drop(connection);
    eventually("the request is over", || async {
        (envoy.stat("http.ingress.downstream_rq_active").await == 0).then_some(())
    })
    .await;
}

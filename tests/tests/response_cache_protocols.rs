//! response-cache and what HTTP has besides requests and responses with bodies: interim responses, tunnels, codings, types.

use seawall_tests::client::raw;
use seawall_tests::prelude::*;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::Arc;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// An origin that answers every connection with these bytes once it has read something, then echoes.
async fn bytes_origin(answer: &'static [u8]) -> (SocketAddr, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let hits = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&hits);
    tokio::spawn(async move {
        while let Ok((mut connection, _)) = listener.accept().await {
            let count = Arc::clone(&count);
            tokio::spawn(async move {
                let mut part = [0; 4096];
                while let Ok(size) = connection.read(&mut part).await {
                    if size == 0 {
                        return;
                    }
                    count.fetch_add(1, Ordering::SeqCst);
                    let reply = if answer.is_empty() {
                        part[..size].to_vec()
                    } else {
                        answer.to_vec()
                    };
                    if connection.write_all(&reply).await.is_err() {
                        return;
                    }
                }
            });
        }
    });
    (address, hits)
}

const GET: &[u8] = b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";

#[tokio::test(flavor = "multi_thread")]
async fn interim_responses_pass_and_only_the_final_one_is_stored() {
    let (origin, hits) = bytes_origin(
        b"HTTP/1.1 103 Early Hints\r\nlink: </a.css>\r\nx-interim: 1\r\n\r\n\
          HTTP/1.1 200 OK\r\ncache-control: max-age=600\r\ncontent-length: 5\r\n\r\nfinal",
    )
    .await;
    let envoy = Envoy::to_address(origin)
        .filter("response-cache", json!({"refresh": {"algorithm": "off"}}))
        .manager("proxy_100_continue", json!(true))
        .start()
        .await;
    let first = String::from_utf8_lossy(&raw(envoy.address, GET).await).into_owned();
    assert!(
        first.starts_with("HTTP/1.1 103")
            && first.contains("HTTP/1.1 200")
            && first.ends_with("final"),
        "{first}"
    );
    for _ in 0..10 {
        let hit = String::from_utf8_lossy(&raw(envoy.address, GET).await).into_owned();
        assert!(
            hit.starts_with("HTTP/1.1 200") && hit.ends_with("final") && hit.contains("; hit;"),
            "{hit}"
        );
        assert!(
            !hit.contains("x-interim") && !hit.contains("link:"),
            "{hit}"
        );
    }
    assert_eq!(hits.load(Ordering::SeqCst), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn tunnels_pass_untouched() {
    let (origin, _) = bytes_origin(b"").await;
    let envoy = Envoy::to_address(origin)
        .filter("response-cache", json!({"default_ttl": "1h"}))
        .route(
            Route::prefix("/")
                .field("match", json!({"connect_matcher": {}}))
                .action(
                    "upgrade_configs",
                    json!([{"upgrade_type": "CONNECT", "connect_config": {}}]),
                ),
        )
        .manager("upgrade_configs", json!([{"upgrade_type": "CONNECT"}]))
        .start()
        .await;
    for _ in 0..2 {
        let bytes = b"CONNECT x:80 HTTP/1.1\r\nHost: x:80\r\n\r\nthrough the tunnel";
        let mut connection = TcpStream::connect(envoy.address).await.unwrap();
        connection.write_all(bytes).await.unwrap();
        let mut got = Vec::new();
        while !got.ends_with(b"through the tunnel") {
            let next = within("what comes back", connection.read_u8()).await;
            got.push(
                next.unwrap_or_else(|e| panic!("{e} after {:?}", String::from_utf8_lossy(&got))),
            );
        }
        let got = String::from_utf8_lossy(&got);
        assert!(got.starts_with("HTTP/1.1 200"), "{got}");
        assert!(!got.contains("cache-status"), "{got}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn encoded_bodies_reach_only_who_accepts_them() {
    // An origin that says what it varies by, and one that forgets to.
    for vary in [true, false] {
        let upstream = Upstream::serving(move |seen| {
            let gzip = seen
                .header("accept-encoding")
                .is_some_and(|value| value.contains("gzip"));
            let reply = Reply::ok(if gzip { "zipped" } else { "plain" })
                .header("cache-control", "max-age=600")
                .header("content-type", "text/plain");
            let reply = if gzip {
                reply.header("content-encoding", "gzip")
            } else {
                reply
            };
            if vary {
                reply.header("vary", "accept-encoding")
            } else {
                reply
            }
        })
        .await;
        let envoy = Envoy::to(&upstream)
            .filter("response-cache", json!({"refresh": {"algorithm": "off"}}))
            .start()
            .await;
        let gzip = [("accept-encoding", "gzip, br")];
        assert_eq!(envoy.get_with("/", &gzip).await.text(), "zipped");
        for _ in 0..10 {
            let hit = Client::fresh(envoy.address).get_with("/", &gzip).await;
            assert_eq!(
                (hit.text().as_str(), hit.header("content-encoding")),
                ("zipped", Some("gzip"))
            );
        }
        for _ in 0..10 {
            let plain = envoy.get_fresh("/").await;
            assert_eq!(
                (plain.text().as_str(), plain.header("content-encoding")),
                ("plain", None)
            );
        }
        assert_eq!(upstream.hits(), 2, "vary: {vary}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn hits_have_the_fields_that_the_origin_sent_and_no_type_of_their_own() {
    let upstream = Upstream::serving(|seen| {
        let reply = Reply::ok("body")
            .header("cache-control", "max-age=600")
            .header("x-a", "1")
            .header("x-a", "2");
        if seen.path == "/typed" {
            reply.header("content-type", "text/x")
        } else {
            reply
        }
    })
    .await;
    let envoy = Envoy::to(&upstream)
        .filter("response-cache", json!({}))
        .start()
        .await;
    for client in [Client::fresh(envoy.address), Client::http2(envoy.address)] {
        for (path, kind) in [("/typed", Some("text/x")), ("/untyped", None)] {
            let first = client.get(path).await;
            let hit = client.get(path).await;
            let head = client.send("HEAD", path, &[], b"").await;
            for answer in [&first, &hit, &head] {
                assert_eq!(
                    (answer.status, answer.header("content-type")),
                    (200, kind),
                    "{path}"
                );
                assert_eq!(answer.all("x-a"), ["1", "2"]);
                assert_eq!(answer.header("content-length"), Some("4"));
            }
            assert_eq!((hit.text().as_str(), head.body.len()), ("body", 0));
            assert_eq!(
                hit.header("date"),
                first.header("date").or(hit.header("date"))
            );
        }
    }
    assert_eq!(upstream.hits(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_empty_style_sheet_keeps_its_type() {
    let upstream = Upstream::serving(|_| {
        Reply::ok("")
            .header("cache-control", "max-age=600")
            .header("content-type", "text/css")
    })
    .await;
    let envoy = Envoy::to(&upstream)
        .filter("response-cache", json!({}))
        .start()
        .await;
    for client in [Client::fresh(envoy.address), Client::http2(envoy.address)] {
        for method in ["GET", "GET", "HEAD"] {
            let answer = client.send(method, "/", &[], b"").await;
            assert_eq!(
                (answer.status, answer.header("content-type")),
                (200, Some("text/css")),
                "{method}"
            );
        }
    }
    assert_eq!(upstream.hits(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn attacks_over_the_wire_reach_nobody_else() {
    let upstream = Upstream::serving(|seen| {
        // An application that believes what it is told.
        let host = seen
            .header("x-forwarded-host")
            .or(seen.header("x-host"))
            .or(seen.header("forwarded"))
            .or(seen.header("host"))
            .unwrap_or_default();
        let proto = seen.header("x-forwarded-proto").unwrap_or_default();
        let method = seen
            .header("x-http-method-override")
            .or(seen.header("x-react-router-spa-mode"))
            .or(seen.header("rsc"))
            .unwrap_or("GET");
        let user = seen
            .header("authorization")
            .or(seen.header("cookie"))
            .unwrap_or("nobody");
        let reply = Reply::ok(format!("{method} {proto}://{host}{} for {user}", seen.path))
            .header("cache-control", "max-age=600")
            .header("vary", "cookie");
        if seen.path == "/login" {
            reply.header("set-cookie", "session=1")
        } else {
            reply
        }
    })
    .await;
    let envoy = Envoy::to(&upstream)
        .filter("response-cache", json!({"key": {"exclude": ["utm_*"]}}))
        .start()
        .await;
    let host = envoy.address.to_string();
    for (path, fields) in [
        ("/a", vec![("x-forwarded-host", "evil.example")]),
        ("/b", vec![("x-http-method-override", "DELETE")]),
        ("/c", vec![("authorization", "alice")]),
        ("/d", vec![("cookie", "session=alice")]),
        ("/e", vec![("forwarded", "for=1.2.3.4;host=evil.example")]),
        ("/f", vec![("x-host", "evil.example")]),
        ("/g", vec![("x-forwarded-proto", "https")]),
        ("/h", vec![("x-forwarded-proto", "evil")]),
        ("/i", vec![("x-react-router-spa-mode", "yes")]),
        ("/j", vec![("rsc", "1")]),
        ("/k", vec![]),
        ("/login", vec![]),
    ] {
        // The host of a target in absolute form is the one that counts, for the key as for the origin.
        let absolute = format!(
            "GET http://evil.example{path} HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n\r\n"
        );
        let got = raw(envoy.address, absolute.as_bytes()).await;
        assert!(String::from_utf8_lossy(&got).contains("://evil.example/"));
        envoy.get_with(path, &fields).await;
        for _ in 0..4 {
            let got = envoy.get_fresh(path).await;
            assert_eq!(
                got.text(),
                format!("GET http://{host}{path} for nobody"),
                "{fields:?}"
            );
        }
    }
    assert_eq!(
        upstream.hits_of("/login"),
        6,
        "what sets a session is never stored"
    );
    envoy.get("/s?utm_a=1;x=evil").await;
    assert!(!envoy.get("/s").await.text().contains("evil"));
    // Envoy itself refuses what could end a line or a field; nothing of it comes to be a key.
    for bytes in [
        &b"GET /x\x01 HTTP/1.1\r\nHost: x\r\n\r\n"[..],
        b"GET /x HTTP/1.1\r\nHost: x\r\nX-A: a\x00b\r\n\r\n",
        b"GET /x HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    ] {
        let got = String::from_utf8_lossy(&raw(envoy.address, bytes).await).into_owned();
        assert!(got.starts_with("HTTP/1.1 400"), "{got}");
    }
}

const SEARCH: &[u8] = b"M-SEARCH / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";

#[tokio::test(flavor = "multi_thread")]
async fn an_unknown_method_passes_and_invalidates_where_envoy_lets_it() {
    for allowed in [false, true] {
        let (origin, hits) = bytes_origin(
            b"HTTP/1.1 200 OK\r\ncache-control: max-age=600\r\ncontent-length: 1\r\n\r\nx",
        )
        .await;
        let envoy = Envoy::to_address(origin)
            .filter("response-cache", json!({"refresh": {"algorithm": "off"}}))
            .manager(
                "http_protocol_options",
                json!({"allow_custom_methods": allowed}),
            )
            .start()
            .await;
        raw(envoy.address, GET).await;
        let answer = raw(envoy.address, SEARCH).await;
        let status: &[u8] = if allowed {
            b"HTTP/1.1 200"
        } else {
            b"HTTP/1.1 400"
        };
        assert!(answer.starts_with(status));
        raw(envoy.address, GET).await;
        let expected = if allowed { 3 } else { 1 };
        assert_eq!(hits.load(Ordering::SeqCst), expected);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unknown_transfer_coding_never_reaches_the_cache() {
    let (origin, _) = bytes_origin(
        b"HTTP/1.1 200 OK\r\ncache-control: max-age=600\r\ntransfer-encoding: other\r\n\r\nx",
    )
    .await;
    let envoy = Envoy::to_address(origin)
        .filter("response-cache", json!({}))
        .start()
        .await;
    for _ in 0..2 {
        let answer = raw(envoy.address, GET).await;
        assert!(answer.starts_with(b"HTTP/1.1 502"));
    }
    // Had the first one been stored, the second would be no miss.
    envoy
        .wait_for_stat("wasmcustom.seawall.response_cache.misses", 2)
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_asked_for_in_parts_is_stored_where_the_route_asks_for_the_whole() {
    let upstream = Upstream::serving(|seen| match seen.header("range") {
        Some(_) => Reply::status(206).header("content-range", "bytes 0-1/10"),
        None => Reply::ok("0123456789").header("cache-control", "max-age=600"),
    })
    .await;
    let envoy = Envoy::to(&upstream)
        .filter("response-cache", json!({"refresh": {"algorithm": "off"}}))
        .route(
            Route::prefix("/whole")
                .field("request_headers_to_remove", json!(["range", "if-range"])),
        )
        .route(Route::prefix("/"))
        .start()
        .await;
    let part = [("range", "bytes=2-3")];
    for path in ["/part", "/part"] {
        assert_eq!(envoy.get_with(path, &part).await.status, 206);
    }
    assert_eq!(upstream.hits_of("/part"), 2);
    let first = envoy.get_with("/whole", &part).await;
    assert_eq!((first.status, first.text()), (200, "0123456789".to_owned()));
    for _ in 0..10 {
        let got = envoy.get_fresh("/whole").await;
        assert_eq!(got.status, 200);
        let got = envoy.get_with("/whole", &part).await;
        assert_eq!((got.status, got.text()), (206, "23".to_owned()));
    }
    assert_eq!(upstream.hits_of("/whole"), 1);
}

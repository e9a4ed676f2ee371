//! Requests whose end two parties could see in different places: through all four filters none of them becomes two, and paths that
//! could be read in two ways go on byte by byte and share nothing with those that they resemble.

use seawall_tests::client::raw;
use seawall_tests::prelude::*;

const HIDDEN: &str = "GET /hidden HTTP/1.1\r\nhost: a\r\n\r\n";

#[tokio::test(flavor = "multi_thread")]
async fn no_request_hides_another_one() {
    let upstream = Upstream::start().await;
    let envoy = Envoy::to(&upstream).all_filters().start().await;
    let length = HIDDEN.len();
    let cases = [
        // Two lengths that do not agree (RFC 9112, sections 6.1 and 6.3).
        format!("POST / HTTP/1.1\r\nhost: a\r\ncontent-length: {length}\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n{HIDDEN}"),
        format!("POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 0\r\ncontent-length: {length}\r\n\r\n{HIDDEN}"),
        format!("POST / HTTP/1.1\r\nhost: a\r\ncontent-length: {length}, 0\r\n\r\n{HIDDEN}"),
        format!("POST / HTTP/1.1\r\nhost: a\r\ncontent-length: +{length}\r\n\r\n{HIDDEN}"),
        format!("POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked, identity\r\n\r\n0\r\n\r\n{HIDDEN}"),
        format!("POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: xchunked\r\n\r\n0\r\n\r\n{HIDDEN}"),
        // Names and lines that some read and some do not (section 5).
        format!("POST / HTTP/1.1\r\nhost: a\r\ncontent-length : {length}\r\n\r\n{HIDDEN}"),
        format!("POST / HTTP/1.1\r\nhost: a\r\nx: y\r\n content-length: 1\r\ncontent-length: {length}\r\n\r\n{HIDDEN}"),
        format!("POST / HTTP/1.1\r\nhost: a\r\nx-request-id: a\0b\r\ncontent-length: {length}\r\n\r\n{HIDDEN}"),
        format!("POST / HTTP/1.1\r\nhost: a\r\ncontent-length: {length}\r\n\r\n{HIDDEN}"),
    ];
    for case in cases {
        upstream.forget();
        raw(envoy.address, case.as_bytes()).await;
        let seen = upstream.seen();
        // A body that holds what looks like a request is a body.
        assert!(seen.len() <= 2, "{case:?}: {seen:?}");
        for request in &seen {
            let separate = request.path == "/hidden"
                && request.headers.iter().any(|(n, _)| n == "content-length");
            assert!(!separate, "{case:?}: {seen:?}");
        }
        if case.contains("content-length: ") && seen.len() == 1 {
            assert_ne!(seen[0].path, "/hidden", "{case:?}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn paths_that_resemble_each_other_share_nothing() {
    let upstream = Upstream::serving(|seen| {
        Reply::ok(seen.path.clone()).header("cache-control", "max-age=600")
    })
    .await;
    let envoy = Envoy::to(&upstream).all_filters().start().await;
    let paths = [
        "/a/b",
        "/a//b",
        "/a/./b",
        "/a/c/../b",
        "/a/%62",
        "/A/b",
        "/a/b/",
        "/a/b?",
        "/a/b;x",
        "/a%2Fb",
        "/a%2fb",
        "/a\\b",
        "/a/b%00",
        "/a/b%20",
        "/a/b?x",
        "/a/b?x=",
        "/a/b?y=1&x=2",
        "/a/b?x=2&y=1",
        "/a/b%3Fx",
    ];
    for _ in 0..2 {
        for path in paths {
            let request = format!("GET {path} HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n");
            let answer = raw(envoy.address, request.as_bytes()).await;
            let text = String::from_utf8_lossy(&answer);
            if text.starts_with("HTTP/1.1 200") {
                let body = text.split("\r\n\r\n").nth(1).unwrap_or_default();
                assert_eq!(body, path, "somebody else's answer");
            }
        }
    }
    // Each of them went to the origin as it was sent, once.
    for seen in upstream.seen() {
        assert!(
            paths.contains(&seen.path.as_str()),
            "{} was changed",
            seen.path
        );
        assert_eq!(upstream.hits_of(&seen.path), 1, "{}", seen.path);
    }
}

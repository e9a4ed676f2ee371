//! response-cache in a real Envoy: what origins send that no specification foresees, and what a 304 says to one client.

use seawall_tests::client::open_until;
use seawall_tests::prelude::*;

#[tokio::test(flavor = "multi_thread")]
async fn what_an_origin_seems_to_forbid_is_not_shared_whatever_the_route_says() {
    let odd = [
        ("/semicolons", "private; max-age=600", "accept"),
        ("/blanks", "no-store no-cache", "accept"),
        ("/vary", "max-age=600", "Accept-Encoding Cookie"),
        ("/kept-out", "max-age=600, private=\"vary\"", "cookie"),
    ];
    let upstream = Upstream::serving(move |seen| {
        let known = odd.iter().find(|(path, ..)| *path == seen.path);
        let (_, control, vary) = known.unwrap_or(&("", "max-age=600", "accept"));
        Reply::ok(seen.header("cookie").unwrap_or("nobody"))
            .header("cache-control", control)
            .header("vary", vary)
    })
    .await;
    let envoy = Envoy::to(&upstream)
        .filter("response-cache", json!({"forced_ttl": "1h"}))
        .start()
        .await;
    for (path, ..) in odd {
        envoy.get_with(path, &[("cookie", "alice")]).await;
        for _ in 0..4 {
            let got = envoy.get_fresh(path).await;
            assert_eq!(got.text(), "nobody", "{path}");
        }
        assert_eq!(upstream.hits_of(path), 5, "{path}");
    }
    envoy.get("/plain").await;
    envoy.get_fresh("/plain").await;
    assert_eq!(upstream.hits_of("/plain"), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_cookies_of_a_304_reach_who_asked_and_nobody_else() {
    let upstream = Upstream::serving(|seen| {
        let reply = if seen.header("if-none-match").is_some() {
            Reply::status(304)
                .header("set-cookie", "session=2")
                .header("set-cookie", "theme=dark")
        } else {
            Reply::ok("page")
        };
        reply
            .header("cache-control", "max-age=600")
            .header("etag", "\"a\"")
    })
    .await;
    let envoy = Envoy::to(&upstream)
        .filter("response-cache", json!({"set_cookie": "strip"}))
        .start()
        .await;
    envoy.get("/").await;
    let sure = [("cache-control", "no-cache")];
    let got = envoy.get_with("/", &sure).await;
    assert_eq!((got.status, got.text().as_str()), (200, "page"));
    assert_eq!(got.all("set-cookie"), ["session=2", "theme=dark"]);
    for _ in 0..4 {
        let hit = envoy.get_fresh("/").await;
        assert_eq!(hit.text(), "page");
        assert!(hit.all("set-cookie").is_empty());
    }
    assert_eq!(upstream.hits(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_compressed_copy_never_gets_the_strong_tag_of_the_file() {
    // As nginx does it: what it compresses gets a weak tag, and its 304 has that of the file.
    let upstream = Upstream::serving(|seen| {
        let compressed = seen.header("accept-encoding") == Some("gzip");
        let reply = if seen.header("if-none-match").is_some() {
            Reply::status(304).header("etag", "\"a\"")
        } else if compressed {
            Reply::ok("compressed")
                .header("etag", "W/\"a\"")
                .header("content-encoding", "gzip")
        } else {
            Reply::ok("plain").header("etag", "\"a\"")
        };
        reply
            .header("cache-control", "max-age=600")
            .header("vary", "accept-encoding")
    })
    .await;
    let envoy = Envoy::to(&upstream)
        .filter("response-cache", json!({}))
        .start()
        .await;
    let gzip = ("accept-encoding", "gzip");
    envoy.get_with("/", &[gzip]).await;
    let revalidated = envoy
        .get_with("/", &[gzip, ("cache-control", "no-cache")])
        .await;
    assert_eq!(revalidated.header("etag"), Some("W/\"a\""));
    // Who has the beginning of the plain one must not get the end of the compressed one.
    let rest = [gzip, ("range", "bytes=2-"), ("if-range", "\"a\"")];
    let got = envoy.get_with("/", &rest).await;
    assert_eq!((got.status, got.text().as_str()), (200, "compressed"));
    assert_eq!(upstream.hits(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_waits_for_the_end_of_an_event_stream() {
    let upstream = Upstream::serving(|_| {
        Reply::ok("data: 1\n\n")
            .chunk("data: 2\n\n")
            .header("content-type", "text/event-stream")
            .slowly(Duration::from_secs(600))
    })
    .await;
    let lives = json!({"default_ttl": "1h", "coalesce": {"wait": "1h"}});
    let envoy = Envoy::to(&upstream)
        .filter("response-cache", lives)
        .route(Route::prefix("/").timeout("0s"))
        .start()
        .await;
    let mut open = Vec::new();
    for _ in 0..3 {
        let request = b"GET /events HTTP/1.1\r\nhost: a\r\n\r\n";
        open.push(open_until(envoy.address, request, "data: 1\n\n").await);
    }
    assert_eq!(upstream.hits(), 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_location_names_is_invalidated_as_clients_resolve_it() {
    let upstream = Upstream::serving(|seen| {
        if seen.method == "POST" {
            let target = seen.header("x-target").unwrap_or_default();
            Reply::status(201).header("location", target)
        } else {
            Reply::ok("x").header("cache-control", "max-age=600")
        }
    })
    .await;
    let envoy = Envoy::to(&upstream)
        .filter("response-cache", json!({}))
        .start()
        .await;
    let targets = ["../a/b", "/a/./b", "/x/../a/b", "./../a/b"];
    for target in targets {
        envoy.get_fresh("/a/b").await;
        let fields = [("x-target", target)];
        envoy.send("POST", "/c/d", &fields, b"").await;
    }
    assert_eq!(upstream.hits_of("/a/b"), targets.len());
}

/// Nothing but trailers follows the headers: there is no part of a body that could become the stored one.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_stored_comes_whole_in_the_place_of_headers_and_trailers() {
    let upstream = Upstream::start().await;
    upstream.behave(|seen| match seen.header("if-none-match") {
        None => Reply::ok("whole")
            .header("etag", "\"a\"")
            .header("cache-control", "max-age=0, stale-if-error=60"),
        Some(_) if seen.path == "/304" => Reply::status(304)
            .header("etag", "\"a\"")
            .trailer("x-sum", "1"),
        Some(_) => Reply::status(503).trailer("x-sum", "1"),
    });
    let envoy = Envoy::to(&upstream)
        .http2_upstream()
        .filter("response-cache", json!({"refresh": {"algorithm": "off"}}))
        .start()
        .await;
    for path in ["/304", "/503"] {
        for _ in 0..3 {
            let answer = envoy.get(path).await;
            assert_eq!(
                (answer.status, answer.text().as_str()),
                (200, "whole"),
                "{path}"
            );
        }
        assert_eq!(upstream.hits_of(path), 3);
    }
}

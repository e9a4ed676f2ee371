//! response-cache in a real Envoy: revalidation, stale use, ranges, purges, and what passes untouched.

use seawall_tests::client::raw;
use seawall_tests::prelude::*;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;

const METRIC: &str = "wasmcustom.seawall.response_cache.";

/// No early refresh: what happens is what the clock says.
fn still() -> Value {
    json!({"refresh": {"algorithm": "off"}})
}

fn with(mut configuration: Value, more: Value) -> Value {
    for (field, value) in more.as_object().unwrap() {
        configuration[field] = value.clone();
    }
    configuration
}

async fn cached(upstream: &Upstream, configuration: Value) -> Envoy {
    Envoy::to(upstream)
        .filter("response-cache", configuration)
        .start()
        .await
}

/// Waits until the stored answer is no longer fresh, as seen from outside.
async fn wait_until_stale(envoy: &Envoy, path: &str) {
    eventually("the stored answer is stale", || async {
        let answer = envoy
            .get_with(path, &[("cache-control", "only-if-cached")])
            .await;
        (answer.status == 504).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_304_of_the_origin_becomes_the_stored_200_whole_and_fresh_again() {
    let body = "x".repeat(200_000);
    let stored = body.clone();
    let upstream = Upstream::serving(move |seen| {
        if seen.header("if-none-match") == Some("\"v1\"") {
            Reply::status(304)
                .header("cache-control", "max-age=600")
                .header("x-a", "2")
                .header("etag", "\"v1\"")
        } else {
            Reply::ok(stored.as_str())
                .header("cache-control", "max-age=1")
                .header("x-a", "1")
                .header("etag", "\"v1\"")
        }
    })
    .await;
    let envoy = cached(&upstream, still()).await;
    envoy.get("/").await;
    wait_until_stale(&envoy, "/").await;
    let answer = envoy.get("/").await;
    assert_eq!(
        (answer.status, answer.body.len(), answer.whole),
        (200, 200_000, true)
    );
    assert_eq!(answer.header("x-a"), Some("2"));
    assert_eq!(
        answer.header("cache-status"),
        Some("seawall; fwd=stale; fwd-status=304; stored")
    );
    for _ in 0..20 {
        let hit = envoy.get_fresh("/").await;
        assert_eq!(
            (hit.status, hit.text() == body, hit.header("x-a")),
            (200, true, Some("2"))
        );
    }
    assert_eq!(upstream.hits(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn clients_get_304_parts_and_heads_from_what_is_stored() {
    let upstream = Upstream::serving(|_| {
        Reply::ok("0123456789")
            .header("cache-control", "max-age=600")
            .header("etag", "\"a\"")
            .header("content-type", "text/x")
    })
    .await;
    let envoy = cached(&upstream, still()).await;
    envoy.get("/").await;
    let not_modified = envoy.get_with("/", &[("if-none-match", "\"a\"")]).await;
    assert_eq!(
        (
            not_modified.status,
            not_modified.body.len(),
            not_modified.header("etag")
        ),
        (304, 0, Some("\"a\""))
    );
    let part = envoy.get_with("/", &[("range", "bytes=-3")]).await;
    assert_eq!((part.status, part.text().as_str()), (206, "789"));
    assert_eq!(part.header("content-range"), Some("bytes 7-9/10"));
    assert_eq!(part.header("content-length"), Some("3"));
    assert_eq!(
        envoy.get_with("/", &[("range", "bytes=10-")]).await.status,
        416
    );
    let head = envoy.send("HEAD", "/", &[], b"").await;
    assert_eq!(
        (head.status, head.body.len(), head.header("content-length")),
        (200, 0, Some("10"))
    );
    assert_eq!(head.header("content-type"), Some("text/x"));
    assert_eq!(upstream.hits(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn stale_answers_bridge_errors_with_a_body_without_one_and_a_dead_origin() {
    let upstream = Upstream::serving(|_| {
        Reply::ok("good")
            .header("cache-control", "max-age=1, stale-if-error=600")
            .header("content-type", "text/x")
    })
    .await;
    let envoy = cached(&upstream, still()).await;
    envoy.get("/").await;
    wait_until_stale(&envoy, "/").await;
    let check = |answer: Answer, status: &str| {
        assert_eq!(
            (answer.status, answer.text().as_str(), answer.whole),
            (200, "good", true),
            "{status}"
        );
        assert_eq!(answer.header("content-type"), Some("text/x"));
        assert_eq!(answer.header("content-length"), Some("4"));
        let expected = format!("seawall; fwd=stale; fwd-status={status}; detail=stale-if-error");
        assert_eq!(answer.header("cache-status"), Some(expected.as_str()));
    };
    upstream.always(
        Reply::status(500)
            .chunk("a long page about an error")
            .chunk("in two parts"),
    );
    check(envoy.get("/").await, "500");
    upstream.always(Reply::status(502));
    check(envoy.get("/").await, "502");
    upstream.always(Reply::Reset);
    check(envoy.get("/").await, "503");
    upstream.refuse().await;
    check(envoy.get("/").await, "503");
    assert_eq!(envoy.send("HEAD", "/", &[], b"").await.status, 200);
    assert_eq!(envoy.get("/other").await.status, 503);
}

/// `s-maxage` forbids stale use, and a grant for no time is none, whatever a client asks for.
#[tokio::test(flavor = "multi_thread")]
async fn a_client_gets_no_stale_answer_that_the_origin_has_not_granted() {
    let upstream = Upstream::start().await;
    let envoy = cached(&upstream, still()).await;
    for (path, granted, status) in [
        ("/none", "stale-if-error=0", 503),
        ("/unreadable", "stale-if-error=x", 503),
        ("/some", "stale-if-error=600", 200),
    ] {
        let said = format!("s-maxage=1, {granted}");
        upstream.always(Reply::ok("good").header("cache-control", &said));
        envoy.get(path).await;
        wait_until_stale(&envoy, path).await;
        upstream.always(Reply::status(503));
        let asks = [("cache-control", "stale-if-error=1000")];
        assert_eq!(envoy.get_with(path, &asks).await.status, status, "{path}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_head_that_forbids_storing_ends_what_is_stored_on_every_worker() {
    let upstream = Upstream::serving(|seen| {
        let said = if seen.method == "HEAD" {
            "no-store"
        } else {
            "max-age=600"
        };
        Reply::ok("body")
            .header("cache-control", said)
            .header("etag", "\"a\"")
    })
    .await;
    let envoy = cached(&upstream, still()).await;
    envoy.get("/").await;
    // Two lines are no range.
    let ranges = [("range", "bytes=0-0"), ("range", "bytes=1-1")];
    let whole = envoy.get_with("/", &ranges).await;
    assert_eq!((whole.status, whole.text().as_str()), (200, "body"));
    assert_eq!(upstream.hits(), 1);
    let sure = [("cache-control", "no-cache")];
    envoy.send("HEAD", "/", &sure, b"").await;
    for _ in 0..8 {
        let client = Client::fresh(envoy.address);
        let asks = [("cache-control", "only-if-cached")];
        assert_eq!(client.get_with("/", &asks).await.status, 504);
    }
    assert_eq!(upstream.hits(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn stale_while_revalidate_answers_at_once_and_refreshes_in_the_background() {
    let upstream = Upstream::serving(|_| {
        Reply::ok("old").header("cache-control", "max-age=1, stale-while-revalidate=600")
    })
    .await;
    // A refresh lasts for as long as the origin takes, and so does the right to be the only one.
    let background = json!({"enabled": true, "timeout": "1h"});
    let configuration = json!({
        "refresh": {"algorithm": "off", "background": background}, "coalesce": {"lease": "1h"},
    });
    let envoy = cached(&upstream, configuration).await;
    envoy.get("/?q=1").await;
    // The origin does not answer: nobody waits for it.
    let gate = Gate::new();
    let held = gate.clone();
    upstream.behave(move |_| {
        Reply::ok("new")
            .header("cache-control", "max-age=600")
            .gated(&held)
    });
    wait_until_stale_swr(&envoy).await;
    upstream.wait_for_in_flight(1).await;
    for _ in 0..20 {
        let answer = envoy.get("/?q=1").await;
        assert_eq!((answer.status, answer.text().as_str()), (200, "old"));
    }
    assert_eq!(upstream.hits(), 2);
    assert!(upstream.seen().iter().all(|seen| seen.path == "/?q=1"));
    gate.open();
    eventually("the new answer is served", || async {
        (envoy.get("/?q=1").await.text() == "new").then_some(())
    })
    .await;
    assert_eq!(upstream.hits(), 2);
}

/// Asks until an answer is served stale.
async fn wait_until_stale_swr(envoy: &Envoy) {
    eventually("an answer is served stale", || async {
        let answer = envoy.get("/?q=1").await;
        assert_eq!(answer.status, 200);
        answer
            .header("cache-status")?
            .contains("stale-while-revalidate")
            .then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn purges_hold_on_every_worker_at_once() {
    let upstream = Upstream::serving(|seen| {
        Reply::ok(format!("{}", seen.number))
            .header("cache-control", "max-age=600")
            .header("surrogate-key", "news")
    })
    .await;
    let configuration = with(
        still(),
        json!({"purge": {"secret_header": "x-purge", "secret": "let-me-in"}}),
    );
    let envoy = cached(&upstream, configuration).await;
    let refused = envoy
        .send("PURGE", "/a", &[("x-purge", "wrong")], b"")
        .await;
    assert_eq!(
        (refused.status, refused.header("content-type")),
        (403, Some("application/json"))
    );
    // Nobody becomes somebody else by a header.
    let by_address = cached(&upstream, json!({"purge": {"cidrs": ["10.0.0.0/8"]}})).await;
    let forged = [("x-forwarded-for", "10.1.1.1")];
    assert_eq!(
        by_address.send("PURGE", "/a", &forged, b"").await.status,
        403
    );
    for (path, more) in [
        ("/a", vec![]),
        ("/", vec![("seawall-purge", "prefix")]),
        ("/", vec![("surrogate-key", "news")]),
        ("/", vec![("seawall-purge", "all")]),
    ] {
        let before = envoy.get("/a").await.text();
        for _ in 0..20 {
            assert_eq!(envoy.get_fresh("/a").await.text(), before);
        }
        let mut headers = vec![("x-purge", "let-me-in")];
        headers.extend(more);
        let answer = envoy.send("PURGE", path, &headers, b"").await;
        assert_eq!(answer.status, 200);
        let told: Value = serde_json::from_slice(&answer.body).unwrap();
        assert!(told["number"].is_u64(), "{told}");
        let after = envoy.get_fresh("/a").await.text();
        assert_ne!(after, before);
        for _ in 0..20 {
            assert_eq!(envoy.get_fresh("/a").await.text(), after);
        }
    }
    assert_eq!(upstream.hits(), 5);
    assert_eq!(envoy.stat(&format!("{METRIC}purges")).await, 4);
}

#[tokio::test(flavor = "multi_thread")]
async fn bodies_stream_through_while_they_are_stored() {
    // An origin that gives the second part of its body when it is told to, and one answer in all.
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let origin = listener.local_addr().unwrap();
    let (go_on, told) = oneshot::channel();
    tokio::spawn(async move {
        let (mut connection, _) = listener.accept().await.unwrap();
        let mut asked = Vec::new();
        while !asked.ends_with(b"\r\n\r\n") {
            asked.push(connection.read_u8().await.unwrap());
        }
        let head =
            b"HTTP/1.1 200 OK\r\ncache-control: max-age=600\r\ncontent-length: 12\r\n\r\nfirst ";
        connection.write_all(head).await.unwrap();
        told.await.unwrap();
        connection.write_all(b"second").await.unwrap();
        // It stays open, and answers nothing else.
        let _ = connection.read_u8().await;
    });
    let envoy = Envoy::to_address(origin)
        .filter("response-cache", still())
        .start()
        .await;
    let request = b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
    let mut connection = TcpStream::connect(envoy.address).await.unwrap();
    connection.write_all(request).await.unwrap();
    let mut received = Vec::new();
    let mut part = [0; 4096];
    while !String::from_utf8_lossy(&received).contains("first") {
        let size = within("a part of the body", connection.read(&mut part))
            .await
            .unwrap();
        assert!(size > 0, "closed early");
        received.extend_from_slice(&part[..size]);
    }
    // The first part is here before the second has left the origin.
    assert!(!String::from_utf8_lossy(&received).contains("second"));
    go_on.send(()).unwrap();
    within("the rest", connection.read_to_end(&mut received))
        .await
        .unwrap();
    assert!(String::from_utf8_lossy(&received).contains("second"));
    let hit = envoy.get_with("/", &[("host", "x")]).await;
    assert_eq!(hit.text(), "first second");
    assert!(hit.header("cache-status").unwrap().contains("; hit;"));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_ends_early_is_passed_on_and_not_stored_and_trailers_pass() {
    let upstream = Upstream::serving(|_| {
        Reply::ok("half")
            .header("cache-control", "max-age=600")
            .cut_short()
    })
    .await;
    let envoy = cached(&upstream, still()).await;
    for _ in 0..2 {
        let answer = envoy.get("/cut").await;
        assert!(!answer.whole);
    }
    assert_eq!(upstream.hits(), 2);
    upstream.always(
        Reply::ok("whole")
            .header("cache-control", "max-age=600")
            .trailer("x-t", "1"),
    );
    for _ in 0..2 {
        assert_eq!(envoy.get("/trailers").await.text(), "whole");
    }
    assert_eq!(upstream.hits(), 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn grpc_passes_untouched() {
    let upstream =
        Upstream::serving(|_| Reply::grpc(0).header("cache-control", "max-age=600")).await;
    let envoy = Envoy::to(&upstream)
        .http2_upstream()
        .filter("response-cache", json!({}))
        .start()
        .await;
    let client = Client::http2(envoy.address);
    let headers = [("content-type", "application/grpc"), ("te", "trailers")];
    for _ in 0..2 {
        let answer = client.send("POST", "/s/m", &headers, &[0; 5]).await;
        assert_eq!((answer.status, answer.body.len()), (200, 5));
        assert_eq!(answer.header("cache-status"), None);
    }
    assert_eq!(upstream.hits(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn websockets_pass_untouched() {
    let upstream = Upstream::serving(|seen| {
        assert_eq!(seen.header("upgrade"), Some("websocket"));
        Reply::status(101)
            .header("upgrade", "websocket")
            .header("connection", "upgrade")
    })
    .await;
    let envoy = Envoy::to(&upstream)
        .filter("response-cache", json!({}))
        .manager("upgrade_configs", json!([{"upgrade_type": "websocket"}]))
        .start()
        .await;
    let request = b"GET /ws HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
    let answer = String::from_utf8_lossy(&raw(envoy.address, request).await).to_ascii_lowercase();
    assert!(answer.starts_with("http/1.1 101"), "{answer}");
    assert!(!answer.contains("cache-status"), "{answer}");
}

#[tokio::test(flavor = "multi_thread")]
async fn routes_have_their_own_policy_and_the_access_log_says_what_happened() {
    let upstream = Upstream::serving(|_| Reply::ok("x")).await;
    let envoy = Envoy::to(&upstream)
        .filter("response-cache", json!({"access_log": true}))
        .route(Route::prefix("/off").metadata("seawall.response_cache", json!({"enabled": false})))
        .route(Route::prefix("/ttl").metadata("seawall.response_cache", json!({"default_ttl": "1h"})))
        .route(Route::prefix("/bad").metadata("seawall.response_cache", json!({"max_bytes": 5})).named("bad-route"))
        .route(Route::prefix("/"))
        .access_log(json!({"path": "%REQ(:PATH)%", "cache": "%FILTER_STATE(wasm.seawall.response_cache:PLAIN)%", "status": "%RESP(CACHE-STATUS)%"}))
        .start()
        .await;
    assert_eq!(envoy.get("/off").await.header("cache-status"), None);
    assert_eq!(envoy.get("/ttl").await.status, 200);
    assert_eq!(envoy.get("/ttl").await.text(), "x");
    assert_eq!(envoy.get("/none").await.status, 200);
    assert_eq!(envoy.get("/bad").await.status, 200);
    let log = envoy.access_log(5).await;
    let of = |path: &str, at: usize| {
        let lines: Vec<&Value> = log.iter().filter(|line| line["path"] == path).collect();
        (lines[at]["cache"].clone(), lines[at]["status"].clone())
    };
    assert!(
        of("/ttl", 1)
            .0
            .as_str()
            .unwrap()
            .starts_with("seawall; hit; ttl="),
        "{log:?}"
    );
    assert_eq!(of("/ttl", 1).0, of("/ttl", 1).1);
    assert_eq!(
        of("/none", 0).0,
        json!("seawall; fwd=uri-miss; fwd-status=200; detail=no-freshness")
    );
    envoy.wait_for_log("bad-route").await;
    assert_eq!(envoy.stat(&format!("{METRIC}config_errors")).await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bad_configuration_is_refused_with_every_field_named() {
    let upstream = Upstream::start().await;
    let configuration = json!({
        "max_bytes": "1XB", "key": {"query": "all", "exclude": ["utm_*"]}, "refresh": {"beta": 0, "algorithm": "magic"},
        "ttl_by_status": {"304": "1s"}, "purge": {}, "colour": 1,
    });
    let printed = Envoy::to(&upstream)
        .filter("response-cache", configuration)
        .validate()
        .await
        .unwrap_err();
    for part in [
        "max_bytes: invalid value: string \"1XB\"",
        "key.query: must be sorted",
        "refresh.algorithm: unknown variant `magic`",
        "refresh.beta: must be above 0",
        "ttl_by_status.304: must be a final status",
        "purge: must have cidrs",
        "colour: unknown field",
    ] {
        assert!(printed.contains(part), "{part} in {printed}");
    }
}

//! HTTP/3 through all four filters, in a chain and as one: what the client and the upstream see is what they see without any filter,
//! and what the filters do they do here as well.

#[path = "protocols_common/mod.rs"]
mod common;
#[path = "protocols_common/http3.rs"]
mod http3;

use bytes::Buf;
use common::{answer, cases, others};
use http3::{certificate, Certificate, Http3};
use seawall_tests::prelude::*;

/// Without filters, with the four in a chain, and with the four as one.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Filters {
    None,
    Chain,
    One,
}

/// Five a day for each tenant that says its name, a breaker that opens on the second failure, and the rest by default.
fn settings() -> [(&'static str, Value); 4] {
    let tenant = json!([{"header": "x-tenant-id"}]);
    let limit =
        json!({"name": "tenant", "key": tenant, "missing": "skip", "requests": 5, "per": "1d"});
    [
        ("trace-headers", json!({})),
        ("rate-limit", json!({"limits": [limit]})),
        ("response-cache", json!({})),
        (
            "circuit-breaker",
            json!({"failure_threshold": 2, "open_for": "1h", "max_open_for": "1h"}),
        ),
    ]
}

fn filtered(builder: EnvoyBuilder, filters: Filters) -> EnvoyBuilder {
    match filters {
        Filters::None => builder,
        Filters::Chain => builder.all_filters_with(&settings()),
        Filters::One => builder.all_as_one(&settings()),
    }
}

async fn envoy(upstream: &Upstream, certificate: &Certificate, filters: Filters) -> Envoy {
    let builder = Envoy::to(upstream).http3(
        &certificate.cert.pem(),
        &certificate.signing_key.serialize_pem(),
    );
    filtered(builder, filters).start().await
}

/// On one thread, as below: whether the end came with the headers shows in how the request is framed for the upstream, and it is to
/// be the same in both.
#[tokio::test]
async fn requests_and_responses_are_what_they_are_without_filters() {
    let certificate = certificate();
    let upstream = Upstream::serving(answer).await;
    let bare = envoy(&upstream, &certificate, Filters::None).await;
    for filters in [Filters::Chain, Filters::One] {
        let chain = envoy(&upstream, &certificate, filters).await;
        let (straight, through) = (
            Http3::connect(bare.address, &certificate).await,
            Http3::connect(chain.address, &certificate).await,
        );
        for (method, path, headers, body) in cases() {
            let expected = straight.send(method, path, &headers, &body).await;
            let request = upstream.last();
            let got = through.send(method, path, &headers, &body).await;
            let forwarded = upstream.last();
            let what = format!("{method} {path}, {filters:?}");
            assert_eq!(got.status, expected.status, "{what}");
            assert!(got.whole && expected.whole, "{what}");
            assert_eq!(got.body, expected.body, "{what}");
            assert_eq!(others(&got.headers), others(&expected.headers), "{what}");
            assert!(got.header("x-request-id").is_some(), "{what}");
            assert_eq!(forwarded.method, request.method, "{what}");
            assert_eq!(forwarded.path, request.path, "{what}");
            assert_eq!(forwarded.body, request.body, "{what}");
            assert_eq!(
                others(&forwarded.headers),
                others(&request.headers),
                "{what}"
            );
        }
        chain
            .wait_for_stat("http.http3.downstream_cx_http3_total", 1)
            .await;
    }
}

/// On one thread, so that the end of a request leaves together with its headers: that there is no body must be known for the
/// cache to answer.
#[tokio::test]
async fn limits_the_cache_and_the_breaker_work_and_count_with_the_other_versions() {
    let certificate = certificate();
    for filters in [Filters::Chain, Filters::One] {
        let upstream = Upstream::serving(|seen| match seen.path.as_str() {
            "/broken" => Reply::status(500),
            _ => Reply::ok("page").header("cache-control", "max-age=60"),
        })
        .await;
        let envoy = envoy(&upstream, &certificate, filters).await;
        let client = Http3::connect(envoy.address, &certificate).await;
        let acme = [("x-tenant-id", "acme")];
        // Five a day, of which HTTP/1.1 takes one and HTTP/2 another.
        let first = client.send("GET", "/page", &acme, b"").await;
        assert_eq!((first.status, first.text().as_str()), (200, "page"));
        for other in [Client::new(envoy.address), Client::http2(envoy.address)] {
            let answer = other.get_with("/page", &acme).await;
            assert_eq!(answer.status, 200);
        }
        for _ in 0..2 {
            let hit = client.send("GET", "/page", &acme, b"").await;
            assert_eq!((hit.status, hit.text().as_str()), (200, "page"));
            let status = hit.header("cache-status").unwrap();
            assert!(status.contains("hit"), "{status}");
        }
        let refused = client.send("GET", "/page", &acme, b"").await;
        assert_eq!(refused.status, 429, "{filters:?}");
        for field in ["retry-after", "ratelimit", "x-request-id"] {
            assert!(refused.header(field).is_some(), "{field} in {refused:?}");
        }
        // Another scheme and authority is another resource.
        assert_eq!(upstream.hits_of("/page"), 2);
        for expected in [500, 500, 503] {
            let answer = client.get("/broken").await;
            assert_eq!(answer.status, expected, "{filters:?}");
            assert!(answer.header("x-request-id").is_some());
        }
        assert_eq!(upstream.hits_of("/broken"), 2);
    }
}

/// HTTP/3 has the end of a stream apart from the headers, and some clients send it a packet later. Until then there may be a body,
/// and what a body asks for is nobody else's answer.
#[tokio::test(flavor = "multi_thread")]
async fn a_get_whose_end_is_not_known_yet_is_passed_on() {
    let certificate = certificate();
    for filters in [Filters::Chain, Filters::One] {
        let upstream = Upstream::serving(|seen| {
            Reply::ok(seen.number.to_string()).header("cache-control", "max-age=60")
        })
        .await;
        let envoy = envoy(&upstream, &certificate, filters).await;
        let client = Http3::connect(envoy.address, &certificate).await;
        for number in 0..3 {
            let mut stream = client.open("GET", "/search", &[]).await;
            // The upstream is asked before the end is there.
            envoy
                .wait_for_stat("cluster.upstream.upstream_rq_total", number + 1)
                .await;
            stream.finish().await.unwrap();
            let head = stream.recv_response().await.unwrap();
            assert_eq!(head.headers()["cache-status"], "seawall; fwd=bypass");
            let mut body = stream.recv_data().await.unwrap().expect("a body");
            let body = body.copy_to_bytes(body.remaining());
            assert_eq!(body, number.to_string(), "{filters:?}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_of_one_connection_run_side_by_side() {
    let certificate = certificate();
    for filters in [Filters::Chain, Filters::One] {
        let (upstream, gate) = Upstream::gated(|seen| Reply::ok(seen.path.clone())).await;
        let envoy = envoy(&upstream, &certificate, filters).await;
        let client = Http3::connect(envoy.address, &certificate).await;
        let paths: Vec<String> = (0..60).map(|number| format!("/{number}")).collect();
        let requests = paths.iter().map(|path| client.get(path));
        let (answers, ()) = tokio::join!(futures_util::future::join_all(requests), async {
            upstream.wait_for_in_flight(60).await;
            gate.open();
        });
        for (answer, path) in answers.iter().zip(&paths) {
            assert_eq!((answer.status, &answer.text()), (200, path), "{filters:?}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn large_bodies_and_trailers_arrive() {
    const SIZE: usize = 8 << 20;
    let certificate = certificate();
    let body: Vec<u8> = (0..SIZE).map(|at| (at * 31 + at / 257) as u8).collect();
    for filters in [Filters::Chain, Filters::One] {
        let sent = body.clone();
        let upstream = Upstream::serving(move |seen| match seen.path.as_str() {
            "/up" => Reply::ok(seen.body.len().to_string()),
            "/trailers" => Reply::ok("sum").chunk("med").trailer("x-sum", "7"),
            _ => Reply::ok(sent.clone()),
        })
        .await;
        let builder = Envoy::to(&upstream).http2_upstream().http3(
            &certificate.cert.pem(),
            &certificate.signing_key.serialize_pem(),
        );
        let envoy = filtered(builder, filters).start().await;
        let client = Http3::connect(envoy.address, &certificate).await;
        let answer = client.send("POST", "/up", &[], &body).await;
        assert_eq!(answer.text(), SIZE.to_string(), "{filters:?}");
        assert!(upstream.last().body == body, "the upload was changed");
        let answer = client.get("/down").await;
        assert!(
            answer.whole && answer.body == body,
            "the download was changed, {filters:?}"
        );
        let mut stream = client.open("GET", "/trailers", &[("te", "trailers")]).await;
        stream.finish().await.unwrap();
        assert_eq!(stream.recv_response().await.unwrap().status(), 200);
        let mut text = Vec::new();
        while let Some(mut part) = stream.recv_data().await.unwrap() {
            text.extend_from_slice(&part.copy_to_bytes(part.remaining()));
        }
        assert_eq!(text, b"summed");
        let trailers = stream.recv_trailers().await.unwrap().expect("trailers");
        assert_eq!(trailers["x-sum"], "7", "{filters:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_resets_its_streams_leaves_nothing_behind() {
    let certificate = certificate();
    for filters in [Filters::Chain, Filters::One] {
        let upstream = Upstream::serving(|seen| match seen.path.as_str() {
            "/hangs" => Reply::Hang,
            _ => Reply::ok("well"),
        })
        .await;
        let envoy = envoy(&upstream, &certificate, filters).await;
        let client = Http3::connect(envoy.address, &certificate).await;
        for round in 1..=10 {
            let mut stream = client.open("GET", "/hangs", &[]).await;
            stream.finish().await.unwrap();
            // Not by how many are in flight: the one before may still be, and what is taken back before it came is no request.
            upstream.wait_for_hits(round).await;
            stream.stop_sending(h3::error::Code::H3_REQUEST_CANCELLED);
            envoy
                .wait_for_stat("http.http3.downstream_rq_rx_reset", round as u64)
                .await;
        }
        upstream.wait_for_in_flight(0).await;
        assert_eq!(client.get("/").await.text(), "well", "{filters:?}");
        eventually("nothing is in flight", || async {
            (envoy.stat("http.http3.downstream_rq_active").await == 0).then_some(())
        })
        .await;
    }
}

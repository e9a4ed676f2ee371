//! Spans of trace-headers, from a real Envoy to a collector, read by OpenTelemetry's own types.

#[path = "trace_headers_common/collector.rs"]
mod collector;
#[path = "trace_headers_common/mod.rs"]
mod common;

use collector::{exporting, received, values, wait_for_spans, DROPPED, SENT};
use common::{hex, PARENT, TRACE};
use opentelemetry_proto::tonic::trace::v1::Span;
use seawall_tests::client::raw;
use seawall_tests::prelude::*;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

#[tokio::test(flavor = "multi_thread")]
async fn a_span_says_what_a_request_was_and_what_became_of_it() {
    let (upstream, collector) = (Upstream::start().await, Upstream::start().await);
    let envoy = exporting(&upstream, &collector, json!({}), json!({}))
        .route(
            Route::prefix("/orders")
                .named("orders")
                .metadata("seawall.trace_headers", json!({"endpoint": "/orders/{id}"})),
        )
        .start()
        .await;
    let headers = [("traceparent", PARENT), ("user-agent", "test \"1\"")];
    let answer = envoy.get_with("/orders/7?secret=1", &headers).await;
    let seen = upstream.last();
    envoy.send("PROPFIND", "/nowhere", &[], b"").await;
    let spans = wait_for_spans(&collector, 2).await;
    let span = spans.iter().find(|span| hex(&span.trace_id) == TRACE);
    let span = span.expect("the continued trace");

    let sent: Vec<&str> = seen.header("traceparent").unwrap().split('-').collect();
    assert_eq!(hex(&span.span_id), sent[2], "the next hop's parent");
    assert_eq!(hex(&span.parent_span_id), "b7ad6b7169203331");
    assert_eq!(span.kind, 2, "SERVER");
    assert_eq!(span.name, "GET /orders/{id}");
    assert_eq!(span.flags, 0x301, "sampled, and the parent is remote");
    assert!(span.status.is_none(), "{:?}", span.status);
    let now = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .unwrap()
        .as_nanos() as u64;
    assert!(span.start_time_unix_nano > now - 60_000_000_000);
    assert!((span.start_time_unix_nano..=now).contains(&span.end_time_unix_nano));
    let found = values(&span.attributes);
    for (key, value) in [
        ("http.request.method", "GET"),
        ("http.response.status_code", "200"),
        ("http.route", "/orders/{id}"),
        ("url.path", "/orders/7"),
        ("url.scheme", "http"),
        ("server.address", "127.0.0.1"),
        ("server.port", &envoy.address.port().to_string()),
        ("client.address", "127.0.0.1"),
        ("network.protocol.version", "1.1"),
        ("user_agent.original", "test \"1\""),
        ("seawall.response_details", "via_upstream"),
        ("seawall.request_id", answer.header("x-request-id").unwrap()),
    ] {
        assert_eq!(found.get(key).map(String::as_str), Some(value), "{key}");
    }
    assert!(!format!("{found:?}").contains("secret"), "{found:?}");

    let other = spans.iter().find(|span| hex(&span.trace_id) != TRACE);
    let other = other.expect("the trace that began here");
    assert!(other.parent_span_id.is_empty());
    assert_eq!(other.name, "HTTP", "no route, and no method that is known");
    let found = values(&other.attributes);
    assert_eq!(found["http.request.method"], "_OTHER");
    assert_eq!(found["http.request.method_original"], "PROPFIND");
    assert_eq!(found["http.response.status_code"], "404");
    envoy.wait_for_stat(SENT, 2).await;
    assert_eq!(envoy.stat(DROPPED).await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_span_says_what_the_other_filters_have_decided() {
    let upstream = Upstream::serving(|seen| match seen.path.as_str() {
        "/broken" => Reply::status(500),
        _ => Reply::ok("x").header("cache-control", "max-age=60"),
    })
    .await;
    let collector = Upstream::start().await;
    let one =
        json!({"limits": [{"name": "tenant", "requests": 1, "per": "1h"}], "access_log": true});
    let envoy = exporting(&upstream, &collector, json!({}), json!({}))
        .filter("rate-limit", json!({"limits": []}))
        .filter("response-cache", json!({}))
        .filter(
            "circuit-breaker",
            json!({"failure_threshold": 1, "open_for": "1m"}),
        )
        .route(Route::path("/broken").named("broken"))
        .route(
            Route::path("/limited")
                .named("limited")
                .metadata("seawall.rate_limit", one),
        )
        .route(Route::prefix("/").named("rest"))
        .start()
        .await;
    for (path, status) in [
        ("/cached", 200),
        ("/cached", 200),
        ("/limited", 200),
        ("/limited", 429),
        ("/broken", 500),
        ("/broken", 503),
    ] {
        assert_eq!(envoy.get(path).await.status, status, "{path}");
    }
    let spans = wait_for_spans(&collector, 6).await;
    let of = |path: &str, status: &str| {
        let found = spans.iter().map(|span| (span, values(&span.attributes)));
        let mut found = found.filter(|(_, values)| {
            values["url.path"] == path && values["http.response.status_code"] == status
        });
        let all: Vec<_> = found.by_ref().collect();
        assert!(!all.is_empty(), "{path} {status}");
        all
    };
    let cached: Vec<String> = of("/cached", "200")
        .into_iter()
        .map(|(_, values)| values["seawall.cache_status"].clone())
        .collect();
    assert!(
        cached.iter().any(|status| status.contains("hit")),
        "{cached:?}"
    );
    assert!(
        cached.iter().any(|status| status.contains("fwd=")),
        "{cached:?}"
    );
    let (_, allowed) = &of("/limited", "200")[0];
    assert_eq!(allowed["seawall.rate_limit.decision"], "allowed");
    let (span, refused) = &of("/limited", "429")[0];
    assert_eq!(refused["seawall.rate_limit.decision"], "refused");
    assert_eq!(refused["seawall.rate_limit.limit"], "tenant");
    assert!(span.status.is_none(), "a refusal is not this side's error");
    let (span, broken) = &of("/broken", "500")[0];
    assert_eq!(broken["error.type"], "500");
    assert_eq!(span.status.as_ref().unwrap().code, 2, "ERROR");
    let (_, open) = &of("/broken", "503")[0];
    assert_eq!(open["seawall.circuit_breaker.state"], "open");
}

#[tokio::test(flavor = "multi_thread")]
async fn spans_go_in_batches_and_only_those_that_are_sampled() {
    let (upstream, collector) = (Upstream::start().await, Upstream::start().await);
    let envoy = exporting(
        &upstream,
        &collector,
        json!({"interval": "500ms"}),
        json!({}),
    )
    .start()
    .await;
    assert!(envoy
        .burst("/", 1000, 8)
        .await
        .iter()
        .all(|a| a.status == 200));
    let unsampled = PARENT.replace("-01", "-00");
    envoy.get_with("/", &[("traceparent", &unsampled)]).await;
    envoy.get("/last").await;
    let spans = wait_for_spans(&collector, 1001).await;
    assert_eq!(spans.len(), 1001);
    assert!(spans.iter().all(|span| hex(&span.trace_id) != TRACE));
    let distinct: std::collections::HashSet<_> =
        spans.iter().map(|span| span.span_id.clone()).collect();
    assert_eq!(distinct.len(), 1001);
    let calls = collector.hits();
    assert!(calls < 200, "{calls} calls for 1001 spans");
    envoy.wait_for_stat(SENT, 1001).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn errors_have_a_span_though_nothing_is_sampled_where_that_is_asked_for() {
    let upstream = Upstream::serving(|seen| match seen.path.as_str() {
        "/broken" => Reply::status(502),
        _ => Reply::ok("x"),
    })
    .await;
    let collector = Upstream::start().await;
    let never = json!({"sampling": {"mode": "never"}});
    let envoy = exporting(&upstream, &collector, json!({"errors": true}), never)
        .start()
        .await;
    for path in ["/fine", "/broken", "/fine", "/broken"] {
        envoy.get(path).await;
        let sent = upstream.last().header("traceparent").unwrap().to_owned();
        assert!(
            sent.ends_with("-02"),
            "not sampled for the next hop: {sent}"
        );
    }
    let spans = wait_for_spans(&collector, 2).await;
    for span in &spans {
        assert_eq!(values(&span.attributes)["url.path"], "/broken");
        assert_eq!(span.flags & 1, 0);
    }
    assert_eq!(spans.len(), 2);
}

/// A response that begins, and does not end.
fn endless(status: u16) -> Reply {
    let begun = Reply::status(status).chunk("begun").chunk("never");
    begun.slowly(Duration::from_secs(3600))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_response_that_breaks_off_is_an_error_whatever_its_status_was() {
    let upstream = Upstream::serving(|seen| match seen.path.as_str() {
        "/cut" => Reply::ok("half").cut_short(),
        "/gone" => Reply::status(404).chunk("half").cut_short(),
        "/late" => endless(404),
        "/long" => endless(200),
        _ => Reply::ok("whole"),
    })
    .await;
    let collector = Upstream::start().await;
    let lasting = json!({"max_stream_duration": "0.1s"});
    let never = json!({"sampling": {"mode": "never"}});
    let envoy = exporting(&upstream, &collector, json!({"errors": true}), never)
        .route(Route::path("/direct").direct(200, "x"))
        .route(Route::path("/late").timeout("0.1s"))
        .route(Route::path("/long").action("max_stream_duration", lasting))
        .route(Route::prefix("/"))
        .start()
        .await;
    for path in [
        "/whole", "/direct", "/cut", "/gone", "/late", "/long", "/whole",
    ] {
        let mut client = TcpStream::connect(envoy.address).await.unwrap();
        let request = format!("GET {path} HTTP/1.1\r\nhost: [::1]:80\r\nconnection: close\r\n\r\n");
        client.write_all(request.as_bytes()).await.unwrap();
        let mut answer = Vec::new();
        let _ = client.read_to_end(&mut answer).await;
    }
    let mut spans = wait_for_spans(&collector, 4).await;
    spans.sort_by_key(|span| values(&span.attributes)["url.path"].clone());
    let expected = [
        ("/cut", "200"),
        ("/gone", "404"),
        ("/late", "404"),
        ("/long", "200"),
    ];
    for (span, (path, status)) in spans.iter().zip(expected) {
        let found = values(&span.attributes);
        for (key, value) in [
            ("url.path", path),
            ("http.response.status_code", status),
            ("error.type", "aborted"),
            ("server.address", "::1"),
            ("server.port", "80"),
        ] {
            assert_eq!(found.get(key).map(String::as_str), Some(value), "{key}");
        }
        assert_eq!(span.status.as_ref().unwrap().code, 2, "ERROR");
    }
    envoy.wait_for_stat(SENT, 4).await;
    assert_eq!(received(&collector).len(), 4);
}

/// Samplers write their probability there, and backends count by it.
#[tokio::test(flavor = "multi_thread")]
async fn a_span_carries_the_tracestate_that_went_on() {
    let (upstream, collector) = (Upstream::start().await, Upstream::start().await);
    let envoy = exporting(&upstream, &collector, json!({}), json!({}))
        .start()
        .await;
    let states = [("ot=th:8 ,,a=1", "ot=th:8,a=1"), ("BAD", "")];
    for (state, _) in states {
        envoy
            .get_with("/", &[("traceparent", PARENT), ("tracestate", state)])
            .await;
    }
    envoy.get_with("/", &[("tracestate", "a=1")]).await;
    let spans = wait_for_spans(&collector, 3).await;
    let mut found: Vec<&str> = spans.iter().map(|span| span.trace_state.as_str()).collect();
    found.sort_unstable();
    assert_eq!(found, ["", "", states[0].1]);
    assert_eq!(upstream.seen()[0].header("tracestate"), Some(states[0].1));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_request_leaves_empty_is_no_attribute() {
    let (upstream, collector) = (Upstream::start().await, Upstream::start().await);
    let envoy = exporting(&upstream, &collector, json!({}), json!({}))
        .start()
        .await;
    let request = b"GET / HTTP/1.1\r\nhost: \r\nuser-agent: \r\nconnection: close\r\n\r\n";
    let answer = raw(envoy.address, request).await;
    assert!(answer.starts_with(b"HTTP/1.1 200"), "{answer:?}");
    let spans = wait_for_spans(&collector, 1).await;
    let attributes = values(&spans[0].attributes);
    assert_eq!(attributes["url.path"], "/");
    assert!(
        attributes.values().all(|value| !value.is_empty()),
        "{attributes:?}"
    );
}

/// Requests are answered while the collector says nothing; what does not fit is dropped and counted; when it comes back, so
/// do the spans.
#[tokio::test(flavor = "multi_thread")]
async fn a_collector_that_hangs_costs_spans_and_nothing_else() {
    let upstream = Upstream::start().await;
    let collector = Upstream::serving(|_| Reply::Hang).await;
    let limits = json!({"max_spans": 10, "timeout": "2s"});
    let envoy = exporting(&upstream, &collector, limits, json!({}))
        .workers(1)
        .start()
        .await;
    envoy.get("/").await;
    collector.wait_for_in_flight(1).await;
    // One call is under way: nothing is sent, and these answers wait for nobody.
    let answers = envoy.burst("/", 200, 4).await;
    assert!(answers.iter().all(|answer| answer.status == 200));
    let dropped = envoy.wait_for_stat(DROPPED, 150).await;
    assert!(dropped <= 201, "{dropped}");
    collector.behave(|_| Reply::status(200));
    collector.forget();
    let received = eventually("spans arrive again", || async {
        envoy.get("/after").await;
        let spans = received(&collector);
        let path = |span: &Span| values(&span.attributes)["url.path"].clone();
        spans
            .iter()
            .any(|span| path(span) == "/after")
            .then_some(spans)
    })
    .await;
    assert!(!received.is_empty());
    envoy.wait_for_stat(SENT, 1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_collector_that_is_dead_or_refuses_costs_spans_and_nothing_else() {
    let upstream = Upstream::start().await;
    let collector = Upstream::start().await;
    let envoy = exporting(&upstream, &collector, json!({}), json!({}))
        .start()
        .await;
    collector.refuse().await;
    for reply in [
        None,
        Some(Reply::status(500)),
        Some(Reply::Close),
        Some(Reply::Reset),
    ] {
        if let Some(reply) = reply {
            collector.behave(move |_| reply.clone());
            if envoy.stat(DROPPED).await == 50 {
                collector.revive();
            }
        }
        let before = envoy.stat(DROPPED).await;
        let answers = envoy.burst("/", 50, 4).await;
        assert!(answers.iter().all(|answer| answer.status == 200));
        assert_eq!(envoy.wait_for_stat(DROPPED, before + 50).await, before + 50);
    }
    assert_eq!(envoy.stat(SENT).await, 0);
    // An answer that nobody can read is an answer: the collector has the spans.
    collector.behave(|_| Reply::ok(vec![0xff; 100_000]).header("content-type", "text/plain"));
    envoy.get("/").await;
    envoy.wait_for_stat(SENT, 1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cluster_that_does_not_exist_costs_spans_and_nothing_else() {
    let upstream = Upstream::start().await;
    let envoy = Envoy::to(&upstream)
        .filter(
            "trace-headers",
            json!({"spans": {"cluster": "nobody", "interval": "50ms"}}),
        )
        .start()
        .await;
    let answers = envoy.burst("/", 20, 4).await;
    assert!(answers.iter().all(|answer| answer.status == 200));
    assert_eq!(envoy.wait_for_stat(DROPPED, 20).await, 20);
}

fn now() -> u64 {
    let since = std::time::UNIX_EPOCH.elapsed().unwrap();
    since.as_nanos() as u64
}

/// The first line of a request is there long before its last field.
#[tokio::test(flavor = "multi_thread")]
async fn a_span_begins_with_its_request_and_ends_with_it() {
    let (upstream, collector) = (Upstream::start().await, Upstream::start().await);
    let envoy = exporting(&upstream, &collector, json!({}), json!({}))
        .start()
        .await;
    let mut client = TcpStream::connect(envoy.address).await.unwrap();
    client.write_all(b"GET / HTTP/1.1\r\n").await.unwrap();
    let active = "http.ingress.downstream_rq_active";
    envoy.wait_for_stat(active, 1).await;
    let begun = now();
    let rest = b"host: shop\r\nconnection: close\r\n\r\n";
    client.write_all(rest).await.unwrap();
    client.read_to_end(&mut Vec::new()).await.unwrap();
    let spans = wait_for_spans(&collector, 1).await;
    let (start, end) = (spans[0].start_time_unix_nano, spans[0].end_time_unix_nano);
    assert!(start <= begun, "began {} ns late", start - begun);
    assert!((begun..=now()).contains(&end), "it had not begun by then");
}

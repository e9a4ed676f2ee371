//! What a collector answers to an export, and what becomes of the spans then (OTLP specification, "OTLP/HTTP Response").

#[path = "trace_headers_common/collector.rs"]
mod collector;
#[path = "trace_headers_common/mod.rs"]
mod common;

use collector::{exporting, received, wait_for_spans, DROPPED, SENT};
use common::PARENT;
use opentelemetry_proto::tonic::collector::trace::v1::{
    ExportTracePartialSuccess, ExportTraceServiceResponse,
};
use prost::Message;
use seawall_tests::prelude::*;
use std::sync::atomic::{AtomicUsize, Ordering};

/// A collector that restarts or is overloaded loses nothing: it gets the same spans again, once each.
#[tokio::test(flavor = "multi_thread")]
async fn what_a_collector_cannot_take_now_is_sent_again() {
    let upstream = Upstream::start().await;
    let collector = Upstream::start().await;
    let envoy = exporting(&upstream, &collector, json!({}), json!({}))
        .start()
        .await;
    let busy = |status| Reply::status(status).header("retry-after", "0");
    for reply in [busy(429), busy(502), busy(503), busy(504), Reply::Close] {
        let before = envoy.stat(SENT).await;
        collector.forget();
        let asked = AtomicUsize::new(0);
        collector.behave(move |_| match asked.fetch_add(1, Ordering::SeqCst) {
            0 => reply.clone(),
            _ => Reply::status(200),
        });
        assert_eq!(envoy.get("/").await.status, 200);
        assert_eq!(envoy.wait_for_stat(SENT, before + 1).await, before + 1);
        let spans = received(&collector);
        assert_eq!(spans.len(), 2, "refused once and taken once");
        assert!(spans.iter().all(|span| span.span_id == spans[0].span_id));
    }
    assert_eq!(envoy.stat(DROPPED).await, 0);
}

/// Traffic that would fill the queue long before the interval ends: a collector that takes everything gets everything.
#[tokio::test(flavor = "multi_thread")]
async fn a_queue_that_is_half_full_does_not_wait_for_the_interval() {
    let upstream = Upstream::start().await;
    let collector = Upstream::start().await;
    let often = json!({"interval": "1m", "max_spans": 10});
    let envoy = exporting(&upstream, &collector, often, json!({}))
        .workers(1)
        .start()
        .await;
    // The first span has no interval to wait for.
    envoy.get("/").await;
    wait_for_spans(&collector, 1).await;
    for round in 1..=4 {
        // Ids that came, and others that are made here.
        let ids = [("x-request-id", "a"), ("traceparent", PARENT)];
        for _ in 0..2 {
            envoy.get_with("/", &ids).await;
        }
        for _ in 0..3 {
            envoy.get("/").await;
        }
        wait_for_spans(&collector, 1 + 5 * round).await;
    }
    envoy.wait_for_stat(SENT, 21).await;
    assert_eq!(envoy.stat(DROPPED).await, 0);
}

/// A long queue goes in several calls: collectors refuse what is too large.
#[tokio::test(flavor = "multi_thread")]
async fn a_call_has_a_limit_of_its_own() {
    let upstream = Upstream::start().await;
    let collector = Upstream::start().await;
    let often = json!({"interval": "1m", "max_spans": 10_000});
    let envoy = exporting(&upstream, &collector, often, json!({}))
        .workers(1)
        .start()
        .await;
    envoy.get("/").await;
    wait_for_spans(&collector, 1).await;
    envoy.burst("/", 2500, 8).await;
    let spans = wait_for_spans(&collector, 2049).await;
    assert_eq!((spans.len(), collector.hits()), (2049, 2));
}

/// A collector that wants a key gets it from the filters of its cluster.
#[tokio::test(flavor = "multi_thread")]
async fn an_export_passes_the_filters_of_its_cluster() {
    let upstream = Upstream::start().await;
    let collector = Upstream::start().await;
    let filters = "type.googleapis.com/envoy.extensions.filters.http";
    let key = json!({"append": {"header": {"key": "api-key", "value": "secret"}}});
    let options = json!({
        "@type": "type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions",
        "explicit_http_config": {"http_protocol_options": {}},
        "http_filters": [
            {"name": "key", "typed_config": {
                "@type": format!("{filters}.header_mutation.v3.HeaderMutation"),
                "mutations": {"request_mutations": [key]},
            }},
            {"name": "codec", "typed_config": {
                "@type": format!("{filters}.upstream_codec.v3.UpstreamCodec"),
            }},
        ],
    });
    let name = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions";
    let more = json!({"typed_extension_protocol_options": {name: options}});
    let envoy = exporting(
        &upstream,
        &collector,
        json!({"cluster": "vendor"}),
        json!({}),
    )
    .cluster("vendor", collector.address, more)
    .start()
    .await;
    envoy.get("/").await;
    wait_for_spans(&collector, 1).await;
    assert_eq!(collector.last().header("api-key"), Some("secret"));
}

/// It is left alone for as long as it asks for.
#[tokio::test(flavor = "multi_thread")]
async fn a_collector_is_left_alone_for_as_long_as_it_asks_for() {
    let upstream = Upstream::start().await;
    let collector = Upstream::serving(|_| Reply::status(429).header("retry-after", "120")).await;
    let envoy = exporting(&upstream, &collector, json!({}), json!({}))
        .workers(1)
        .start()
        .await;
    envoy.get("/").await;
    collector.wait_for_hits(1).await;
    // Ten intervals and more, told by the counts that the same timer hands over.
    for round in 1..=12 {
        envoy.get("/").await;
        envoy
            .wait_for_stat("wasmcustom.seawall.trace_headers.traces_started", round + 1)
            .await;
    }
    assert_eq!(collector.hits(), 1);
    assert_eq!((envoy.stat(SENT).await, envoy.stat(DROPPED).await), (0, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn spans_that_a_collector_rejects_count_as_dropped_and_it_says_why() {
    let answer = ExportTraceServiceResponse {
        partial_success: Some(ExportTracePartialSuccess {
            rejected_spans: 3,
            error_message: "too \"old\"\n".to_owned(),
        }),
    };
    let upstream = Upstream::start().await;
    let collector = Upstream::start().await;
    let envoy = exporting(&upstream, &collector, json!({"interval": "1s"}), json!({}))
        .workers(1)
        .start()
        .await;
    envoy.get("/").await;
    envoy.wait_for_stat(SENT, 1).await;
    collector.behave(move |_| Reply::ok(answer.encode_to_vec()));
    envoy.burst("/", 10, 1).await;
    wait_for_spans(&collector, 11).await;
    eventually("each span counts once", || async {
        let (sent, dropped) = (envoy.stat(SENT).await, envoy.stat(DROPPED).await);
        (dropped >= 3 && sent + dropped == 11).then_some(())
    })
    .await;
    envoy
        .wait_for_log("spans were dropped: the collector says")
        .await;
    envoy.wait_for_log("old").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_log_says_once_why_spans_are_lost() {
    let upstream = Upstream::start().await;
    let collector = Upstream::serving(|_| Reply::status(404)).await;
    let envoy = exporting(&upstream, &collector, json!({}), json!({}))
        .workers(1)
        .start()
        .await;
    for lost in 1..=3 {
        envoy.get("/").await;
        assert_eq!(envoy.wait_for_stat(DROPPED, lost).await, lost);
    }
    assert_eq!(collector.hits(), 3, "and are not sent again");
    let line = "1 spans were dropped: the collector answers 404";
    envoy.wait_for_log(line).await;
    assert_eq!(envoy.log().matches("spans were dropped").count(), 1);
}

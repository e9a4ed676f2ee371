//! trace-headers beside Envoy's own tracer: who owns the headers, and which ids differ.

#[path = "trace_headers_common/mod.rs"]
mod common;

use common::{hex, PARENT, TRACE};
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::trace::v1::Span;
use prost::Message;
use seawall_tests::envoy::{envoy_has, Shipped};
use seawall_tests::prelude::*;

const EXAMPLE: &str = "envoy/trace-headers-tracer.yaml";

/// The example needs `no_context_propagation`, and `%SPAN_ID%` in the log.
fn can_leave_headers_alone() -> bool {
    envoy_has(38, "a tracer that leaves headers alone")
}

/// The tracer's own spans.
async fn spans(collector: &Upstream, count: usize) -> Vec<Span> {
    eventually(&format!("{count} spans of the tracer"), || async move {
        let mut found = Vec::new();
        for seen in collector.seen() {
            let request = ExportTraceServiceRequest::decode(seen.body.as_slice()).expect("OTLP");
            let scopes = request.resource_spans.into_iter();
            let scopes = scopes.flat_map(|resource| resource.scope_spans);
            found.extend(scopes.flat_map(|scope| scope.spans));
        }
        (found.len() >= count).then_some(found)
    })
    .await
}

async fn start(shipped: Shipped, upstream: &Upstream, collector: &Upstream) -> Envoy {
    shipped
        .port(8080, upstream.address)
        .port(4318, collector.address)
        .start(2)
        .await
}

/// The line of the access log with this request id.
async fn line(envoy: &Envoy, id: &str) -> Value {
    eventually("the log line", || async {
        let log = envoy.log();
        let line = log
            .lines()
            .find(|line| line.starts_with('{') && line.contains(id));
        line.map(|line| serde_json::from_str(line).expect("JSON"))
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn in_a_trace_that_comes_from_a_caller_only_the_spans_differ() {
    if !can_leave_headers_alone() {
        return;
    }
    let (upstream, collector) = (Upstream::start().await, Upstream::start().await);
    let envoy = start(Shipped::new(EXAMPLE), &upstream, &collector).await;
    let id = "01981234-5678-7abc-8def-0123456789ab";
    let headers = [
        ("traceparent", PARENT),
        ("tracestate", "a=1"),
        ("x-request-id", id),
    ];
    let answer = envoy.get_with("/orders/1", &headers).await;
    let seen = upstream.last();
    let sent: Vec<&str> = seen.header("traceparent").unwrap().split('-').collect();
    assert_eq!(seen.all("traceparent").len(), 1);
    assert_eq!((sent[1], sent[3]), (TRACE, "01"));
    assert_eq!(seen.all("tracestate"), ["a=1"]);
    // Not a character of the id is touched by the tracer.
    assert_eq!(seen.header("x-request-id"), Some(id));
    assert_eq!(answer.header("x-request-id"), Some(id));
    let line = line(&envoy, id).await;
    assert_eq!(line["trace_id"], json!(TRACE));
    assert_eq!(line["tracer_trace_id"], json!(TRACE), "{line}");
    assert_eq!(line["span_id"], json!(sent[2]));
    assert_ne!(line["tracer_span_id"], line["span_id"]);
    let span = spans(&collector, 1).await.remove(0);
    assert_eq!(hex(&span.trace_id), TRACE);
    assert_eq!(json!(hex(&span.span_id)), line["tracer_span_id"]);
    assert_eq!(hex(&span.parent_span_id), "b7ad6b7169203331");
}

#[tokio::test(flavor = "multi_thread")]
async fn in_a_trace_that_begins_here_the_two_know_nothing_of_each_other_and_the_log_has_both() {
    if !can_leave_headers_alone() {
        return;
    }
    let (upstream, collector) = (Upstream::start().await, Upstream::start().await);
    let envoy = start(Shipped::new(EXAMPLE), &upstream, &collector).await;
    let answer = envoy.get("/orders/1").await;
    let seen = upstream.last();
    let id = seen.header("x-request-id").unwrap();
    assert_eq!(answer.header("x-request-id"), Some(id));
    assert_eq!((id.len(), &id[14..15]), (36, "7"), "{id}");
    let line = line(&envoy, id).await;
    let ours = seen
        .header("traceparent")
        .unwrap()
        .split('-')
        .nth(1)
        .unwrap();
    assert_eq!(line["trace_id"], json!(ours));
    let span = spans(&collector, 1).await.remove(0);
    assert_eq!(line["tracer_trace_id"], json!(hex(&span.trace_id)));
    assert_ne!(line["tracer_trace_id"], line["trace_id"]);
}

/// Why the example sets `no_context_propagation`.
#[tokio::test(flavor = "multi_thread")]
async fn a_tracer_that_propagates_takes_the_headers_away() {
    if !can_leave_headers_alone() {
        return;
    }
    let (upstream, collector) = (Upstream::start().await, Upstream::start().await);
    let shipped = Shipped::new(EXAMPLE).replace(
        "no_context_propagation: true",
        "no_context_propagation: false",
    );
    let envoy = start(shipped, &upstream, &collector).await;
    envoy.get("/orders/1").await;
    let seen = upstream.last();
    let line = line(&envoy, seen.header("x-request-id").unwrap()).await;
    let sent: Vec<&str> = seen.header("traceparent").unwrap().split('-').collect();
    assert_eq!(json!(sent[1]), line["tracer_trace_id"]);
    // The log has both, so that it says at least what the next hop got.
    assert_ne!(json!(sent[1]), line["trace_id"]);
}

//! A collector, and an Envoy that exports to it; spans are read by OpenTelemetry's own types.
#![allow(dead_code, reason = "each test file uses a part of it")]

use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::{any_value, AnyValue, KeyValue};
use opentelemetry_proto::tonic::trace::v1::Span;
use prost::Message;
use seawall_tests::envoy::EnvoyBuilder;
use seawall_tests::prelude::*;
use std::collections::BTreeMap;

pub const SENT: &str = "wasmcustom.seawall.trace_headers.spans_sent";
pub const DROPPED: &str = "wasmcustom.seawall.trace_headers.spans_dropped";

pub fn values(attributes: &[KeyValue]) -> BTreeMap<String, String> {
    let text = |value: &Option<AnyValue>| match value.as_ref().and_then(|v| v.value.clone()) {
        Some(any_value::Value::StringValue(text)) => text,
        Some(any_value::Value::IntValue(number)) => number.to_string(),
        other => panic!("not a text and not a number: {other:?}"),
    };
    attributes
        .iter()
        .map(|pair| (pair.key.clone(), text(&pair.value)))
        .collect()
}

/// Every span that a collector has received, its resource and scope checked.
pub fn received(collector: &Upstream) -> Vec<Span> {
    let mut spans = Vec::new();
    for seen in collector.seen() {
        assert_eq!(
            (seen.method.as_str(), seen.path.as_str()),
            ("POST", "/v1/traces")
        );
        assert_eq!(seen.header("content-type"), Some("application/x-protobuf"));
        assert_eq!(seen.header("traceparent"), None, "an export is not traced");
        let request = ExportTraceServiceRequest::decode(seen.body.as_slice()).expect("OTLP");
        for resource_spans in request.resource_spans {
            let resource = values(&resource_spans.resource.unwrap().attributes);
            assert_eq!(resource["service.name"], "shop-edge");
            for scope_spans in resource_spans.scope_spans {
                assert_eq!(scope_spans.scope.unwrap().name, "seawall.trace_headers");
                spans.extend(scope_spans.spans);
            }
        }
    }
    spans
}

pub async fn wait_for_spans(collector: &Upstream, count: usize) -> Vec<Span> {
    eventually(&format!("{count} spans at the collector"), || async move {
        let spans = received(collector);
        (spans.len() >= count).then_some(spans)
    })
    .await
}

/// An Envoy that exports to this collector, with more fields for `spans`.
pub fn exporting(
    upstream: &Upstream,
    collector: &Upstream,
    more: Value,
    rest: Value,
) -> EnvoyBuilder {
    let mut spans = json!({"cluster": "collector", "service": "shop-edge", "interval": "100ms"});
    for (field, value) in more.as_object().unwrap() {
        spans[field] = value.clone();
    }
    let mut configuration = rest;
    configuration["spans"] = spans;
    Envoy::to(upstream)
        .workers(2)
        .cluster("collector", collector.address, json!({}))
        .filter("trace-headers", configuration)
}

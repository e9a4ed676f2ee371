//! The formats of trace-headers in a real Envoy.

#[path = "trace_headers_common/mod.rs"]
mod common;

use common::{parts, TRACE};
use seawall_tests::prelude::*;

#[tokio::test(flavor = "multi_thread")]
async fn one_format_comes_in_and_all_go_out() {
    let upstream = Upstream::start().await;
    let all = json!(["w3c", "b3", "b3multi", "jaeger", "aws", "datadog"]);
    let envoy = Envoy::to(&upstream)
        .filter(
            "trace-headers",
            json!({"read": ["b3", "w3c"], "write": all}),
        )
        .start()
        .await;
    let b3 = format!("{TRACE}-b7ad6b7169203331-1");
    let other = "00-11111111111111111111111111111111-2222222222222222-00";
    let headers = [
        ("b3", b3.as_str()),
        ("traceparent", other),
        ("tracestate", "a=1"),
    ];
    envoy.get_with("/", &headers).await;
    let seen = upstream.last();
    let (trace, span, flags) = parts(seen.header("traceparent").unwrap());
    assert_eq!((trace.as_str(), flags.as_str()), (TRACE, "01"));
    let decimal = |hex: &str| u64::from_str_radix(hex, 16).unwrap().to_string();
    for (name, value) in [
        ("b3", format!("{TRACE}-{span}-1-b7ad6b7169203331")),
        ("x-b3-traceid", TRACE.to_owned()),
        ("x-b3-spanid", span.clone()),
        ("x-b3-parentspanid", "b7ad6b7169203331".to_owned()),
        ("x-b3-sampled", "1".to_owned()),
        (
            "uber-trace-id",
            format!("{TRACE}:{span}:b7ad6b7169203331:1"),
        ),
        (
            "x-amzn-trace-id",
            format!(
                "Root=1-{}-{};Parent={span};Sampled=1",
                &TRACE[..8],
                &TRACE[8..]
            ),
        ),
        ("x-datadog-trace-id", decimal(&TRACE[16..])),
        ("x-datadog-parent-id", decimal(&span)),
        ("x-datadog-sampling-priority", "1".to_owned()),
        ("x-datadog-tags", format!("_dd.p.tid={}", &TRACE[..16])),
    ] {
        assert_eq!(seen.all(name), [value.as_str()], "{name}");
    }
    assert_eq!(seen.header("tracestate"), None, "it is of the other trace");
    envoy
        .wait_for_stat("wasmcustom.seawall.trace_headers.conflicts", 1)
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_format_that_is_cleared_does_not_go_on() {
    let upstream = Upstream::start().await;
    let envoy = Envoy::to(&upstream)
        .filter(
            "trace-headers",
            json!({"read": ["b3multi"], "clear": ["b3multi", "b3"]}),
        )
        .start()
        .await;
    let headers = [
        ("x-b3-traceid", TRACE),
        ("x-b3-spanid", "b7ad6b7169203331"),
        ("x-b3-sampled", "0"),
        ("b3", "0"),
        ("uber-trace-id", "1:2:0:1"),
    ];
    envoy.get_with("/", &headers).await;
    let seen = upstream.last();
    let (trace, _, flags) = parts(seen.header("traceparent").unwrap());
    assert_eq!((trace.as_str(), flags.as_str()), (TRACE, "00"));
    for name in ["x-b3-traceid", "x-b3-spanid", "x-b3-sampled", "b3"] {
        assert_eq!(seen.header(name), None, "{name}");
    }
    assert_eq!(seen.header("uber-trace-id"), Some("1:2:0:1"));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_wrong_with_one_format_is_not_laid_to_another() {
    let upstream = Upstream::start().await;
    let envoy = Envoy::to(&upstream)
        .filter(
            "trace-headers",
            json!({"read": ["b3", "w3c"], "write": ["b3multi"]}),
        )
        .start()
        .await;
    let good = format!("00-{TRACE}-b7ad6b7169203331-01");
    for (parent, stays) in [
        (Some(good.as_str()), true),
        (Some("00-no-trace-01"), false),
        (None, false),
    ] {
        let mut headers = vec![("b3", "no-trace"), ("tracestate", "a=1")];
        headers.extend(parent.map(|parent| ("traceparent", parent)));
        envoy.get_with("/", &headers).await;
        let seen = upstream.last();
        let expected = |value| if stays { Some(value) } else { None };
        assert_eq!(seen.header("traceparent"), expected(good.as_str()));
        assert_eq!(seen.header("tracestate"), expected("a=1"), "{parent:?}");
        assert_eq!(seen.header("x-b3-traceid") == Some(TRACE), stays);
    }
}

/// Envoy hands on empty fields and fields on several lines as they came.
#[tokio::test(flavor = "multi_thread")]
async fn what_senders_really_send_goes_on() {
    let upstream = Upstream::start().await;
    let formats = json!(["datadog", "b3", "b3multi", "jaeger", "w3c"]);
    let configuration = json!({"read": formats, "write": ["w3c", "datadog"]});
    let envoy = Envoy::to(&upstream)
        .filter("trace-headers", configuration)
        .start()
        .await;
    let span = "b7ad6b7169203331";
    let parent = format!("{TRACE}-{span}-05e3ac9a4f6e3b90");
    let debug = format!("{TRACE}:{span}:0:2");
    let whole = format!("00-{TRACE}-{span}-03");
    let low = u64::from_str_radix(&TRACE[16..], 16).unwrap().to_string();
    for (headers, flags, priority) in [
        // A service mesh's fields, handed on whether they came or not.
        (
            vec![
                ("x-b3-traceid", TRACE),
                ("x-b3-traceid", "00000000000000000000000000000001"),
                ("x-b3-spanid", span),
                ("x-b3-parentspanid", ""),
                ("x-b3-sampled", ""),
                ("x-b3-flags", ""),
                ("b3", ""),
            ],
            "01",
            "1",
        ),
        (vec![("b3", parent.as_str())], "01", "1"),
        (vec![("uber-trace-id", debug.as_str())], "00", "0"),
        (
            vec![
                ("x-datadog-trace-id", low.as_str()),
                ("x-datadog-parent-id", "8"),
                ("x-datadog-sampling-priority", "-2"),
                ("traceparent", whole.as_str()),
            ],
            "02",
            "-2",
        ),
    ] {
        envoy.get_with("/", &headers).await;
        let seen = upstream.last();
        let (trace, _, found) = parts(seen.header("traceparent").unwrap());
        assert_eq!((trace.as_str(), found.as_str()), (TRACE, flags));
        let sent = seen.all("x-datadog-sampling-priority");
        assert_eq!(sent, [priority]);
    }
}

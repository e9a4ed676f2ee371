//! gRPC behind trace-headers: a call that fails says so in its span and in the log, though its HTTP status is 200.

#[path = "trace_headers_common/collector.rs"]
mod collector;
#[path = "trace_headers_common/mod.rs"]
mod common;

use collector::{exporting, values, wait_for_spans};
use common::{access_log, logged};
use seawall_tests::prelude::*;

#[tokio::test(flavor = "multi_thread")]
async fn a_call_that_fails_says_so_in_its_span_and_in_the_log() {
    let upstream = Upstream::serving(|seen| match seen.path.as_str() {
        "/trailers" => Reply::grpc(14),
        "/headers" => Reply::grpc_trailers_only(13),
        "/callers" => Reply::grpc(5),
        "/unknown" => Reply::grpc(99),
        _ => Reply::grpc(0),
    })
    .await;
    let collector = Upstream::start().await;
    let envoy = exporting(&upstream, &collector, json!({}), logged(json!({})))
        .http2_upstream()
        .cluster("dead", "127.0.0.1:1".parse().unwrap(), json!({}))
        .access_log(access_log())
        .route(Route::path("/dead").to("dead"))
        .route(Route::prefix("/"))
        .start()
        .await;
    let cases = [
        ("/trailers", "application/grpc", "UNAVAILABLE", true),
        ("/headers", "application/grpc+proto", "INTERNAL", true),
        ("/callers", "application/grpc", "NOT_FOUND", false),
        ("/unknown", "application/grpc", "UNKNOWN", true),
        ("/fine", "application/grpc", "OK", false),
        ("/dead", "application/grpc", "UNAVAILABLE", true),
        ("/web", "application/grpc-web", "", false),
    ];
    for (at, (path, kind, status, failed)) in cases.into_iter().enumerate() {
        let headers = [("content-type", kind), ("te", "trailers")];
        let answer = envoy.send("POST", path, &headers, b"").await;
        assert_eq!(answer.status, 200, "{path}");
        let line = envoy.access_log(at + 1).await.pop().unwrap();
        let level = if failed { "error" } else { "info" };
        assert_eq!(line["level"], json!(level), "{path}: {line}");
        let spans = wait_for_spans(&collector, at + 1).await;
        let of_path = |attributes: &[_]| values(attributes)["url.path"] == path;
        let span = spans.iter().find(|span| of_path(&span.attributes));
        let span = span.expect(path);
        let found = values(&span.attributes);
        let text = |key: &str| found.get(key).map_or("", String::as_str);
        assert_eq!(text("rpc.status_code"), status, "{path}");
        let system = if status.is_empty() { "" } else { "grpc" };
        assert_eq!(text("rpc.system.name"), system, "{path}");
        let error = if failed { status } else { "" };
        assert_eq!(text("error.type"), error, "{path}");
        assert_eq!(span.status.is_some(), failed, "{path}");
    }
}

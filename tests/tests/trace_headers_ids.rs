//! trace-headers in a real Envoy: which ids go on, which come back, and what the access log says.

#[path = "trace_headers_common/mod.rs"]
mod common;

use common::{access_log, logged, parts, FIELDS, PARENT, TRACE};
use seawall_tests::client::raw;
use seawall_tests::envoy::Shipped;
use seawall_tests::prelude::*;

fn envoy(upstream: &Upstream) -> seawall_tests::envoy::EnvoyBuilder {
    Envoy::to(upstream)
        .manager("generate_request_id", json!(false))
        .filter(
            "trace-headers",
            logged(json!({"log": {"tenant_id": {"header": "x-tenant-id"}, "user_id": {"cookie": "uid"}}})),
        )
        .access_log(access_log())
}

#[tokio::test(flavor = "multi_thread")]
async fn ids_are_made_and_echoed() {
    let upstream = Upstream::start().await;
    let envoy = envoy(&upstream).start().await;
    let answer = envoy.get("/").await;
    let seen = upstream.last();
    let id = seen.header("x-request-id").unwrap();
    assert_eq!((id.len(), &id[14..15]), (36, "7"));
    assert_eq!(answer.all("x-request-id"), [id]);
    assert_eq!(parts(seen.header("traceparent").unwrap()).2, "03");
    assert_eq!(answer.header("traceparent"), None);
}

#[tokio::test(flavor = "multi_thread")]
async fn ids_go_on() {
    let upstream = Upstream::start().await;
    let envoy = envoy(&upstream).start().await;
    let headers = [
        ("traceparent", PARENT),
        ("tracestate", "foo=1"),
        ("tracestate", ""),
        ("tracestate", "bar=2"),
        ("x-request-id", "any.Safe_id-1"),
        ("baggage", "a=1"),
        ("baggage", "b=2"),
    ];
    let answer = envoy.get_with("/", &headers).await;
    let seen = upstream.last();
    let (trace, span, flags) = parts(seen.header("traceparent").unwrap());
    assert_eq!((trace.as_str(), flags.as_str()), (TRACE, "01"));
    assert_ne!(span, "b7ad6b7169203331");
    assert_eq!(seen.all("tracestate"), ["foo=1,bar=2"]);
    assert_eq!(seen.all("baggage").join(","), "a=1,b=2");
    assert_eq!(seen.header("x-request-id"), Some("any.Safe_id-1"));
    assert_eq!(answer.header("x-request-id"), Some("any.Safe_id-1"));
}

#[tokio::test(flavor = "multi_thread")]
async fn two_traceparents_are_none_and_only_one_goes_on() {
    let upstream = Upstream::start().await;
    let envoy = envoy(&upstream).start().await;
    let headers = [
        ("traceparent", PARENT),
        ("traceparent", PARENT),
        ("tracestate", "foo=1"),
    ];
    envoy.get_with("/", &headers).await;
    let seen = upstream.last();
    assert_eq!(seen.all("traceparent").len(), 1);
    assert_ne!(parts(seen.header("traceparent").unwrap()).0, TRACE);
    assert_eq!(seen.header("tracestate"), None);
    envoy
        .wait_for_stat("wasmcustom.seawall.trace_headers.traceparent_invalid", 1)
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn names_of_any_case_are_read() {
    let upstream = Upstream::start().await;
    let envoy = envoy(&upstream).start().await;
    let request = format!(
        "GET / HTTP/1.1\r\nHost: x\r\nTraceParent: \t {PARENT} \r\nTRACESTATE: a=1\r\nX-Request-ID: id\r\nConnection: close\r\n\r\n"
    );
    let answer = raw(envoy.address, request.as_bytes()).await;
    assert!(answer.starts_with(b"HTTP/1.1 200"));
    let seen = upstream.last();
    assert_eq!(parts(seen.header("traceparent").unwrap()).0, TRACE);
    assert_eq!(seen.header("tracestate"), Some("a=1"));
    assert_eq!(seen.header("x-request-id"), Some("id"));
}

#[tokio::test(flavor = "multi_thread")]
async fn two_hops_share_the_trace_and_each_has_a_parent_of_its_own() {
    let upstream = Upstream::start().await;
    let second = envoy(&upstream).start().await;
    let first = Envoy::to_address(second.address)
        .manager("generate_request_id", json!(false))
        .filter("trace-headers", logged(json!({})))
        .access_log(access_log())
        .start()
        .await;
    let answer = first
        .get_with("/orders/7", &[("traceparent", PARENT)])
        .await;
    let seen = upstream.last();
    let (trace, span, _) = parts(seen.header("traceparent").unwrap());
    let near = first.access_log(1).await.remove(0);
    let far = second.access_log(1).await.remove(0);
    assert_eq!(
        [near["trace_id"].as_str(), far["trace_id"].as_str()],
        [Some(TRACE); 2]
    );
    assert_eq!(trace, TRACE);
    let spans = [
        "b7ad6b7169203331",
        near["span_id"].as_str().unwrap(),
        far["span_id"].as_str().unwrap(),
    ];
    assert_eq!(far["span_id"], json!(span));
    let distinct: std::collections::HashSet<_> = spans.iter().collect();
    assert_eq!(distinct.len(), 3, "{spans:?}");
    for id in [&near["request_id"], &far["request_id"]] {
        assert_eq!(id.as_str(), answer.header("x-request-id"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_outcome_has_the_id_and_a_whole_log_line() {
    let upstream = Upstream::start().await;
    let local = json!({
        "name": "envoy.filters.http.local_ratelimit",
        "typed_config": {
            "@type": "type.googleapis.com/envoy.extensions.filters.http.local_ratelimit.v3.LocalRateLimit",
            "stat_prefix": "local",
        },
    });
    let none_allowed = json!({"envoy.filters.http.local_ratelimit": {
        "@type": "type.googleapis.com/envoy.extensions.filters.http.local_ratelimit.v3.LocalRateLimit",
        "stat_prefix": "local",
        "token_bucket": {"max_tokens": 1, "tokens_per_fill": 1, "fill_interval": "86400s"},
        "filter_enabled": {"default_value": {"numerator": 100}},
        "filter_enforced": {"default_value": {"numerator": 100}},
    }});
    let envoy = envoy(&upstream)
        .native_filter(local)
        .cluster("dead", "127.0.0.1:1".parse().unwrap(), json!({}))
        .route(
            Route::prefix("/orders/")
                .named("orders")
                .metadata("seawall.trace_headers", json!({"endpoint": "/orders/{id}"})),
        )
        .route(
            Route::prefix("/limited")
                .named("limited")
                .field("typed_per_filter_config", none_allowed),
        )
        .route(Route::prefix("/dead").named("dead").to("dead"))
        .route(Route::prefix("/direct").named("direct").direct(200, "x"))
        .start()
        .await;
    envoy.get("/limited").await;
    let headers = [("x-tenant-id", "acme"), ("cookie", "uid=jane")];
    let cases = [
        (
            "/orders/7?x=1",
            200,
            "GET /orders/{id}",
            "info",
            "200 via_upstream",
        ),
        ("/nowhere", 404, "GET -", "warn", "404 route_not_found"),
        (
            "/limited",
            429,
            "GET limited",
            "warn",
            "429 local_rate_limited",
        ),
        (
            "/dead",
            503,
            "GET dead",
            "error",
            "503 upstream_reset_before_response_started",
        ),
        ("/direct", 200, "GET direct", "info", "200 direct_response"),
    ];
    for (at, (path, status, endpoint, level, message)) in cases.into_iter().enumerate() {
        let answer = envoy.get_with(path, &headers).await;
        assert_eq!(answer.status, status, "{path}");
        let id = answer
            .header("x-request-id")
            .unwrap_or_else(|| panic!("{path}: no id"))
            .to_owned();
        let line = envoy.access_log(at + 2).await.pop().unwrap();
        for field in FIELDS {
            assert!(!line[field].is_null(), "{path}: {field} in {line}");
        }
        assert_eq!(line["request_id"], json!(id));
        assert_eq!(line["endpoint"], json!(endpoint));
        assert_eq!(line["level"], json!(level));
        assert!(
            line["message"].as_str().unwrap().starts_with(message),
            "{line}"
        );
        assert_eq!(
            (&line["tenant_id"], &line["user_id"]),
            (&json!("acme"), &json!("jane"))
        );
        assert_eq!(line["trace_id"].as_str().map(str::len), Some(32));
        assert_eq!(line["span_id"].as_str().map(str::len), Some(16));
        assert!(line["duration_ms"].is_number());
    }
}

/// Malformed requests are refused before any filter: their identity is not logged, and what is, is ours.
#[tokio::test(flavor = "multi_thread")]
async fn a_request_that_envoy_refuses_logs_nothing_hostile() {
    let upstream = Upstream::start().await;
    let envoy = envoy(&upstream).start().await;
    let request = "GET / HTTP/1.1\r\ntraceparent: <i>\"\r\nx-request-id: <script>\r\n\r\n";
    assert!(raw(envoy.address, request.as_bytes())
        .await
        .starts_with(b"HTTP/1.1 400"));
    raw(envoy.address, b"<script>\r\n\r\n").await;
    let lines = envoy.access_log(2).await;
    for (line, message) in lines
        .iter()
        .zip(["400 missing_host_header", "400 http1.codec_error"])
    {
        assert_eq!(line["message"], json!(message));
        assert!(!line.to_string().contains('<'), "{line}");
        for (field, length) in [("request_id", 36), ("trace_id", 32), ("span_id", 16)] {
            let found = line[field].as_str().map(str::len);
            assert_eq!(found, Some(length), "{field} in {line}");
        }
    }
}

/// A filter before ours answers: ours meets neither request nor response. The log line is whole all the same, and holds
/// nothing that nobody has judged.
#[tokio::test(flavor = "multi_thread")]
async fn an_answer_from_a_filter_before_is_logged_with_ids_of_its_own() {
    let upstream = Upstream::start().await;
    let lua = json!({
        "name": "envoy.filters.http.lua",
        "typed_config": {
            "@type": "type.googleapis.com/envoy.extensions.filters.http.lua.v3.Lua",
            "default_source_code": {"inline_string":
                "function envoy_on_request(h) h:respond({[\":status\"] = \"418\"}, \"tea\") end"},
        },
    });
    let envoy = Envoy::to(&upstream)
        .manager("generate_request_id", json!(false))
        .native_filter(lua)
        .filter("trace-headers", logged(json!({})))
        .access_log(access_log())
        .start()
        .await;
    let headers = [("x-request-id", "<script>"), ("traceparent", PARENT)];
    let answer = envoy.get_with("/", &headers).await;
    assert_eq!(answer.status, 418);
    let line = envoy.access_log(1).await.remove(0);
    assert_eq!(
        line["request_id"].as_str().map(str::len),
        Some(36),
        "{line}"
    );
    assert_eq!(line["trace_id"].as_str().map(str::len), Some(32), "{line}");
    assert_ne!(line["trace_id"], json!(TRACE));
    assert_eq!(line["span_id"].as_str().map(str::len), Some(16), "{line}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_leaves_has_a_whole_log_line() {
    let upstream = Upstream::serving(|_| Reply::Hang).await;
    let envoy = envoy(&upstream).start().await;
    let client = Client::fresh(envoy.address);
    let request = tokio::spawn(async move { client.get("/").await });
    let seen = eventually("the request is at the upstream", || async {
        upstream.seen().pop()
    })
    .await;
    request.abort();
    let line = envoy.access_log(1).await.remove(0);
    assert_eq!(line["request_id"].as_str(), seen.header("x-request-id"));
    let (trace, span, _) = parts(seen.header("traceparent").unwrap());
    assert_eq!(
        (&line["trace_id"], &line["span_id"]),
        (&json!(trace), &json!(span))
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn hostile_values_never_get_through() {
    let upstream = Upstream::start().await;
    let envoy = envoy(&upstream)
        .manager("max_request_headers_kb", json!(200))
        .start()
        .await;
    let mut hostile: Vec<Vec<u8>> = vec![
        b"<script>alert(1)</script> \"}".to_vec(),
        b"a\"b\\c".to_vec(),
        b"\xff\xfe\x80raw".to_vec(),
        b"{\"level\":\"fake\"}".to_vec(),
        "\u{202e}\u{e4}".as_bytes().to_vec(),
        b"a,b".to_vec(),
        vec![b'a'; 65_536],
    ];
    hostile.push(b"id%0d%0ax: y".to_vec());
    let count = hostile.len();
    for value in &hostile {
        let mut request = b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n".to_vec();
        for name in [
            "x-request-id",
            "traceparent",
            "tracestate",
            "baggage",
            "x-tenant-id",
        ] {
            request.extend_from_slice(name.as_bytes());
            request.extend_from_slice(b": ");
            request.extend_from_slice(if name == "baggage" { b"k=\xff" } else { value });
            request.extend_from_slice(b"\r\n");
            // All of them at 64 KB would be more than Envoy takes.
            if value.len() > 1000 && name == "traceparent" {
                break;
            }
        }
        request.extend_from_slice(
            format!("cookie: uid={}\r\n\r\n", "x\u{7}\"".replace('\u{7}', "")).as_bytes(),
        );
        let answer = raw(envoy.address, &request).await;
        let answer = String::from_utf8_lossy(&answer).into_owned();
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
        let seen = upstream.last();
        let id = seen.header("x-request-id").expect("text");
        assert_eq!(id.len(), 36, "{id}");
        assert!(answer.contains(id));
        parts(seen.header("traceparent").unwrap());
        for gone in ["tracestate", "baggage"] {
            assert!(!seen.headers.iter().any(|(name, _)| name == gone), "{gone}");
        }
    }
    for line in envoy.access_log(count).await {
        assert_eq!(
            line["request_id"].as_str().map(str::len),
            Some(36),
            "{line}"
        );
        assert_eq!(line["trace_id"].as_str().map(str::len), Some(32), "{line}");
        assert!(
            line["tenant_id"]
                .as_str()
                .is_none_or(|tenant| tenant.len() <= 128),
            "{line}"
        );
        assert!(line.to_string().len() < 2000);
    }
    // Envoy itself takes line breaks out of a value, or joins a folded one with spaces.
    for split in ["a\rb", "a\r\n b"] {
        let request = format!(
            "GET / HTTP/1.1\r\nHost: x\r\nx-request-id: {split}\r\nConnection: close\r\n\r\n"
        );
        assert!(raw(envoy.address, request.as_bytes())
            .await
            .starts_with(b"HTTP/1.1 200"));
        let id = upstream.last().header("x-request-id").unwrap().to_owned();
        assert!(
            id.bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-'),
            "{id:?}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_other_headers_of_a_request_stay_as_they_are() {
    let upstream = Upstream::start().await;
    let envoy = envoy(&upstream).start().await;
    let request = b"POST /a?b=c HTTP/1.1\r\nHost: shop\r\nX-Raw: \xff\r\nX-Two: 1\r\nX-Two: 2\r\nCookie: a=b\r\nContent-Length: 2\r\nConnection: close\r\n\r\nhi";
    assert!(raw(envoy.address, request)
        .await
        .starts_with(b"HTTP/1.1 200"));
    let seen = upstream.last();
    assert_eq!(
        (
            seen.method.as_str(),
            seen.path.as_str(),
            seen.body.as_slice()
        ),
        ("POST", "/a?b=c", &b"hi"[..])
    );
    assert_eq!(seen.all("x-two"), ["1", "2"]);
    assert_eq!(seen.header("host"), Some("shop"));
    assert_eq!(seen.header("cookie"), Some("a=b"));
    assert!(seen
        .headers
        .iter()
        .any(|(name, value)| name == "x-raw" && value == b"\xff"));
}

#[tokio::test(flavor = "multi_thread")]
async fn no_id_is_given_twice_by_any_worker() {
    let upstream = Upstream::start().await;
    let envoy = envoy(&upstream).start().await;
    let answers = envoy.burst("/", 4000, 16).await;
    let ids: std::collections::HashSet<_> = answers
        .iter()
        .map(|answer| answer.header("x-request-id").unwrap())
        .collect();
    assert_eq!(ids.len(), 4000);
    let seen = upstream.seen();
    let spans: std::collections::HashSet<_> = seen
        .iter()
        .map(|seen| seen.header("traceparent").unwrap())
        .collect();
    assert_eq!(spans.len(), 4000);
    envoy
        .wait_for_stat("wasmcustom.seawall.trace_headers.traces_started", 4000)
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_example_works() {
    let upstream = Upstream::start().await;
    let envoy = Shipped::new("envoy/trace-headers.yaml")
        .port(8080, upstream.address)
        .start(2)
        .await;
    let answer = envoy
        .get_with("/orders/1", &[("x-tenant-id", "acme")])
        .await;
    assert_eq!(answer.status, 200);
    let id = answer.header("x-request-id").unwrap().to_owned();
    envoy.wait_for_log(&id).await;
    let log = envoy.log();
    let line = log
        .lines()
        .find(|line| line.contains(&id) && line.starts_with('{'))
        .unwrap();
    let line: Value = serde_json::from_str(line).unwrap();
    for field in FIELDS {
        assert!(line.get(field).is_some(), "{field} in {line}");
    }
    assert_eq!(line["endpoint"], json!("GET /orders/{id}"));
    assert_eq!(line["tenant_id"], json!("acme"));
}

//! trace-headers in front of the other filters: which ids are on each answer, and in each line of the access log.

#[path = "trace_headers_common/mod.rs"]
mod common;

use common::{access_log, logged, parts, FIELDS, PARENT, TRACE};
use seawall_tests::client::raw;
use seawall_tests::prelude::*;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

#[tokio::test(flavor = "multi_thread")]
async fn every_answer_tells_its_ids_and_every_line_is_whole() {
    let upstream = Upstream::serving(|seen| match seen.path.as_str() {
        "/broken" => Reply::status(500),
        "/cached" => Reply::ok("x").header("cache-control", "max-age=60"),
        _ => Reply::ok("x"),
    })
    .await;
    let timed = Upstream::serving(|_| Reply::ok("x").header("server-timing", "db;dur=5")).await;
    let one = json!({"limits": [{"name": "one", "requests": 1, "per": "1h"}]});
    let envoy = Envoy::to(&upstream)
        .filter(
            "trace-headers",
            logged(json!({
                "log": {"tenant_id": {"header": "x-tenant-id"}, "user_id": {"cookie": "uid"}},
                "response": {"server_timing": "trace", "traceresponse": true},
            })),
        )
        .filter("rate-limit", json!({"limits": []}))
        .filter("response-cache", json!({}))
        .filter(
            "circuit-breaker",
            json!({"failure_threshold": 1, "open_for": "1m"}),
        )
        .cluster("dead", "127.0.0.1:1".parse().unwrap(), json!({}))
        .cluster("timed", timed.address, json!({}))
        .access_log(access_log())
        .route(
            Route::path("/limited")
                .named("limited")
                .metadata("seawall.rate_limit", one),
        )
        .route(Route::path("/broken").named("broken"))
        .route(Route::path("/cached").named("cached"))
        .route(Route::path("/timed").named("timed").to("timed"))
        .route(
            Route::path("/dead")
                .named("dead")
                .to("dead")
                .metadata("seawall.circuit_breaker", json!({"enabled": false})),
        )
        .route(Route::path("/direct").named("direct").direct(200, "x"))
        .start()
        .await;
    let headers = [("x-tenant-id", "acme"), ("cookie", "a=b; uid=jane")];
    let cases = [
        ("/limited", 200, "info", "via_upstream"),
        ("/limited", 429, "warn", "seawall.rate_limit.refused.one"),
        ("/cached", 200, "info", "via_upstream"),
        ("/cached", 200, "info", "seawall.response_cache.hit"),
        ("/timed", 200, "info", "via_upstream"),
        (
            "/dead",
            503,
            "error",
            "upstream_reset_before_response_started",
        ),
        ("/nowhere", 404, "warn", "route_not_found"),
        ("/direct", 200, "info", "direct_response"),
        // Last, for it opens the circuit for all of them.
        ("/broken", 500, "error", "via_upstream"),
        ("/broken", 503, "error", "seawall.circuit_breaker.open"),
    ];
    for (at, (path, status, level, details)) in cases.into_iter().enumerate() {
        let what = format!("{path} {status} {details}");
        let answer = envoy.get_with(path, &headers).await;
        let line = envoy.access_log(at + 1).await.pop().unwrap();
        assert_eq!(answer.status, status, "{what}");
        let ids = answer.all("x-request-id");
        assert_eq!(ids.len(), 1, "{what}: {ids:?}");
        let told = answer
            .header("traceresponse")
            .unwrap_or_else(|| panic!("{what}"));
        let (trace, span, _) = parts(told);
        let timing = format!("trace;desc={told}");
        let mut expected = vec![timing.as_str()];
        if path == "/timed" {
            expected.insert(0, "db;dur=5");
        }
        assert_eq!(answer.all("server-timing"), expected, "{what}");
        for field in FIELDS {
            assert!(!line[field].is_null(), "{what}: {field} in {line}");
        }
        for (field, value) in [
            ("request_id", ids[0]),
            ("trace_id", &trace),
            ("span_id", &span),
            ("tenant_id", "acme"),
            ("user_id", "jane"),
            ("level", level),
        ] {
            assert_eq!(line[field], json!(value), "{what}: {field} in {line}");
        }
        let message = line["message"].as_str().unwrap();
        assert!(
            message.starts_with(&format!("{status} {details}")),
            "{what}: {message}"
        );
        let endpoint = if status == 404 {
            "GET -".to_owned()
        } else {
            format!("GET {}", &path[1..])
        };
        assert_eq!(line["endpoint"], json!(endpoint), "{what}");
        assert!(line["duration_ms"].is_number(), "{what}");
    }
}

/// A response that begins, and does not end.
fn endless(status: u16) -> Reply {
    let begun = Reply::status(status).chunk("begun").chunk("never");
    begun.slowly(Duration::from_secs(3600))
}

fn lasting(time: &str) -> Value {
    json!({"max_stream_duration": time})
}

/// What has no status, or an end that its status does not tell, has a level all the same.
#[tokio::test(flavor = "multi_thread")]
async fn broken_exchanges_have_whole_lines() {
    let upstream = Upstream::serving(|seen| match seen.path.as_str() {
        "/cut" => Reply::ok("half").cut_short(),
        "/gone" => Reply::status(404).chunk("half").cut_short(),
        "/late?404" => endless(404),
        "/left" => Reply::Hang,
        _ => endless(200),
    })
    .await;
    let configuration =
        json!({"log": {"tenant_id": {"header": "x-who"}, "user_id": {"header": "x-who"}}});
    let envoy = Envoy::to(&upstream)
        .filter("trace-headers", logged(configuration))
        .access_log(access_log())
        .route(Route::path("/late").named("late").timeout("0.1s"))
        .route(
            Route::path("/long")
                .named("long")
                .action("max_stream_duration", lasting("0.1s")),
        )
        .route(Route::prefix("/").named("all"))
        .start()
        .await;
    for (at, (path, message)) in [
        ("/cut", "200 upstream_reset_after_response_started"),
        ("/gone", "404 upstream_reset_after_response_started"),
        ("/late", "200 response_timeout"),
        ("/late?404", "404 response_timeout"),
        ("/long", "200 max_duration_timeout"),
        ("/left", "0 downstream_remote_disconnect"),
    ]
    .into_iter()
    .enumerate()
    {
        let mut client = TcpStream::connect(envoy.address).await.unwrap();
        let request = format!("GET {path} HTTP/1.1\r\nhost: shop\r\nx-who: jane\r\n\r\n");
        client.write_all(request.as_bytes()).await.unwrap();
        upstream.wait_for_hits(at + 1).await;
        if path == "/left" {
            drop(client);
        } else {
            let mut answer = Vec::new();
            let _ = client.read_to_end(&mut answer).await;
        }
        let line = envoy.access_log(at + 1).await.pop().unwrap();
        for field in FIELDS {
            assert!(!line[field].is_null(), "{path}: {field} in {line}");
        }
        let found = line["message"].as_str().unwrap();
        assert!(found.starts_with(message), "{path}: {line}");
        assert_eq!(line["level"], json!("error"), "{line}");
    }
}

/// A tunnel is closed by whichever side is done; Envoy calls it a reset when that is the upstream.
#[tokio::test(flavor = "multi_thread")]
async fn a_tunnel_that_the_upstream_closes_is_no_error() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        let (mut connection, _) = listener.accept().await.unwrap();
        let _ = connection.read(&mut [0; 4096]).await;
        let agreed = b"HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n\x88\x00";
        connection.write_all(agreed).await.unwrap();
    });
    let envoy = Envoy::to_address(address)
        .manager("upgrade_configs", json!([{"upgrade_type": "websocket"}]))
        .filter("trace-headers", logged(json!({})))
        .access_log(access_log())
        .start()
        .await;
    let upgrade = b"GET / HTTP/1.1\r\nhost: a\r\nconnection: upgrade\r\nupgrade: websocket\r\n\
        sec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
    let answer = raw(envoy.address, upgrade).await;
    assert!(answer.starts_with(b"HTTP/1.1 101"), "{answer:?}");
    let line = envoy.access_log(1).await.remove(0);
    let message = line["message"].as_str().unwrap();
    assert!(message.starts_with("101 upstream_reset_after"), "{line}");
    assert_eq!(line["level"], json!("info"), "{line}");
}

/// A host for each tenant; in Envoy that header has another name.
#[tokio::test(flavor = "multi_thread")]
async fn the_tenant_may_be_the_host() {
    let upstream = Upstream::start().await;
    let configuration = json!({"log": {"tenant_id": {"header": "host"}}});
    let envoy = Envoy::to(&upstream)
        .filter("trace-headers", logged(configuration))
        .access_log(access_log())
        .start()
        .await;
    let request = b"GET / HTTP/1.1\r\nhost: acme.shop.example\r\nconnection: close\r\n\r\n";
    raw(envoy.address, request).await;
    let line = envoy.access_log(1).await.remove(0);
    assert_eq!(line["tenant_id"], json!("acme.shop.example"), "{line}");
}

/// Whoever comes behind this filter reads the same ids from the request, and may write them into a line of its own.
#[tokio::test(flavor = "multi_thread")]
async fn filters_behind_see_the_same_ids() {
    let upstream = Upstream::start().await;
    let script = "function envoy_on_request(h) local r = h:headers() \
        h:logWarn('behind: ' .. r:get('x-request-id') .. ' ' .. r:get('traceparent')) end";
    let lua = json!({
        "name": "envoy.filters.http.lua",
        "typed_config": {
            "@type": "type.googleapis.com/envoy.extensions.filters.http.lua.v3.Lua",
            "default_source_code": {"inline_string": script},
        },
    });
    let envoy = Envoy::to(&upstream)
        .filter("trace-headers", logged(json!({})))
        .native_filter(lua)
        .access_log(access_log())
        .start()
        .await;
    let answer = envoy
        .get_with("/", &[("traceparent", PARENT), ("x-request-id", "<b>")])
        .await;
    let line = envoy.access_log(1).await.remove(0);
    let id = answer.header("x-request-id").unwrap();
    assert_eq!(line["request_id"], json!(id));
    let expected = format!(
        "behind: {id} 00-{TRACE}-{}-01",
        line["span_id"].as_str().unwrap()
    );
    envoy.wait_for_log(&expected).await;
}

/// `{"iss": "test", "sub": "jane@example.com", "tenant": "acme\"<b>\n", "n": 7}`, signed (HS256) with [`KEY`].
const TOKEN: &str = "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCIsImtpZCI6InRlc3QifQ.eyJpc3MiOiJ0ZXN0Iiwic3ViIjoiamFuZUBleGFtcGxlLmNvbSIsInRlbmFudCI6ImFjbWVcIjxiPlxuIiwibiI6N30.0LugUTP0sqOf9AXiuKwbjCDn8E4kvVwYnW31W0KGqUY";
/// A key for tests.
const KEY: &str = "YSBrZXkgZm9yIHRlc3RzLCBvZiAzMiBieXRlcy4uLi4";

#[tokio::test(flavor = "multi_thread")]
async fn tenant_and_user_come_from_a_token_that_envoy_has_verified() {
    let upstream = Upstream::start().await;
    let keys = json!({"keys": [{"kty": "oct", "alg": "HS256", "kid": "test", "k": KEY}]});
    let jwt = json!({
        "name": "envoy.filters.http.jwt_authn",
        "typed_config": {
            "@type": "type.googleapis.com/envoy.extensions.filters.http.jwt_authn.v3.JwtAuthentication",
            "providers": {"test": {
                "issuer": "test",
                "local_jwks": {"inline_string": keys.to_string()},
                "payload_in_metadata": "jwt_payload",
            }},
            "rules": [{"match": {"prefix": "/"}, "requires": {"provider_name": "test"}}],
        },
    });
    let claim =
        |name: &str| json!({"claim": ["envoy.filters.http.jwt_authn", "jwt_payload", name]});
    let start = |user: &str| {
        Envoy::to(&upstream)
            .filter(
                "trace-headers",
                logged(json!({"log": {"tenant_id": claim("tenant"), "user_id": claim(user)}})),
            )
            .native_filter(jwt.clone())
            .access_log(access_log())
            .start()
    };
    let envoy = start("sub").await;
    let authorization = format!("Bearer {TOKEN}");
    let answer = envoy
        .get_with("/", &[("authorization", &authorization)])
        .await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    let line = envoy.access_log(1).await.remove(0);
    assert_eq!(line["user_id"], json!("jane@example.com"));
    assert_eq!(
        line["tenant_id"],
        json!("acme__b__"),
        "printable, whatever a token says"
    );
    // A token that is not verified says nothing.
    let (head, _) = authorization.rsplit_once('.').unwrap();
    let answer = envoy
        .get_with("/", &[("authorization", &format!("{head}.AAAA"))])
        .await;
    assert_eq!(answer.status, 401);
    assert_eq!(answer.all("x-request-id").len(), 1);
    let line = envoy.access_log(2).await.pop().unwrap();
    assert_eq!(
        (&line["user_id"], &line["tenant_id"]),
        (&Value::Null, &Value::Null)
    );
    assert_eq!(line["request_id"].as_str(), answer.header("x-request-id"));
    // Numbers are what many databases have for ids.
    let envoy = start("n").await;
    envoy
        .get_with("/", &[("authorization", &authorization)])
        .await;
    assert_eq!(envoy.access_log(1).await[0]["user_id"], json!("7"));
    // Who leaves before there is an answer is known all the same.
    upstream.behave(|_| Reply::Hang);
    let hits = upstream.hits();
    let mut client = TcpStream::connect(envoy.address).await.unwrap();
    let request = format!("GET / HTTP/1.1\r\nhost: shop\r\nauthorization: {authorization}\r\n\r\n");
    client.write_all(request.as_bytes()).await.unwrap();
    upstream.wait_for_hits(hits + 1).await;
    drop(client);
    let line = envoy.access_log(2).await.pop().unwrap();
    assert_eq!(line["user_id"], json!("7"), "{line}");
    assert!(
        line["message"].as_str().unwrap().starts_with("0 "),
        "{line}"
    );
}

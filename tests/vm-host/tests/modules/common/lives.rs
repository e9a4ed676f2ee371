//! Lives with everything in them.

use super::{metadata, FILTERS};
use seawall_vm_host::{pairs, Pairs, Step};
use serde_json::{json, Value};

/// Fields of an ordinary request, with everything that some filter reads.
pub fn request(method: &str, path: &str) -> Pairs {
    pairs(&[
        (":method", method.as_bytes()),
        (":path", path.as_bytes()),
        (":authority", b"shop.example"),
        (":scheme", b"https"),
        ("x-tenant-id", b"acme\xff"),
        ("x-forwarded-for", b"203.0.113.9, 192.0.2.7"),
        ("cookie", b"sid=s1; other=2"),
        ("x-cost", b"2"),
        ("accept", b"application/problem+json"),
        ("accept-encoding", b"gzip, br"),
        ("x-variant", b"a"),
        (
            "traceparent",
            b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
        ),
        ("tracestate", b"a=1,b=2"),
        ("tracestate", b"c=3"),
        ("baggage", b"k=v"),
        ("b3", b"80f198ee56343ba864fe8b2a57d3eff7-e457b5a2e4d86bd1-1"),
        ("x-request-id", b"abc"),
    ])
}

/// With one more field, or another value.
pub fn with(mut fields: Pairs, name: &str, value: &[u8]) -> Pairs {
    fields.retain(|(field, _)| field != name.as_bytes());
    fields.push((name.as_bytes().to_vec(), value.to_vec()));
    fields
}

/// Fields of an ordinary response.
pub fn response(status: &str) -> Pairs {
    pairs(&[
        (":status", status.as_bytes()),
        ("cache-control", b"max-age=1, stale-while-revalidate=2"),
        ("content-type", b"text/plain"),
        ("etag", b"\"v1\""),
        ("vary", b"accept-encoding"),
        ("surrogate-key", b"one two"),
        ("x-tokens", b"7"),
        ("server-timing", b"db;dur=53"),
        ("ratelimit", b"\"up\";r=1;t=1"),
    ])
}

/// One request and its response, from its first callback to its last. All but GET and HEAD have a body.
pub fn exchange(context: u32, headers: Pairs, status: &str) -> Vec<Step> {
    let bare = headers
        .iter()
        .any(|(name, value)| name == b":method" && [&b"GET"[..], b"HEAD"].contains(&&value[..]));
    let mut steps = vec![
        Step::Request(context, headers, bare),
        // "Within the limit", for a rate limit service.
        Step::CallsAnswered(pairs(&[(":status", "200")]), vec![8, 1]),
    ];
    if !bare {
        steps.push(Step::RequestBody(context, b"question".to_vec(), true));
    }
    steps.extend([
        Step::Response(context, response(status), false),
        Step::ResponseBody(context, b"hello, ".to_vec(), false),
        Step::ResponseBody(context, b"world".to_vec(), true),
        Step::End(context),
    ]);
    steps
}

/// A route's settings that are good, and then some that are not; of one filter, or of all.
fn routes(filter: &str) -> Vec<Step> {
    let filters = match filter {
        "seawall" => FILTERS.to_vec(),
        one => vec![one],
    };
    let of_each = |settings: &dyn Fn(&str) -> Value| {
        let names = filters.iter().map(|name| {
            (
                format!("seawall.{}", name.replace('-', "_")),
                settings(name),
            )
        });
        let names: Vec<_> = names.collect();
        let names: Vec<_> = names
            .iter()
            .map(|(name, settings)| (name.as_str(), settings.clone()))
            .collect();
        metadata(&names)
    };
    let route = |name: &str, bytes: Vec<u8>| {
        vec![
            Step::Property("xds.route_name", name.as_bytes().to_vec()),
            Step::Property("xds.route_metadata", bytes.clone()),
            Step::Property("xds.virtual_host_metadata", bytes),
        ]
    };
    let mut life = route("good", of_each(&route_settings));
    life.extend(exchange(40, request("GET", "/good"), "200"));
    let bad = of_each(&|_| json!({"colour": [1, null, {"a": "b"}]}));
    life.extend(route("bad", bad.clone()));
    life.extend(exchange(41, request("GET", "/bad"), "200"));
    life.extend(route("cut", bad[..bad.len() / 2].to_vec()));
    life.extend(exchange(42, request("GET", "/cut"), "200"));
    life.extend(route("off", of_each(&|_| json!({"enabled": false}))));
    life.extend(exchange(43, request("GET", "/off"), "200"));
    life
}

/// Settings that are good on a route of the filter.
fn route_settings(filter: &str) -> Value {
    match filter {
        "rate-limit" => {
            json!({"limits": [{"name": "route", "key": ["path"], "requests": 1, "per": "1h"}]})
        }
        "response-cache" => json!({"default_ttl": "1m"}),
        "circuit-breaker" => json!({"failure_threshold": 1}),
        _ => json!({"endpoint": "/orders/{id}", "sampling": {"mode": "always"}}),
    }
}

/// Everything that can happen to a filter, one thing after the other.
pub fn full(filter: &str) -> Vec<Step> {
    let mut life = vec![Step::Start, Step::Wait(60)];
    life.extend(exchange(2, request("GET", "/orders?id=7"), "200"));
    life.extend(exchange(3, request("GET", "/orders?id=7"), "200"));
    // Half a minute later what was stored is stale, and two come at once.
    life.push(Step::Wait(1_500));
    life.extend([
        Step::Request(4, request("GET", "/orders?id=7"), true),
        Step::Request(5, request("GET", "/orders?id=7"), true),
        Step::Request(6, request("HEAD", "/orders?id=7"), true),
        Step::CallsAnswered(response("304"), Vec::new()),
        Step::Response(4, response("304"), true),
        Step::Queues,
        Step::Response(5, response("200"), true),
        Step::End(4),
        Step::End(5),
        Step::End(6),
    ]);
    // The leader goes away while others wait.
    life.extend([
        Step::Request(7, request("GET", "/new"), true),
        Step::Request(8, request("GET", "/new"), true),
        Step::Request(9, request("GET", "/new"), true),
        Step::End(7),
        Step::Queues,
        Step::End(9),
        Step::Wait(1_100),
        Step::Wait(1_100),
        Step::Response(8, response("200"), false),
        Step::ResponseBody(8, b"half".to_vec(), false),
        Step::ResponseTrailers(8, pairs(&[("x-t", "1")])),
        Step::End(8),
    ]);
    // What must not be stored, and what is too large to be.
    let cookie = with(response("200"), "set-cookie", b"a=b");
    let upload = with(request("GET", "/upload"), "content-length", b"8");
    life.extend([
        Step::Request(30, request("GET", "/cookie"), true),
        Step::Response(30, cookie, true),
        Step::End(30),
        Step::Request(31, request("GET", "/large"), true),
        Step::Response(31, response("200"), false),
        Step::ResponseBody(31, vec![b'x'; 100_000], true),
        Step::End(31),
        Step::Request(32, upload, false),
        Step::RequestBody(32, b"question".to_vec(), true),
        Step::Response(32, response("200"), true),
        Step::End(32),
    ]);
    // The upstream fails, hangs, and recovers.
    for (context, status) in (10..).zip(["500", "503", "502", "200"]) {
        life.extend(exchange(context, request("GET", "/failing"), status));
        life.push(Step::Wait(700));
    }
    life.extend([
        Step::Request(20, request("GET", "/hangs"), true),
        Step::Wait(800),
        Step::End(20),
        Step::Wait(5_000),
    ]);
    life.extend(exchange(21, request("POST", "/orders"), "201"));
    let grpc = with(request("POST", "/s/m"), "content-type", b"application/grpc");
    life.extend(exchange(22, grpc, "200"));
    let ranged = with(request("GET", "/orders?id=7"), "range", b"bytes=1-3");
    life.extend(exchange(23, ranged, "200"));
    let conditional = with(request("GET", "/orders?id=7"), "if-none-match", b"\"v1\"");
    life.extend(exchange(24, conditional, "200"));
    // Stale beyond everything: asked for again, confirmed; and once more, when the upstream fails.
    for (context, status) in [(33, "304"), (34, "503")] {
        let answer = match status {
            "304" => response(status),
            _ => with(response(status), "content-length", b"4"),
        };
        life.extend([
            Step::Wait(5_000),
            Step::Request(context, request("GET", "/orders?id=7"), true),
            Step::Response(context, answer, status == "304"),
            Step::ResponseBody(context, b"oops".to_vec(), true),
            Step::End(context),
        ]);
    }
    // Purges.
    for (context, kind) in (25..).zip(["key", "prefix", "all", "tag", "nonsense"]) {
        let purge = with(
            request("PURGE", "/orders"),
            "seawall-purge",
            kind.as_bytes(),
        );
        let purge = with(purge, "surrogate-key", b"one two");
        life.extend(exchange(context, purge, "200"));
    }
    life.extend([
        Step::Wait(1_100),
        Step::CallsAnswered(response("200"), b"{}".to_vec()),
        Step::Wait(1_100),
        Step::CallsFailed,
    ]);
    life.extend(routes(filter));
    // The clock is set back a day, and forward by two.
    for (context, clock) in [(50, -86_400_000i64), (51, 86_400_000)] {
        life.push(Step::Clock((super::NOW as i64 + clock) as u64));
        life.extend(exchange(context, request("GET", "/orders?id=7"), "200"));
    }
    life
}

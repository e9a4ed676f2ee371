//! `seawall explain`: why each filter decides as it does, in words.

mod common;

use common::piped;
use serde_json::{json, Value};

/// What a limit says about whom it is for, in numbers that people write.
#[test]
fn addresses_and_shares_are_written_as_people_write_them() {
    let file = r#"{"stat_prefix": "a", "http_filters": [{"name": "l", "typed_config": {
        "@type": "type.googleapis.com/envoy.extensions.filters.http.wasm.v3.Wasm", "config": {"name": "seawall.rate_limit",
        "configuration": {"@type": "type.googleapis.com/google.protobuf.Struct", "value": {"limits": [
            {"name": "each", "key": ["client_address"], "requests": 5, "per": "500ms", "enforce_percent": 7},
            {"name": "net", "key": [{"client_address": {"ipv4_prefix": 24}}], "requests": 5, "per": "1m", "enforce_percent": 0.5},
            {"name": "vip", "key": ["client_address"], "requests": 5, "per": "1m", "exempt": {"header": {"x-vip": true}}},
            {"name": "watched", "requests": 5, "per": "1m", "shadow": true, "match": {"path": "/a*"}},
            {"name": "tier", "key": [{"header": "x-t"}, "method"], "requests": 5, "per": "1m", "missing": "skip",
             "overrides": [{"key": ["gold", "PUT"], "requests": 6}, {"key": ["gold"], "match": {"path": "/b*"}, "unlimited": true},
                           {"key": ["gold"], "requests": 7}]}
        ]}}}}}],
      "route_config": {"virtual_hosts": [{"name": "v", "domains": ["*"], "routes": [{"match": {"prefix": "/"}, "route": {"cluster": "c"}}]}]}}"#;
    let because = |arguments: &[&str]| {
        let ran = piped(&[&["explain", "-"], arguments].concat(), file);
        assert_eq!(ran.code, 0, "{}{}", ran.out, ran.err);
        ran.out
    };
    let said = because(&["--request", "GET /a", "--client", "10.1.2.3"]);
    for line in [
        "limit \"each\" counts it for client address 10.1.2.3: \"each\";q=5; 7 % of what is too much is refused",
        "limit \"net\" counts it for client address 10.1.2.0/24: \"net\";q=5;w=60; 0.5 % of",
        "limit \"vip\" counts it for client address 10.1.2.3",
        "limit \"watched\" counts it for all requests together: \"watched\";q=5;w=60; nothing is refused (shadow)",
        "limit \"tier\" is not for it: header x-t missing and method \"GET\" (missing: skip)",
    ] {
        assert!(said.contains(line), "{line}\n{said}");
    }
    let gold = [
        "-H",
        "x-t: gold",
        "-H",
        "x-vip: 1",
        "--client",
        "2001:db8:1:2:3::4",
    ];
    for (request, line) in [
        (
            "GET /b",
            "limit \"each\" counts it for client address 2001:db8:1:2::/64: ",
        ),
        (
            "GET /b",
            "limit \"vip\" is not for it: a rule of exempt fits",
        ),
        (
            "GET /b",
            "limit \"watched\" is not for it: no rule of match fits",
        ),
        ("GET /b", "by overrides[1], without a limit"),
        ("PUT /b", "by overrides[0]: \"tier\";q=6;w=60"),
        ("GET /a", "by overrides[2]: \"tier\";q=7;w=60"),
    ] {
        let said = because(&[&["--request", request][..], &gold].concat());
        assert!(said.contains(line), "{line}\n{said}");
    }
}

#[test]
fn the_breaker_says_what_opens_it_and_the_trace_what_was_judged() {
    let because = |filter: &str, settings: &Value, arguments: &[&str]| {
        let wasm = "type.googleapis.com/envoy.extensions.filters.http.wasm.v3.Wasm";
        let plain = "type.googleapis.com/google.protobuf.Struct";
        let config = json!({"name": filter, "configuration": {"@type": plain, "value": settings}});
        let file = json!({
            "stat_prefix": "a",
            "http_filters": [{"name": filter, "typed_config": {"@type": wasm, "config": config}}],
            "route_config": {"virtual_hosts": [{"name": "v", "domains": ["*"],
                "routes": [{"match": {"prefix": "/"}, "route": {"cluster": "c"}}]}]},
        });
        let whole = [&["explain", "-", "--request", "GET /"], arguments].concat();
        let ran = piped(&whole, &file.to_string());
        assert_eq!(ran.code, 0, "{}{}", ran.out, ran.err);
        let lines = ran
            .out
            .lines()
            .filter_map(|line| line.strip_prefix("   - "));
        lines.map(str::to_owned).collect::<Vec<_>>()
    };
    let opens = |settings: &Value| {
        let lines = because("seawall.circuit_breaker", settings, &[]);
        let line = lines.into_iter().find(|line| line.starts_with("it opens"));
        line.unwrap_or_default()
    };
    let shares = json!({"failure_threshold": 3, "open_for": "2s", "failure_percentage": 50,
        "slow_after": "1s", "slow_percentage": 80, "minimum_calls": 20, "window": "10s"});
    assert_eq!(
        opens(&shares),
        "it opens for 2s after 3 failures in a row, or 50 % failures of at least 20 calls in 10s, or 80 % overdue of at least 20 calls in 10s"
    );
    // What is not said has its default, which is not to look at how long calls take.
    let row = json!({"failure_threshold": 0, "open_for": "2s"});
    assert_eq!(
        opens(&row),
        "it opens for 2s after 50 % failures of at least 20 calls in 30s"
    );
    let parent = "traceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    let b3 = "b3: 00000000000000000000000000000001-0000000000000002-1";
    let (made, started) = (
        "it has no request id: one is made",
        "it has no trace: one is started",
    );
    let read = json!({"read": ["w3c", "b3"]});
    let never = json!({"trust": {"mode": "never"}});
    let continued = "its trace is continued";
    for (settings, fields, expected) in [
        (&read, vec![], vec![made, started]),
        (
            &read,
            vec!["x-request-id: a", parent],
            vec!["its request id is kept", continued],
        ),
        (
            &read,
            vec!["x-request-id: a b"],
            vec![
                "its request id is not safe or not trusted: it is replaced",
                started,
            ],
        ),
        (
            &read,
            vec!["traceparent: 0"],
            vec![made, "its trace header cannot be read", started],
        ),
        (
            &read,
            vec![parent, b3],
            vec!["its headers name different traces", made, continued],
        ),
        (
            &read,
            vec![parent, "tracestate: BAD=1", "baggage: bad"],
            vec![
                "members of its baggage are dropped",
                made,
                continued,
                "its tracestate breaks the grammar and is dropped",
            ],
        ),
        (
            &never,
            vec![parent],
            vec![
                made,
                started,
                "its trace is from somebody who is not trusted: another one is started",
            ],
        ),
    ] {
        let arguments: Vec<&str> = fields.iter().flat_map(|field| ["-H", *field]).collect();
        let said = because("seawall.trace_headers", settings, &arguments);
        assert_eq!(said, expected, "{fields:?}");
    }
}

/// `utm_` alone would be another parameter.
#[test]
fn names_of_parameters_keep_their_stars() {
    for (key, says) in [
        (
            "{exclude: ['utm_*', gclid]}",
            "the query without utm_*, gclid",
        ),
        ("{include: ['page*', q]}", "of the query page*, q"),
    ] {
        let file = format!(
            "kind: WasmPlugin\nspec:\n  url: oci://x/seawall/response-cache:1\n  pluginConfig: {{key: {key}}}\n"
        );
        let ran = piped(&["explain", "-", "--request", "GET /a"], &file);
        assert!(ran.out.contains(says), "{}{}", ran.out, ran.err);
    }
}

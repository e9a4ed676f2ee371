//! `seawall convert`: what it prints passes `seawall check`, and means the same.

mod common;

use common::{in_camel_case, piped, repository, round_trip, seawall};
use serde_json::{json, Value};

fn converted(from: &str, file: &str) -> Value {
    let text = seawall(&["convert", from, file]);
    assert_eq!(text.code, 0, "{}", text.err);
    round_trip(&text);
    let ran = seawall(&["convert", from, file, "--format", "json"]);
    serde_json::from_str(&ran.out).unwrap()
}

#[test]
fn nginx_zones_become_limits() {
    let found = converted("nginx", "cli/tests/data/nginx.conf");
    assert_eq!(
        found["plugin"],
        json!({
            "answer": {"status": 429},
            "limits": [{"name": "perip", "key": [{"client_address": {"ipv6_prefix": 128}}], "missing": "skip", "requests": 10, "per": "1s", "burst": 21}],
        })
    );
    assert_eq!(
        found["routes"]["the route for location /login"]["limits"],
        json!([
            {"name": "perip", "key": [{"client_address": {"ipv6_prefix": 128}}], "missing": "skip", "requests": 10, "per": "1s", "burst": 6, "shadow": true},
            {"name": "tenant", "key": [{"header": "x-tenant-id"}, "path"], "requests": 600, "per": "1m", "burst": 1, "shadow": true},
        ])
    );
    let remarks = found["remarks"].to_string();
    assert!(remarks.contains("without nodelay"), "{remarks}");
}

#[test]
fn local_ratelimit_becomes_limits() {
    let found = converted("envoy", "cli/tests/data/local_ratelimit.yaml");
    let remarks = found["remarks"].to_string();
    for name in ["x-where", "Retry-After"] {
        assert!(remarks.contains(name), "{name}: {remarks}");
    }
    assert_eq!(
        found["plugin"],
        json!({
            "answer": {"status": 429, "headers": {"x-reason": "too many"}},
            "limits": [
                {"name": "edge", "requests": 50, "per": "500ms", "burst": 100},
                {"name": "edge-tenant-remote_address", "key": [{"header": "x-tenant-id"}, {"client_address": {"ipv6_prefix": 128}}], "match": {"header": {"x-tenant-id": "acme"}}, "missing": "skip", "requests": 7, "per": "60s"},
            ],
        })
    );
    assert_eq!(
        found["routes"]["route \"reports\""]["limits"],
        json!([{"name": "reports", "requests": 1, "per": "10s", "enforce_percent": 25.0}])
    );
}

#[test]
fn what_has_no_limits_is_trouble() {
    for (from, text, why) in [
        ("nginx", "http { }", "no limit_req_zone"),
        (
            "nginx",
            "http { limit_req_zone $a zone=x rate=1r/h; }",
            "r/s or r/m",
        ),
        ("nginx", "http {", "ends within"),
        (
            "nginx",
            "limit_req_zone $a zone=x:1m rate=1r/s; server { limit_req zone=y; }",
            "no limit_req_zone called \"y\"",
        ),
        ("envoy", "a: 1", "no local_ratelimit"),
        ("envoy", "a: [", "not YAML"),
    ] {
        let ran = piped(&["convert", from, "-"], text);
        assert_eq!(ran.code, 2, "{text}: {}", ran.out);
        assert!(ran.err.contains(why), "{text}: {}", ran.err);
    }
}

#[test]
fn signs_in_quotes_are_text_as_in_a_log_format_that_writes_json() {
    let ran = piped(
        &["convert", "nginx", "-"],
        r#"http {
            log_format lines '{' '"at":"$time_iso8601";';
            log_format ends '}';
            limit_req_zone $binary_remote_addr zone=one:1m rate=5r/s;
            server { limit_req zone=one; }
        }"#,
    );
    assert_eq!(ran.code, 0, "{}", ran.err);
    assert!(ran.out.contains("requests: 5"), "{}", ran.out);
}

#[test]
fn what_nginx_does_not_take_is_refused_and_nothing_overflows() {
    let zone = |rate: &str| format!("limit_req_zone $a zone=x:1m rate={rate};");
    for (text, says) in [
        (zone("0r/s"), "from 1 to"),
        (zone("0.5r/s"), "from 1 to"),
        (zone("99999999999999999999r/s"), "from 1 to"),
        ("a {".repeat(100_000), "blocks in each other"),
    ] {
        let ran = piped(&["convert", "nginx", "-"], &text);
        assert_eq!(ran.code, 2, "{}", ran.err);
        assert!(ran.err.contains(says), "{}", ran.err);
    }
}

#[test]
fn what_holds_around_a_location_holds_in_it_as_in_nginx() {
    let ran = piped(
        &["convert", "nginx", "-", "--format", "json"],
        "limit_req_zone $binary_remote_addr zone=one:1m rate=1r/s;
        limit_req_zone $binary_remote_addr$arg_t zone=two:1m rate=1r/s;
        http {
            limit_req_dry_run on;
            server {
                server_name a.example;
                limit_conn perip 5;
                limit_req zone=one;
                location /watched { limit_req zone=two; }
                location /enforced { limit_req zone=one burst=2; limit_req_dry_run off; limit_req_status 501; }
                location /asis { proxy_pass http://b; }
            }
            server { server_name b.example; limit_req zone=one; }
            server { server_name c.example; location /enforced { limit_req zone=two; } }
        }",
    );
    assert_eq!(ran.code, 0, "{}", ran.err);
    let found: Value = serde_json::from_str(&ran.out).unwrap();
    assert_eq!(found["plugin"], json!({"answer": {"status": 503}}));
    let one = json!([{"name": "one", "key": [{"client_address": {"ipv6_prefix": 128}}], "missing": "skip", "requests": 1, "per": "1s", "burst": 1, "shadow": true}]);
    // A key of several variables is empty only where all of them are.
    let two = json!([{"name": "two", "key": [{"client_address": {"ipv6_prefix": 128}}, {"query": "t"}], "requests": 1, "per": "1s", "burst": 1, "shadow": true}]);
    let enforced = json!([{"name": "one", "key": [{"client_address": {"ipv6_prefix": 128}}], "missing": "skip", "requests": 1, "per": "1s", "burst": 3}]);
    assert_eq!(
        found["routes"],
        json!({
            "the virtual host for a.example": {"limits": one},
            "the route for location /watched of server a.example": {"limits": two},
            "the route for location /enforced of server a.example": {"limits": enforced, "answer": {"status": 501}},
            "the virtual host for b.example": {"limits": one},
            "the route for location /enforced of server c.example": {"limits": two},
        })
    );
    let remarks = found["remarks"].to_string();
    for remark in ["limit_conn", "zone one is used with different bursts"] {
        assert!(remarks.contains(remark), "{remarks}");
    }
    assert!(!remarks.contains("zone two"), "{remarks}");
}

#[test]
fn a_descriptor_in_shadow_mode_refuses_nothing_and_a_route_has_its_own_answer() {
    let filter = |more: &str| {
        format!(
            "{{\"@type\": type.googleapis.com/envoy.extensions.filters.http.local_ratelimit.v3.LocalRateLimit, stat_prefix: p, filter_enforced: {{default_value: {{numerator: 100}}}}, token_bucket: {{max_tokens: 1, fill_interval: 1s}}, {more}}}"
        )
    };
    let watched = filter(
        "enable_x_ratelimit_headers: DRAFT_VERSION_03, always_consume_default_token_bucket: false, descriptors: [{entries: [{key: x}], shadow_mode: true, token_bucket: {max_tokens: 1, fill_interval: 1s}}]",
    );
    let route = filter("status: {code: 503}");
    let text = format!(
        "filters:\n- typed_config: {watched}\nroutes:\n- name: r\n  match: {{prefix: /}}\n  typed_per_filter_config: {{local: {route}}}\n"
    );
    let ran = piped(&["convert", "envoy", "-", "--format", "json"], &text);
    assert_eq!(ran.code, 0, "{}", ran.err);
    let found: Value = serde_json::from_str(&ran.out).unwrap();
    let limits = found["plugin"]["limits"].as_array().unwrap();
    let shadows: Vec<_> = limits.iter().map(|limit| limit.get("shadow")).collect();
    assert_eq!(shadows, [None, Some(&json!(true))]);
    assert_eq!(found["plugin"]["headers"], json!("both"));
    assert_eq!(found["plugin"].get("answer"), None);
    let route = &found["routes"]["route \"r\""];
    assert_eq!(route["answer"], json!({"status": 503}));
    assert!(found["remarks"]
        .to_string()
        .contains("no descriptor is for"));
}

#[test]
fn a_descriptor_for_any_value_is_not_for_those_that_have_their_own() {
    let ran = piped(
        &["convert", "envoy", "-", "--format", "json"],
        "\"@type\": type.googleapis.com/envoy.extensions.filters.http.local_ratelimit.v3.LocalRateLimit
stat_prefix: p
rate_limits: [{actions: [{request_headers: {header_name: x-tenant, descriptor_key: tenant}}]}]
descriptors:
- {entries: [{key: tenant}], token_bucket: {max_tokens: 3, fill_interval: 1s}}
- {entries: [{key: tenant, value: acme}], token_bucket: {max_tokens: 8, fill_interval: 1s}}
- {entries: [{key: other, value: acme}], token_bucket: {max_tokens: 9, fill_interval: 1s}}
",
    );
    assert_eq!(ran.code, 0, "{}", ran.err);
    let found: Value = serde_json::from_str(&ran.out).unwrap();
    let limits = found["plugin"]["limits"].as_array().unwrap();
    let exempt: Vec<_> = limits.iter().map(|limit| limit.get("exempt")).collect();
    let acme = json!([{"header": {"x-tenant": "acme"}}]);
    assert_eq!(exempt, [Some(&acme), None, None]);
}

/// What tells requests apart there and here, in the notations that nginx knows.
#[test]
fn the_variables_of_an_nginx_key() {
    let converted = |zone: &str, more: &str| {
        let text = format!(
            "# a comment {{ with braces ; and \" quotes\nlimit_req_zone {zone} zone=z:1m rate=1r/s; # another {{\nserver {{ limit_req zone=z{more}; return 200 a#b; }}"
        );
        let ran = piped(&["convert", "nginx", "-", "--format", "json"], &text);
        assert_eq!(ran.code, 0, "{zone}: {}", ran.err);
        let found: Value = serde_json::from_str(&ran.out).unwrap();
        let key = found["plugin"]["limits"][0]["key"].clone();
        (key, found["remarks"].to_string())
    };
    for (zone, key, remark) in [
        ("$host", json!(["host"]), ""),
        ("$http_host", json!(["host"]), ""),
        (
            "$server_name",
            json!([{"constant": "server"}]),
            "the name of the server's block",
        ),
        (
            "$realip_remote_addr",
            json!([{"client_address": {"ipv6_prefix": 128}}]),
            "the connection's other end",
        ),
        ("$uri", json!(["path"]), ""),
        ("$request_uri", json!(["path"]), "has the query in it"),
        ("$request_method", json!(["method"]), ""),
        ("${cookie_sid}", json!([{"cookie": "sid"}]), ""),
        ("'$arg_api_key'", json!([{"query": "api_key"}]), ""),
        ("$http_x_api_key", json!([{"header": "x-api-key"}]), ""),
        (
            "${binary_remote_addr}x$uri",
            json!([{"client_address": {"ipv6_prefix": 128}}, "path"]),
            "",
        ),
        ("\"a\\\"b$host\"", json!(["host"]), ""),
        (
            "$arg_a$arg_b",
            json!([{"query": "a"}, {"query": "b"}]),
            "is empty; here those share one limit",
        ),
        (
            "$tenant",
            json!([{"header": "tenant"}]),
            "is not known here",
        ),
        ("fixed", json!(null), "all requests share the limit"),
    ] {
        let (found, remarks) = converted(zone, "");
        assert_eq!(found, key, "{zone}");
        let own = remarks.replace("nginx refuses with 503", "");
        match remark {
            "" => assert_eq!(own.matches("\",\"").count(), 0, "{zone}: {remarks}"),
            remark => assert!(remarks.contains(remark), "{zone}: {remarks}"),
        }
    }
    for (more, said) in [("", false), (" burst=5 nodelay", false), (" burst=5", true)] {
        let (_, remarks) = converted("$host", more);
        assert_eq!(remarks.contains("without nodelay"), said, "{more}");
    }
}

/// A filter without `filter_enabled` looks at no request in Envoy, which nobody sees in its limits.
#[test]
fn shares_of_a_local_ratelimit_are_limits_or_said() {
    let converted = |more: &str| {
        let text = format!(
            "\"@type\": type.googleapis.com/envoy.extensions.filters.http.local_ratelimit.v3.LocalRateLimit
stat_prefix: p
token_bucket: {{max_tokens: 1, fill_interval: 1s}}
{more}"
        );
        let ran = piped(&["convert", "envoy", "-", "--format", "json"], &text);
        assert_eq!(ran.code, 0, "{}", ran.err);
        let found: Value = serde_json::from_str(&ran.out).unwrap();
        let limit = found["plugin"]["limits"][0].clone();
        (limit, found["remarks"].to_string())
    };
    let share = |field: &str, numerator: u32, denominator: &str| {
        format!(
            "{field}: {{default_value: {{numerator: {numerator}, denominator: {denominator}}}}}\n"
        )
    };
    for (enabled, said) in [
        (String::new(), "filter_enabled is 0 %"),
        (
            share("filter_enabled", 0, "HUNDRED"),
            "filter_enabled is 0 %",
        ),
        (share("filter_enabled", 99, "HUNDRED"), "is less than 100 %"),
        (
            share("filter_enabled", 999_999, "MILLION"),
            "is less than 100 %",
        ),
        (share("filter_enabled", 1_000_000, "MILLION"), ""),
    ] {
        let (_, remarks) = converted(&enabled);
        match said {
            "" => assert!(!remarks.contains("filter_enabled"), "{remarks}"),
            said => assert!(remarks.contains(said), "{enabled}: {remarks}"),
        }
    }
    for (enforced, field, value) in [
        (String::new(), "shadow", json!(true)),
        (
            share("filter_enforced", 0, "HUNDRED"),
            "shadow",
            json!(true),
        ),
        (
            share("filter_enforced", 5_000, "MILLION"),
            "enforce_percent",
            json!(0.5),
        ),
        (
            share("filter_enforced", 100, "HUNDRED"),
            "enforce_percent",
            Value::Null,
        ),
    ] {
        let (limit, _) = converted(&enforced);
        assert_eq!(limit[field], value, "{enforced}: {limit}");
    }
    let (_, remarks) = converted("local_rate_limit_per_downstream_connection: true\n");
    assert!(remarks.contains("one for each connection"), "{remarks}");
    let (_, remarks) = converted("local_rate_limit_per_downstream_connection: false\n");
    assert!(!remarks.contains("one for each connection"), "{remarks}");
}

/// Descriptors whose values are of the request line or of the connection.
#[test]
fn values_of_descriptors_become_rules() {
    let ran = piped(
        &["convert", "envoy", "-", "--format", "json"],
        "\"@type\": type.googleapis.com/envoy.extensions.filters.http.local_ratelimit.v3.LocalRateLimit
rate_limits:
- actions:
  - request_headers: {header_name: ':path', descriptor_key: path}
  - request_headers: {header_name: ':method', descriptor_key: method}
  - remote_address: {}
  - destination_cluster: {}
  - source_cluster: {}
  - request_headers: {header_name: ':authority', descriptor_key: authority}
descriptors:
- {entries: [{key: path, value: /a}, {key: method, value: POST}], token_bucket: {max_tokens: 3, fill_interval: 1s}}
- {entries: [{key: remote_address, value: 10.0.0.1}], token_bucket: {max_tokens: 3, fill_interval: 1s}}
- {entries: [{key: destination_cluster, value: c}], token_bucket: {max_tokens: 3, fill_interval: 1s}}
- {entries: [{key: authority, value: 'Shop:8080'}, {key: path, value: '/b?c=d'}], token_bucket: {max_tokens: 3, fill_interval: 1s}}
",
    );
    assert_eq!(ran.code, 0, "{}", ran.err);
    let found: Value = serde_json::from_str(&ran.out).unwrap();
    let limits = found["plugin"]["limits"].as_array().unwrap();
    let rules: Vec<_> = limits.iter().map(|limit| &limit["match"]).collect();
    assert_eq!(
        rules,
        [
            &json!({"path": "/a", "method": "POST"}),
            &json!({"cidr": "10.0.0.1"}),
            &Value::Null,
            // A rule with a port or a query could never hold.
            &json!({"host": "shop", "path": "/b"}),
        ]
    );
    let remarks = found["remarks"].to_string();
    for said in [
        ":path has the query in it",
        "the action source_cluster has no counterpart",
        "is not carried over",
    ] {
        assert!(remarks.contains(said), "{said}: {remarks}");
    }
}

/// What is written is read by Envoy as what it was: as text where it would be a number or a word of YAML without quotes.
#[test]
fn texts_stay_texts_in_yaml() {
    for value in ["0x1f", "0b1", "1e3", "yes", "12", "5m", "a b", "acme"] {
        let text = format!(
            "\"@type\": type.googleapis.com/envoy.extensions.filters.http.local_ratelimit.v3.LocalRateLimit
descriptors:
- {{entries: [{{key: tenant, value: \"{value}\"}}], token_bucket: {{max_tokens: 3, fill_interval: 1s}}}}
"
        );
        let ran = piped(&["convert", "envoy", "-"], &text);
        let line = ran.out.lines().find(|line| line.contains("tenant: "));
        let (_, written) = line.unwrap().split_once("tenant: ").unwrap();
        let plain = ["5m", "acme"].contains(&value);
        assert_eq!(written == value, plain, "{written}");
        assert_eq!(written.trim_matches('"'), value);
    }
}

#[test]
fn names_in_camel_case_are_the_same_names() {
    let file = repository().join("cli/tests/data/local_ratelimit.yaml");
    let text = std::fs::read_to_string(file).unwrap();
    let camel = in_camel_case(&text);
    assert!(camel.contains("tokensPerFill:") && camel.contains("requestHeaders:"));
    let ran = piped(&["convert", "envoy", "-"], &camel);
    assert_eq!(ran.out, piped(&["convert", "envoy", "-"], &text).out);
    assert!(ran.out.contains("requests: 50"), "{}", ran.out);
}

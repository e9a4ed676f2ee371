//! `seawall explain`.

mod common;

use common::{piped, seawall};
use serde_json::Value;

const FILE: &str = "envoy/envoy.yaml";

fn explain(arguments: &[&str]) -> Value {
    let whole = [&["explain", FILE, "--format", "json"], arguments].concat();
    let ran = seawall(&whole);
    assert_eq!(ran.code, 0, "{}{}", ran.out, ran.err);
    serde_json::from_str(&ran.out).unwrap()
}

fn filter<'v>(explained: &'v Value, name: &str) -> &'v Value {
    let filters = explained["filters"].as_array().unwrap();
    filters
        .iter()
        .find(|filter| filter["filter"] == name)
        .unwrap()
}

fn says(filter: &Value, list: &str, text: &str) -> bool {
    let lines = filter[list].as_array().unwrap();
    lines
        .iter()
        .any(|line| line.as_str().unwrap().contains(text))
}

#[test]
fn the_route_and_the_level_of_every_field_are_named() {
    let explained = explain(&["--request", "GET /payments/7"]);
    assert_eq!(explained["virtual_host"], "all");
    assert_eq!(explained["route"]["title"], "route \"payments\"");
    assert_eq!(explained["route"]["cluster"], "payments");
    let breaker = filter(&explained, "seawall.circuit_breaker");
    let settings = breaker["settings"].as_array().unwrap();
    let from = |field: &str| {
        let found = settings.iter().find(|setting| setting["field"] == field);
        found.unwrap_or_else(|| panic!("{field}: {settings:?}"))["from"]
            .as_str()
            .unwrap()
    };
    assert_eq!(from("failure_threshold"), "plugin");
    assert_eq!(from("fallback.status"), "route");
    let cache = filter(&explained, "seawall.response_cache");
    assert!(
        cache["decision"].as_str().unwrap().contains("switched off"),
        "{cache}"
    );
}

#[test]
fn limits_say_whose_quota_and_how_much() {
    let explained = explain(&["--request", "GET /orders", "-H", "X-Tenant-Id: acme"]);
    let limits = filter(&explained, "seawall.rate_limit");
    assert_eq!(limits["decision"], "lets the request pass");
    assert!(
        says(
            limits,
            "because",
            "limit \"per-tenant\" counts it for header x-tenant-id \"acme\""
        ),
        "{limits}"
    );
    assert!(says(limits, "because", "q=600;w=60"), "{limits}");
    assert!(
        says(limits, "counts", "limit.per-tenant.allowed"),
        "{limits}"
    );
    let explained = explain(&["--request", "GET /orders"]);
    assert!(says(
        filter(&explained, "seawall.rate_limit"),
        "because",
        "header x-tenant-id missing"
    ));
}

#[test]
fn the_cache_says_what_it_stores() {
    let stored = explain(&[
        "--request",
        "GET /orders",
        "--answer-header",
        "cache-control: max-age=60",
    ]);
    let cache = filter(&stored, "seawall.response_cache");
    assert!(says(cache, "because", "stored"), "{cache}");
    assert!(
        says(cache, "because", "is answered from the cache: 200"),
        "{cache}"
    );
    let private = explain(&[
        "--request",
        "GET /orders",
        "--answer-header",
        "cache-control: no-store",
    ]);
    let cache = filter(&private, "seawall.response_cache");
    assert!(
        says(cache, "because", "goes to the upstream as well"),
        "{cache}"
    );
    let post = explain(&[
        "--request",
        "POST /orders",
        "--answer-header",
        "cache-control: max-age=60",
    ]);
    let cache = filter(&post, "seawall.response_cache");
    assert!(
        says(cache, "because", "goes to the upstream as well"),
        "{cache}"
    );
}

#[test]
fn a_trace_is_continued_and_a_failure_is_called_one() {
    let parent = "traceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    let explained = explain(&["--request", "GET /orders", "-H", parent, "--status", "503"]);
    let trace = filter(&explained, "seawall.trace_headers");
    assert!(says(trace, "because", "its trace is continued"), "{trace}");
    assert!(
        says(
            trace,
            "changes",
            "upstream gets traceparent: 00-0af7651916cd43dd8448eb211c80319c-"
        ),
        "{trace}"
    );
    let breaker = filter(&explained, "seawall.circuit_breaker");
    assert!(
        says(
            breaker,
            "because",
            "the breaker is that of cluster \"orders\""
        ),
        "{breaker}"
    );
    assert!(
        says(breaker, "because", "an answer of 503 counts as a failure"),
        "{breaker}"
    );
}

const DENY: &str = r#"
- name: edge
  filter_chains:
  - filters:
    - typed_config:
        stat_prefix: edge
        http_filters:
        - name: seawall.rate_limit
          typed_config: &wasm
            "@type": type.googleapis.com/envoy.extensions.filters.http.wasm.v3.Wasm
            config:
              configuration:
                "@type": type.googleapis.com/google.protobuf.Struct
                value:
                  limits: [{name: a, key: [{header: x-key}], requests: 5, per: 1s, missing: deny}]
        - name: seawall.circuit_breaker
          typed_config:
            "@type": type.googleapis.com/envoy.extensions.filters.http.wasm.v3.Wasm
            config: {name: seawall.circuit_breaker}
        route_config:
          virtual_hosts:
          - name: eu
            domains: ["*.example.com"]
            metadata: {filter_metadata: {seawall.circuit_breaker: {mode: loud}}}
            routes:
            - match: {prefix: /, runtime_fraction: {}}
              direct_response: {status: 200}
          - name: all
            domains: ["*"]
            routes:
            - match: {safe_regex: {regex: "/v[0-9]+/.*"}}
              route: {cluster: versions}
              typed_per_filter_config:
                seawall.rate_limit:
                  "@type": type.googleapis.com/envoy.config.route.v3.FilterConfig
                  disabled: true
"#;

#[test]
fn an_answer_ends_the_chain_and_bad_settings_are_said() {
    let ran = piped(
        &[
            "explain",
            "-",
            "--request",
            "GET /",
            "--host",
            "a.example.com",
        ],
        DENY,
    );
    assert_eq!(ran.code, 1, "{}", ran.err);
    for text in [
        "virtual host \"eu\"",
        "is not modelled",
        "answers 429 by itself",
        "refuses it: header x-key missing (missing: deny)",
        "does not see the request: seawall.rate_limit has answered it",
        "has errors",
        "wrong: the settings of the virtual host do not count: mode: unknown variant `loud`",
    ] {
        assert!(ran.out.contains(text), "{text}: {}", ran.out);
    }
    let ran = piped(&["explain", "-", "--request", "GET /v1/x"], DENY);
    assert!(
        ran.out
            .contains("switched off here by typed_per_filter_config"),
        "{}",
        ran.out
    );
    assert!(ran.out.contains("-> cluster versions"), "{}", ran.out);
    let ran = piped(&["explain", "-", "--request", "GET /x"], DENY);
    assert!(
        ran.out.contains("no route: Envoy answers 404"),
        "{}",
        ran.out
    );
}

#[test]
fn what_cannot_be_explained_is_trouble() {
    assert_eq!(seawall(&["explain", FILE, "--request", "orders"]).code, 2);
    assert_eq!(
        seawall(&["explain", FILE, "--request", "GET /", "-H", "x"]).code,
        2
    );
    let ran = seawall(&["explain", FILE, "--request", "GET /", "--listener", "x"]);
    assert_eq!(ran.code, 2);
    assert!(ran.err.contains("\"ingress\", \"egress\""), "{}", ran.err);
    let ran = piped(&["explain", "-", "--request", "GET /"], "a: 1");
    assert_eq!(ran.code, 2);
    assert!(ran.err.contains("has no listener with"), "{}", ran.err);
}

/// Each `WasmPlugin` is one, and nobody would look for the others.
#[test]
fn other_listeners_are_told_of() {
    let manifest = "deploy/istio/wasmplugins.yaml";
    let names = "--listener takes \"seawall-trace-headers\", \"seawall-rate-limit\", \"seawall-response-cache\", \"seawall-circuit-breaker\"";
    let ran = seawall(&["explain", manifest, "--request", "GET /"]);
    assert!(ran.out.contains(names), "{}", ran.out);
    let named = ["explain", manifest, "--listener", "seawall-rate-limit"];
    let ran = seawall(&[&named[..], &["--request", "GET /"]].concat());
    assert_eq!(ran.code, 0, "{}", ran.err);
    assert!(!ran.out.contains("--listener takes"), "{}", ran.out);
}

#[test]
fn a_manifest_without_routes_does_not_make_them_404() {
    let manifest = "deploy/istio/wasmplugins.yaml";
    let ran = seawall(&["explain", manifest, "--request", "GET /"]);
    assert!(!ran.out.contains("404"), "{}", ran.out);
    assert!(
        ran.out.contains("the routes are not in this file"),
        "{}",
        ran.out
    );
}

/// What Envoy was seen to do with such routes.
#[test]
fn conditions_on_what_is_not_there_and_on_ports_are_those_of_envoy() {
    let file = |condition: &str, more: &str| {
        format!(
            r#"{{"stat_prefix": "a", "http_filters": [{{"name": "seawall.rate_limit", "typed_config": {{
                "@type": "type.googleapis.com/envoy.extensions.filters.http.wasm.v3.Wasm",
                "config": {{"name": "seawall.rate_limit"}}}}}}],
              "route_config": {{{more} "virtual_hosts": [{{"name": "v", "domains": ["a.com"],
                "routes": [{{"name": "r", "match": {{"prefix": "/" {condition}}}, "route": {{"cluster": "c"}}}}]}}]}}}}"#
        )
    };
    let taken = |condition: &str, more: &str, arguments: &[&str]| {
        let whole = [&["explain", "-", "--format", "json"], arguments].concat();
        let ran = piped(&whole, &file(condition, more));
        let explained: Value = serde_json::from_str(&ran.out).expect(&ran.err);
        !explained["route"].is_null()
    };
    let absent = r#", "query_parameters": [{"name": "q", "present_match": false}]"#;
    let host = ["--host", "a.com"];
    let asks = |path: &'static str| [&host[..], &["--request", path]].concat();
    assert!(taken(absent, "", &asks("GET /a")));
    assert!(!taken(absent, "", &asks("GET /a?q=1")));
    let empty = r#", "headers": [{"name": "x-a", "present_match": true, "treat_missing_header_as_empty": true}]"#;
    assert!(taken(empty, "", &asks("GET /a")));
    let grpc = r#", "grpc": {}"#;
    let of = |kind: &'static str| [asks("POST /a"), vec!["-H", kind]].concat();
    assert!(taken(grpc, "", &of("content-type: application/grpc+proto")));
    assert!(!taken(grpc, "", &of("content-type: application/grpc-web")));
    let port = ["--host", "a.com:8080", "--request", "GET /a"];
    assert!(!taken("", "", &port));
    assert!(taken("", r#""ignore_port_in_host_matching": true,"#, &port));
    let inverted =
        r#", "headers": [{"name": "x-a", "string_match": {"exact": "1"}, "invert_match": true}]"#;
    let one = r#", "headers": [{"name": "x-a", "string_match": {"exact": "1"}}]"#;
    let both = [asks("GET /a"), vec!["-H", "x-a: 2", "-H", "x-a: 1"]].concat();
    assert!(taken(one, "", &both));
    assert!(!taken(inverted, "", &both));
}

/// The nearest of route, virtual host and route table says whether a filter takes part, by the name of its entry in the chain.
#[test]
fn the_nearest_switch_counts_under_the_name_in_the_chain() {
    let switch = |level: Option<bool>| match level {
        Some(off) => format!(
            r#""typed_per_filter_config": {{"limits": {{"@type": "type.googleapis.com/envoy.config.route.v3.FilterConfig", "disabled": {off}}}}},"#
        ),
        None => String::new(),
    };
    let is_on = |chain: bool, table: Option<bool>, host: Option<bool>, route: Option<bool>| {
        let (table, host, route) = (switch(table), switch(host), switch(route));
        let file = format!(
            r#"{{"stat_prefix": "a", "http_filters": [{{"name": "limits", "disabled": {chain}, "typed_config": {{
                "@type": "type.googleapis.com/envoy.extensions.filters.http.wasm.v3.Wasm",
                "config": {{"name": "seawall.rate_limit"}}}}}}],
              "route_config": {{{table} "virtual_hosts": [{{{host} "name": "v", "domains": ["*"],
                "routes": [{{{route} "match": {{"prefix": "/"}}, "route": {{"cluster": "c"}}}}]}}]}}}}"#
        );
        let ran = piped(&["explain", "-", "--request", "GET /"], &file);
        assert_eq!(ran.code, 0, "{}{}", ran.out, ran.err);
        !ran.out.contains("is switched off")
    };
    assert!(is_on(false, None, None, None));
    assert!(!is_on(true, None, None, None));
    assert!(is_on(true, None, None, Some(false)));
    assert!(!is_on(false, Some(true), None, None));
    assert!(is_on(false, Some(true), Some(false), None));
    assert!(!is_on(false, None, Some(true), None));
    assert!(is_on(false, None, Some(true), Some(false)));
    assert!(!is_on(false, None, Some(false), Some(true)));
}

#[test]
fn what_the_connection_manager_does_to_a_path_is_done_or_said() {
    let file = r#"{"stat_prefix": "a", "normalize_path": true, "merge_slashes": true, "path_with_escaped_slashes_action": "UNESCAPE_AND_REDIRECT",
        "http_filters": [{"name": "l", "typed_config": {"@type": "type.googleapis.com/envoy.extensions.filters.http.wasm.v3.Wasm",
            "config": {"name": "seawall.rate_limit"}}}],
        "route_config": {"virtual_hosts": [{"name": "v", "domains": ["*"], "require_tls": "ALL",
            "routes": [{"match": {"path": "/a/b"}, "route": {"cluster": "c"}}]}]}}"#;
    let explained = |target: &str| {
        let request = format!("GET {target}");
        let ran = piped(
            &["explain", "-", "--format", "json", "--request", &request],
            file,
        );
        let explained: Value = serde_json::from_str(&ran.out).expect(&ran.err);
        (
            !explained["route"].is_null(),
            explained["notes"].to_string(),
        )
    };
    let (taken, notes) = explained("/a//x/../b?c=//d");
    assert!(taken, "{notes}");
    assert!(
        notes.contains("TLS is assumed") && !notes.contains("not modelled"),
        "{notes}"
    );
    let (_, notes) = explained("/a%2Fb");
    assert!(
        notes.contains("normalize_path and path_with_escaped_slashes_action"),
        "{notes}"
    );
}

//! What leads from a line of the other filters' logs to the request that it is about: the ids that the upstream saw.
//!
//! The lines are provoked by taking host functions away from a filter, and by a breaker of routes, whose route has no name.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "test code"
)]

#[path = "trace_headers_common/mod.rs"]
mod common;

use common::{logged, parts};
use seawall_tests::envoy::{dist, repository, wasm_filter};
use seawall_tests::prelude::*;

/// An id that would break out of a log line, an attribute or a page.
const HOSTILE: &str = "\"><script>alert(1)</script> request_id=forged";

/// Everything that the shipped example allows to any of the filters, but for these.
fn capabilities_without(refused: &[&str]) -> Value {
    let text = std::fs::read_to_string(repository().join("envoy/envoy.yaml")).unwrap();
    let names = text
        .lines()
        .filter_map(|line| line.trim().strip_suffix(": {}"));
    let allowed = names.filter(|name| !refused.contains(name));
    json!({"allowed_capabilities": allowed.map(|name| (name.to_owned(), json!({}))).collect::<serde_json::Map<_, _>>()})
}

fn crippled(filter: &str, configuration: &Value, refused: &[&str]) -> Value {
    let name = format!("seawall.{}", filter.replace('-', "_"));
    let mut native = wasm_filter(&name, &dist(filter), &name, configuration);
    native["typed_config"]["config"]["capability_restriction_config"] =
        capabilities_without(refused);
    native
}

fn limits() -> Value {
    json!({"limits": [{"name": "all", "key": [{"constant": "all"}], "requests": 5, "per": "1d"}]})
}

fn breaker() -> Value {
    json!({"key": ["cluster", "route"]})
}

/// The line with this text, and the ids that the upstream saw.
async fn line_and_ids(envoy: &Envoy, upstream: &Upstream, text: &str) -> (String, String) {
    envoy.wait_for_log(text).await;
    let log = envoy.log();
    let line = log.lines().find(|line| line.contains(text)).unwrap();
    let seen = upstream.last();
    let (trace, _, _) = parts(seen.header("traceparent").unwrap());
    let id = seen.header("x-request-id").unwrap();
    (
        line.to_owned(),
        format!(" request_id={id} trace_id={trace}"),
    )
}

const UNDECIDED: &str = "a request could not be decided about";
const UNCACHED: &str = "response-cache: shared data cannot be used";
const KEYLESS: &str = "a call passes without a breaker";
const NO_FIELDS: &str = "a response has no rate limit fields";
const NO_STATUS: &str = "response-cache: Cache-Status could not be added";

async fn each_line_carries_the_ids(envoy: Envoy, upstream: Upstream, lines: [&str; 3]) {
    let answer = envoy.get_with("/", &[("x-request-id", HOSTILE)]).await;
    assert_eq!(answer.status, 200);
    for text in lines {
        let (line, ids) = line_and_ids(&envoy, &upstream, text).await;
        assert!(line.ends_with(&ids), "{line}\nlacks{ids}");
        assert_eq!(line.matches("request_id=").count(), 1, "{line}");
    }
    let log = envoy.log();
    assert!(
        !log.contains("<script>") && !log.contains("forged"),
        "{log}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_line_of_any_filter_in_the_chain_leads_to_its_request() {
    let upstream = Upstream::start().await;
    let refused = ["proxy_set_shared_data"];
    let envoy = Envoy::to(&upstream)
        .filter("trace-headers", json!({}))
        .native_filter(crippled("rate-limit", &limits(), &refused))
        .native_filter(crippled("response-cache", &json!({}), &refused))
        .filter("circuit-breaker", breaker())
        .start()
        .await;
    each_line_carries_the_ids(envoy, upstream, [UNDECIDED, UNCACHED, KEYLESS]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_line_of_any_filter_in_the_one_module_leads_to_its_request() {
    let upstream = Upstream::start().await;
    let all = json!({
        "trace_headers": logged(json!({})),
        "rate_limit": limits(),
        "response_cache": {},
        "circuit_breaker": breaker(),
    });
    let refused = ["proxy_add_header_map_value"];
    let envoy = Envoy::to(&upstream)
        .native_filter(crippled("seawall", &all, &refused))
        .start()
        .await;
    each_line_carries_the_ids(envoy, upstream, [KEYLESS, NO_FIELDS, NO_STATUS]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_line_about_a_response_does_so_where_the_ids_are_left_for_the_access_log() {
    let upstream = Upstream::start().await;
    let refused = ["proxy_add_header_map_value"];
    let envoy = Envoy::to(&upstream)
        .filter("trace-headers", logged(json!({})))
        .native_filter(crippled("rate-limit", &limits(), &refused))
        .native_filter(crippled("response-cache", &json!({}), &refused))
        .filter("circuit-breaker", breaker())
        .start()
        .await;
    each_line_carries_the_ids(envoy, upstream, [KEYLESS, NO_FIELDS, NO_STATUS]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_id_that_nobody_has_checked_is_escaped() {
    let upstream = Upstream::start().await;
    let envoy = Envoy::to(&upstream)
        .native_filter(crippled(
            "rate-limit",
            &limits(),
            &["proxy_set_shared_data"],
        ))
        .start()
        .await;
    let headers = [("x-request-id", HOSTILE), ("traceparent", "é\"<b>")];
    assert_eq!(envoy.get_with("/", &headers).await.status, 200);
    let text = UNDECIDED;
    envoy.wait_for_log(text).await;
    let log = envoy.log();
    let line = log.lines().find(|line| line.contains(text)).unwrap();
    assert!(line.contains(" request_id=\\\"><script>"), "{line}");
    assert!(!line.contains(" request_id=\""), "{line}");
    assert!(!line.contains("trace_id="), "{line}");
}

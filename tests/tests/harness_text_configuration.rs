//! Plugin configuration as text: JSON in a `google.protobuf.StringValue` means what a Struct in YAML means.

use seawall_tests::envoy::{dist, wasm_filter};
use seawall_tests::prelude::*;

fn text(filter: &str, configuration: &Value) -> Value {
    let name = format!("seawall.{}", filter.replace('-', "_"));
    let mut plugin = wasm_filter(&name, &dist(filter), &name, &json!({}));
    plugin["typed_config"]["config"]["configuration"] = json!({
        "@type": "type.googleapis.com/google.protobuf.StringValue",
        "value": configuration.to_string(),
    });
    plugin
}

#[tokio::test(flavor = "multi_thread")]
async fn every_filter_reads_json_from_a_string() {
    let upstream = Upstream::serving(|seen| match seen.path.as_str() {
        "/broken" => Reply::status(500),
        _ => Reply::ok("one").header("cache-control", "max-age=60"),
    })
    .await;
    let limits = json!({"limits": [{"name": "a", "key": [{"header": "x-tenant-id"}], "requests": 4, "per": "1h"}]});
    let envoy = Envoy::to(&upstream)
        .native_filter(text(
            "trace-headers",
            &json!({"request_id": {"format": "hex32"}}),
        ))
        .native_filter(text("rate-limit", &limits))
        .native_filter(text(
            "response-cache",
            &json!({"cache_status": {"name": "edge"}}),
        ))
        .native_filter(text(
            "circuit-breaker",
            &json!({"failure_threshold": 1, "open_for": "1h", "max_open_for": "1h"}),
        ))
        .start()
        .await;
    let tenant: &[(&str, &str)] = &[("x-tenant-id", "acme")];
    let stored = envoy.get_with("/", tenant).await;
    assert_eq!(stored.header("x-request-id").unwrap().len(), 32);
    assert!(stored
        .header("cache-status")
        .unwrap()
        .starts_with("edge; fwd"));
    assert!(envoy
        .get_with("/", tenant)
        .await
        .header("cache-status")
        .unwrap()
        .starts_with("edge; hit"));
    assert_eq!(envoy.statuses("/broken", tenant, 3).await, [500, 503, 429]);
    assert_eq!(upstream.hits_of("/broken"), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_four_as_one_read_it_as_well() {
    let upstream = Upstream::start().await;
    let blocks =
        json!({"rate_limit": {"limits": [{"name": "a", "key": [], "requests": 2, "per": "1h"}]}});
    let envoy = Envoy::to(&upstream)
        .native_filter(text("seawall", &blocks))
        .start()
        .await;
    assert_eq!(envoy.statuses("/", &[], 3).await, [200, 200, 429]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_wrong_in_it_is_refused_with_every_field() {
    let upstream = Upstream::start().await;
    let wrong = json!({"limits": [{"name": "a", "requests": 0, "per": "1m", "bust": 2}]});
    let refused = Envoy::to(&upstream)
        .native_filter(text("rate-limit", &wrong))
        .validate()
        .await
        .unwrap_err();
    for problem in [
        "limits[0].bust: unknown field `bust`",
        "limits[0].requests: must be from 1 to 1000000000, got 0",
    ] {
        assert!(refused.contains(problem), "{refused}");
    }
}

//! Every YAML that the repository ships is loaded by a real Envoy.

use seawall_tests::envoy::{envoy_has, repository, Shipped};
use seawall_tests::prelude::*;

#[tokio::test(flavor = "multi_thread")]
async fn every_shipped_configuration_is_valid() {
    let mut files: Vec<_> = std::fs::read_dir(repository().join("envoy"))
        .expect("the folder is there")
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
        .filter(|name| name.ends_with(".yaml"))
        .collect();
    files.sort();
    assert!(files.contains(&"envoy.yaml".to_owned()));
    for file in files {
        if file == "trace-headers-tracer.yaml"
            && !envoy_has(38, "a tracer that leaves headers alone")
        {
            continue;
        }
        let checked = Shipped::new(&format!("envoy/{file}")).validate().await;
        assert!(checked.is_ok(), "{file}: {}", checked.unwrap_err());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_whole_chain_serves_and_its_metrics_have_labels() {
    let stage = seawall_tests::demo::Stage::set().await;
    let answer = stage
        .envoy
        .get_with("/orders/1", &[("x-tenant-id", "acme")])
        .await;
    assert_eq!(answer.status, 200);
    for field in ["x-request-id", "ratelimit", "cache-status"] {
        assert!(
            answer.header(field).is_some(),
            "{field} is missing: {answer:?}"
        );
    }
    let metrics = stage.envoy.prometheus().await;
    assert!(
        metrics.contains("seawall_limit=\"per-tenant\""),
        "no label in: {:?}",
        metrics
            .lines()
            .filter(|line| line.contains("seawall"))
            .collect::<Vec<_>>()
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bad_configuration_is_refused_with_every_field_named() {
    let upstream = Upstream::start().await;
    let builder = Envoy::to(&upstream).filter(
        "rate-limit",
        json!({"limits": [{"name": "a b", "requests": "many", "per": "soon"}], "colour": 1}),
    );
    let refused = builder.validate().await.unwrap_err();
    for path in [
        "limits[0].name",
        "limits[0].requests",
        "limits[0].per",
        "colour",
    ] {
        assert!(refused.contains(path), "{path} is not named in: {refused}");
    }
}

//! What is delivered fits together: manifests, workflow, changelog.

use seawall_cli::check::{check, Severity};
use seawall_cli::document::read;
use seawall_tests::envoy::{dist, repository, Shipped};
use seawall_tests::prelude::*;

const FILTERS: [&str; 4] = [
    "trace-headers",
    "rate-limit",
    "response-cache",
    "circuit-breaker",
];

fn text(path: &str) -> String {
    std::fs::read_to_string(repository().join(path))
        .unwrap_or_else(|error| panic!("{path}: {error}"))
}

fn documents(path: &str) -> Vec<Value> {
    let documents = read(&text(path)).unwrap_or_else(|error| panic!("{path}: {error:?}"));
    documents.iter().map(|document| document.json()).collect()
}

#[test]
fn every_manifest_has_good_settings_for_all_filters() {
    for path in [
        "deploy/istio/wasmplugins.yaml",
        "deploy/envoy-gateway/extension-policy.yaml",
        "deploy/kubernetes/envoy.yaml",
        "deploy/compose/envoy.yaml",
    ] {
        let report = check(path, &text(path));
        assert_eq!(report.problems, [], "{path}");
        assert_eq!(report.plugins, 4, "{path}");
    }
}

#[test]
fn istio_has_the_recommended_order() {
    let plugins = documents("deploy/istio/wasmplugins.yaml");
    let mut order: Vec<(i64, String)> = Vec::new();
    for plugin in &plugins {
        assert_eq!(plugin["apiVersion"], "extensions.istio.io/v1alpha1");
        assert_eq!(plugin["kind"], "WasmPlugin");
        let known = [
            "selector",
            "url",
            "imagePullPolicy",
            "pluginName",
            "type",
            "phase",
            "priority",
            "failStrategy",
            "pluginConfig",
        ];
        for field in plugin["spec"].as_object().expect("a spec").keys() {
            assert!(known.contains(&field.as_str()), "{field}");
        }
        let url = plugin["spec"]["url"].as_str().expect("a url");
        order.push((
            -plugin["spec"]["priority"].as_i64().expect("a priority"),
            url.to_owned(),
        ));
    }
    order.sort();
    let names: Vec<&str> = order
        .iter()
        .filter_map(|(_, url)| url.rsplit('/').next()?.split(':').next())
        .collect();
    assert_eq!(names, FILTERS);
}

#[test]
fn envoy_gateway_has_the_recommended_order() {
    let policy = documents("deploy/envoy-gateway/extension-policy.yaml").remove(0);
    assert_eq!(policy["apiVersion"], "gateway.envoyproxy.io/v1alpha1");
    assert_eq!(policy["kind"], "EnvoyExtensionPolicy");
    let wasm = policy["spec"]["wasm"].as_array().expect("plugins");
    let names: Vec<&str> = wasm
        .iter()
        .filter_map(|plugin| {
            plugin["code"]["image"]["url"]
                .as_str()?
                .rsplit('/')
                .next()?
                .split(':')
                .next()
        })
        .collect();
    assert_eq!(names, FILTERS);
    for plugin in wasm {
        assert_eq!(plugin["code"]["type"], "Image");
        assert_eq!(plugin["failOpen"], false);
    }
}

#[test]
fn kubernetes_mounts_what_its_envoy_loads() {
    let documents = documents("deploy/kubernetes/envoy.yaml");
    let config = documents[0]["data"]["envoy.yaml"]
        .as_str()
        .expect("a configuration");
    let replicas = &documents[1]["spec"]["replicas"];
    assert!(
        config.contains(&format!(" replicas: {replicas}\n")),
        "each limit is {replicas} times as large"
    );
    let pod = &documents[1]["spec"]["template"]["spec"];
    let mounts = pod["containers"][0]["volumeMounts"]
        .as_array()
        .expect("mounts");
    for filter in FILTERS {
        assert!(
            config.contains(&format!("filename: /modules/{filter}/plugin.wasm")),
            "{filter}"
        );
        assert!(mounts
            .iter()
            .any(|mount| mount["mountPath"] == format!("/modules/{filter}")
                && mount["name"] == filter));
        let volumes = pod["volumes"].as_array().expect("volumes");
        assert!(volumes.iter().any(|volume| volume["name"] == filter
            && volume["image"]["reference"]
                .as_str()
                .unwrap_or_default()
                .contains(filter)));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_compose_and_kubernetes_load_serves() {
    let mut shipped = Shipped::new("deploy/compose/envoy.yaml");
    for filter in FILTERS {
        shipped = shipped.replace(
            &format!("/modules/{filter}.wasm"),
            &dist(filter).display().to_string(),
        );
    }
    let backend = seawall_tests::envoy::free_address();
    let envoy = shipped.port(8080, backend).start(2).await;
    let answer = envoy.get_with("/x", &[("x-tenant-id", "a")]).await;
    assert_eq!((answer.status, answer.text().as_str()), (200, "hello\n"));
    let again = envoy.get_with("/x", &[("x-tenant-id", "a")]).await;
    assert!(
        again
            .header("cache-status")
            .unwrap_or_default()
            .contains("hit"),
        "{again:?}"
    );
    assert!(
        again.header("ratelimit").is_some() && again.header("x-request-id").is_some(),
        "{again:?}"
    );

    let documents = documents("deploy/kubernetes/envoy.yaml");
    let config = documents[0]["data"]["envoy.yaml"]
        .as_str()
        .expect("a configuration");
    assert_eq!(check("envoy.yaml", config).count(Severity::Error), 0);
    let stats = |text: &str| {
        let start = text.find("stats_config:").expect("the tags");
        let end = text.find("\nstatic_resources:").expect("the rest");
        text[start..end].to_owned()
    };
    let whole = stats(&text("envoy/envoy.yaml"));
    assert_eq!(stats(config).trim(), whole.trim());
    assert_eq!(
        stats(&text("deploy/compose/envoy.yaml")).trim(),
        whole.trim()
    );
}

#[test]
fn the_release_uses_targets_that_exist_and_the_changelog_is_versioned() {
    let workflow = documents(".github/workflows/release.yml").remove(0);
    let makefile = text("Makefile");
    let steps = workflow["jobs"]["release"]["steps"]
        .as_array()
        .expect("steps");
    let mut targets = 0;
    for run in steps.iter().filter_map(|step| step["run"].as_str()) {
        for target in run
            .lines()
            .filter_map(|line| line.strip_prefix("make "))
            .flat_map(str::split_whitespace)
        {
            assert!(makefile.contains(&format!("\n{target}:")), "make {target}");
            targets += 1;
        }
    }
    assert_eq!(targets, 3);
    let version = env!("CARGO_PKG_VERSION");
    assert!(
        text("CHANGELOG.md").contains(&format!("\n## [{version}]")),
        "no entry for {version}"
    );
    for file in [
        "deploy/istio/wasmplugins.yaml",
        "deploy/envoy-gateway/extension-policy.yaml",
        "deploy/image/Containerfile",
    ] {
        assert!(text(file).contains(version), "{file} is of another version");
    }
}

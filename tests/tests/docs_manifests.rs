//! The manifests are of the published types, down to the last field: those of Kubernetes itself, of Istio's resources and of
//! compose. No package has those of Envoy Gateway; its field names are written down here.

use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::{ConfigMap, Service};
use kcr_extensions_istio_io::v1alpha1::wasmplugins::WasmPlugin;
use seawall_cli::document::read;
use seawall_tests::envoy::repository;
use seawall_tests::prelude::*;
use serde::de::DeserializeOwned;

const ISTIO: &str = "deploy/istio/wasmplugins.yaml";
const KUBERNETES: &str = "deploy/kubernetes/envoy.yaml";
const GATEWAY: &str = "deploy/envoy-gateway/extension-policy.yaml";

fn text(path: &str) -> String {
    std::fs::read_to_string(repository().join(path)).expect("the manifest is there")
}

/// What is wrong with a manifest as a `T`. Its version and kind are the caller's affair.
fn as_type<T: DeserializeOwned>(manifest: &Value) -> Result<(), String> {
    let mut unknown = Vec::new();
    serde_ignored::deserialize::<_, _, T>(manifest.clone(), |path| unknown.push(path.to_string()))
        .map_err(|error| error.to_string())?;
    unknown.retain(|path| path != "apiVersion" && path != "kind");
    if unknown.is_empty() {
        Ok(())
    } else {
        Err(format!("unknown: {unknown:?}"))
    }
}

/// The fields of a spec that Envoy Gateway has, for the part of it that the manifest uses.
fn as_extension_policy(manifest: &Value) -> Result<(), String> {
    let known = |at: &str, value: &Value, fields: &[&str]| {
        let unknown = value
            .as_object()
            .into_iter()
            .flatten()
            .find(|(field, _)| !fields.contains(&field.as_str()));
        unknown.map_or(Ok(()), |(field, _)| Err(format!("unknown: {at}.{field}")))
    };
    let items = |value: &Value| value.as_array().cloned().unwrap_or_default();
    let spec = &manifest["spec"];
    known("spec", spec, &["targetRefs", "wasm"])?;
    for target in items(&spec["targetRefs"]) {
        known("target", &target, &["group", "kind", "name", "sectionName"])?;
    }
    for plugin in items(&spec["wasm"]) {
        let fields = ["name", "rootID", "code", "config", "failOpen", "env"];
        known("wasm", &plugin, &fields)?;
        let code = &plugin["code"];
        known("code", code, &["type", "http", "image", "pullPolicy"])?;
        let fields = ["url", "sha256", "pullSecretRef", "tls"];
        known("image", &code["image"], &fields)?;
    }
    Ok(())
}

/// Every document of a file by its kind.
fn check(path: &str, text: &str) -> Result<usize, String> {
    let documents = read(text).map_err(|error| format!("{path}: {error:?}"))?;
    for document in &documents {
        let manifest = document.json();
        let kind = (manifest["apiVersion"].as_str(), manifest["kind"].as_str());
        let (Some(version), Some(kind)) = kind else {
            return Err(format!("{path}: a document without a kind"));
        };
        match (version, kind) {
            ("v1", "ConfigMap") => as_type::<ConfigMap>(&manifest),
            ("v1", "Service") => as_type::<Service>(&manifest),
            ("apps/v1", "Deployment") => as_type::<Deployment>(&manifest),
            ("extensions.istio.io/v1alpha1", "WasmPlugin") => as_type::<WasmPlugin>(&manifest),
            ("gateway.envoyproxy.io/v1alpha1", "EnvoyExtensionPolicy") => {
                as_extension_policy(&manifest)
            }
            _ => Err("nobody knows it".to_owned()),
        }
        .map_err(|error| format!("{path}: {version} {kind}: {error}"))?;
    }
    Ok(documents.len())
}

#[test]
fn every_manifest_is_of_the_published_type() {
    assert_eq!(check(ISTIO, &text(ISTIO)), Ok(4));
    assert_eq!(check(KUBERNETES, &text(KUBERNETES)), Ok(3));
    assert_eq!(check(GATEWAY, &text(GATEWAY)), Ok(1));
}

#[test]
fn the_compose_file_is_of_the_published_type() {
    let compose = read(&text("deploy/compose/compose.yaml")).expect("YAML")[0].json();
    assert_eq!(as_type::<compose_spec::Compose>(&compose), Ok(()));
    for (right, wrong) in [("volumes", "volume"), ("image", "picture")] {
        let mut compose = compose.clone();
        let envoy = compose["services"]["envoy"]
            .as_object_mut()
            .expect("a service");
        let value = envoy.remove(right).expect("it is there");
        envoy.insert(wrong.to_owned(), value);
        assert!(as_type::<compose_spec::Compose>(&compose).is_err());
    }
}

#[test]
fn a_wrong_field_or_value_is_found() {
    for (path, right, wrong) in [
        (ISTIO, "failStrategy:", "failurePolicy:"),
        (ISTIO, "phase: STATS", "phase: LAST"),
        (ISTIO, "priority: 40", "priority: first"),
        (ISTIO, "matchLabels:", "matchLabel:"),
        (ISTIO, "v1alpha1", "v1"),
        (KUBERNETES, "containerPort: 10000", "port: 10000"),
        (KUBERNETES, "image: { reference:", "image: { url:"),
        (KUBERNETES, "mountPath: /config,", "path: /config,"),
        (KUBERNETES, "kind: ConfigMap\n", "kind: Configuration\n"),
        (KUBERNETES, "targetPort: http", "target: http"),
        (GATEWAY, "failOpen:", "failStrategy:"),
        (GATEWAY, "targetRefs:", "targets:"),
        (GATEWAY, "          url:", "          reference:"),
    ] {
        let text = text(path);
        assert!(text.contains(right), "{path}: {right}");
        let found = check(path, &text.replacen(right, wrong, 1));
        assert!(found.is_err(), "{path}: {wrong}");
    }
}

//! Fields of Envoy's messages may be written in camelCase; what filters read may not, nor what is a name of somebody's own.

mod common;

use common::{in_camel_case, piped, repository};
use serde_json::Value;

#[test]
fn the_same_is_found_under_either_name() {
    let file = repository().join("cli/tests/data/wrong.yaml");
    let text = std::fs::read_to_string(file).unwrap();
    let camel = in_camel_case(&text);
    assert!(!camel.contains("http_filters") && camel.contains("httpFilters:"));
    let ran = piped(&["check", "-"], &camel);
    assert_eq!(ran.out, piped(&["check", "-"], &text).out);
    assert!(ran.out.contains("8 errors, 2 warnings"), "{}", ran.out);
}

#[test]
fn one_name_of_a_file_may_be_in_camel_case() {
    let file = repository().join("envoy/envoy.yaml");
    let text = std::fs::read_to_string(file).unwrap();
    for (name, camel) in [
        ("filter_metadata:", "filterMetadata:"),
        ("http_filters:", "httpFilters:"),
        ("route_config:", "routeConfig:"),
        ("typed_config:", "typedConfig:"),
        ("virtual_hosts:", "virtualHosts:"),
        ("vm_config:", "vmConfig:"),
    ] {
        let ran = piped(&["check", "--strict", "-"], &text.replace(name, camel));
        let found = "4 plugin configurations and 4 virtual hosts or routes with settings; 0 errors";
        assert!(ran.out.contains(found), "{camel} {}", ran.out);
    }
}

/// A route of everything that is modelled, and what takes and does not take it.
#[test]
fn conditions_are_the_same_under_either_name() {
    let file = r#"
stat_prefix: a
merge_slashes: true
http_filters:
- name: seawall.rate_limit
  typed_config:
    "@type": type.googleapis.com/envoy.extensions.filters.http.wasm.v3.Wasm
    config: {name: seawall.rate_limit}
route_config:
  virtual_hosts:
  - name: v
    domains: ["*"]
    require_tls: ALL
    routes:
    - name: all
      match:
        path_separated_prefix: /A
        case_sensitive: false
        runtime_fraction: {default_value: {numerator: "100", denominator: 0}}
        query_parameters: [{name: q, string_match: {exact: X, ignore_case: true}}, {name: none, present_match: false}]
        headers: [{name: h, string_match: {safe_regex: {regex: "[a-c]+"}}}, {name: i, present_match: true, invert_match: true}, {name: number, range_match: {start: 1, end: 9}}]
      route: {weighted_clusters: {clusters: [{name: one, weight: 1}]}}
    - name: rest
      match: {safe_regex: {regex: "/.*"}}
      route: {cluster: two}
"#;
    let camel = in_camel_case(file);
    assert!(!camel.contains("_match:") && camel.contains("rangeMatch:"));
    let explained = |text: &str, target: &str| {
        let request = format!("GET {target}");
        let fields = ["-H", "h: abc", "-H", "number: 5"];
        let whole = [
            &["explain", "-", "--format", "json", "--request", &request],
            &fields[..],
        ];
        let ran = piped(&whole.concat(), text);
        let mut found: Value = serde_json::from_str(&ran.out).expect(&ran.err);
        // What it asks for is shown as it is written.
        let _ = found["route"]["matches"].take();
        found
    };
    for (target, taken) in [
        ("//a//b?q=x", "all"),
        ("/ab?q=x", "rest"),
        ("/a/b?q=y", "rest"),
        ("/a/b?q=x&none=1", "rest"),
    ] {
        let found = explained(&camel, target);
        assert_eq!(found, explained(file, target), "{target}");
        let title = format!("route {taken:?}");
        assert_eq!(found["route"]["title"], title, "{target}: {found}");
    }
    let notes = explained(&camel, "/a?q=x")["notes"].to_string();
    assert!(
        notes.contains("TLS is assumed") && !notes.contains("not modelled"),
        "{notes}"
    );
}

#[test]
fn settings_and_names_in_metadata_are_what_they_are() {
    let of = |settings: &str, metadata: &str| {
        let text = format!(
            "httpFilters:
- name: seawall
  typedConfig:
    \"@type\": type.googleapis.com/envoy.extensions.filters.http.wasm.v3.Wasm
    config:
      vmConfig: {{code: {{local: {{filename: dist/seawall.wasm}}}}}}
      configuration:
        \"@type\": type.googleapis.com/google.protobuf.Struct
        value: {settings}
routeConfig:
  virtualHosts:
  - routes:
    - match: {{prefix: /}}
      metadata: {{filterMetadata: {metadata}}}
"
        );
        piped(&["check", "-"], &text).out
    };
    for (settings, metadata, said) in [
        (
            "{rateLimit: {}}",
            "{}",
            "rateLimit: unknown field `rateLimit` (did you mean `rate_limit`?)",
        ),
        (
            "{rateLimit: {}}",
            "{}",
            "0 plugin configurations and 0 virtual hosts or routes with settings; 1 error",
        ),
        (
            "{trace_headers: {requestId: {}}}",
            "{}",
            "unknown field `requestId`",
        ),
        (
            "{rate_limit: {}}",
            "{seawall.rateLimit: {}}",
            "no filter is called \"seawall.rateLimit\"",
        ),
        (
            "{circuit_breaker: {}}",
            "{seawall.circuit_breaker: {openFor: 1s}}",
            "unknown field `openFor`",
        ),
    ] {
        let found = of(settings, metadata);
        assert!(found.contains(said), "{settings} {metadata}: {found}");
    }
}

#[test]
fn patches_and_texts_in_other_files_have_either_name() {
    let patch = |path: &str, value: &str| {
        format!(
            "kind: EnvoyPatchPolicy\nspec:\n  jsonPatches:\n  - type: type.googleapis.com/envoy.config.route.v3.RouteConfiguration\n    operation: {{op: add, path: {path}, value: {value}}}\n"
        )
    };
    let settings = "{seawall.rate_limit: {limits: 7}}";
    let within = format!("{{filterMetadata: {settings}}}");
    let map = "kind: ConfigMap\ndata:\n  envoy.yaml: |\n    virtualHosts:\n    - routes:\n      - match: {prefix: /}\n        metadata: {filterMetadata: {seawall.rate_limit: {limits: 7}}}\n";
    for text in [
        &patch(
            "/virtual_hosts/0/routes/0/metadata/filterMetadata",
            settings,
        ),
        &patch("/virtual_hosts/0/routes/0/metadata", &within),
        map,
    ] {
        let ran = piped(&["check", "-"], text);
        assert!(
            ran.out
                .contains("error: seawall.rate_limit, route number 1: limits"),
            "{text}{}",
            ran.out
        );
    }
}

#[test]
fn metadata_that_nobody_reads_is_told_of_under_either_name() {
    for name in ["filter_metadata", "filterMetadata"] {
        let text = format!("clusters:\n- metadata: {{{name}: {{seawall.rate_limit: {{}}}}}}\n");
        let ran = piped(&["check", "-"], &text);
        let said = "seawall.rate_limit has no effect here";
        assert!(ran.out.contains(said), "{name}: {}", ran.out);
    }
}

//! `seawall check`.

mod common;

use common::{piped, repository, seawall};
use serde_json::Value;

const WRONG: &str = "cli/tests/data/wrong.yaml";

#[test]
fn every_error_has_file_line_and_field() {
    let ran = seawall(&["check", WRONG]);
    assert_eq!(ran.code, 1, "{}", ran.out);
    let expected = [
        ":23:33: error: seawall.rate_limit, plugin configuration: limits[0].requests: invalid type: string \"many\", expected a whole number from 0 on",
        ":24:33: error: seawall.rate_limit, plugin configuration: limits[0].per: invalid value: string \"soon\"",
        ":25:29: error: seawall.rate_limit, plugin configuration: colour: unknown field `colour`",
        ":37:31: error: seawall.circuit_breaker, plugin configuration: open_for: invalid value: string \"soon\"",
        ":45:54: error: seawall.circuit_breaker, virtual host \"all\": max_keys: can be set in the plugin configuration only",
        ":46:27: error: no filter is called \"seawall.colour\"",
        ":55:33: warning: seawall.circuit_breaker, route \"orders\": failure_threshold: is given twice",
        ":56:33: error: seawall.circuit_breaker, route \"orders\": mode: unknown variant `loud`",
        ":57:31: warning: seawall.response_cache, route \"orders\": has no effect: seawall.response_cache is not among the filters",
        ":61:29: error: Envoy refuses settings of a wasm filter here",
    ];
    let lines: Vec<&str> = ran.out.lines().collect();
    assert_eq!(lines.len(), expected.len() + 1, "{}", ran.out);
    for (line, expected) in lines.iter().zip(expected) {
        let start = format!("{WRONG}{expected}");
        assert!(line.starts_with(&start), "{line}\nis not\n{start}");
    }
    assert_eq!(
        lines.last().unwrap(),
        &"1 file checked: 2 plugin configurations and 3 virtual hosts or routes with settings; 8 errors, 2 warnings"
    );
}

#[test]
fn what_yaml_would_merge_is_no_part_of_the_settings() {
    let file = std::fs::read_to_string(repository().join("envoy/rate-limit.yaml")).unwrap();
    let merged = file.replacen("requests: 100\n", "<<: { requests: 100 }\n", 1);
    assert_ne!(merged, file);
    let ran = piped(&["check", "-"], &merged);
    assert_eq!(ran.code, 1, "{}", ran.out);
    let warning = "limits[0].<<: is a field like any other to Envoy, which merges nothing";
    assert!(ran.out.contains(warning), "{}", ran.out);
    assert!(ran.out.contains("limits[0].requests: is missing"));
}

#[test]
fn machines_get_json() {
    let ran = seawall(&["check", WRONG, "--format", "json"]);
    assert_eq!(ran.code, 1);
    let report: Value = serde_json::from_str(&ran.out).unwrap();
    assert_eq!(report["errors"], 8);
    assert_eq!(report["warnings"], 2);
    let first = &report["problems"][0];
    assert_eq!(first["line"], 23);
    assert_eq!(first["column"], 33);
    assert_eq!(first["severity"], "error");
    assert_eq!(first["filter"], "seawall.rate_limit");
    assert_eq!(first["path"], "limits[0].requests");
    assert_eq!(first["file"], WRONG);
}

#[test]
fn what_is_shipped_is_good() {
    let folders = ["envoy", "envoy/cookbook"].map(|name| repository().join(name));
    let files = folders
        .iter()
        .flat_map(|folder| std::fs::read_dir(folder).unwrap());
    for path in files
        .map(|file| file.unwrap().path())
        .filter(|path| path.is_file())
    {
        let path = path.to_str().unwrap();
        let ran = seawall(&["check", "--strict", path]);
        assert_eq!(ran.code, 0, "{path}: {}{}", ran.out, ran.err);
    }
}

#[test]
fn an_unreadable_file_and_a_wrong_argument_are_told_from_a_wrong_configuration() {
    let ran = seawall(&["check", "nothing.yaml"]);
    assert_eq!(ran.code, 2);
    assert!(
        ran.err.contains("nothing.yaml cannot be read"),
        "{}",
        ran.err
    );
    // The others are checked all the same.
    let ran = piped(&["check", "nothing.yaml", "-", "nor.yaml"], "a: [1\nb: 2\n");
    assert_eq!(ran.code, 2);
    for file in [
        "seawall: nothing.yaml cannot be read",
        "\nseawall: nor.yaml cannot",
    ] {
        assert!(ran.err.contains(file), "{}", ran.err);
    }
    assert!(ran.out.contains("standard input:2:"), "{}", ran.out);
    assert!(ran.out.contains("1 file checked"), "{}", ran.out);
    assert_eq!(seawall(&["check"]).code, 2);
    assert_eq!(seawall(&["chekc"]).code, 2);
    let ran = piped(&["check", "-"], "a: [1\nb: 2\n");
    assert_eq!(ran.code, 1);
    assert!(ran.out.contains("standard input:2:"), "{}", ran.out);
    assert!(ran.out.contains("not YAML"), "{}", ran.out);
}

#[test]
fn a_file_without_settings_is_worth_a_warning() {
    let ran = piped(&["check", "-"], "a: 1\n");
    assert_eq!(ran.code, 0);
    assert!(ran.out.contains("there are no settings"), "{}", ran.out);
    assert_eq!(piped(&["check", "-", "--strict"], "a: 1\n").code, 1);
}

#[test]
fn there_are_no_colours_in_a_pipe() {
    let ran = seawall(&["check", WRONG]);
    assert!(!ran.out.contains('\u{1b}'));
}

#[test]
fn a_route_configuration_by_itself_and_manifests_are_read() {
    let routes = "virtual_hosts:\n- name: all\n  routes:\n  - match: {prefix: /}\n    metadata:\n      filter_metadata:\n        seawall.rate_limit: {limits: [{name: 7}]}\n";
    let ran = piped(&["check", "-"], routes);
    assert_eq!(ran.code, 1, "{}", ran.out);
    assert!(
        ran.out
            .contains(":7:40: error: seawall.rate_limit, route number 1: limits[0].name"),
        "{}",
        ran.out
    );

    let istio = "kind: WasmPlugin\nmetadata: {name: limits}\nspec:\n  url: oci://example.com/seawall/rate-limit:0.1.0\n  pluginConfig:\n    limits: 1\n";
    let ran = piped(&["check", "-"], istio);
    assert!(
        ran.out
            .contains(":6:5: error: seawall.rate_limit, plugin configuration: limits"),
        "{}",
        ran.out
    );

    let gateway = "kind: EnvoyExtensionPolicy\nspec:\n  wasm:\n  - name: seawall.circuit_breaker\n    code: {type: Image, image: {url: example.com/x}}\n    config:\n      open_for: 5\n";
    let ran = piped(&["check", "-"], gateway);
    assert!(
        ran.out
            .contains(":7:7: error: seawall.circuit_breaker, plugin configuration: open_for"),
        "{}",
        ran.out
    );

    let map = "kind: ConfigMap\ndata:\n  routes.yaml: |\n    virtual_hosts:\n    - routes:\n      - metadata:\n          filter_metadata:\n            seawall.trace_headers: {enabled: 7}\n";
    let ran = piped(&["check", "-"], map);
    assert!(ran.out.contains(":8:37:"), "{}", ran.out);
    assert!(
        ran.out
            .contains("seawall.trace_headers, route number 1: enabled"),
        "{}",
        ran.out
    );
}

#[test]
fn help_names_every_command_and_the_exit_codes() {
    let ran = seawall(&["--help"]);
    assert_eq!(ran.code, 0);
    for word in ["check", "explain", "schema", "convert", "Exit codes"] {
        assert!(ran.out.contains(word), "{word}: {}", ran.out);
    }
}

#[test]
fn settings_of_a_route_without_the_prefix_of_their_name_are_told_of() {
    let text = "route_config:\n  virtual_hosts:\n  - routes:\n    - match: {prefix: /}\n      metadata: {filter_metadata: {rate-limit: {enabled: false}, circuit_breaker: {}, envoy.lb: {}}}\n";
    let ran = piped(&["check", "-"], text);
    assert_eq!(ran.code, 0, "{}", ran.out);
    for text in [
        ":5:36: warning: \"rate-limit\" is not read by the filters; settings of a route are under \"seawall.rate_limit\"",
        "warning: \"circuit_breaker\" is not read by the filters; settings of a route are under \"seawall.circuit_breaker\"",
        "2 warnings",
    ] {
        assert!(ran.out.contains(text), "{text}: {}", ran.out);
    }
}

#[test]
fn the_module_with_all_filters_is_taken_apart() {
    let text = "http_filters:\n- name: seawall\n  typed_config:\n    \"@type\": type.googleapis.com/envoy.extensions.filters.http.wasm.v3.Wasm\n    config:\n      vm_config: {code: {local: {filename: dist/seawall.wasm}}}\n      configuration:\n        \"@type\": type.googleapis.com/google.protobuf.Struct\n        value:\n          rate_limit: {limits: 7}\n          circuit_breaker: {}\n          colour: {}\nroute_config:\n  virtual_hosts:\n  - routes:\n    - match: {prefix: /}\n      metadata: {filter_metadata: {seawall.circuit_breaker: {mode: loud}}}\n";
    let ran = piped(&["check", "-"], text);
    assert_eq!(ran.code, 1);
    for text in [
        ":10:24: error: seawall.rate_limit, plugin configuration: limits",
        ":12:11: error: colour: unknown field `colour`, expected one of `trace_headers`",
        "error: seawall.circuit_breaker, route number 1: mode",
        "2 plugin configurations and 1 virtual host or route",
    ] {
        assert!(ran.out.contains(text), "{text}: {}", ran.out);
    }
}

#[test]
fn settings_without_an_effect_are_worth_a_warning_unless_another_level_gives_them_one() {
    let text = |settings: &str, route: &str| {
        format!(
            "http_filters:
- name: x
  typed_config:
    \"@type\": type.googleapis.com/envoy.extensions.filters.http.wasm.v3.Wasm
    config:
      vm_config: {{code: {{local: {{filename: seawall.wasm}}}}}}
      configuration:
        \"@type\": type.googleapis.com/google.protobuf.Struct
        value: {settings}
route_config:
  virtual_hosts:
  - routes:
    - match: {{prefix: /a}}
      name: a
      metadata: {{filter_metadata: {{{route}}}}}
    - match: {{prefix: /}}
"
        )
    };
    let warnings = |settings: &str, route: &str| {
        let ran = piped(&["check", "-"], &text(settings, route));
        assert_eq!(ran.code, 0, "{}", ran.out);
        let lines = ran.out.lines().filter(|line| line.contains("warning"));
        let lines = lines.filter_map(|line| line.split_once("warning: "));
        lines.map(|(_, text)| text.to_owned()).collect::<Vec<_>>()
    };
    let plugin = "plugin configuration";
    for (settings, route, expected) in [
        (
            "{trace_headers: {trust: {mode: mtls, cidrs: [10.0.0.0/8]}}}",
            "",
            vec![format!("seawall.trace_headers, {plugin}: trust.cidrs: has no effect while trust.mode is mtls")],
        ),
        ("{trace_headers: {trust: {mode: mtls, cidrs: [], peers: [a]}}}", "", vec![]),
        ("{trace_headers: {sampling: {ratio: 0.1}}}", "", vec![]),
        (
            "{response_cache: {refresh: {beta: 2, window: 5s}}}",
            "",
            vec![format!("seawall.response_cache, {plugin}: refresh.window: has no effect while refresh.algorithm is xfetch")],
        ),
        // One route gives it its effect.
        (
            "{response_cache: {refresh: {beta: 2, window: 5s}}}",
            "seawall.response_cache: {refresh: {algorithm: window}}",
            vec![],
        ),
        (
            "{response_cache: {coalesce: {enabled: false}}}",
            "seawall.response_cache: {coalesce: {wait: 1s}}",
            vec!["seawall.response_cache, route \"a\": coalesce.wait: has no effect while coalesce.enabled is false".to_owned()],
        ),
        (
            "{circuit_breaker: {failure_percentage: 0.5, slow_percentage: 0}}",
            "seawall.circuit_breaker: {failure_percentage: 50}",
            vec![],
        ),
        (
            "{circuit_breaker: {failure_percentage: 0.5, slow_percentage: 0}}",
            "",
            vec![format!("seawall.circuit_breaker, {plugin}: failure_percentage: is a percentage, of which 50 is half: 0.5 is less than one call in a hundred")],
        ),
    ] {
        let found: Vec<String> = warnings(settings, route);
        let found: Vec<&str> = found.iter().map(|text| text.split(", 1 ").next().unwrap_or(text)).filter(|text| text.starts_with("seawall.")).collect();
        assert_eq!(found, expected, "{settings} {route}");
    }
}

#[test]
fn filters_of_one_chain_that_share_their_data_are_worth_a_warning() {
    let entry = |filter: &str, vm: &str, settings: &str, more: &str| {
        format!(
            "- name: x\n  {more}typed_config:\n    \"@type\": type.googleapis.com/envoy.extensions.filters.http.wasm.v3.Wasm\n    config:\n      name: {filter}\n      vm_config: {{vm_id: {vm}, code: {{local: {{filename: {filter}.wasm}}}}}}\n      configuration: {{\"@type\": type.googleapis.com/google.protobuf.Struct, value: {settings}}}\n"
        )
    };
    let warnings = |first: &str, second: &str| {
        let ran = piped(&["check", "-"], &format!("http_filters:\n{first}{second}"));
        assert_eq!(ran.code, 0, "{}", ran.out);
        ran.out.matches("of this chain with the vm_id").count()
    };
    for filter in ["response-cache", "circuit-breaker"] {
        let one = entry(filter, "a", "{}", "");
        assert_eq!(warnings(&one, &one), 1, "{filter}");
        assert_eq!(warnings(&one, &entry(filter, "b", "{}", "")), 0, "{filter}");
        let off = entry(filter, "a", "{}", "disabled: true\n  ");
        assert_eq!(warnings(&one, &off), 0, "{filter}");
    }
    let breaker = |key: &str| entry("circuit-breaker", "a", &format!("{{key: {key}}}"), "");
    assert_eq!(warnings(&breaker("[host]"), &breaker("[host]")), 1);
    assert_eq!(warnings(&breaker("[host]"), &breaker("[cluster]")), 0);
    // A limit may be meant to be shared.
    let limits = entry(
        "rate-limit",
        "a",
        "{limits: [{name: a, key: [host], requests: 1, per: 1m}]}",
        "",
    );
    assert_eq!(warnings(&limits, &limits), 0);
}

/// Neither Istio nor Envoy Gateway has another way to settings of a route.
#[test]
fn settings_in_patches_of_routes_are_settings_of_routes() {
    let settings = "{seawall.rate_limit: {limits: [{name: a, requests: 0, per: 1m}]}}";
    let istio = |kind: &str| {
        format!("{{kind: EnvoyFilter, spec: {{configPatches: [{{applyTo: {kind}, patch: {{operation: MERGE, value: {{metadata: {{filter_metadata: {settings}}}}}}}}}]}}}}")
    };
    let gateway = |path: &str, value: &str| {
        format!("{{kind: EnvoyPatchPolicy, spec: {{jsonPatches: [{{type: type.googleapis.com/envoy.config.route.v3.RouteConfiguration, operation: {{op: add, path: /virtual_hosts/0/routes/0/{path}, value: {value}}}}}]}}}}")
    };
    for file in [
        istio("HTTP_ROUTE"),
        istio("VIRTUAL_HOST"),
        gateway("metadata", &format!("{{filter_metadata: {settings}}}")),
        gateway("metadata/filter_metadata", settings),
    ] {
        let ran = piped(&["check", "-"], &file);
        assert_eq!(ran.code, 1, "{file}\n{}", ran.out);
        assert!(
            ran.out.contains("limits[0].requests: must be"),
            "{}",
            ran.out
        );
        assert!(ran.out.contains("1 error, 0 warnings"), "{}", ran.out);
    }
    let ran = piped(&["check", "-"], &istio("CLUSTER"));
    assert!(ran.out.contains("has no effect here"), "{}", ran.out);
}

#[test]
fn cors_behind_a_filter_that_answers_is_worth_a_warning() {
    let cors = "- name: c\n  typed_config: {\"@type\": type.googleapis.com/envoy.extensions.filters.http.cors.v3.Cors}\n";
    let entry = |filter: &str, settings: &str| {
        format!(
            "- name: x\n  typed_config:\n    \"@type\": type.googleapis.com/envoy.extensions.filters.http.wasm.v3.Wasm\n    config:\n      name: {filter}\n      vm_config: {{vm_id: a, code: {{local: {{filename: {filter}.wasm}}}}}}\n      configuration: {{\"@type\": type.googleapis.com/google.protobuf.Struct, value: {settings}}}\n"
        )
    };
    let warned = |first: &str, second: &str| {
        let ran = piped(&["check", "-"], &format!("http_filters:\n{first}{second}"));
        assert_eq!(ran.code, 0, "{}", ran.out);
        ran.out.contains("warning: cors comes after")
    };
    for (filter, settings, answers) in [
        ("response-cache", "{}", true),
        ("circuit-breaker", "{}", true),
        ("seawall", "{response_cache: {}}", true),
        ("seawall", "{trace_headers: {}}", false),
        ("trace-headers", "{}", false),
    ] {
        let filter = entry(filter, settings);
        assert_eq!(warned(&filter, cors), answers, "{filter}");
        assert!(!warned(cors, &filter), "{filter}");
    }
}

/// Envoy makes an id before any filter runs.
#[test]
fn a_connection_manager_that_makes_request_ids_itself_is_worth_a_warning() {
    let file = std::fs::read_to_string(repository().join("envoy/trace-headers.yaml")).unwrap();
    let said = "generate_request_id of the connection manager is not false";
    let warned = |from: &str, to: &str| {
        let text = file.replacen(from, to, 1);
        assert!(from == to || text != file, "{from}");
        let ran = piped(&["check", "-"], &text);
        assert_eq!(ran.code, 0, "{}", ran.out);
        ran.out.contains(said)
    };
    let line = "generate_request_id: false\n";
    assert!(warned(line, "\n"));
    assert!(warned(line, "generate_request_id: true\n"));
    for right in [
        line,
        "generateRequestId: false\n",
        "generate_request_id: {value: false}\n",
    ] {
        assert!(!warned(line, right), "{right}");
    }

    // Where the filter looks at another field, or is off, Envoy's id is none of its business.
    let manager = |name: &str, filters: &str, settings: &str| {
        let text = format!(
            "typed_config:
  \"@type\": type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager
  http_filters:
  - name: {name}
    {filters}
    typed_config:
      \"@type\": type.googleapis.com/envoy.extensions.filters.http.wasm.v3.Wasm
      config:
        name: {name}
        configuration: {{\"@type\": type.googleapis.com/google.protobuf.Struct, value: {settings}}}
"
        );
        let ran = piped(&["check", "-"], &text);
        assert_eq!(ran.code, 0, "{}", ran.out);
        ran.out.contains(said)
    };
    for (name, filters, settings, is_said) in [
        ("seawall.trace_headers", "", "{}", true),
        (
            "seawall.trace_headers",
            "",
            "{request_id: {header: X-Request-Id}}",
            true,
        ),
        (
            "seawall.trace_headers",
            "",
            "{request_id: {header: x-id}}",
            false,
        ),
        ("seawall.trace_headers", "", "{enabled: false}", false),
        ("seawall.trace_headers", "disabled: true", "{}", false),
        ("seawall.rate_limit", "", "{}", false),
        ("seawall", "", "{trace_headers: {}, rate_limit: {}}", true),
        ("seawall", "", "{rate_limit: {}}", false),
    ] {
        assert_eq!(
            manager(name, filters, settings),
            is_said,
            "{name} {settings}"
        );
    }
}

#[test]
fn a_cluster_that_a_filter_calls_and_that_is_not_there_is_worth_a_warning() {
    let file = |clusters: &str, dynamic: &str, settings: &str, metadata: &str| {
        let text = format!(
            "{dynamic}
staticResources:
  clusters: {clusters}
  listeners:
  - http_filters:
    - name: seawall
      typed_config:
        \"@type\": type.googleapis.com/envoy.extensions.filters.http.wasm.v3.Wasm
        config:
          name: seawall
          configuration:
            \"@type\": type.googleapis.com/google.protobuf.Struct
            value: {settings}
    route_config:
      virtual_hosts:
      - routes:
        - match: {{prefix: /}}
          metadata: {{filter_metadata: {metadata}}}
"
        );
        let ran = piped(&["check", "-"], &text);
        let lines = ran.out.lines();
        let lines = lines.filter(|line| line.contains("no cluster of this file"));
        lines.map(str::to_owned).collect::<Vec<_>>()
    };
    let one = "[{name: known}]";
    let spans = |name: &str| format!("{{trace_headers: {{spans: {{cluster: {name}}}}}}}");
    let found = file(one, "", &spans("nobody"), "{}");
    let said = "warning: seawall.trace_headers: spans.cluster: no cluster of this file is called \"nobody\"; calls to it fail";
    assert!(found.len() == 1 && found[0].contains(said), "{found:?}");
    assert!(found[0].contains(":13:54:"), "{found:?}");
    for (settings, metadata, field) in [
        (
            "{rate_limit: {fleet: {cluster: nobody}}}",
            "{}",
            "fleet.cluster",
        ),
        (
            "{response_cache: {}}",
            "{seawall.response_cache: {refresh: {background: {enabled: true, cluster: nobody}}}}",
            "refresh.background.cluster",
        ),
    ] {
        let found = file(one, "", settings, metadata);
        assert!(found.len() == 1 && found[0].contains(field), "{found:?}");
    }

    // It is there, or may be elsewhere.
    let dynamic = "dynamicResources: {cds_config: {path_config_source: {path: /x}}}";
    for (clusters, dynamic, name) in [
        (one, "", "known"),
        (one, dynamic, "nobody"),
        ("[]", "", "nobody"),
    ] {
        let found = file(clusters, dynamic, &spans(name), "{}");
        assert_eq!(found, [""; 0], "{clusters} {dynamic} {name}");
    }
}

//! `seawall check`: the messages that hold a plugin configuration, and the blocks of the module that has all filters.

mod common;

use common::{piped, Ran};

/// A plugin with this `configuration`.
fn checked(module: &str, configuration: &str) -> Ran {
    let text = format!(
        "http_filters:\n- name: x\n  typed_config:\n    \"@type\": type.googleapis.com/envoy.extensions.filters.http.wasm.v3.Wasm\n    config:\n      vm_config: {{code: {{local: {{filename: {module}.wasm}}}}}}\n      configuration: {configuration}\n"
    );
    piped(&["check", "--strict", "-"], &text)
}

fn message(kind: &str, value: &str) -> String {
    format!("{{\"@type\": type.googleapis.com/google.protobuf.{kind}{value}}}")
}

#[test]
fn bytes_and_nothing_are_configurations_too() {
    for (kind, value, says) in [
        ("Empty", "", "1 plugin configuration"),
        ("BytesValue", "", "1 plugin configuration"),
        // {}
        ("BytesValue", ", value: e30=", "1 plugin configuration"),
        // {"limits": 7}
        (
            "BytesValue",
            ", value: eyJsaW1pdHMiOiA3fQ==",
            ":7:87: error: seawall.rate_limit, plugin configuration: limits: invalid type",
        ),
        // {"limits":
        ("BytesValue", ", value: eyJsaW1pdHMiOg==", "the configuration is not JSON"),
        // A Struct with enabled: 5
        ("BytesValue", ", value: ChQKB2VuYWJsZWQSCREAAAAAAAAUQA==", "enabled: invalid type"),
        ("BytesValue", ", value: '%'", "the value of a google.protobuf.BytesValue must be base64"),
        ("Duration", ", value: 1s", "must be a google.protobuf.Struct, a google.protobuf.StringValue or a google.protobuf.BytesValue"),
    ] {
        let ran = checked("rate-limit", &message(kind, value));
        let is_good = says.starts_with('1');
        assert_eq!(ran.code == 0, is_good, "{kind}{value}: {}", ran.out);
        assert!(ran.out.contains(says), "{kind}{value}: {}", ran.out);
    }
}

#[test]
fn the_module_with_all_filters_is_told_of_in_its_own_words() {
    for (kind, value, says) in [
        ("Struct", ", value: {rate-limit: {}}", "error: rate-limit: unknown field `rate-limit` (did you mean `rate_limit`?), expected one of `trace_headers`, `rate_limit`, `response_cache`, `circuit_breaker`\n"),
        ("Struct", ", value: {rate_limit: null}", "error: rate_limit: must be an object (`{}` for the defaults), found null\n"),
        ("Struct", ", value: {rate_limit: [1]}", "error: rate_limit: must be an object (`{}` for the defaults), found [1]\n"),
        ("StringValue", ", value: '[]'", "error: the configuration must be an object, found a list\n"),
        ("StringValue", ", value: '{'", "the configuration is not JSON"),
        ("Struct", ", value: {}", "warning: runs no filter: it has none of the blocks trace_headers, rate_limit"),
        ("Empty", "", "warning: runs no filter"),
    ] {
        let ran = checked("seawall", &message(kind, value));
        assert_eq!(ran.code, 1, "{value}: {}", ran.out);
        assert!(ran.out.contains(says), "{value}: {}", ran.out);
        assert_eq!(ran.out.lines().count(), 2, "{value}: {}", ran.out);
    }
}

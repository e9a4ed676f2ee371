//! Runs the command.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// What a run of the command left.
#[allow(dead_code, reason = "not every test looks at all of it")]
pub struct Ran {
    pub code: i32,
    pub out: String,
    pub err: String,
}

/// The root of the repository.
pub fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .unwrap()
        .to_owned()
}

/// Runs it in the root of the repository, with this on standard input.
#[allow(dead_code, reason = "not every test pipes something in")]
pub fn piped(arguments: &[&str], input: &str) -> Ran {
    let mut child = Command::new(env!("CARGO_BIN_EXE_seawall"))
        .args(arguments)
        .current_dir(repository())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // A command that refuses its arguments may end without reading.
    let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
    let ended = child.wait_with_output().unwrap();
    Ran {
        code: ended.status.code().unwrap(),
        out: String::from_utf8(ended.stdout).unwrap(),
        err: String::from_utf8(ended.stderr).unwrap(),
    }
}

/// Runs it in the root of the repository.
#[allow(dead_code, reason = "not every test runs it without input")]
pub fn seawall(arguments: &[&str]) -> Ran {
    piped(arguments, "")
}

/// Puts the printed documents where they belong, and checks that.
#[allow(dead_code, reason = "not every test converts")]
pub fn round_trip(ran: &Ran) {
    let mut documents = ran.out.split("---\n");
    let indented = |text: &str, by: usize| {
        let lines = text.lines().map(|line| format!("{:by$}{line}\n", ""));
        lines.collect::<String>()
    };
    let plugin = documents.next().unwrap();
    let mut text = format!(
        "http_filters:\n- name: seawall.rate_limit\n  typed_config:\n    \"@type\": type.googleapis.com/envoy.extensions.filters.http.wasm.v3.Wasm\n    config:\n      name: seawall.rate_limit\n{}route_config:\n  virtual_hosts:\n  - name: all\n    domains: [\"*\"]\n    routes:\n",
        indented(plugin, 6)
    );
    for route in documents {
        text.push_str(&format!(
            "    - match: {{prefix: /}}\n{}",
            indented(route, 6)
        ));
    }
    let checked = piped(&["check", "--strict", "-"], &text);
    assert_eq!(checked.code, 0, "{}\n{text}", checked.out);
}

/// Names of Envoy's messages that the tests use, none of which a filter has for a setting.
const OF_ENVOY: [&str; 40] = [
    "access_log",
    "case_sensitive",
    "default_value",
    "descriptor_key",
    "enable_x_ratelimit_headers",
    "fill_interval",
    "filter_chains",
    "filter_enabled",
    "filter_enforced",
    "filter_metadata",
    "header_name",
    "http_filters",
    "ignore_case",
    "invert_match",
    "max_tokens",
    "merge_slashes",
    "path_separated_prefix",
    "present_match",
    "query_parameters",
    "range_match",
    "rate_limits",
    "remote_address",
    "request_headers",
    "require_tls",
    "response_headers_to_add",
    "root_id",
    "route_config",
    "runtime_fraction",
    "safe_regex",
    "shadow_mode",
    "stat_prefix",
    "static_resources",
    "string_match",
    "token_bucket",
    "tokens_per_fill",
    "typed_config",
    "typed_per_filter_config",
    "virtual_hosts",
    "vm_config",
    "weighted_clusters",
];

/// The same configuration with the other names that Envoy takes for its fields.
#[allow(dead_code, reason = "not every test has configurations of Envoy")]
pub fn in_camel_case(text: &str) -> String {
    let mut text = text.to_owned();
    for name in OF_ENVOY {
        let mut words = name.split('_');
        let first = words.next().unwrap();
        let rest = words.map(|word| word[..1].to_uppercase() + &word[1..]);
        let camel = first.to_owned() + &rest.collect::<String>();
        text = text.replace(&format!("{name}:"), &format!("{camel}:"));
    }
    text
}

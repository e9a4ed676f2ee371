//! What the tests of trace-headers share.
#![allow(dead_code, reason = "each test file uses a part of it")]

use seawall_tests::prelude::*;

pub const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";
pub const PARENT: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

/// What every line of the access log has.
pub const FIELDS: [&str; 11] = [
    "timestamp",
    "level",
    "service",
    "tenant_id",
    "user_id",
    "request_id",
    "trace_id",
    "span_id",
    "message",
    "duration_ms",
    "endpoint",
];

/// The access log that is shipped, as the harness wants it: into a file.
pub fn access_log() -> Value {
    let path = seawall_tests::envoy::repository().join("envoy/trace-headers.yaml");
    let text = std::fs::read_to_string(path).expect("the example is there");
    let mut fields = serde_json::Map::new();
    let format = text
        .lines()
        .skip_while(|line| line.trim() != "json_format:");
    for line in format
        .skip(1)
        .map(str::trim)
        .take_while(|line| *line != "http_filters:")
    {
        if line.starts_with('#') {
            continue;
        }
        let (name, value) = line.split_once(": ").expect("a field");
        fields.insert(name.to_owned(), json!(value.trim_matches('"')));
    }
    Value::Object(fields)
}

/// A configuration with the properties that this log shows.
pub fn logged(mut configuration: Value) -> Value {
    configuration["log"]["properties"] = json!(true);
    configuration
}

/// Trace, parent and flags of a `traceparent`.
pub fn parts(traceparent: &str) -> (String, String, String) {
    let parts: Vec<&str> = traceparent.split('-').collect();
    assert_eq!(parts.len(), 4, "{traceparent}");
    assert_eq!(
        (parts[0], parts[1].len(), parts[2].len()),
        ("00", 32, 16),
        "{traceparent}"
    );
    (
        parts[1].to_owned(),
        parts[2].to_owned(),
        parts[3].to_owned(),
    )
}

/// Lower-case hexadecimal.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

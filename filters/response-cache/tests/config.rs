//! What is refused, and in which words: the field, what was found, what is allowed.
#![allow(clippy::unwrap_used, clippy::panic, reason = "test code")]

use seawall_core::config::load;
use seawall_response_cache::config::Settings;
use serde_json::{json, Value};

fn errors(configuration: &Value) -> Vec<String> {
    match load::<Settings>(configuration) {
        Ok(_) => Vec::new(),
        Err(errors) => errors.iter().map(ToString::to_string).collect(),
    }
}

#[test]
fn every_refusal_names_the_field_what_was_found_and_what_is_allowed() {
    let duration = "expected a duration such as \"500ms\", \"10s\", \"1m\", \"2h\" or \"1d\"";
    let bytes = "expected a number of bytes such as 65536, \"64KiB\", \"16MiB\" or \"1GiB\"";
    for (configuration, expected) in [
        (
            json!({"enabled": "yes"}),
            "enabled: invalid type: string \"yes\", expected a boolean".to_owned(),
        ),
        (
            json!({"max_bytes": "64KB"}),
            format!("max_bytes: invalid value: string \"64KB\", {bytes}"),
        ),
        (
            json!({"max_entries": 0}),
            "max_entries: must be between 1 and 4194304, got 0".to_owned(),
        ),
        (
            json!({"worker_memory": "1GiB"}),
            "worker_memory: must be at most 512MiB, got 1073741824 bytes".to_owned(),
        ),
        (
            json!({"default_ttl": 5}),
            format!("default_ttl: invalid type: integer `5`, {duration}"),
        ),
        (
            json!({"heuristic": true}),
            "heuristic: invalid type: boolean `true`, expected an object of settings".to_owned(),
        ),
        (
            json!({"heuristic": {"fraction": 2}}),
            "heuristic.fraction: must be above 0 and at most 1, got 2".to_owned(),
        ),
        (
            json!({"coalesce": {"lease": "1ms"}}),
            "coalesce.lease: must be between 1s and 1h, got 1ms".to_owned(),
        ),
        (
            json!({"key": {"cookies": ["a=b"]}}),
            "key.cookies[0]: must be a cookie name, got \"a=b\"".to_owned(),
        ),
        (
            json!({"bypass": [7]}),
            "bypass[0]: invalid type: integer `7`, expected an object of settings".to_owned(),
        ),
        (
            json!({"bypass": [{}]}),
            "bypass[0]: must have one of header, cookie, path, path_prefix".to_owned(),
        ),
        (
            json!({"bypass": [{"cookie": "a b"}]}),
            "bypass[0].cookie: must be a cookie name, got \"a b\"".to_owned(),
        ),
        (
            json!({"bypass": [{"path": "admin"}]}),
            "bypass[0].path: must begin with / and have no query, got \"admin\"".to_owned(),
        ),
        (
            json!({"no_store": [{"path_prefix": "/a?b"}]}),
            "no_store[0].path_prefix: must begin with / and have no query, got \"/a?b\"".to_owned(),
        ),
        (
            json!({"purge": {"cidrs": ["10.0.0.0/8"], "method": "GET"}}),
            "purge.method: must be a method of its own such as PURGE, got \"GET\"".to_owned(),
        ),
    ] {
        assert_eq!(errors(&configuration), [expected]);
    }
    assert!(
        errors(&json!({"bypass": [{"path": "/"}, {"path_prefix": "/a", "cookie": "b"}]}))
            .is_empty()
    );
}

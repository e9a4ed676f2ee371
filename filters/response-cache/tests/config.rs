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
            "max_entries: must be from 1 to 4194304, got 0".to_owned(),
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
            "coalesce.lease: must be from 1s to 1h, got 1ms".to_owned(),
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

/// One mistake each, named by its field; none where nothing is wrong.
#[test]
fn each_mistake_is_at_its_field() {
    let key = |key: Value| json!({ "key": key });
    let purge = |purge: Value| json!({ "purge": purge });
    let secret = json!({"secret_header": "x-purge", "secret": "12345678"});
    for (configuration, field) in [
        (key(json!({"headers": ["x a"]})), "key.headers[0]"),
        (key(json!({"tenant": "x a"})), "key.tenant"),
        (
            key(json!({"include": ["a"], "exclude": ["b"]})),
            "key.include",
        ),
        (key(json!({"include": ["a"], "query": "all"})), "key.query"),
        (key(json!({"exclude": ["a"], "query": "none"})), "key.query"),
        (key(json!({"exclude": ["a"], "query": "sorted"})), ""),
        (key(json!({"exclude": ["a*", "b"]})), ""),
        (key(json!({"exclude": ["*a"]})), "key.exclude[0]"),
        (key(json!({"exclude": ["a", ""]})), "key.exclude[1]"),
        (key(json!({"include": ["a=b"]})), "key.include[0]"),
        (
            json!({"bypass": [{"path": "/a", "value": "x"}]}),
            "bypass[0].value",
        ),
        (
            json!({"bypass": [{"header": "a", "cookie": "b", "value": "x"}]}),
            "bypass[0].value",
        ),
        (json!({"bypass": [{"header": "a b"}]}), "bypass[0].header"),
        (
            json!({"refresh": {"background": {"enabled": true, "cluster": ""}}}),
            "refresh.background.cluster",
        ),
        (
            json!({"cache_status": {"name": "a b"}}),
            "cache_status.name",
        ),
        // Whoever may not purge is everybody but those who are named.
        (purge(json!({})), "purge"),
        (purge(json!({"cidrs": []})), "purge"),
        // Who is named wrongly is named: that alone is to be said.
        (purge(json!({"cidrs": ["x"]})), "purge.cidrs[0]"),
        (purge(json!({"secret": "12345678"})), "purge.secret_header"),
        (purge(json!({"cidrs": ["10.0.0.0/8"]})), ""),
        (
            purge(json!({"cidrs": ["10.0.0.0/8", "x"]})),
            "purge.cidrs[1]",
        ),
        (purge(secret), ""),
        (
            purge(json!({"secret_header": "x-purge", "secret": "1234567"})),
            "purge.secret",
        ),
        (
            purge(json!({"secret_header": "x purge", "secret": "12345678"})),
            "purge.secret_header",
        ),
        (
            purge(json!({"cidrs": ["10.0.0.0/8"], "secret_header": "x-purge"})),
            "purge.secret",
        ),
        (
            purge(json!({"cidrs": ["10.0.0.0/8"], "secret": "12345678"})),
            "purge.secret_header",
        ),
        (
            purge(json!({"cidrs": ["10.0.0.0/8"], "method": "PUR GE"})),
            "purge.method",
        ),
    ] {
        let found = errors(&configuration);
        let named: Vec<_> = found
            .iter()
            .filter_map(|error| error.split_once(": "))
            .map(|(path, _)| path)
            .collect();
        let expected: Vec<_> = (!field.is_empty()).then_some(field).into_iter().collect();
        assert_eq!(named, expected, "{configuration}: {found:?}");
    }
}

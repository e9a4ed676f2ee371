//! Purges and invalidation reach what is stored whatever makes its key.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "test code"
)]

mod common;

use common::{ok, request, Cache, Origin};
use serde_json::{json, Value};

const STORED: &str = "max-age=60";

fn cache(key: &Value) -> Cache {
    Cache::alone(&json!({
        "key": key, "refresh": {"algorithm": "off"}, "purge": {"secret_header": "x-purge", "secret": "let-me-in"},
    }))
}

fn keys() -> Vec<Value> {
    vec![
        json!({}),
        json!({"host": false}),
        json!({"scheme": false, "method": true}),
        json!({"query": "none"}),
        json!({"exclude": ["utm_*"]}),
        json!({"cookies": ["lang"], "exclude": ["utm_*"]}),
        json!({"host": false, "headers": ["x-a"], "query": "sorted"}),
    ]
}

fn purge(cache: &mut Cache, path: &str, more: &[(&str, &str)]) {
    let mut fields = vec![("x-purge", "let-me-in")];
    fields.extend_from_slice(more);
    let got = cache.send(&request("PURGE", path, &fields), &Origin::default());
    assert_eq!(got.status, 200);
}

/// Whether it is served as it was stored.
fn is_fresh(cache: &mut Cache, path: &str) -> bool {
    let got = cache.get_with(path, &[("cookie", "lang=de")], &ok("no-store", ""));
    got.is_hit()
}

#[test]
fn every_purge_reaches_what_is_stored_whatever_makes_its_key() {
    for key in keys() {
        for more in [
            &[][..],
            &[("seawall-purge-mode", "soft")],
            &[("seawall-purge", "prefix")],
            &[("seawall-purge", "prefix"), ("seawall-purge-mode", "soft")],
        ] {
            let mut cache = cache(&key);
            let path = "/news/1?b=2";
            cache.get_with(path, &[("cookie", "lang=de")], &ok(STORED, "x"));
            cache.get_with("/other", &[("cookie", "lang=de")], &ok(STORED, "x"));
            assert!(is_fresh(&mut cache, path));
            purge(&mut cache, path, more);
            assert!(!is_fresh(&mut cache, path), "{key} {more:?}");
            assert!(is_fresh(&mut cache, "/other"), "{key} {more:?}");
        }
    }
}

#[test]
fn a_purge_of_one_url_needs_no_parameter_that_the_key_leaves_out() {
    for key in [
        json!({"exclude": ["utm_*"]}),
        json!({"cookies": ["lang"], "exclude": ["utm_*"]}),
    ] {
        for more in [&[][..], &[("seawall-purge-mode", "soft")]] {
            let mut cache = cache(&key);
            let stored = ok(STORED, "x");
            cache.get_with("/a?utm_x=1", &[("cookie", "lang=de")], &stored);
            purge(&mut cache, "/a", more);
            assert!(!is_fresh(&mut cache, "/a?utm_x=2"), "{key} {more:?}");
        }
    }
}

#[test]
fn unsafe_methods_invalidate_whatever_makes_the_key() {
    for key in keys() {
        let mut cache = cache(&key);
        cache.get_with("/a?utm_x=1", &[("cookie", "lang=de")], &ok(STORED, "x"));
        assert!(is_fresh(&mut cache, "/a?utm_x=1"));
        cache.send_with_body(&request("PUT", "/a?utm_x=1", &[]), &ok("", "done"));
        assert!(!is_fresh(&mut cache, "/a?utm_x=1"), "{key}");
    }
}

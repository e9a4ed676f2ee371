//! What operators and clients may say, on the fake host.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "test code"
)]

mod common;

use common::{cache, ok, request, Cache, Origin};
use seawall_core::testing::Ended;
use serde_json::json;

#[test]
fn authorization_and_cookies_are_not_shared() {
    let mut cache = cache();
    let alice = [("authorization", "alice")];
    cache.get_with("/", &alice, &ok("max-age=60", "for alice"));
    assert_eq!(cache.metric("rejected.authorization"), 1);
    cache.get(
        "/c",
        &ok("max-age=60, public", "x").with("set-cookie", "session=1"),
    );
    assert_eq!(cache.metric("rejected.set_cookie"), 1);
    let mut strips = Cache::alone(&json!({"set_cookie": "strip"}));
    let first = strips.get("/c", &ok("max-age=60", "x").with("set-cookie", "session=1"));
    assert_eq!(first.header("set-cookie"), Some("session=1"));
    let second = strips.get("/c", &Origin::default());
    assert_eq!((second.is_hit(), second.header("set-cookie")), (true, None));
    let mut keyed = Cache::alone(&json!({"key": {"headers": ["authorization"]}}));
    keyed.get_with("/", &alice, &ok("max-age=60", "for alice"));
    assert!(keyed.get_with("/", &alice, &Origin::default()).is_hit());
    assert!(!keyed
        .get_with("/", &[("authorization", "bob")], &ok("", ""))
        .is_hit());
}

#[test]
fn target_fields_stand_in_for_cache_control() {
    let mut cache = cache();
    cache.get(
        "/",
        &ok("no-store", "x").with("cdn-cache-control", "max-age=60"),
    );
    assert!(cache.get("/", &Origin::default()).is_hit());
    cache.get(
        "/p",
        &ok("max-age=60", "x").with("cdn-cache-control", "private"),
    );
    assert!(!cache.get("/p", &ok("", "")).is_hit());
}

#[test]
fn policy_per_status_and_rules() {
    let mut cache = Cache::alone(&json!({
        "default_ttl": "10s", "negative_ttl": "5s", "ttl_by_status": {"301": "60s", "5xx": "1s"},
        "bypass": [{"header": "x-debug"}, {"path_prefix": "/admin"}], "no_store": [{"cookie": "session"}],
        "refresh": {"algorithm": "off"},
    }));
    for (path, status, secs) in [
        ("/a", "200", 10u64),
        ("/b", "404", 5),
        ("/c", "301", 60),
        ("/d", "503", 1),
    ] {
        let origin = Origin {
            status,
            headers: vec![],
            body: b"x",
        };
        cache.get(path, &origin);
        cache.advance(secs * 1000 - 10);
        assert!(cache.get(path, &origin).is_hit(), "{path}");
        cache.advance(10);
        assert!(!cache.get(path, &origin).is_hit(), "{path}");
    }
    cache.get("/a", &ok("max-age=60", "x"));
    assert_eq!(
        cache
            .get_with("/a", &[("x-debug", "1")], &ok("", ""))
            .status_line(),
        "seawall; fwd=bypass"
    );
    assert!(!cache.get("/admin/x", &ok("max-age=60", "x")).is_hit());
    assert!(!cache.get("/admin/x", &ok("max-age=60", "x")).is_hit());
    cache.get_with("/s", &[("cookie", "session=1")], &ok("max-age=60", "x"));
    assert_eq!(cache.metric("rejected.rule"), 1);
    let mut forced = Cache::alone(&json!({"forced_ttl": "10s", "refresh": {"algorithm": "off"}}));
    forced.get("/", &ok("no-cache, max-age=0", "x"));
    assert!(forced.get("/", &Origin::default()).is_hit());
    forced.get("/p", &ok("private", "x"));
    assert!(!forced.get("/p", &ok("", "")).is_hit());
}

#[test]
fn a_lifetime_of_nothing_stores_nothing() {
    let mut cache = Cache::alone(&json!({
        "default_ttl": "10s", "ttl_by_status": {"404": "0s", "200": "0s"}, "stale_while_revalidate": "1h",
    }));
    let nothing = "seawall; fwd=uri-miss; fwd-status=404; detail=no-freshness";
    for _ in 0..2 {
        assert_eq!(
            cache.get("/", &Origin::status("404")).status_line(),
            nothing
        );
    }
    // What can be validated is kept for that, as with `max-age=0`.
    let tagged = ok("", "x").with("etag", "\"a\"");
    assert!(cache.get("/t", &tagged).status_line().ends_with("; stored"));
    // A default cannot make usable what must be validated and cannot be.
    let unusable = cache.get("/n", &ok("no-cache", "x"));
    assert!(unusable.status_line().ends_with("detail=no-freshness"));
    let mut forced = Cache::alone(&json!({"forced_ttl": "0s"}));
    let refused = forced.get("/", &ok("max-age=60", "x"));
    assert!(refused.status_line().ends_with("detail=no-freshness"));
}

#[test]
fn clients_may_ask_for_more_or_less() {
    let mut cache = cache();
    let with = |cache: &mut Cache, line| {
        cache
            .get_with("/", &[("cache-control", line)], &ok("max-age=60", "x"))
            .is_hit()
    };
    assert!(!with(&mut cache, "x"));
    cache.advance(10_000);
    assert!(with(&mut cache, "max-age=10"));
    assert!(!with(&mut cache, "max-age=9"));
    assert!(!with(&mut cache, "no-cache"));
    assert!(!with(&mut cache, "no-store"));
    assert_eq!(cache.metric("rejected.request_no_store"), 1);
    let nothing = cache.get_with(
        "/none",
        &[("cache-control", "only-if-cached")],
        &Origin::default(),
    );
    assert_eq!((nothing.status, nothing.is_hit()), (504, true));
    let mut deaf = Cache::alone(&json!({"ignore_client_directives": true}));
    assert!(!with(&mut deaf, "no-store"));
    assert!(with(&mut deaf, "no-cache, no-store, max-age=0"));
    // It is not the client's word then that keeps an answer out.
    let rule = json!([{"path_prefix": "/"}]);
    let mut ruled = Cache::alone(&json!({"ignore_client_directives": true, "no_store": rule}));
    assert!(!with(&mut ruled, "no-store"));
    assert_eq!(ruled.metric("rejected.request_no_store"), 0);
    assert_eq!(ruled.metric("rejected.rule"), 1);
}

/// What is fresh or may be used stale is refreshed by a request of anybody but those whose answers are not to be stored: they get
/// what is there.
#[test]
fn a_rule_against_storing_holds_for_refreshes_too() {
    let early = json!({"algorithm": "window", "window": "1h", "probability": 1.0});
    let never = json!({"algorithm": "off"});
    let background = json!({"algorithm": "off", "background": {"enabled": true, "cluster": "a"}});
    for (refresh, life) in [
        (early, "max-age=60"),
        (never, "max-age=1, stale-while-revalidate=60"),
        (background, "max-age=1, stale-while-revalidate=60"),
    ] {
        let mut cache = Cache::alone(&json!({
            "no_store": [{"cookie": "session"}], "refresh": refresh,
        }));
        cache.get("/", &ok(life, "for all"));
        cache.advance(2_000);
        let own = cache.get_with("/", &[("cookie", "session=1")], &ok(life, "for one"));
        assert_eq!(own.body, b"for all", "{refresh}");
        assert_eq!(cache.metric("refreshes"), 0, "{refresh}");
        let (refresher, ended) = cache.start(&request("GET", "/", &[]));
        if refresh.get("background").is_some() {
            assert_eq!(cache.metric("refreshes_background"), 1, "{refresh}");
        } else {
            assert!(matches!(ended, Ended::Forwarded(_)), "{refresh}");
            cache.answer(refresher, &ok("max-age=60", "new"));
        }
    }
}

#[test]
fn of_several_cookies_of_one_name_each_counts() {
    let mut cache = Cache::alone(&json!({
        "key": {"cookies": ["lang"]}, "bypass": [{"cookie": "debug", "value": "1"}],
    }));
    // What an origin makes of the last one is no answer for those who sent the first one only.
    let both = [("cookie", "lang=de; lang=evil")];
    cache.get_with("/", &both, &ok("max-age=60", "evil"));
    let plain = cache.get_with("/", &[("cookie", "lang=de")], &ok("max-age=60", "de"));
    assert_eq!(plain.body, b"de");
    assert!(cache.get_with("/", &both, &Origin::default()).is_hit());
    // Origins trim names.
    for spaced in ["lang =evil", "lang=de; lang\t=evil"] {
        let mut cache = Cache::alone(&json!({"key": {"cookies": ["lang"]}}));
        cache.get_with("/", &[("cookie", spaced)], &ok("max-age=60", "evil"));
        for other in [&[][..], &[("cookie", "lang=de")]] {
            let got = cache.get_with("/", other, &ok("max-age=60", "de"));
            assert_eq!(got.body, b"de", "{spaced}");
        }
    }
    let debug = [("cookie", "lang=de; debug=0; debug=1")];
    let bypassed = cache.get_with("/", &debug, &ok("max-age=60", "debug"));
    assert_eq!(bypassed.status_line(), "seawall; fwd=bypass");
}

#[test]
fn refusals_of_one_client_are_never_stored() {
    for status in ["428", "429", "431", "511"] {
        let mut cache = Cache::alone(&json!({
            "ttl_by_status": {"4xx": "10m", "5xx": "10m"}, "refresh": {"algorithm": "off"},
        }));
        let answer = Origin::status(status).with("cache-control", "public, max-age=600");
        assert_eq!(
            cache.get("/", &answer).status_line(),
            format!("seawall; fwd=uri-miss; fwd-status={status}; detail=status")
        );
        assert!(!cache.get("/", &ok("", "x")).is_hit());
    }
}

/// An origin whose `Vary` depends on the request. What is kept for one URL is bounded: the lists of fields that came last.
#[test]
fn of_the_lists_of_fields_that_a_url_varies_by_the_last_four_count() {
    let mut cache = cache();
    let names: Vec<String> = (0..6).map(|n| format!("h{n}")).collect();
    for name in &names {
        let origin = ok("max-age=600", name).with("vary", name);
        assert!(!cache.get_with("/", &[(name, "x")], &origin).is_hit());
    }
    for (at, name) in names.iter().enumerate().rev() {
        let got = cache.get_with("/", &[(name, "x")], &Origin::status("503"));
        assert_eq!(got.is_hit(), at >= 2, "{name}");
        if got.is_hit() {
            assert_eq!(got.body, name.as_bytes());
        }
    }
}

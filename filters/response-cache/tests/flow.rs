//! The filter on the fake host: what clients get, what the origin is asked.
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
use seawall_core::testing::Ended;
use serde_json::json;

/// No early refresh: what happens is what the clock says.
fn still() -> serde_json::Value {
    json!({"refresh": {"algorithm": "off"}})
}

fn cache() -> Cache {
    Cache::alone(&still())
}

#[test]
fn a_miss_is_stored_and_served_with_its_age_until_it_is_stale() {
    let mut cache = cache();
    let first = cache.get("/", &ok("max-age=60", "body").with("x-a", "1"));
    assert_eq!(
        first.status_line(),
        "seawall; fwd=uri-miss; fwd-status=200; stored"
    );
    cache.advance(5_000);
    let second = cache.get("/", &Origin::default());
    assert!(second.is_hit());
    assert_eq!((second.status, second.body.as_slice()), (200, &b"body"[..]));
    assert_eq!(second.header("age"), Some("5"));
    assert_eq!(second.header("x-a"), Some("1"));
    assert_eq!(second.status_line(), "seawall; hit; ttl=55");
    cache.advance(55_000);
    let third = cache.get("/", &ok("max-age=60", "new"));
    assert_eq!(
        third.status_line(),
        "seawall; fwd=stale; fwd-status=200; stored"
    );
    assert_eq!(cache.get("/", &Origin::default()).body, b"new");
    assert_eq!(
        (
            cache.metric("hits"),
            cache.metric("misses"),
            cache.metric("stored")
        ),
        (2, 1, 2)
    );
}

#[test]
fn why_not_is_said() {
    let mut cache = cache();
    for (cache_control, detail) in [
        ("no-store", "no-store"),
        ("private, max-age=60", "private"),
        ("", "no-freshness"),
        ("max-age=60, x=\"", "malformed"),
    ] {
        let got = cache.get("/", &ok(cache_control, "x"));
        assert_eq!(
            got.status_line(),
            format!("seawall; fwd=uri-miss; fwd-status=200; detail={detail}")
        );
    }
    assert_eq!(cache.metric("rejected.private"), 1);
    assert_eq!(cache.metric("stored"), 0);
}

#[test]
fn a_304_makes_it_fresh_again_with_updated_fields() {
    let mut cache = cache();
    cache.get(
        "/",
        &ok("max-age=1", "body")
            .with("etag", "\"a\"")
            .with("x-a", "1")
            .with("last-modified", "Sun, 06 Nov 1994 08:49:37 GMT"),
    );
    cache.advance(2_000);
    let fresh = Origin::status("304")
        .with("x-a", "2")
        .with("cache-control", "max-age=60");
    let got = cache.get_with(
        "/",
        &[
            ("if-none-match", "\"z\""),
            ("range", "bytes=0-0"),
            ("if-range", "\"z\""),
        ],
        &fresh,
    );
    assert_eq!(got.sent("if-none-match"), Some("\"a\""));
    assert_eq!(
        got.sent("if-modified-since"),
        Some("Sun, 06 Nov 1994 08:49:37 GMT")
    );
    assert_eq!((got.sent("range"), got.sent("if-range")), (None, None));
    assert_eq!(
        (got.status, got.body.as_slice(), got.header("x-a")),
        (200, &b"body"[..], Some("2"))
    );
    assert_eq!(
        got.status_line(),
        "seawall; fwd=stale; fwd-status=304; stored"
    );
    cache.advance(50_000);
    let hit = cache.get("/", &Origin::default());
    assert_eq!(
        (hit.is_hit(), hit.header("age"), hit.header("x-a")),
        (true, Some("50"), Some("2"))
    );
    assert_eq!(cache.metric("revalidated"), 1);
}

#[test]
fn a_304_for_another_tag_serves_what_is_there_and_forgets_it() {
    let mut cache = cache();
    cache.get("/", &ok("max-age=1", "body").with("etag", "\"a\""));
    cache.advance(2_000);
    let got = cache.get(
        "/",
        &Origin::status("304")
            .with("etag", "\"b\"")
            .with("cache-control", "max-age=60"),
    );
    assert_eq!((got.status, got.body.as_slice()), (200, &b"body"[..]));
    assert!(!cache.get("/", &ok("", "x")).is_hit());
}

#[test]
fn conditions_and_ranges_are_answered_from_what_is_stored() {
    let mut cache = cache();
    cache.get(
        "/",
        &ok("max-age=60", "0123456789")
            .with("etag", "\"a\"")
            .with("content-type", "text/x"),
    );
    let with = |cache: &mut Cache, more: &[(&str, &str)]| {
        let got = cache.get_with("/", more, &Origin::default());
        assert!(got.is_hit());
        got
    };
    let not_modified = with(&mut cache, &[("if-none-match", "\"a\"")]);
    assert_eq!((not_modified.status, not_modified.body.len()), (304, 0));
    assert_eq!(not_modified.header("etag"), Some("\"a\""));
    assert_eq!(not_modified.header("content-type"), None);
    let part = with(&mut cache, &[("range", "bytes=2-4")]);
    assert_eq!(
        (
            part.status,
            part.body.as_slice(),
            part.header("content-range")
        ),
        (206, &b"234"[..], Some("bytes 2-4/10"))
    );
    let none = with(&mut cache, &[("range", "bytes=10-")]);
    assert_eq!(
        (none.status, none.header("content-range")),
        (416, Some("bytes */10"))
    );
    let outdated = with(&mut cache, &[("range", "bytes=2-4"), ("if-range", "\"b\"")]);
    assert_eq!((outdated.status, outdated.body.len()), (200, 10));
    let head = cache.send(&request("HEAD", "/", &[]), &Origin::default());
    assert_eq!((head.status, head.is_hit()), (200, true));
}

#[test]
fn partial_and_conditional_answers_are_never_taken_for_whole_ones() {
    let mut cache = cache();
    let partial = Origin {
        status: "206",
        headers: vec![
            ("cache-control", "max-age=60"),
            ("content-range", "bytes 0-1/9"),
        ],
        body: b"01",
    };
    assert_eq!(
        cache
            .get_with("/", &[("range", "bytes=0-1")], &partial)
            .status,
        206
    );
    let not_modified = Origin::status("304").with("cache-control", "max-age=60");
    assert_eq!(
        cache
            .get_with("/", &[("if-none-match", "\"a\"")], &not_modified)
            .status,
        304
    );
    assert!(!cache.get("/", &ok("", "whole")).is_hit());
}

#[test]
fn a_body_that_ends_early_or_is_too_large_is_passed_on_and_not_stored() {
    let mut cache = Cache::alone(&json!({"max_entry_bytes": 10}));
    let got = cache.get("/", &ok("max-age=60", "01234567890"));
    assert_eq!(got.body, b"01234567890");
    assert_eq!(cache.metric("rejected.too_large"), 1);
    assert_eq!(
        cache
            .get(
                "/p",
                &ok("max-age=60", "01234").with("content-length", "11")
            )
            .status_line(),
        "seawall; fwd=uri-miss; fwd-status=200; detail=too-large"
    );
    cache.get("/e", &ok("max-age=60", "01234").with("content-length", "6"));
    assert_eq!(cache.metric("rejected.incomplete"), 1);
    // Cut short: the end of the stream never comes, only the end of the request.
    let (mut exchange, _) = cache.start(&request("GET", "/c", &[]));
    cache.vm.response(
        &mut exchange,
        &[(":status", "200"), ("cache-control", "max-age=60")],
        false,
    );
    cache.vm.response_body(&mut exchange, b"half", false);
    cache.vm.finish(exchange);
    assert_eq!(cache.metric("stored"), 0);
    for path in ["/", "/p", "/e", "/c"] {
        assert!(!cache.get(path, &ok("", "")).is_hit(), "{path}");
    }
}

#[test]
fn local_replies_are_never_stored() {
    let mut cache = cache();
    for details in [&b"rate_limited"[..], b""] {
        let mut exchange = cache.vm.open(&[("response.code_details", details)]);
        assert!(matches!(
            cache.vm.request(&mut exchange, &request("GET", "/", &[])),
            Ended::Forwarded(_)
        ));
        cache.respond(&mut exchange, &ok("max-age=60", "local"));
        cache.vm.finish(exchange);
    }
    assert_eq!(cache.metric("stored"), 0);
}

#[test]
fn variants_live_side_by_side() {
    let mut cache = cache();
    let origin = |body| ok("max-age=60", body).with("vary", "Accept-Language, x-b");
    cache.get_with("/", &[("accept-language", "en, de")], &origin("one"));
    let other = cache.get_with("/", &[("accept-language", "fr")], &origin("two"));
    assert_eq!(
        other.status_line(),
        "seawall; fwd=vary-miss; fwd-status=200; stored"
    );
    for (value, body) in [("de,EN", &b"one"[..]), ("fr", b"two")] {
        let hit = cache.get_with("/", &[("accept-language", value)], &Origin::default());
        assert_eq!((hit.is_hit(), hit.body.as_slice()), (true, body));
    }
    assert!(!cache
        .get_with("/", &[("accept-language", "fr"), ("x-b", "1")], &ok("", ""))
        .is_hit());
    // Another list of fields beside the first.
    cache.get_with(
        "/",
        &[("x-c", "1")],
        &ok("max-age=60", "three").with("vary", "x-c"),
    );
    assert_eq!(
        cache
            .get_with("/", &[("x-c", "1")], &Origin::default())
            .body,
        b"three"
    );
    // Removed as a whole, and never found again under a new list.
    cache.send(&request("DELETE", "/", &[]), &Origin::status("204"));
    cache.get_with("/", &[("accept-language", "es")], &origin("four"));
    assert!(!cache
        .get_with("/", &[("accept-language", "fr")], &ok("", ""))
        .is_hit());
}

#[test]
fn vary_star_is_not_stored() {
    let mut cache = cache();
    cache.get("/", &ok("max-age=60", "x").with("vary", "*"));
    assert_eq!(cache.metric("rejected.vary_star"), 1);
}

#[test]
fn unsafe_methods_invalidate_when_they_go_well() {
    let mut cache = cache();
    let fill = |cache: &mut Cache| {
        for path in ["/a", "/b", "/dir/c", "/other"] {
            if !cache.get(path, &ok("max-age=60", "x")).is_hit() {
                assert!(cache.get(path, &Origin::default()).is_hit());
            }
        }
    };
    for method in ["POST", "PUT", "DELETE", "M-SEARCH"] {
        fill(&mut cache);
        cache.send(&request(method, "/a", &[]), &Origin::status("500"));
        assert!(
            cache.get("/a", &ok("max-age=60", "x")).is_hit(),
            "{method} that failed"
        );
        let went_well = Origin::status("201")
            .with("location", "https://example.com/b")
            .with("content-location", "dir/c");
        cache.send(&request(method, "/a", &[]), &went_well);
        for path in ["/a", "/b", "/dir/c"] {
            assert!(
                !cache.get(path, &ok("max-age=60", "x")).is_hit(),
                "{method} {path}"
            );
        }
        assert!(cache.get("/other", &Origin::default()).is_hit());
        let elsewhere = Origin::status("201").with("location", "https://other.com/b");
        cache.send(&request(method, "/x", &[]), &elsewhere);
        assert!(
            cache.get("/b", &Origin::default()).is_hit(),
            "another origin"
        );
    }
}

#[test]
fn an_answer_that_was_on_its_way_during_an_invalidation_is_not_stored() {
    let mut cache = cache();
    let (reader, ended) = cache.start(&request("GET", "/", &[]));
    assert!(matches!(ended, Ended::Forwarded(_)));
    cache.advance(10);
    cache.send(&request("POST", "/", &[]), &Origin::status("200"));
    cache.answer(reader, &ok("max-age=60", "old"));
    assert_eq!(cache.metric("rejected.outdated"), 1);
    assert!(!cache.get("/", &ok("max-age=60", "new")).is_hit());
}

#[test]
fn stale_while_revalidate_lets_one_request_refresh_and_serves_the_others() {
    let mut cache = cache();
    cache.get("/", &ok("max-age=1, stale-while-revalidate=10", "old"));
    cache.advance(2_000);
    let (refresher, ended) = cache.start(&request("GET", "/", &[]));
    assert!(matches!(ended, Ended::Forwarded(_)));
    let other = cache.get("/", &Origin::default());
    assert_eq!((other.is_hit(), other.body.as_slice()), (true, &b"old"[..]));
    assert_eq!(
        other.status_line(),
        "seawall; hit; ttl=-1; detail=stale-while-revalidate"
    );
    cache.answer(refresher, &ok("max-age=60", "new"));
    assert_eq!(cache.get("/", &Origin::default()).body, b"new");
    cache.advance(72_000);
    assert!(!cache.get("/", &ok("", "")).is_hit());
}

#[test]
fn stale_if_error_bridges_errors_of_the_origin_and_refusals_of_the_breaker() {
    for (status, details, breaker) in [
        ("500", &b"via_upstream"[..], false),
        (
            "503",
            b"upstream_reset_before_response_started{connection_termination}",
            false,
        ),
        ("503", b"seawall.circuit_breaker.open", true),
    ] {
        for body in [&b""[..], b"error page"] {
            let mut cache = cache();
            cache.get(
                "/",
                &ok("max-age=1, stale-if-error=10", "old").with("content-type", "text/x"),
            );
            cache.advance(2_000);
            let mut exchange = cache.vm.open(&[("response.code_details", details)]);
            cache.vm.request(&mut exchange, &request("GET", "/", &[]));
            let mut error = Origin {
                status,
                headers: Vec::new(),
                body,
            };
            if breaker {
                error.headers.push(("x-seawall-breaker", "open"));
            }
            let got = cache.respond(&mut exchange, &error);
            cache.vm.finish(exchange);
            assert_eq!(
                (got.status, got.body.as_slice()),
                (200, &b"old"[..]),
                "{status} {breaker} {body:?}"
            );
            assert_eq!(got.header("content-type"), Some("text/x"));
            assert_eq!(got.header("x-seawall-breaker"), None);
            assert_eq!(
                got.status_line(),
                format!("seawall; fwd=stale; fwd-status={status}; detail=stale-if-error")
            );
            assert_eq!(cache.metric("stale.if_error"), 1);
            cache.advance(10_000);
            assert_eq!(cache.get("/", &Origin::status("500")).status, 500);
        }
    }
}

#[test]
fn the_origin_may_forbid_stale_use_whatever_the_operator_says() {
    let configuration = json!({"stale_if_error": "1h", "stale_while_revalidate": "1h", "coalesce": {"enabled": false}});
    for forbids in [
        "must-revalidate",
        "proxy-revalidate",
        "s-maxage=1",
        "no-cache",
    ] {
        let mut cache = Cache::alone(&configuration);
        let cache_control = format!("max-age=1, {forbids}");
        cache.get("/", &ok(&cache_control, "old").with("etag", "\"a\""));
        cache.advance(2_000);
        assert_eq!(
            cache.get("/", &Origin::status("500")).status,
            500,
            "{forbids}"
        );
    }
    let mut cache = Cache::alone(&configuration);
    cache.get("/", &ok("max-age=1", "old"));
    cache.advance(2_000);
    assert_eq!(cache.get("/", &Origin::status("500")).status, 200);
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
}

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
fn what_is_no_plain_request_passes_untouched() {
    let mut cache = cache();
    cache.get("/", &ok("max-age=60", "x"));
    for (method, more) in [
        (
            "GET",
            vec![("upgrade", "websocket"), ("connection", "upgrade")],
        ),
        ("CONNECT", vec![]),
        ("GET", vec![("content-type", "application/grpc")]),
        ("GET", vec![("if-match", "\"a\"")]),
        ("OPTIONS", vec![]),
    ] {
        let headers = request(method, "/", &more);
        let (exchange, ended) = cache.start(&headers);
        let Ended::Forwarded(sent) = ended else {
            panic!("{method} {more:?} was not forwarded")
        };
        assert_eq!(sent.len(), headers.len());
        cache.vm.finish(exchange);
    }
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
fn a_response_to_head_updates_or_removes_what_is_stored() {
    let mut cache = cache();
    let fill = |cache: &mut Cache| {
        cache.get("/", &ok("max-age=1", "body").with("etag", "\"a\""));
        cache.advance(2_000);
    };
    fill(&mut cache);
    let same = Origin::status("200")
        .with("etag", "\"a\"")
        .with("cache-control", "max-age=60")
        .with("content-length", "4");
    cache.send(&request("HEAD", "/", &[]), &same);
    let hit = cache.get("/", &Origin::default());
    assert_eq!((hit.is_hit(), hit.body.as_slice()), (true, &b"body"[..]));
    cache.advance(100_000);
    let changed = Origin::status("200")
        .with("etag", "\"b\"")
        .with("cache-control", "max-age=60");
    cache.send(&request("HEAD", "/", &[]), &changed);
    let got = cache.get("/", &ok("", ""));
    assert_eq!((got.is_hit(), got.sent("if-none-match")), (false, None));
}

//! Stale use, by permission only, on the fake host.
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
fn a_fallback_of_the_breaker_is_a_refusal_whatever_its_status() {
    for status in ["200", "429", "503"] {
        let mut cache = cache();
        cache.get("/", &ok("max-age=1, stale-if-error=10", "old"));
        cache.advance(2_000);
        let details = [(
            "response.code_details",
            &b"seawall.circuit_breaker.open"[..],
        )];
        for (path, expected) in [("/", &b"old"[..]), ("/other", b"fallback")] {
            let mut exchange = cache.vm.open(&details);
            cache.vm.request(&mut exchange, &request("GET", path, &[]));
            let fallback = Origin {
                status,
                headers: vec![("cache-control", "max-age=60")],
                body: b"fallback",
            };
            let got = cache.respond(&mut exchange, &fallback);
            cache.vm.finish(exchange);
            assert_eq!(got.body, expected, "{status} {path}");
        }
        // The fallback itself is never stored.
        assert!(!cache.get("/other", &ok("", "")).is_hit());
    }
}

#[test]
fn who_wants_only_what_is_stored_is_never_sent_to_the_origin() {
    let rule = json!({"refresh": {"algorithm": "window", "window": "1h", "probability": 1.0}});
    let mut cache = Cache::alone(&rule);
    let only = [("cache-control", "only-if-cached")];
    cache.get("/", &ok("max-age=10, stale-while-revalidate=10", "old"));
    for (after, status) in [(1_000, 200), (10_000, 200), (10_000, 504)] {
        cache.advance(after);
        let got = cache.get_with("/", &only, &Origin::default());
        assert_eq!(
            (got.is_hit(), got.status),
            (true, status),
            "after {after} more"
        );
    }
}

#[test]
fn what_is_immutable_is_not_refreshed_while_it_is_fresh() {
    for (said, early) in [("max-age=60, immutable", false), ("max-age=60", true)] {
        let mut cache = Cache::alone(&json!({
            "refresh": {"algorithm": "window", "window": "1h", "probability": 1},
        }));
        let answer = ok(said, "x").with("etag", "\"a\"");
        cache.get("/", &answer);
        assert_eq!(cache.get("/", &answer).is_hit(), !early, "{said}");
        // Whoever wants to be sure still is.
        let sure = [("cache-control", "no-cache")];
        assert!(!cache.get_with("/", &sure, &answer).is_hit());
        cache.advance(60_000);
        assert!(!cache.get("/", &answer).is_hit());
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

/// A grant for no time, or for a time that cannot be read, is none, and a client cannot stretch what it is for; nor does one hold
/// where `s-maxage` is why others may have an answer to somebody's credentials.
#[test]
fn what_s_maxage_forbids_only_a_grant_of_the_same_response_allows() {
    let bridged = |granted: &str, who: &[(&str, &str)], after: u64, asks: &str| {
        let mut cache = Cache::alone(&json!({"refresh": {"algorithm": "off"}}));
        let said = format!("s-maxage=1, {granted}");
        cache.get_with("/", who, &ok(&said, "old"));
        cache.advance(after);
        let mut fields = who.to_vec();
        fields.push(("cache-control", asks));
        cache.get_with("/", &fields, &Origin::status("503")).status == 200
    };
    let credentials = [("authorization", "Basic YQ==")];
    for (granted, who, expected) in [
        ("stale-if-error=10", &[][..], true),
        ("stale-if-error=0", &[], false),
        ("stale-if-error=x", &[], false),
        ("stale-while-revalidate=0", &[], false),
        ("stale-if-error=10", &credentials, false),
        ("stale-if-error=10, public", &credentials, true),
    ] {
        for asks in ["stale-if-error=1000", ""] {
            assert_eq!(
                bridged(granted, who, 4_000, asks),
                expected,
                "{granted} {asks}"
            );
        }
        assert!(
            !bridged(granted, who, 20_000, "stale-if-error=1000"),
            "{granted}"
        );
    }
}

/// Where the operator does not listen to clients, they neither keep themselves from a copy that stands in, nor do they stretch for
/// how long it may.
#[test]
fn clients_that_are_not_listened_to_have_no_say_in_what_bridges_errors() {
    let mut deaf = Cache::alone(&json!({
        "ignore_client_directives": true, "stale_if_error": "10s", "refresh": {"algorithm": "off"},
    }));
    deaf.get("/", &ok("max-age=1", "old"));
    deaf.advance(2_000);
    for directives in ["no-cache", "no-store"] {
        let field = [("cache-control", directives)];
        let got = deaf.get_with("/", &field, &Origin::status("503"));
        assert_eq!((got.status, got.body.as_slice()), (200, &b"old"[..]));
    }
    deaf.advance(20_000);
    let field = [("cache-control", "stale-if-error=3600")];
    let got = deaf.get_with("/", &field, &Origin::status("503"));
    assert_eq!(got.status, 503);
}

#[test]
fn where_stale_use_is_allowed_one_at_a_time_refreshes_whatever_the_last_one_was_answered() {
    for refused in [
        ok("max-age=60", "mine").with("set-cookie", "a=b"),
        Origin::status("403"),
        Origin::status("401"),
    ] {
        let mut cache = cache();
        cache.get("/", &ok("max-age=1, stale-while-revalidate=60", "old"));
        cache.advance(2_000);
        assert!(!cache.get("/", &refused).is_hit());
        let (refresher, ended) = cache.start(&request("GET", "/", &[]));
        assert!(matches!(ended, Ended::Forwarded(_)));
        for _ in 0..10 {
            let other = cache.get("/", &Origin::default());
            assert_eq!((other.is_hit(), other.body.as_slice()), (true, &b"old"[..]));
        }
        cache.answer(refresher, &ok("max-age=60", "new"));
        assert_eq!(cache.get("/", &Origin::default()).body, b"new");
    }
}

#[test]
fn who_wants_a_part_refreshes_only_what_can_be_validated() {
    let part = request("GET", "/", &[("range", "bytes=0-0")]);
    let swr = "max-age=1, stale-while-revalidate=60";
    let mut cache = cache();
    cache.get("/", &ok(swr, "old"));
    cache.advance(2_000);
    let got = cache.send(&part, &Origin::default());
    assert_eq!((got.is_hit(), got.status), (true, 206));
    assert!(!cache.get("/", &ok("max-age=60", "new")).is_hit());
    let mut cache = Cache::alone(&common::still());
    cache.get("/", &ok(swr, "old").with("etag", "\"a\""));
    cache.advance(2_000);
    let got = cache.send(&part, &Origin::status("304").with("etag", "\"a\""));
    assert_eq!((got.is_hit(), got.status), (false, 206));
}

#[test]
fn an_error_while_it_may_be_used_stale_is_answered_with_it() {
    let mut cache = cache();
    cache.get("/", &ok("max-age=1, stale-while-revalidate=10", "old"));
    cache.advance(2_000);
    let got = cache.get("/", &Origin::status("503"));
    assert_eq!((got.status, got.body.as_slice()), (200, &b"old"[..]));
    cache.advance(9_000);
    assert_eq!(cache.get("/", &Origin::status("503")).status, 503);
}

/// Stale use of what `s-maxage` alone lets others have of an answer to credentials is forbidden, so without a lifetime it is of no use.
#[test]
fn what_is_shared_for_no_time_of_an_answer_to_credentials_is_not_stored() {
    let credentials = [("authorization", "Basic eDp5")];
    for (more, stored) in [(&credentials[..], false), (&[], true)] {
        let mut cache = cache();
        let origin = ok("s-maxage=0, stale-while-revalidate=60", "x");
        let got = cache.get_with("/", more, &origin);
        assert_eq!(got.status_line().ends_with("; stored"), stored);
        assert!(!cache.get_with("/", more, &origin).is_hit());
        assert_eq!(cache.metric("stored") > 0, stored);
    }
}

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

use common::{cache, ok, request, Cache, Origin};
use seawall_core::testing::Ended;
use serde_json::json;

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
fn of_several_variants_that_match_the_most_recent_counts() {
    let mut cache = cache();
    let by = |field, body| ok("max-age=600", body).with("vary", field);
    for (a, b, field, body) in [
        ("1", "1", "a", "first"),
        ("2", "2", "b", "second"),
        ("3", "3", "a", "third"),
    ] {
        cache.advance(1_000);
        cache.get_with("/", &[("a", a), ("b", b)], &by(field, body));
    }
    for (a, b, expected) in [
        ("1", "2", "second"),
        ("3", "2", "third"),
        ("1", "9", "first"),
    ] {
        let got = cache.get_with("/", &[("a", a), ("b", b)], &Origin::default());
        assert_eq!(
            (got.is_hit(), got.body.as_slice()),
            (true, expected.as_bytes())
        );
    }
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
fn calls_of_grpc_change_nothing() {
    let mut cache = cache();
    cache.get("/", &ok("max-age=600", "x"));
    let call = [("content-type", "application/grpc")];
    let got = cache.send_with_body(&request("POST", "/", &call), &ok("", "y"));
    assert_eq!(got.header("cache-status"), None);
    assert!(cache.get("/", &Origin::default()).is_hit());
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
fn encoded_answers_are_kept_apart_even_where_the_origin_does_not_say_so() {
    let mut cache = cache();
    let gzip = ok("max-age=60", "zipped").with("content-encoding", "gzip");
    let accepts = [("accept-encoding", "gzip, br")];
    cache.get_with("/", &accepts, &gzip);
    let hit = cache.get_with("/", &[("accept-encoding", "br,gzip")], &Origin::default());
    assert_eq!((hit.is_hit(), hit.body.as_slice()), (true, &b"zipped"[..]));
    let plain = cache.get("/", &ok("max-age=60", "plain"));
    assert_eq!(
        (plain.is_hit(), plain.body.as_slice()),
        (false, &b"plain"[..])
    );
    assert_eq!(cache.get("/", &Origin::default()).body, b"plain");
}

#[test]
fn a_body_without_a_type_stays_without_one() {
    let mut cache = cache();
    cache.get("/untyped", &ok("max-age=60", "x"));
    cache.get(
        "/typed",
        &ok("max-age=60", "x").with("content-type", "text/plain"),
    );
    for (path, typed) in [("/untyped", false), ("/typed", true)] {
        let (mut exchange, ended) = cache.start(&request("GET", path, &[]));
        assert!(matches!(ended, Ended::Replied(_)));
        // What Envoy makes of a local reply.
        let made = [(":status", "200"), ("content-type", "text/plain")];
        let sent = cache.vm.response(&mut exchange, &made, false);
        assert_eq!(
            sent.iter().any(|(name, _)| name == "content-type"),
            typed,
            "{path}"
        );
        cache.vm.finish(exchange);
    }
}

#[test]
fn an_empty_body_keeps_its_type() {
    let mut cache = cache();
    cache.get("/", &ok("max-age=60", "").with("content-type", "text/css"));
    for method in ["GET", "HEAD"] {
        let (mut exchange, ended) = cache.start(&request(method, "/", &[]));
        assert!(matches!(ended, Ended::Replied(_)));
        // Envoy takes the type from a local reply without a body.
        let sent = cache
            .vm
            .response(&mut exchange, &[(":status", "200")], true);
        let kind = sent.iter().find(|(name, _)| name == "content-type");
        assert_eq!(
            kind.map(|(_, kind)| kind.as_slice()),
            Some(&b"text/css"[..])
        );
        cache.vm.finish(exchange);
    }
}

#[test]
fn what_comes_without_a_date_gets_that_of_its_arrival() {
    let mut cache = cache();
    let now = "Sun, 15 Jun 2025 15:06:40 GMT";
    for (path, date, expected) in [
        ("/none", None, now),
        ("/bad", Some("yesterday"), now),
        (
            "/good",
            Some("Sun, 15 Jun 2025 15:06:00 GMT"),
            "Sun, 15 Jun 2025 15:06:00 GMT",
        ),
    ] {
        let mut origin = ok("max-age=600", "x");
        if let Some(date) = date {
            origin = origin.with("date", date);
        }
        cache.get(path, &origin);
        let hit = cache.get(path, &Origin::default());
        assert_eq!(
            (hit.is_hit(), hit.header("date")),
            (true, Some(expected)),
            "{path}"
        );
    }
}

#[test]
fn post_may_declare_itself_to_be_what_a_get_would_give() {
    for (location, cache_control, stored) in [
        ("/form", "max-age=60", true),
        ("https://example.com/form", "s-maxage=60", true),
        ("/other", "max-age=60", false),
        ("/form", "", false),
        ("/form", "no-store, max-age=60", false),
    ] {
        let mut cache = cache();
        cache.get("/form", &ok("max-age=60", "before"));
        let origin = ok(cache_control, "result").with("content-location", location);
        let got = cache.send(&request("POST", "/form", &[]), &origin);
        assert_eq!(got.body, b"result");
        let after = cache.get("/form", &ok("max-age=60", "after"));
        let expected: &[u8] = if stored { b"result" } else { b"after" };
        assert_eq!(after.body, expected, "{location} {cache_control}");
    }
    // Where an unsafe request marks its URL under all keys, its own answer is not among what that hits.
    let mut parted =
        Cache::alone(&json!({"key": {"headers": ["x-k"]}, "refresh": {"algorithm": "off"}}));
    parted.get("/form", &ok("max-age=60", "before"));
    let origin = ok("max-age=60", "result").with("content-location", "/form");
    parted.send(&request("POST", "/form", &[]), &origin);
    assert_eq!(parted.get("/form", &ok("", "after")).body, b"result");
    let mut cache = cache();
    let declares = ok("max-age=60", "x").with("content-location", "/");
    for method in ["PUT", "PATCH", "DELETE"] {
        cache.send(&request(method, "/", &[]), &declares);
        assert!(!cache.get("/", &ok("", "")).is_hit(), "{method}");
    }
}

#[test]
fn an_overridden_method_invalidates_what_others_get() {
    let mut cache = cache();
    cache.get("/", &ok("max-age=60", "x"));
    let overridden = [("x-http-method-override", "DELETE")];
    cache.send(&request("POST", "/", &overridden), &Origin::status("204"));
    assert!(!cache.get("/", &ok("max-age=60", "x")).is_hit());
    for safe in ["PROPFIND", "REPORT", "SEARCH", "QUERY", "OPTIONS", "TRACE"] {
        cache.send(&request(safe, "/", &[]), &Origin::status("200"));
        assert!(cache.get("/", &Origin::default()).is_hit(), "{safe}");
    }
}

#[test]
fn an_unsafe_method_of_one_tenant_invalidates_for_all_and_leaves_other_urls() {
    let mut cache =
        Cache::alone(&json!({"key": {"tenant": "x-t"}, "refresh": {"algorithm": "off"}}));
    let ask = |cache: &mut Cache, path, tenant| {
        cache
            .get_with(path, &[("x-t", tenant)], &ok("max-age=600", "x"))
            .is_hit()
    };
    for (path, tenant) in [("/a", "1"), ("/a", "2"), ("/b", "1")] {
        assert!(!ask(&mut cache, path, tenant));
        assert!(ask(&mut cache, path, tenant));
    }
    let (reader, _) = cache.start(&request("GET", "/a", &[("x-t", "3")]));
    cache.advance(1);
    for n in 0..200 {
        // Unsafe requests to other URLs leave nearly everything where it is.
        let path = format!("/other/{n}");
        cache.send(
            &request("POST", &path, &[("x-t", "1")]),
            &Origin::status("200"),
        );
    }
    assert!(ask(&mut cache, "/a", "1") && ask(&mut cache, "/b", "1"));
    cache.send(
        &request("POST", "/a", &[("x-t", "1")]),
        &Origin::status("200"),
    );
    // What was on its way to another tenant is from before.
    cache.answer(reader, &ok("max-age=600", "old"));
    cache.advance(1);
    for (tenant, hit) in [("1", false), ("2", false), ("3", false), ("3", true)] {
        assert_eq!(ask(&mut cache, "/a", tenant), hit, "{tenant}");
    }
    assert!(ask(&mut cache, "/b", "1"));
}

#[test]
fn routes_may_be_left_unread() {
    let mut cache = Cache::alone(&json!({"per_route": false, "refresh": {"algorithm": "off"}}));
    cache.get("/", &ok("max-age=60", "x"));
    cache.vm.host.forget_calls();
    assert!(cache.get("/", &Origin::default()).is_hit());
    assert_eq!(cache.vm.host.calls().get("property"), None);
}

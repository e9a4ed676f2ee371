//! Conditions, ranges and revalidation on the fake host.
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
use serde_json::json;

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
fn what_a_304_says_to_its_client_reaches_it_and_nobody_else() {
    for (policy, kept) in [("refuse", false), ("strip", true), ("store", true)] {
        let configuration = json!({"set_cookie": policy, "refresh": {"algorithm": "off"}});
        let mut cache = Cache::alone(&configuration);
        cache.get("/", &ok("max-age=1", "body").with("etag", "\"a\""));
        cache.advance(2_000);
        let fresh = Origin::status("304")
            .with("cache-control", "max-age=60, private=\"x-user\"")
            .with("set-cookie", "session=1")
            .with("set-cookie", "theme=dark")
            .with("x-user", "alice");
        let got = cache.get("/", &fresh);
        let cookies = |got: &common::Got| {
            let fields = got.headers.iter().filter(|(name, _)| name == "set-cookie");
            fields.count()
        };
        assert_eq!((got.status, got.body.as_slice()), (200, &b"body"[..]));
        assert_eq!(
            (cookies(&got), got.header("x-user")),
            (2, Some("alice")),
            "{policy}"
        );
        let next = cache.get("/", &Origin::status("304"));
        assert_eq!(next.is_hit(), kept, "{policy}");
        let expected = if policy == "store" { 2 } else { 0 };
        assert_eq!(
            (cookies(&next), next.header("x-user")),
            (expected, None),
            "{policy}"
        );
    }
}

#[test]
fn what_a_304_forbids_to_store_is_not_stored_by_who_comes_before_this_cache() {
    let mut cache = cache();
    cache.get("/", &ok("max-age=600", "body").with("etag", "\"a\""));
    cache.advance(2_000);
    let fresh = Origin::status("304")
        .with("cache-control", "no-store")
        .with("age", "30");
    let got = cache.get_with("/", &[("cache-control", "no-cache")], &fresh);
    assert_eq!((got.status, got.body.as_slice()), (200, &b"body"[..]));
    assert_eq!(got.header("cache-control"), Some("no-store"));
    assert_eq!(got.header("age"), Some("30"));
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
fn a_304_with_a_strong_tag_updates_only_what_was_modified_at_the_same_time_where_that_has_none() {
    const MODIFIED: &str = "Sun, 06 Nov 1994 08:49:37 GMT";
    for (tag, modified, updates) in [
        ("\"b\"", None, false),
        ("\"b\"", Some(MODIFIED), true),
        ("W/\"b\"", None, true),
    ] {
        let mut cache = cache();
        cache.get("/", &ok("max-age=1", "old").with("last-modified", MODIFIED));
        cache.advance(2_000);
        let mut fresh = Origin::status("304")
            .with("etag", tag)
            .with("cache-control", "max-age=60");
        if let Some(modified) = modified {
            fresh = fresh.with("last-modified", modified);
        }
        let got = cache.get("/", &fresh);
        assert_eq!((got.status, got.body.as_slice()), (200, &b"old"[..]));
        assert_eq!(got.header("etag").is_some(), updates, "{tag}");
        let next = cache.get("/", &ok("no-store", "new"));
        assert_eq!(next.is_hit(), updates, "{tag}");
    }
}

#[test]
fn a_304_gives_a_coded_body_no_strong_tag_of_the_plain_one() {
    const MODIFIED: &str = "Sun, 06 Nov 1994 08:49:37 GMT";
    for (own, coding, expected) in [
        (Some("W/\"a\""), "gzip", Some("W/\"a\"")),
        (Some("W/\"a\""), "", Some("W/\"a\"")),
        (Some("\"a\""), "gzip", Some("\"a\"")),
        (None, "gzip", None),
        (None, "", Some("\"a\"")),
    ] {
        let mut cache = cache();
        let mut stored = ok("max-age=1", "body").with("last-modified", MODIFIED);
        if let Some(tag) = own {
            stored = stored.with("etag", tag);
        }
        if !coding.is_empty() {
            stored = stored.with("content-encoding", coding);
        }
        cache.get("/", &stored);
        cache.advance(2_000);
        let fresh = Origin::status("304")
            .with("etag", "\"a\"")
            .with("last-modified", MODIFIED)
            .with("cache-control", "max-age=60");
        let got = cache.get("/", &fresh);
        assert_eq!((got.status, got.header("etag")), (200, expected));
        let hit = cache.get("/", &Origin::default());
        assert!(hit.is_hit());
        assert_eq!(hit.header("etag"), expected, "{own:?} {coding}");
    }
}

#[test]
fn a_304_that_changes_what_it_varies_by_leaves_no_copy_of_before() {
    for changes in ["304", "HEAD"] {
        let mut cache = cache();
        let german = [("accept-language", "de"), ("x-a", "1")];
        let stored = ok("max-age=60", "body")
            .with("etag", "\"a\"")
            .with("vary", "accept-language");
        cache.get_with("/", &german, &stored);
        let said = |status| {
            Origin::status(status)
                .with("etag", "\"a\"")
                .with("cache-control", "max-age=60")
                .with("vary", "accept-language, x-a")
        };
        let anew = [&german[..], &[("cache-control", "no-cache")]].concat();
        if changes == "304" {
            cache.get_with("/", &anew, &said("304"));
        } else {
            cache.send(&request("HEAD", "/", &anew), &said("200"));
        }
        assert!(cache.get_with("/", &german, &Origin::default()).is_hit());
        let other = [("accept-language", "de"), ("x-a", "2")];
        let got = cache.get_with("/", &other, &ok("", "theirs"));
        assert!(!got.is_hit(), "{changes}");
    }
}

#[test]
fn an_update_that_was_on_its_way_does_not_bring_back_what_was_replaced_meanwhile() {
    const ANEW: [(&str, &str); 1] = [("cache-control", "no-cache")];
    for (status, vary) in [("304", ""), ("200", ""), ("304", "x-a")] {
        let mut cache = cache();
        cache.get("/", &ok("max-age=60", "old").with("etag", "\"a\""));
        let (slow, _) = cache.start(&request("HEAD", "/", &ANEW));
        let new = ok("max-age=60", "new").with("etag", "\"b\"");
        assert_eq!(cache.get_with("/", &ANEW, &new).body, b"new");
        let mut update = Origin::status(status)
            .with("etag", "\"a\"")
            .with("cache-control", "max-age=60");
        if !vary.is_empty() {
            update = update.with("vary", vary);
        }
        cache.answer(slow, &update);
        let got = cache.get("/", &Origin::default());
        assert_eq!(got.body, b"new", "{status} {vary}");
    }
}

#[test]
fn a_304_of_an_origin_that_went_back_to_an_older_state_updates_nothing() {
    const LATER: &str = "Sun, 06 Nov 1994 08:49:37 GMT";
    const EARLIER: &str = "Sat, 05 Nov 1994 08:49:37 GMT";
    let mut cache = cache();
    let stored = ok("max-age=1", "later").with("last-modified", LATER);
    let fresh = |date| {
        Origin::status("304")
            .with("last-modified", date)
            .with("cache-control", "max-age=1")
    };
    cache.get("/", &stored);
    cache.advance(2_000);
    // The same time in another form is the same.
    let form = cache.get("/", &fresh("Sunday, 06-Nov-94 08:49:37 GMT"));
    assert_eq!(form.body, b"later");
    assert!(cache.get("/", &Origin::default()).is_hit());
    cache.advance(2_000);
    assert_eq!(cache.get("/", &fresh(EARLIER)).body, b"later");
    let back = ok("max-age=60", "earlier").with("last-modified", EARLIER);
    let got = cache.get("/", &back);
    assert_eq!(
        (got.is_hit(), got.body.as_slice()),
        (false, &b"earlier"[..])
    );
    assert_eq!(got.sent("if-modified-since"), None);
}

#[test]
fn conditions_are_for_what_went_well() {
    for (status, expected) in [("203", 304), ("204", 304), ("404", 404), ("301", 301)] {
        let mut cache = cache();
        let origin = Origin::status(status)
            .with("cache-control", "max-age=60")
            .with("etag", "\"a\"");
        cache.get("/", &origin);
        let got = cache.get_with("/", &[("if-none-match", "\"a\"")], &Origin::default());
        assert_eq!((got.is_hit(), got.status), (true, expected), "{status}");
    }
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
fn a_304_without_a_date_is_new_all_the_same() {
    let mut cache = cache();
    let old = "Sun, 15 Jun 2025 15:06:40 GMT";
    cache.get(
        "/",
        &ok("max-age=60", "body")
            .with("etag", "\"a\"")
            .with("date", old),
    );
    cache.advance(100_000);
    cache.get(
        "/",
        &Origin::status("304").with("cache-control", "max-age=60"),
    );
    cache.advance(10_000);
    let hit = cache.get("/", &Origin::default());
    assert_eq!((hit.is_hit(), hit.header("age")), (true, Some("10")));
    assert_eq!(hit.header("date"), Some("Sun, 15 Jun 2025 15:08:20 GMT"));
}

#[test]
fn tags_are_opaque_bytes() {
    let mut cache = cache();
    let tag = "\"caf\u{e9}\"";
    cache.get("/", &ok("max-age=60", "body").with("etag", tag));
    let hit = cache.get_with("/", &[("if-none-match", tag)], &Origin::default());
    assert_eq!((hit.status, hit.header("etag")), (304, Some(tag)));
}

#[test]
fn a_416_is_nobody_elses_answer_here_nor_in_a_cache_in_front() {
    let mut cache = cache();
    let beyond = [("range", "bytes=99-")];
    let origin = Origin {
        status: "416",
        headers: vec![("cache-control", "max-age=60")],
        body: b"no such part",
    };
    let got = cache.get_with("/", &beyond, &origin);
    assert_eq!((got.status, got.is_hit()), (416, false));
    let whole = cache.get("/", &ok("max-age=60", "whole").with("expires", "0"));
    assert_eq!((whole.status, whole.is_hit()), (200, false));
    let got = cache.get_with("/", &beyond, &Origin::default());
    assert_eq!((got.status, got.is_hit()), (416, true));
    assert_eq!(got.header("cache-control"), None);
    assert_eq!(got.header("expires"), None);
}

const TAGGED: [(&str, &str); 2] = [
    ("if-none-match", "\"a\""),
    ("if-modified-since", "Sun, 06 Nov 1994 08:49:37 GMT"),
];

/// Browsers with copies of their own must not all go to the origin because nobody brings the whole.
#[test]
fn a_conditional_request_for_a_cold_key_brings_the_whole() {
    let mut cache = cache();
    let whole = ok("max-age=60", "body").with("etag", "\"a\"");
    let got = cache.get_with("/", &TAGGED, &whole);
    assert_eq!(
        (got.sent("if-none-match"), got.sent("if-modified-since")),
        (None, None)
    );
    assert_eq!((got.status, got.body.as_slice()), (200, &b"body"[..]));
    assert_eq!(
        got.status_line(),
        "seawall; fwd=uri-miss; fwd-status=200; stored"
    );
    let hit = cache.get_with("/", &TAGGED, &Origin::default());
    assert_eq!((hit.is_hit(), hit.status), (true, 304));
    // Stale and without a validator of its own, it is fetched anew.
    cache.get_with("/b", &TAGGED, &ok("max-age=1", "old"));
    cache.advance(2_000);
    let got = cache.get_with("/b", &TAGGED, &ok("max-age=60", "new"));
    assert_eq!(
        (got.sent("if-none-match"), got.body.as_slice()),
        (None, &b"new"[..])
    );
    assert!(cache.get("/b", &Origin::default()).is_hit());
}

#[test]
fn conditions_go_on_where_the_whole_would_not_be_stored() {
    let not_modified = Origin::status("304").with("etag", "\"a\"");
    let kept = |cache: &mut Cache, method: &str, more: &[(&str, &str)]| {
        let got = cache.send(&request(method, "/", more), &not_modified);
        let sent = |name: &str| {
            more.iter()
                .find(|(field, _)| *field == name)
                .map(|(_, value)| *value)
        };
        for name in ["if-none-match", "if-modified-since"] {
            assert_eq!(got.sent(name), sent(name), "{method} {more:?}");
        }
        assert_eq!(got.status, 304);
    };
    kept(&mut cache(), "GET", &[("if-none-match", "*")]);
    kept(
        &mut cache(),
        "GET",
        &[("if-none-match", "\"a\""), ("range", "bytes=0-0")],
    );
    kept(
        &mut cache(),
        "GET",
        &[("if-none-match", "\"a\""), ("cache-control", "no-store")],
    );
    kept(&mut cache(), "HEAD", &TAGGED);
    kept(
        &mut Cache::alone(&json!({"coalesce": {"conditional": false}})),
        "GET",
        &TAGGED,
    );
    kept(
        &mut Cache::alone(&json!({"coalesce": {"enabled": false}})),
        "GET",
        &TAGGED,
    );
    // A key whose answers are not for all is remembered.
    let mut cache = cache();
    cache.get_with("/", &TAGGED, &ok("private", "own").with("etag", "\"a\""));
    kept(&mut cache, "GET", &TAGGED);
}

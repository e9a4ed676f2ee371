//! What origins send that no specification foresees: read so that nothing is stored which they may have meant to keep to
//! themselves.
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
fn a_prohibition_holds_whatever_separates_it_from_its_neighbours() {
    let still = json!({"algorithm": "off"});
    for policy in ["default_ttl", "forced_ttl"] {
        let mut cache = Cache::alone(&json!({policy: "1h", "refresh": still}));
        for control in [
            "private; max-age=600",
            "max-age=600; private",
            "private max-age=600",
            "no-store no-cache",
            "no-cache; no-store",
            "max-age=600;no-store",
            "private;",
            "private=\"\";",
        ] {
            let path = format!("/{}", control.replace([' ', '"'], "_"));
            cache.get(&path, &ok(control, "x"));
            let got = cache.get(&path, &ok("no-store", "y"));
            assert!(!got.is_hit(), "{policy}: {control}");
        }
    }
}

#[test]
fn a_vary_that_cannot_be_read_is_one_by_anything() {
    let mut cache = cache();
    for vary in ["Accept-Encoding Cookie", "cookie; accept", ": cookie"] {
        let answer = ok("max-age=60", "alice").with("vary", vary);
        cache.get_with("/", &[("cookie", "alice")], &answer);
        let got = cache.get_with("/", &[("cookie", "bob")], &ok("no-store", "bob"));
        assert_eq!(
            (got.is_hit(), got.body.as_slice()),
            (false, &b"bob"[..]),
            "{vary}"
        );
    }
    assert_eq!(cache.metric("rejected.vary_star"), 3);
}

#[test]
fn nothing_is_stored_without_what_chooses_it_or_decodes_it() {
    let mut cache = cache();
    for (control, connection, named) in [
        ("max-age=60", "vary", ("vary", "x-user")),
        ("max-age=60, private=\"vary\"", "close", ("vary", "x-user")),
        (
            "max-age=60, no-cache=\"content-encoding\"",
            "close",
            ("content-encoding", "br"),
        ),
    ] {
        let answer = ok(control, "alice")
            .with("connection", connection)
            .with(named.0, named.1);
        cache.get_with("/", &[("x-user", "alice")], &answer);
        for user in ["alice", "bob"] {
            let got = cache.get_with("/", &[("x-user", user)], &ok("no-store", "y"));
            assert!(!got.is_hit(), "{control}, {connection}, for {user}");
        }
    }
    assert_eq!(cache.metric("rejected.malformed"), 3);
}

#[test]
fn a_lifetime_that_cannot_be_read_does_not_share_what_is_for_credentials() {
    let mut cache = cache();
    let alice = [("authorization", "alice")];
    let answer = ok("s-maxage=soon, stale-while-revalidate=600", "alice").with("etag", "\"a\"");
    let got = cache.get_with("/", &alice, &answer);
    assert_eq!(
        got.status_line(),
        "seawall; fwd=uri-miss; fwd-status=200; detail=authorization"
    );
    let valid = ok("s-maxage=0, stale-while-revalidate=600", "alice").with("etag", "\"a\"");
    assert!(cache
        .get_with("/", &alice, &valid)
        .status_line()
        .ends_with("; stored"));
}

#[test]
fn a_part_has_one_range_whatever_the_whole_came_with() {
    let mut cache = cache();
    let whole = ok("max-age=60", "0123").with("content-range", "bytes 0-3/9");
    cache.get("/", &whole);
    for (range, status, expected) in [
        ("bytes=1-2", 206, "bytes 1-2/4"),
        ("bytes=9-", 416, "bytes */4"),
    ] {
        let got = cache.get_with("/", &[("range", range)], &Origin::default());
        let ranges: Vec<_> = got
            .headers
            .iter()
            .filter(|(name, _)| name == "content-range")
            .map(|(_, value)| value.as_slice())
            .collect();
        assert_eq!((got.status, ranges), (status, vec![expected.as_bytes()]));
    }
}

#[test]
fn a_part_has_no_digest_of_all_the_bytes() {
    let mut cache = cache();
    let whole = ok("max-age=60", "0123")
        .with("content-digest", "sha-256=:AAAA:")
        .with("content-md5", "BBBB")
        .with("repr-digest", "sha-256=:AAAA:");
    cache.get("/", &whole);
    let hit = cache.get("/", &Origin::default());
    let part = cache.get_with("/", &[("range", "bytes=1-2")], &Origin::default());
    for (got, status, there) in [(&hit, 200, true), (&part, 206, false)] {
        assert_eq!(got.status, status);
        assert_eq!(got.header("content-digest").is_some(), there);
        assert_eq!(got.header("content-md5").is_some(), there);
        assert_eq!(got.header("repr-digest"), Some("sha-256=:AAAA:"));
    }
}

#[test]
fn what_an_upstream_says_to_its_proxy_is_said_once() {
    let mut cache = cache();
    let mut answer = ok("max-age=60", "x");
    for name in [
        "x-envoy-immediate-health-check-fail",
        "x-envoy-degraded",
        "x-envoy-ratelimited",
    ] {
        answer = answer.with(name, "true");
    }
    cache.get("/", &answer);
    let hit = cache.get("/", &Origin::default());
    assert!(hit.is_hit());
    let of_envoy = hit
        .headers
        .iter()
        .filter(|(name, _)| name.starts_with("x-envoy"));
    assert_eq!(of_envoy.count(), 0);
}

#[test]
fn an_older_answer_that_took_long_does_not_replace_a_newer_one() {
    let part = [("range", "bytes=0-0")];
    let of = |control| [(":status", "200"), ("cache-control", control)];
    let mut cache = cache();
    let (mut slow, _) = cache.start(&request("GET", "/", &part));
    cache.vm.response(&mut slow, &of("max-age=60"), false);
    cache.advance(3_000);
    cache.get_with("/", &part, &ok("max-age=60", "new"));
    cache.part(&mut slow, b"old", true);
    cache.vm.finish(slow);
    let hit = cache.get("/", &ok("no-store", "origin"));
    assert_eq!((hit.is_hit(), hit.body.as_slice()), (true, &b"new"[..]));
    assert_eq!(cache.metric("rejected.outdated"), 1);
}

#[test]
fn what_took_long_and_is_newer_by_its_date_replaces_what_is_there() {
    let part = [("range", "bytes=0-0")];
    let mut cache = cache();
    let (slow, _) = cache.start(&request("GET", "/", &part));
    cache.advance(3_000);
    cache.get_with("/", &part, &ok("max-age=60", "old"));
    cache.advance(3_000);
    cache.answer(slow, &ok("max-age=60", "new"));
    assert_eq!(cache.get("/", &Origin::default()).body, b"new");
}

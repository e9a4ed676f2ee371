//! What becomes of what is stored when the origin has something else by now that cannot take its place.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "test code"
)]

mod common;

use common::{cache, ok, request, still, Cache, Got, Origin};
use seawall_core::plugin::Plugin;
use serde_json::json;

const STORED: &str = "max-age=1, stale-while-revalidate=600, stale-if-error=600";

/// How the answers of an origin end the use of what is stored, or do not.
fn answers() -> Vec<(Origin<'static>, bool)> {
    let large = "x".repeat(2_000).leak();
    vec![
        (ok("no-store", "new"), true),
        (ok("private", "new"), true),
        (ok("max-age=60", "new").with("vary", "*"), true),
        (ok("max-age=60", large), true),
        (ok("max-age=0", "new"), true),
        (Origin::status("404"), true),
        (Origin::status("410"), true),
        (Origin::status("302").with("location", "/login"), true),
        // Of one client, of the moment, or of the server.
        (ok("max-age=60", "new").with("set-cookie", "a=b"), false),
        (Origin::status("401"), false),
        (Origin::status("403"), false),
        (Origin::status("429"), false),
        (Origin::status("503"), false),
        (Origin::status("500"), false),
    ]
}

/// Whether `old` is used when the origin fails.
fn is_kept(cache: &mut Cache) -> bool {
    let got = cache.get("/", &Origin::status("503"));
    (got.status, got.body.as_slice()) == (200, b"old")
}

#[test]
fn what_cannot_be_stored_ends_the_stale_use_of_what_is() {
    for (answer, ends) in answers() {
        let mut cache = Cache::alone(&json!({
            "refresh": {"algorithm": "off"}, "max_entry_bytes": 1_000, "coalesce": {"uncacheable_for": "1s"},
        }));
        cache.get("/", &ok(STORED, "old"));
        cache.advance(2_000);
        cache.get("/", &answer);
        cache.advance(2_000);
        assert_eq!(is_kept(&mut cache), !ends, "{answer:?}");
    }
}

#[test]
fn a_background_refresh_ends_it_as_well() {
    for (answer, ends) in answers() {
        let mut cache = Cache::alone(&json!({
            "refresh": {"algorithm": "off", "background": {"enabled": true, "cluster": "origin"}},
            "max_entry_bytes": 1_000,
        }));
        cache.get("/", &ok(STORED, "old"));
        cache.advance(2_000);
        refresh(&mut cache, &answer);
        cache.advance(20_000);
        let got = cache.get("/", &ok("no-store", "anew"));
        let body = if ends { &b"anew"[..] } else { b"old" };
        assert_eq!(got.body, body, "{answer:?}");
    }
}

#[test]
fn what_is_fresh_stays_for_the_origin_has_said_so() {
    let mut cache = cache();
    cache.get("/", &ok("max-age=60", "old"));
    cache.get_with(
        "/",
        &[("cache-control", "no-cache")],
        &ok("private", "theirs"),
    );
    assert_eq!(cache.get("/", &Origin::default()).body, b"old");
}

#[test]
fn a_304_that_forbids_storing_ends_it_too() {
    let mut cache = cache();
    cache.get("/", &ok(STORED, "old").with("etag", "\"a\""));
    cache.advance(2_000);
    let got = cache.get(
        "/",
        &Origin::status("304").with("cache-control", "no-store"),
    );
    assert_eq!((got.status, got.body.as_slice()), (200, &b"old"[..]));
    assert_eq!(
        got.status_line(),
        "seawall; fwd=stale; fwd-status=304; detail=no-store"
    );
    assert!(!is_kept(&mut cache));
}

#[test]
fn a_304_that_forbids_storing_ends_it_while_it_is_fresh() {
    // `immutable` in place of a lifetime leaves none.
    for said in ["no-store", "private", "immutable"] {
        let mut cache = cache();
        cache.get("/", &ok("max-age=60", "old").with("etag", "\"a\""));
        let fresh = Origin::status("304").with("cache-control", said);
        let got = cache.get_with("/", &[("cache-control", "no-cache")], &fresh);
        assert_eq!((got.status, got.body.as_slice()), (200, &b"old"[..]));
        let next = cache.get("/", &ok("no-store", "new"));
        assert_eq!(next.body, b"new", "{said}");
    }
}

/// One request that is answered stale, and the answer to the refresh that it starts.
fn refresh(cache: &mut Cache, answer: &Origin<'_>) -> Got {
    let got = cache.get("/", &Origin::default());
    assert!(got.is_hit());
    let calls = cache.vm.host.take_callouts();
    assert_eq!(calls.len(), 1);
    let mut fields = vec![(":status", answer.status)];
    fields.extend_from_slice(&answer.headers);
    cache.vm.host.open(0);
    cache.vm.host.put_call_response(&fields, answer.body);
    let (token, count) = (calls[0].token, fields.len());
    cache
        .vm
        .plugin
        .call_done(&cache.vm.host, token, count, answer.body.len());
    got
}

#[test]
fn a_304_for_another_tag_never_passes_an_old_body_off_as_the_new_one() {
    let mut configuration = still();
    configuration["refresh"]["background"] = json!({"enabled": true, "cluster": "origin"});
    let mut cache = Cache::alone(&configuration);
    cache.get("/", &ok(STORED, "old").with("etag", "\"a\""));
    cache.advance(2_000);
    let other = Origin::status("304")
        .with("etag", "\"b\"")
        .with("cache-control", "max-age=60");
    refresh(&mut cache, &other);
    let got = cache.get("/", &ok("max-age=60", "new").with("etag", "\"b\""));
    assert_eq!((got.is_hit(), got.body.as_slice()), (false, &b"new"[..]));
}

#[test]
fn refused_refreshes_leave_the_key_to_one_request_at_a_time() {
    let mut configuration = still();
    configuration["refresh"]["background"] = json!({"enabled": true, "cluster": "origin"});
    for status in ["408", "425", "429", "503"] {
        let mut cache = Cache::alone(&configuration);
        cache.get("/", &ok(STORED, "old"));
        cache.advance(2_000);
        for _ in 0..3 {
            refresh(&mut cache, &Origin::status(status));
        }
    }
}

#[test]
fn a_head_with_another_status_than_what_is_stored_makes_it_no_fresher() {
    for status in ["404", "301", "503"] {
        let mut cache = cache();
        let error = Origin::status(status).with("cache-control", "max-age=1");
        assert!(!cache.get("/", &error).is_hit());
        cache.advance(2_000);
        let head = request("HEAD", "/", &[]);
        cache.send(
            &head,
            &Origin::status("200").with("cache-control", "max-age=60"),
        );
        let got = cache.get("/", &ok("max-age=60", "well again"));
        assert_eq!((got.is_hit(), got.status), (false, 200), "{status}");
    }
}

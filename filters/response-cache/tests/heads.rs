//! `HEAD`, as far as its answer changes what is stored, on the fake host.
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

#[test]
fn a_head_that_forbids_storing_ends_what_is_stored() {
    for (said, stays) in [
        ("no-store", false),
        ("private", false),
        ("max-age=60", true),
    ] {
        let mut cache = cache();
        cache.get("/", &ok("max-age=60", "body").with("etag", "\"a\""));
        let answer = Origin::status("200")
            .with("etag", "\"a\"")
            .with("cache-control", said)
            .with("content-length", "4");
        let asks = [("cache-control", "no-cache")];
        cache.send(&request("HEAD", "/", &asks), &answer);
        assert_eq!(cache.get("/", &ok("", "")).is_hit(), stays, "{said}");
    }
}

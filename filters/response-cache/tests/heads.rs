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
use seawall_core::testing::Ended;

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

/// Envoy's local reply says no length of an empty body, and to `HEAD` over HTTP/1.1 that it comes in chunks.
#[test]
fn a_head_of_what_is_empty_has_its_length() {
    for (status, method, expected) in [
        ("200", "HEAD", Some("0")),
        ("404", "HEAD", Some("0")),
        // Envoy says it itself.
        ("200", "GET", None),
        // What never has a body has no length either (RFC 9110, section 8.6).
        ("204", "HEAD", None),
    ] {
        let mut cache = cache();
        let origin = Origin::status(status)
            .with("cache-control", "max-age=60")
            .with("content-type", "text/css")
            .with("etag", "\"a\"");
        cache.get("/", &origin);
        let length = |cache: &mut Cache, more: &[(&str, &str)]| {
            let (mut exchange, ended) = cache.start(&request(method, "/", more));
            assert!(matches!(ended, Ended::Replied(_)), "{status}");
            let made = [(":status", status), ("cache-control", "max-age=60")];
            let sent = cache.vm.response(&mut exchange, &made, true);
            cache.vm.finish(exchange);
            let kind = sent.iter().any(|(name, _)| name == "content-type");
            let length = sent.iter().find(|(name, _)| name == "content-length");
            let length = length.map(|(_, value)| String::from_utf8(value.clone()).unwrap());
            (kind, length)
        };
        let plain = length(&mut cache, &[]);
        assert_eq!((plain.0, plain.1.as_deref()), (true, expected), "{status}");
        if status == "200" {
            let not_modified = length(&mut cache, &[("if-none-match", "\"a\"")]);
            assert_eq!(not_modified, (false, None), "a 304 has that of the whole");
        }
    }
}

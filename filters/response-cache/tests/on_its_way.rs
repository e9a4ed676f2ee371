//! What happens to an answer between its request and its end: invalidations, trailers, and upstreams that break off.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "test code"
)]

mod common;

use common::{cache, ok, request, Cache, Got, Origin};
use seawall_core::plugin::Stream;
use seawall_core::testing::{Ended, Exchange};
use seawall_response_cache::CacheStream;
use serde_json::json;

fn get(cache: &mut Cache) -> (Exchange<CacheStream>, Ended) {
    cache.start(&request("GET", "/", &[]))
}

/// An invalidation while an answer is on its way: it is not stored.
fn is_overtaken(cache: &mut Cache) {
    let (reader, ended) = get(cache);
    assert!(matches!(ended, Ended::Forwarded(_)));
    cache.advance(10);
    cache.send(&request("POST", "/", &[]), &Origin::status("200"));
    cache.answer(reader, &ok("max-age=60", "old"));
    assert_eq!(cache.metric("rejected.outdated"), 1);
    assert!(!cache.get("/", &ok("max-age=60", "new")).is_hit());
}

#[test]
fn an_answer_that_was_on_its_way_during_an_invalidation_is_not_stored() {
    is_overtaken(&mut cache());
}

/// Places of one bucket of the table.
const PLACES: usize = 8;

/// A cache whose one bucket is full.
fn full() -> Cache {
    let mut cache = Cache::alone(&json!({
        "refresh": {"algorithm": "off"}, "max_entries": PLACES, "admission": false,
    }));
    let others: Vec<_> = (0..PLACES).map(|at| format!("/other/{at}")).collect();
    for other in &others {
        cache.get(other, &ok("max-age=60", "x"));
    }
    for other in &others {
        assert!(cache.get(other, &Origin::default()).is_hit(), "{other}");
    }
    cache
}

/// The table has no place for the invalidation; the flight knows of it all the same.
#[test]
fn an_answer_that_was_on_its_way_is_not_stored_where_the_table_has_no_room_for_the_invalidation() {
    is_overtaken(&mut full());
}

/// Nor where there is no flight: a part is asked for, and the whole comes.
fn alone(cache: &mut Cache, path: &str) -> Exchange<CacheStream> {
    let (reader, ended) = cache.start(&request("GET", path, &[("range", "bytes=0-1")]));
    assert!(matches!(ended, Ended::Forwarded(_)));
    cache.advance(10);
    reader
}

fn post(cache: &mut Cache) {
    cache.send(&request("POST", "/", &[]), &Origin::status("200"));
    cache.advance(10);
}

#[test]
fn an_answer_without_a_flight_is_not_stored_where_the_table_has_no_room_for_the_invalidation() {
    let mut cache = full();
    let reader = alone(&mut cache, "/");
    post(&mut cache);
    cache.answer(reader, &ok("max-age=60", "old"));
    assert_eq!(cache.metric("rejected.outdated"), 1);
    assert!(!cache.get("/", &ok("max-age=60", "new")).is_hit());
    assert!(cache.get("/", &Origin::default()).is_hit());
}

#[test]
fn an_answer_without_a_flight_is_not_stored_where_others_took_the_place_of_the_invalidation() {
    let mut cache = full();
    let reader = alone(&mut cache, "/");
    cache.get("/", &ok("max-age=60", "older"));
    post(&mut cache);
    cache.get("/one/more", &ok("max-age=60", "x"));
    assert!(cache.get("/one/more", &Origin::default()).is_hit());
    cache.answer(reader, &ok("max-age=60", "old"));
    assert!(!cache.get("/", &ok("max-age=60", "new")).is_hit());
}

/// The newer one has the place in which the invalidation was remembered.
#[test]
fn an_answer_without_a_flight_does_not_replace_one_that_was_asked_for_after_an_invalidation() {
    for vary in ["", "x-device"] {
        let fresh = |body| match vary {
            "" => ok("max-age=60", body),
            vary => ok("max-age=60", body).with("vary", vary),
        };
        let mut cache = cache();
        let reader = alone(&mut cache, "/");
        post(&mut cache);
        cache.get("/", &fresh("new"));
        cache.answer(reader, &fresh("old"));
        let got = cache.get("/", &Origin::default());
        assert!(got.is_hit());
        assert_eq!(got.body, b"new", "{vary}");
    }
}

#[test]
fn a_body_ends_with_its_trailers_as_well() {
    let mut cache = cache();
    let (mut exchange, _) = get(&mut cache);
    let headers = [(":status", "200"), ("cache-control", "max-age=60")];
    cache.vm.response(&mut exchange, &headers, false);
    assert_eq!(cache.part(&mut exchange, b"whole", false), b"whole");
    let (waiting, ended) = get(&mut cache);
    assert_eq!(ended, Ended::Paused);
    cache.vm.host.open(exchange.context);
    let trailers = vec![("x-sum".to_owned(), b"1".to_vec())];
    cache.vm.host.put_trailers(trailers);
    exchange.stream.response_trailers(&cache.vm.host);
    cache.vm.deliver();
    let got: Got = cache.vm.reply(&waiting).expect("answered").into();
    assert_eq!(got.body, b"whole");
    assert_eq!(got.header("x-sum"), None);
    cache.vm.finish(waiting);
    cache.vm.finish(exchange);
    assert!(cache.get("/", &Origin::default()).is_hit());
    assert_eq!(cache.metric("rejected.incomplete"), 0);
}

/// How many of three that wait go to the origin when the first one ends with these properties, in the middle of its body or before
/// any answer came by.
fn released(begun: bool, properties: &[(&str, &[u8])]) -> (usize, i64) {
    let mut cache = cache();
    let (mut leader, _) = get(&mut cache);
    let waiting: Vec<_> = (0..3).map(|_| get(&mut cache).0).collect();
    if begun {
        let headers = [(":status", "200"), ("cache-control", "max-age=60")];
        cache.vm.response(&mut leader, &headers, false);
        cache.part(&mut leader, b"half", false);
    }
    cache.vm.host.open(leader.context);
    for (name, value) in properties {
        cache
            .vm
            .host
            .put_property(&format!("response\0{name}"), value);
    }
    cache.vm.finish(leader);
    cache.vm.deliver();
    let resumed = waiting.iter().filter(|one| cache.vm.resumed(one)).count();
    for exchange in waiting {
        cache.vm.finish(exchange);
    }
    (resumed, cache.metric("rejected.incomplete"))
}

/// A client that leaves says nothing of the upstream: one of those who wait takes its place. An upstream that broke off may do so
/// again, and whoever failed may fail again: then nobody waits for the next one to find that out.
#[test]
fn who_waits_is_handed_over_or_released_by_what_ended_the_first() {
    for (details, expected) in [
        (&b"downstream_remote_disconnect"[..], 1),
        (
            b"upstream_reset_after_response_started{connection_termination}",
            3,
        ),
        (b"response_timeout", 3),
        (b"stream_idle_timeout", 1),
        (b"", 1),
    ] {
        let (count, incomplete) = released(true, &[("code_details", details)]);
        assert_eq!((count, incomplete), (expected, 1), "{details:?}");
    }
    let code = |code: u64| code.to_le_bytes();
    // An answer of a filter behind this one, which went to the client without coming by.
    assert_eq!(released(false, &[("code", &code(503))]).0, 3);
    assert_eq!(released(false, &[("code", &code(0))]).0, 1);
    assert_eq!(released(false, &[]).0, 1);
}

/// What a purge says that it has done, and what it counts.
#[test]
fn purges_say_what_they_did_and_are_counted() {
    let mut cache = Cache::alone(&json!({
        "refresh": {"algorithm": "off"}, "purge": {"secret_header": "x-purge", "secret": "let-me-in"},
    }));
    let mut purges = 0;
    for (kind, target) in [
        ("key", "example.com/a"),
        ("prefix", "example.com/a"),
        ("all", "*"),
    ] {
        for mode in ["hard", "soft"] {
            cache.get("/a", &ok("max-age=60", "x"));
            let fields = [
                ("x-purge", "let-me-in"),
                ("seawall-purge", kind),
                ("seawall-purge-mode", mode),
            ];
            let got = cache.send(&request("PURGE", "/a", &fields), &Origin::default());
            let said: serde_json::Value = serde_json::from_slice(&got.body).unwrap();
            assert_eq!(said["purged"], kind);
            assert_eq!(said["mode"], mode);
            assert_eq!(said["target"], target);
            purges += 1;
            assert_eq!(cache.metric("purges"), purges, "{kind} {mode}");
        }
    }
    for secret in ["", "let-me-iX", "Xet-me-in", "let-me-in-", "let-me-i"] {
        let asked = request("PURGE", "/a", &[("x-purge", secret)]);
        assert_eq!(
            cache.send(&asked, &Origin::default()).status,
            403,
            "{secret}"
        );
    }
    assert_eq!(cache.metric("purges_refused"), 5);
    assert_eq!(cache.metric("purges"), purges);
}

/// Where only trailers follow there is no part of a body that could become ours.
#[test]
fn what_takes_the_place_of_an_answer_that_promises_no_body_is_sent_at_once() {
    for (headers, at_once) in [
        (vec![(":status", "304"), ("etag", "\"a\"")], true),
        (vec![(":status", "503")], true),
        (vec![(":status", "503"), ("content-length", "0")], true),
        (vec![(":status", "503"), ("content-length", "4")], false),
    ] {
        let mut cache = cache();
        let stored = ok("max-age=0, stale-if-error=60", "whole").with("etag", "\"a\"");
        cache.get("/", &stored);
        let (mut exchange, _) = get(&mut cache);
        cache.vm.response(&mut exchange, &headers, false);
        let reply = cache.vm.reply(&exchange);
        assert_eq!(reply.is_some(), at_once, "{headers:?}");
        match reply {
            Some(reply) => assert_eq!(reply.body, b"whole"),
            None => assert_eq!(cache.part(&mut exchange, b"oops", true), b"whole"),
        }
        cache.vm.finish(exchange);
    }
}

/// A `POST` whose answer may be stored for `GET`, sent out.
fn declaring(cache: &mut Cache) -> Exchange<CacheStream> {
    let (sender, ended) = cache.start(&request("POST", "/", &[("x-a", "1")]));
    assert!(matches!(ended, Ended::Forwarded(_)));
    cache.advance(5_000);
    sender
}

fn declared() -> Origin<'static> {
    let origin = ok("max-age=60", "posted").with("content-location", "/");
    origin.with("age", "10")
}

/// The age of what is stored then, or that nothing is.
fn age(cache: &mut Cache) -> Option<String> {
    let got = cache.get_with("/", &[("x-a", "1")], &ok("no-store", "new"));
    got.header("age")
        .filter(|_| got.is_hit())
        .map(str::to_owned)
}

#[test]
fn an_answer_to_post_is_as_old_as_its_request() {
    for headers in [json!([]), json!(["x-a"])] {
        let mut cache = Cache::alone(&json!({"key": {"headers": headers}}));
        let sender = declaring(&mut cache);
        cache.answer(sender, &declared());
        assert_eq!(age(&mut cache).as_deref(), Some("15"), "{headers}");
    }
}

#[test]
fn an_answer_to_post_that_was_on_its_way_during_an_invalidation_is_not_stored() {
    for headers in [json!([]), json!(["x-a"])] {
        for stored_since in [false, true] {
            let mut cache = Cache::alone(&json!({"key": {"headers": headers}}));
            let sender = declaring(&mut cache);
            cache.send(&request("PUT", "/", &[]), &Origin::status("204"));
            cache.advance(10);
            if stored_since {
                cache.get_with("/", &[("x-a", "1")], &ok("max-age=60", "x"));
            }
            cache.answer(sender, &declared());
            assert_eq!(age(&mut cache), None, "{headers} {stored_since}");
            assert_eq!(cache.metric("rejected.outdated"), 1, "{headers}");
        }
    }
}

#[test]
fn an_answer_to_post_that_was_on_its_way_during_a_purge_is_purged() {
    for kind in ["key", "prefix", "all"] {
        let mut cache = Cache::alone(&json!({
            "purge": {"secret_header": "x-purge", "secret": "let-me-in"},
        }));
        let sender = declaring(&mut cache);
        let fields = [("x-purge", "let-me-in"), ("seawall-purge", kind)];
        let asked = request("PURGE", "/", &fields);
        assert_eq!(cache.send(&asked, &Origin::default()).status, 200);
        cache.get("/other", &ok("max-age=60", "x"));
        cache.answer(sender, &declared());
        assert_eq!(age(&mut cache), None, "{kind}");
    }
}

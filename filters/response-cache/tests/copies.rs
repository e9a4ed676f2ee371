//! What a worker keeps to itself, and when it looks again.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "test code"
)]

mod common;

use common::{ok, request, still, Cache, Got, Origin};
use seawall_core::host::Failure;
use seawall_core::testing::{Ended, World};
use serde_json::{json, Value};

fn purging() -> Value {
    json!({
        "refresh": {"algorithm": "off"},
        "stale_while_revalidate": "1m",
        "purge": {"secret_header": "x-purge", "secret": "let-me-in"},
    })
}

fn workers(world: &World, configuration: &Value) -> Vec<Cache> {
    (1..=4)
        .map(|number| Cache::new(world, number, configuration))
        .collect()
}

/// Every worker has its own copy, and answers from it without a look at shared data.
fn warm(caches: &mut [Cache], path: &str) {
    caches[0].get(path, &ok("max-age=600", "old").with("surrogate-key", "a"));
    for cache in caches.iter_mut() {
        for _ in 0..20 {
            assert!(cache.get(path, &Origin::default()).is_hit());
        }
        assert_eq!(shared_reads(cache, path), 0);
    }
}

fn shared_reads(cache: &mut Cache, path: &str) -> u64 {
    cache.vm.host.forget_calls();
    cache.get(path, &ok("no-store", "origin"));
    let calls = cache.vm.host.calls();
    calls.get("shared_get").copied().unwrap_or(0)
}

#[test]
fn a_purge_reaches_copies_that_are_current() {
    for (more, soft) in [
        (vec![("seawall-purge", "all")], false),
        (vec![("seawall-purge", "prefix")], false),
        (vec![("surrogate-key", "a")], false),
        (vec![], false),
        (
            vec![("seawall-purge", "all"), ("seawall-purge-mode", "soft")],
            true,
        ),
    ] {
        let world = World::new();
        let mut caches = workers(&world, &purging());
        warm(&mut caches, "/a");
        let mut fields = vec![("x-purge", "let-me-in")];
        fields.extend_from_slice(&more);
        let purged = caches[1].send(&request("PURGE", "/a", &fields), &Origin::default());
        assert_eq!(purged.status, 200);
        // One request refreshes, and leads until its answer is there.
        let (leader, _) = caches[3].start(&request("GET", "/a", &[]));
        for cache in &mut caches[..3] {
            let (exchange, ended) = cache.start(&request("GET", "/a", &[]));
            match ended {
                seawall_core::testing::Ended::Replied(reply) => {
                    assert!(soft, "{more:?}");
                    let got = common::Got::from(reply);
                    assert!(got.status_line().contains("stale-while-revalidate"));
                    cache.vm.finish(exchange);
                }
                other => {
                    assert!(!soft, "{more:?}: {other:?}");
                    cache.vm.finish(exchange);
                }
            }
        }
        caches[3].answer(leader, &ok("max-age=600", "new"));
        for cache in &mut caches {
            let got = cache.get("/a", &Origin::default());
            assert_eq!(
                (got.is_hit(), &got.body[..]),
                (true, &b"new"[..]),
                "{more:?}"
            );
        }
    }
}

#[test]
fn an_unsafe_request_reaches_copies_that_are_current() {
    let world = World::new();
    let mut caches = workers(&world, &still());
    warm(&mut caches, "/a");
    caches[2].send(&request("POST", "/a", &[]), &ok("no-store", "done"));
    for cache in &mut caches {
        let (exchange, ended) = cache.start(&request("GET", "/a", &[]));
        assert!(!matches!(ended, seawall_core::testing::Ended::Replied(_)));
        cache.vm.finish(exchange);
    }
}

#[test]
fn a_new_answer_replaces_the_copies_of_all_workers() {
    let world = World::new();
    let mut caches = workers(&world, &still());
    warm(&mut caches, "/a");
    let forced = [("cache-control", "no-cache")];
    caches[3].get_with("/a", &forced, &ok("max-age=600", "new"));
    for cache in &mut caches {
        assert_eq!(cache.get("/a", &Origin::default()).body, b"new");
    }
}

#[test]
fn what_cannot_be_stored_needs_no_look_at_shared_data() {
    let world = World::new();
    let mut caches = workers(&world, &still());
    caches[0].get("/a", &ok("no-store", "one"));
    for cache in &mut caches {
        shared_reads(cache, "/a");
        assert_eq!(shared_reads(cache, "/a"), 0);
    }
    // Nor the time of the answer, nor who gave it.
    caches[0].vm.host.forget_calls();
    caches[0].get("/a", &ok("no-store", "one"));
    let expected = [
        ("add_header", 1),
        ("headers", 2),
        ("metric_value", 1),
        ("now", 1),
        ("property", 2),
    ];
    let made: Vec<_> = caches[0].vm.host.calls().into_iter().collect();
    assert_eq!(made, expected);
    // Stored by one worker all the same, it is served by all.
    caches[0].get("/a", &ok("max-age=60", "two"));
    for cache in &mut caches {
        let got = cache.get("/a", &ok("no-store", "three"));
        assert_eq!((got.is_hit(), &got.body[..]), (true, &b"two"[..]));
    }
}

#[test]
fn a_key_is_remembered_no_longer_than_its_answers_are_not_shared() {
    let mut cache = Cache::alone(&json!({"coalesce": {"uncacheable_for": "500ms"}}));
    cache.get("/a", &ok("no-store", "one"));
    cache.get("/a", &ok("no-store", "one"));
    assert_eq!(shared_reads(&mut cache, "/a"), 0);
    cache.advance(600);
    // It leads again, so that others may wait.
    let (leader, _) = cache.start(&request("GET", "/a", &[]));
    let (waiting, ended) = cache.start(&request("GET", "/a", &[]));
    assert!(matches!(ended, seawall_core::testing::Ended::Paused));
    cache.answer(leader, &ok("max-age=60", "two"));
    cache.vm.deliver();
    assert_eq!(cache.vm.reply(&waiting).unwrap().body, b"two");
}

#[test]
fn a_copy_is_looked_at_again_after_a_second() {
    let mut cache = Cache::alone(&still());
    cache.get("/a", &ok("max-age=600", "x"));
    for _ in 0..20 {
        cache.get("/a", &Origin::default());
    }
    cache.advance(999);
    assert_eq!(shared_reads(&mut cache, "/a"), 0);
    cache.advance(1);
    assert!(shared_reads(&mut cache, "/a") > 0);
    assert_eq!(shared_reads(&mut cache, "/a"), 0);
}

#[test]
fn without_gauges_every_request_looks() {
    for failing in ["metric_value", "metric_add"] {
        let world = World::new();
        let mut caches: Vec<Cache> = (1..=2)
            .map(|number| {
                let cache = Cache::new(&world, number, &purging());
                cache.vm.host.fail(failing, Failure::Status(10));
                cache
            })
            .collect();
        caches[0].get("/a", &ok("max-age=600", "old"));
        let known = failing == "metric_add";
        if !known {
            assert!(shared_reads(&mut caches[1], "/a") > 0);
            let fields = [("x-purge", "let-me-in"), ("seawall-purge", "all")];
            caches[0].send(&request("PURGE", "/", &fields), &Origin::default());
            assert!(!caches[1].get("/a", &ok("no-store", "new")).is_hit());
        } else {
            // Changes that nobody hears of are found by the age of the copy.
            assert!(caches[1].get("/a", &Origin::default()).is_hit());
            caches[0].advance(1_000);
            assert!(shared_reads(&mut caches[1], "/a") > 0);
        }
    }
}

/// Another worker refreshes what has just expired after this one has looked; what this one answers then.
fn outrun_by_another(stored: &'static str) -> (Option<Got>, Cache) {
    let world = World::new();
    let mut caches = workers(&world, &still());
    let (mut first, mut second) = (caches.remove(0), caches.remove(0));
    first.get("/", &ok(stored, "old"));
    first.advance(900);
    // The copies are current for a second from here, so shared data is not read before the flight is.
    for cache in [&mut first, &mut second] {
        assert!(cache.get("/", &Origin::default()).is_hit());
    }
    first.advance(200);
    let asks = request("GET", "/", &[]);
    let (tell, told) = std::sync::mpsc::channel();
    let asks_as_well = asks.clone();
    second.vm.host.before_shared(move || {
        if first.metric("refreshes") > 0 {
            return;
        }
        let (exchange, ended) = first.start(&asks_as_well);
        assert!(matches!(ended, Ended::Forwarded(_)));
        first.answer(exchange, &ok("max-age=600", "new"));
        tell.send(()).unwrap();
    });
    let (exchange, ended) = second.start(&asks);
    assert_eq!(told.try_recv(), Ok(()), "it was outrun");
    assert!(!matches!(ended, Ended::Forwarded(_)), "a second refresh");
    second.vm.host.before_shared(|| {});
    let got = second.vm.reply(&exchange).map(Got::from);
    second.vm.finish(exchange);
    (got, second)
}

#[test]
fn who_finds_it_stale_just_before_it_was_refreshed_asks_for_nothing() {
    let (got, mut cache) = outrun_by_another("max-age=1, stale-while-revalidate=600");
    assert_eq!(got.unwrap().body, b"old", "which may be served");
    assert_eq!(cache.get("/", &Origin::default()).body, b"new");
    let (got, _) = outrun_by_another("max-age=1");
    assert_eq!(got.unwrap().body, b"new");
}

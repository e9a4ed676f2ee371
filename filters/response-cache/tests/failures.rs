//! Whatever fails, traffic passes; and what a hit and a miss cost in host calls.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "test code"
)]

mod common;

use common::{ok, request, Cache, Origin, UPSTREAM};
use seawall_core::host::Failure;
use seawall_core::plugin::Plugin;
use seawall_core::testing::{Ended, World};
use serde_json::json;

const CALLS: [&str; 22] = [
    "now",
    "random",
    "log",
    "headers",
    "header",
    "set_header",
    "add_header",
    "remove_header",
    "set_headers",
    "body",
    "replace_body",
    "property",
    "set_property",
    "shared_get",
    "shared_set",
    "queue_register",
    "queue_send",
    "queue_take",
    "reply",
    "resume_request",
    "act_on",
    "http_call",
];

const FAILURES: [Failure; 5] = [
    Failure::NotFound,
    Failure::BadArgument,
    Failure::Status(7),
    Failure::Status(8),
    Failure::Status(12),
];

/// A day in the life of a cache, with nothing asserted but that every request gets an answer.
fn exercise(world: &World, failing: Option<(&'static str, Failure)>) {
    let configuration = json!({
        "access_log": true, "stale_if_error": "10s",
        "refresh": {"algorithm": "window", "window": "1s", "probability": 1.0, "background": {"enabled": true, "cluster": "c"}},
        "purge": {"cidrs": ["0.0.0.0/0"]},
    });
    let mut cache = Cache::new(world, 1, &configuration);
    cache.get(
        "/warm",
        &ok("max-age=2, stale-while-revalidate=5", "warm")
            .with("etag", "\"a\"")
            .with("vary", "x"),
    );
    if let Some((call, failure)) = failing {
        cache.vm.host.fail(call, failure);
    }
    let origin = ok("max-age=2", "origin").with("etag", "\"a\"");
    for path in ["/warm", "/cold", "/warm"] {
        let got = cache.get(path, &origin);
        assert!(got.status == 200, "{failing:?}");
        if failing.is_none_or(|(call, _)| call != "replace_body") {
            assert!(
                got.body == b"origin" || got.body == b"warm",
                "{failing:?} {:?}",
                got.body
            );
        }
        cache.advance(1_500);
    }
    let (leader, _) = cache.start(&request("GET", "/flight", &[]));
    let (waiting, ended) = cache.start(&request("GET", "/flight", &[]));
    cache.respond_quietly(leader);
    cache.vm.deliver();
    cache.advance(6_000);
    cache.vm.tick();
    if ended == Ended::Paused && !matches!(failing, Some(("resume_request" | "act_on" | "now", _)))
    {
        assert!(
            cache.vm.resumed(&waiting) || cache.vm.reply(&waiting).is_some(),
            "{failing:?}"
        );
    }
    cache.vm.finish(waiting);
    cache.send(&request("POST", "/warm", &[]), &Origin::status("200"));
    let mut purge = cache.vm.open(&UPSTREAM);
    cache.vm.request(
        &mut purge,
        &request("PURGE", "/", &[("seawall-purge", "all")]),
    );
    cache.vm.finish(purge);
    for call in cache.vm.host.take_callouts() {
        cache.vm.host.open(0);
        cache
            .vm
            .host
            .put_call_response(&[(":status", "200"), ("cache-control", "max-age=9")], b"x");
        cache.vm.plugin.call_done(&cache.vm.host, call.token, 2, 1);
    }
    cache.vm.plugin.queue_ready(&cache.vm.host, 99);
}

trait Quietly {
    fn respond_quietly(
        &mut self,
        exchange: seawall_core::testing::Exchange<seawall_response_cache::CacheStream>,
    );
}

impl Quietly for Cache {
    fn respond_quietly(
        &mut self,
        exchange: seawall_core::testing::Exchange<seawall_response_cache::CacheStream>,
    ) {
        self.answer(exchange, &ok("max-age=60", "flight"));
    }
}

#[test]
fn everything_works_when_nothing_fails() {
    exercise(&World::new(), None);
}

#[test]
fn every_host_call_may_fail_in_every_way_and_traffic_passes() {
    for call in CALLS {
        for failure in FAILURES {
            exercise(&World::new(), Some((call, failure)));
        }
    }
}

#[test]
fn damaged_shared_data_is_a_miss() {
    let world = World::new();
    let mut cache = Cache::new(&world, 1, &json!({}));
    cache.get("/", &ok("max-age=60", "body"));
    for name in world.shared_names() {
        let (value, _) = world.shared_get(&name).unwrap();
        for damaged in [
            value[..value.len() / 2].to_vec(),
            vec![0xff; value.len()],
            vec![1; 3],
        ] {
            world.shared_set(&name, &damaged, seawall_core::host::Expect::Anything);
            let mut other = Cache::new(&world, 2, &json!({}));
            let got = other.get("/", &ok("no-store", "origin"));
            assert!(got.body == b"origin" || got.body == b"body", "{name}");
        }
        world.shared_set(&name, &value, seawall_core::host::Expect::Anything);
    }
}

#[test]
fn what_a_hit_and_a_miss_cost() {
    let mut cache = Cache::alone(&json!({}));
    cache.get("/other", &ok("max-age=60", "x"));
    cache.vm.host.forget_calls();
    cache.get("/", &ok("max-age=60", "body"));
    let miss = cache.vm.host.calls();
    // Becoming hot costs a write now and then, being hot costs none.
    for _ in 0..16 {
        assert!(cache.get("/", &Origin::default()).is_hit());
    }
    cache.vm.host.forget_calls();
    assert!(cache.get("/", &Origin::default()).is_hit());
    let hit = cache.vm.host.calls();
    // Headers, clock, route settings, the answer, and whether the copy still holds.
    let expected = [
        ("headers", 1),
        ("metric_value", 1),
        ("now", 1),
        ("property", 2),
        ("reply", 1),
    ];
    assert_eq!(hit.into_iter().collect::<Vec<_>>(), expected);
    assert!(miss.values().sum::<u64>() <= 30, "{miss:?}");
}

#[test]
fn a_hot_body_is_not_copied_out_of_shared_data() {
    let mut cache = Cache::alone(&json!({}));
    let body = "x".repeat(100_000);
    cache.get("/", &ok("max-age=60", &body));
    cache.vm.host.forget_calls();
    for _ in 0..10 {
        assert!(cache.get("/", &Origin::default()).is_hit());
    }
    assert!(
        cache.vm.host.bytes_copied() < 10 * 1_000,
        "{}",
        cache.vm.host.bytes_copied()
    );
}

#[test]
fn writes_that_fail_make_no_request_search_the_whole_store_for_room() {
    let world = World::new();
    let mut cache = Cache::new(
        &world,
        1,
        &json!({"max_bytes": "64KiB", "admission": false}),
    );
    for number in 0..40 {
        cache.get(&format!("/{number}"), &ok("max-age=60", &"x".repeat(3_000)));
    }
    for failure in FAILURES {
        cache.vm.host.fail("shared_set", failure);
        cache.vm.host.forget_calls();
        let got = cache.get("/new", &ok("max-age=60", &"x".repeat(3_000)));
        assert_eq!(got.status, 200);
        let calls = cache.vm.host.call_count();
        assert!(calls < 1_000, "{calls} host calls after {failure:?}");
    }
}

/// However large an entry may be: a VM that runs out of memory takes every request in it along.
#[test]
fn bodies_on_their_way_take_a_part_of_what_a_vm_can_have() {
    let mut cache = Cache::alone(&json!({"max_bytes": "4GiB", "max_entry_bytes": "256MiB"}));
    let part = vec![b'x'; 100 << 20];
    let mut exchanges = Vec::new();
    for path in ["/a", "/b", "/c"] {
        let (mut exchange, _) = cache.start(&request("GET", path, &[]));
        let head = [(":status", "200"), ("cache-control", "max-age=60")];
        cache.vm.response(&mut exchange, &head, false);
        cache.vm.response_body(&mut exchange, &part, false);
        exchanges.push(exchange);
    }
    assert_eq!(cache.metric("rejected.internal"), 1);
    for mut exchange in exchanges {
        cache.vm.response_body(&mut exchange, b"end", true);
        cache.vm.finish(exchange);
    }
    assert_eq!(cache.metric("stored"), 2);
}

/// However a body ends, what it took is there for the next one.
#[test]
fn every_end_of_a_body_gives_its_room_back() {
    let half = vec![b'x'; 512 << 10];
    let head = [(":status", "200"), ("cache-control", "max-age=60")];
    for ending in ["whole", "too large", "left", "not to be read"] {
        // Four bodies of a MiB at once.
        let configuration = json!({"max_entry_bytes": "1MiB", "worker_memory": "1MiB"});
        let mut cache = Cache::alone(&configuration);
        for n in 0..9 {
            let path = format!("/{n}");
            let (mut exchange, _) = cache.start(&request("GET", &path, &[]));
            cache.vm.response(&mut exchange, &head, false);
            cache.vm.response_body(&mut exchange, &half, false);
            match ending {
                "whole" => {
                    cache.vm.response_body(&mut exchange, &half, true);
                }
                "too large" => {
                    cache.vm.response_body(&mut exchange, &half.repeat(2), true);
                }
                "not to be read" => {
                    cache.vm.host.fail("body", Failure::Status(10));
                    cache.vm.response_body(&mut exchange, &half, true);
                    cache.vm.host.heal();
                }
                _ => {}
            }
            cache.vm.finish(exchange);
        }
        let kept = |cache: &mut Cache| (cache.metric("stored"), cache.metric("rejected.internal"));
        let (stored, internal) = kept(&mut cache);
        let expected = match ending {
            "whole" => (9, 0),
            "not to be read" => (0, 9),
            _ => (0, 0),
        };
        assert_eq!((stored, internal), expected, "{ending}");
        let body = String::from_utf8(half.clone()).unwrap();
        cache.get("/next", &ok("max-age=60", &body));
        assert_eq!(kept(&mut cache), (stored + 1, internal), "{ending}");
    }
}

#[test]
fn a_refresh_in_the_background_whose_body_is_cut_replaces_nothing() {
    for (length, body) in [("3", "new"), ("4", "old"), ("2", "old")] {
        let background = json!({"enabled": true, "cluster": "origin"});
        let refresh = json!({"algorithm": "off", "background": background});
        let mut cache = Cache::alone(&json!({ "refresh": refresh }));
        let control = "max-age=1, stale-while-revalidate=60";
        cache.get("/a?b", &ok(control, "old"));
        cache.advance(2_000);
        assert!(cache.get("/a?b", &Origin::default()).is_hit());
        let call = cache.vm.host.take_callouts().remove(0);
        for (name, value) in [
            (":method", "GET"),
            (":path", "/a?b"),
            (":authority", "example.com"),
        ] {
            let mut fields = call.headers.iter().filter(|(field, _)| field == name);
            assert_eq!(fields.next().unwrap().1, value.as_bytes());
            assert!(fields.next().is_none(), "{name}");
        }
        let head = [
            (":status", "200"),
            ("cache-control", control),
            ("content-length", length),
        ];
        cache.vm.host.open(0);
        cache.vm.host.put_call_response(&head, b"new");
        let host = &cache.vm.host;
        cache.vm.plugin.call_done(host, call.token, head.len(), 3);
        assert_eq!(cache.get("/a?b", &Origin::default()).body, body.as_bytes());
        let cut = i64::from(body == "old");
        assert_eq!(cache.metric("rejected.incomplete"), cut, "{length}");
        // The next request has tried again.
        assert_eq!(cache.metric("refreshes_background"), 1 + cut, "{length}");
    }
}

/// The errors that were counted, and how often this was logged.
fn errors(cache: &mut Cache, said: &str) -> (i64, usize) {
    cache.vm.host.heal();
    cache.vm.host.before_shared(|| {});
    let log = cache.vm.host.world().log();
    let lines = log.iter().filter(|line| line.contains(said)).count();
    (cache.metric("errors"), lines)
}

#[test]
fn an_invalidation_that_fails_or_loses_every_race_is_counted_and_logged() {
    for races in [false, true] {
        let mut cache = Cache::alone(&json!({}));
        cache.get("/", &ok("max-age=60", "body"));
        if races {
            let world = cache.vm.host.world().clone();
            // Somebody else writes the same between any read and the write that follows.
            cache.vm.host.before_shared(move || {
                for name in world.shared_names() {
                    if name.starts_with("seawall.rc.i.") {
                        let (value, _) = world.shared_get(&name).unwrap();
                        world.shared_set(&name, &value, seawall_core::host::Expect::Anything);
                    }
                }
            });
        } else {
            cache.vm.host.fail("shared_set", Failure::Status(12));
        }
        cache.send(&request("POST", "/", &[]), &Origin::status("200"));
        let (count, lines) = errors(&mut cache, "an invalidation failed");
        assert_eq!((count, lines), (1, 1), "{races}");
    }
}

#[test]
fn a_flight_that_cannot_be_told_of_an_invalidation_is_counted_and_logged() {
    let world = World::new();
    let mut flying = Cache::new(&world, 1, &json!({}));
    let mut cache = Cache::new(&world, 2, &json!({}));
    let (leading, _) = flying.start(&request("GET", "/", &[]));
    // Somebody else writes the same between any read and the write that follows.
    let hooked = world.clone();
    cache.vm.host.before_shared(move || {
        for name in hooked.shared_names() {
            if name.starts_with("seawall.rc.f.") {
                let (value, _) = hooked.shared_get(&name).unwrap();
                hooked.shared_set(&name, &value, seawall_core::host::Expect::Anything);
            }
        }
    });
    cache.send(&request("POST", "/", &[]), &Origin::status("200"));
    assert_eq!(errors(&mut cache, "an invalidation failed"), (1, 1));
    flying.vm.finish(leading);
}

#[test]
fn a_clock_that_fails_is_counted_and_the_request_passes() {
    let mut cache = Cache::alone(&json!({}));
    cache.get("/", &ok("max-age=60", "body"));
    cache.vm.host.fail("now", Failure::Status(12));
    assert!(!cache.get("/", &ok("max-age=60", "origin")).is_hit());
    assert_eq!(errors(&mut cache, "the clock").0, 1);
}

#[test]
fn what_was_given_up_last_is_counted_when_a_configuration_ends() {
    let world = World::new();
    let configuration = json!({"max_entries": 8, "admission": false});
    let mut cache = Cache::new(&world, 1, &configuration);
    for n in 0..10 {
        cache.get(&format!("/{n}"), &ok("max-age=60", "x"));
    }
    cache.vm.end();
    assert_eq!(world.metric("seawall.response_cache.evicted"), 2);
    assert!(world.metric("seawall.response_cache.bytes") > 0);
}

//! Several workers on one shared store: single flight, wake-ups, purges, refreshes.
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
use seawall_core::plugin::Plugin;
use seawall_core::testing::{Ended, Exchange, World};
use seawall_core::time::Span;
use seawall_response_cache::CacheStream;
use serde_json::{json, Value};

fn workers(count: u32, configuration: &Value) -> (World, Vec<Cache>) {
    let world = World::new();
    let caches = (1..=count)
        .map(|number| Cache::new(&world, number, configuration))
        .collect();
    (world, caches)
}

fn get(cache: &mut Cache, path: &str) -> (Exchange<CacheStream>, Ended) {
    cache.start(&request("GET", path, &[]))
}

fn forwarded(ended: &Ended) -> bool {
    matches!(ended, Ended::Forwarded(_))
}

#[test]
fn one_goes_to_the_origin_and_all_workers_are_woken_with_its_answer() {
    let (_world, mut caches) = workers(3, &still());
    let (leader, ended) = get(&mut caches[0], "/");
    assert!(forwarded(&ended));
    let mut waiting = Vec::new();
    for (at, cache) in caches.iter_mut().enumerate() {
        for _ in 0..5 {
            let (exchange, ended) = get(cache, "/");
            assert_eq!(ended, Ended::Paused);
            waiting.push((at, exchange));
        }
    }
    caches[0].answer(leader, &ok("max-age=60", "one"));
    caches.iter_mut().for_each(|cache| cache.vm.deliver());
    for (at, exchange) in waiting {
        let reply: Got = caches[at].vm.reply(&exchange).expect("answered").into();
        assert_eq!(reply.body, b"one");
        assert_eq!(
            reply.status_line(),
            "seawall; fwd=uri-miss; collapsed; ttl=60"
        );
        caches[at].vm.finish(exchange);
    }
    caches.iter_mut().for_each(|cache| cache.vm.tick());
    assert_eq!(caches[0].metric("coalesced"), 15);
}

#[test]
fn a_crowd_is_woken_in_steps_that_the_stack_can_bear() {
    let (_world, mut caches) = workers(1, &still());
    let (leader, _) = get(&mut caches[0], "/");
    let waiting: Vec<_> = (0..500).map(|_| get(&mut caches[0], "/").0).collect();
    caches[0].answer(leader, &ok("max-age=60", "one"));
    let (mut before, mut steps) = (0, 0);
    while before < waiting.len() {
        caches[0].vm.deliver();
        let answered = waiting.iter().filter(|e| caches[0].vm.reply(e).is_some());
        let answered = answered.count();
        assert!(answered > before, "nobody was woken, {before} before");
        assert!(steps > 0 || answered < waiting.len(), "all at once");
        before = answered;
        steps += 1;
    }
    for exchange in waiting {
        caches[0].vm.finish(exchange);
    }
}

#[test]
fn an_error_releases_everybody_at_once_and_is_not_remembered() {
    let (_world, mut caches) = workers(2, &still());
    let (leader, _) = get(&mut caches[0], "/");
    let (waiting, ended) = get(&mut caches[1], "/");
    assert_eq!(ended, Ended::Paused);
    caches[0].answer(leader, &Origin::status("500"));
    caches[1].vm.deliver();
    assert!(caches[1].vm.resumed(&waiting));
    let got = caches[1].answer(waiting, &ok("max-age=60", "two"));
    assert_eq!(got.body, b"two");
    assert!(caches[0].get("/", &Origin::default()).is_hit());
}

#[test]
fn a_client_that_leaves_hands_over_to_exactly_one() {
    let (_world, mut caches) = workers(2, &still());
    let (leader, _) = get(&mut caches[0], "/");
    let first = get(&mut caches[1], "/").0;
    let second = get(&mut caches[1], "/").0;
    caches[0].vm.finish(leader);
    caches[1].vm.deliver();
    let resumed = [&first, &second].map(|exchange| caches[1].vm.resumed(exchange));
    assert_eq!(resumed, [true, false]);
    caches[1].answer(first, &ok("max-age=60", "new"));
    caches[1].vm.deliver();
    assert_eq!(caches[1].vm.reply(&second).unwrap().body, b"new");
}

#[test]
fn who_waits_and_leaves_is_forgotten() {
    let (_world, mut caches) = workers(1, &still());
    let (leader, _) = get(&mut caches[0], "/");
    let (waiting, _) = get(&mut caches[0], "/");
    caches[0].vm.finish(waiting);
    caches[0].answer(leader, &ok("max-age=60", "one"));
    caches[0].vm.deliver();
}

#[test]
fn waiting_ends_by_the_clock() {
    let (_world, mut caches) = workers(1, &json!({"coalesce": {"wait": "1s"}}));
    let (_leader, _) = get(&mut caches[0], "/");
    let (waiting, _) = get(&mut caches[0], "/");
    caches[0].advance(999);
    caches[0].vm.tick();
    assert!(!caches[0].vm.resumed(&waiting));
    caches[0].advance(1);
    caches[0].vm.tick();
    assert!(caches[0].vm.resumed(&waiting));
    assert_eq!(caches[0].metric("waits_timed_out"), 1);
}

#[test]
fn a_dead_worker_releases_its_key_by_its_lease_and_a_living_one_keeps_it() {
    let (_world, mut caches) = workers(2, &still());
    let (_leader, ended) = get(&mut caches[0], "/");
    assert!(forwarded(&ended));
    for _ in 0..10 {
        caches[0].advance(1_000);
        caches[0].vm.tick();
    }
    assert_eq!(
        get(&mut caches[1], "/").1,
        Ended::Paused,
        "its leader lives"
    );
    caches[0].advance(3_001);
    assert!(forwarded(&get(&mut caches[1], "/").1), "its leader is dead");
}

#[test]
fn who_waits_for_a_dead_worker_is_released_by_its_lease_and_one_leads() {
    let (_world, mut caches) = workers(3, &json!({"coalesce": {"wait": "1h"}}));
    let (_leader, _) = get(&mut caches[0], "/");
    let waiting: Vec<Vec<_>> = (1..3)
        .map(|worker| (0..40).map(|_| get(&mut caches[worker], "/").0).collect())
        .collect();
    caches[0].advance(2_999);
    for cache in &mut caches[1..] {
        cache.vm.tick();
    }
    let resumed = |caches: &[Cache]| -> Vec<(usize, usize)> {
        let each = waiting
            .iter()
            .enumerate()
            .flat_map(|(worker, list)| (0..list.len()).map(move |number| (worker, number)));
        each.filter(|(worker, number)| caches[worker + 1].vm.resumed(&waiting[*worker][*number]))
            .collect()
    };
    assert_eq!(resumed(&caches), []);
    caches[0].advance(2);
    for _ in 0..3 {
        for cache in &mut caches[1..] {
            cache.vm.tick();
        }
    }
    assert_eq!(
        resumed(&caches),
        [(0, 0)],
        "one leads, the others wait for it"
    );
    let mut lists = waiting.into_iter();
    let (mut first, second) = (lists.next().unwrap(), lists.next().unwrap());
    let leader = first.remove(0);
    caches[1].answer(leader, &ok("max-age=60", "new"));
    for (cache, list) in caches[1..].iter_mut().zip([first, second]) {
        for _ in 0..4 {
            cache.vm.deliver();
        }
        for exchange in &list {
            assert_eq!(cache.vm.reply(exchange).unwrap().body, b"new");
        }
    }
}

#[test]
fn keys_that_are_not_shared_are_not_serialised() {
    let (_world, mut caches) = workers(2, &still());
    caches[0].get("/", &ok("no-store", "x"));
    let (first, a) = get(&mut caches[0], "/");
    let (second, b) = get(&mut caches[1], "/");
    assert!(forwarded(&a) && forwarded(&b));
    caches[0].answer(first, &ok("no-store", "x"));
    caches[1].answer(second, &ok("no-store", "x"));
    caches[0].advance(10_001);
    assert!(forwarded(&get(&mut caches[0], "/").1));
    assert_eq!(
        get(&mut caches[1], "/").1,
        Ended::Paused,
        "remembered for a while only"
    );
}

#[test]
fn early_refresh_is_one_request_while_all_others_are_served() {
    let rule = json!({"refresh": {"algorithm": "window", "window": "30s", "probability": 1.0}});
    let (_world, mut caches) = workers(2, &rule);
    caches[0].get("/", &ok("max-age=60", "old"));
    caches[0].advance(29_000);
    assert!(caches[1].get("/", &Origin::default()).is_hit());
    caches[0].advance(2_000);
    let (refresher, ended) = get(&mut caches[0], "/");
    assert!(forwarded(&ended));
    for cache in &mut caches {
        assert!(cache.get("/", &Origin::default()).is_hit());
    }
    let got = caches[0].answer(refresher, &ok("max-age=60", "new"));
    assert_eq!(
        got.status_line(),
        "seawall; fwd=stale; fwd-status=200; stored; detail=early-refresh"
    );
    assert_eq!(caches[1].get("/", &Origin::default()).body, b"new");
    assert_eq!(caches[0].metric("refreshes_early"), 1);
}

#[test]
fn a_configuration_that_ends_stops_its_timer_and_keeps_nobody_waiting() {
    let configuration = json!({"refresh": {"algorithm": "off", "background": {"enabled": true, "cluster": "origin"}}});
    let (_world, mut caches) = workers(2, &configuration);
    caches[0].get(
        "/",
        &ok("max-age=1, stale-while-revalidate=1", "old").with("etag", "\"a\""),
    );
    caches[0].advance(1_500);
    assert!(caches[0].get("/", &Origin::default()).is_hit());
    assert_eq!(caches[0].vm.host.take_callouts().len(), 1);
    // What is stored may not be used any more, and the one for all is the filter itself.
    caches[0].advance(1_000);
    let (waiting, ended) = get(&mut caches[1], "/");
    assert_eq!(ended, Ended::Paused);
    caches[0].vm.end();
    assert_eq!(caches[0].vm.host.tick_period(), Span::ZERO);
    assert_eq!(caches[0].metric("misses"), 1, "counted to the last");
    caches[1].vm.deliver();
    assert!(
        caches[1].vm.resumed(&waiting),
        "it goes in place of the refresh"
    );
    let got = caches[1].answer(waiting, &ok("max-age=60", "new"));
    assert!(got.status_line().ends_with("stored"), "{got:?}");
}

#[test]
fn in_the_background_nobody_waits() {
    let configuration = json!({"refresh": {"algorithm": "off", "background": {"enabled": true, "cluster": "origin"}}});
    let (_world, mut caches) = workers(1, &configuration);
    let cache = &mut caches[0];
    type Case = (
        &'static str,
        &'static [(&'static str, &'static str)],
        &'static [u8],
        &'static [u8],
        bool,
    );
    let answers: [Case; 4] = [
        (
            "304",
            &[("cache-control", "max-age=1, stale-while-revalidate=60")],
            b"",
            b"old",
            true,
        ),
        (
            "200",
            &[
                ("cache-control", "max-age=1, stale-while-revalidate=60"),
                ("etag", "\"b\""),
            ],
            b"new",
            b"new",
            true,
        ),
        ("500", &[], b"", b"new", false),
        ("", &[], b"", b"new", false),
    ];
    cache.get(
        "/",
        &ok("max-age=1, stale-while-revalidate=60", "old").with("etag", "\"a\""),
    );
    for (status, headers, body, expected, fresh) in answers {
        cache.advance(2_000);
        for _ in 0..3 {
            assert!(cache.get("/", &Origin::default()).is_hit());
        }
        let calls = cache.vm.host.take_callouts();
        assert_eq!(calls.len(), 1, "one refresh for three requests");
        assert_eq!(calls[0].cluster, "origin");
        assert!(calls[0]
            .headers
            .iter()
            .any(|(name, _)| name == "if-none-match"));
        let mut all = vec![(":status", status)];
        all.extend_from_slice(headers);
        let count = if status.is_empty() { 0 } else { all.len() };
        cache.vm.host.open(0);
        cache.vm.host.put_call_response(&all, body);
        cache
            .vm
            .plugin
            .call_done(&cache.vm.host, calls[0].token, count, body.len());
        let hit = cache.get("/", &Origin::default());
        assert_eq!(hit.body, expected);
        assert_eq!(
            !hit.status_line().contains("ttl=-"),
            fresh,
            "{status}: {}",
            hit.status_line()
        );
        cache.vm.host.take_callouts();
        cache.advance(4_000);
    }
}

#[test]
fn purges_reach_every_worker_at_once() {
    let configuration = json!({"purge": {"secret_header": "x-purge-secret", "secret": "let-me-in"}, "refresh": {"algorithm": "off"}});
    let (_world, mut caches) = workers(2, &configuration);
    let secret = ("x-purge-secret", "let-me-in");
    let fill = |caches: &mut Vec<Cache>| {
        for path in ["/a/1", "/a/2?x", "/b"] {
            let origin = ok("max-age=60, stale-while-revalidate=60", "x")
                .with("surrogate-key", "news sport");
            caches[0].get(path, &origin);
            assert!(caches[1].get(path, &Origin::default()).is_hit());
        }
    };
    let gone = |caches: &mut Vec<Cache>| -> Vec<bool> {
        ["/a/1", "/a/2?x", "/b"]
            .map(|path| !caches[1].get(path, &ok("max-age=60", "y")).is_hit())
            .to_vec()
    };
    for (path, more, expected) in [
        ("/a/1", vec![], vec![true, false, false]),
        (
            "/a/",
            vec![("seawall-purge", "prefix")],
            vec![true, true, false],
        ),
        (
            "/",
            vec![("surrogate-key", "sport")],
            vec![true, true, true],
        ),
        (
            "/",
            vec![("cache-tag", "economy")],
            vec![false, false, false],
        ),
        ("/", vec![("seawall-purge", "all")], vec![true, true, true]),
        // Stale, and still served by permission while one refreshes.
        (
            "/",
            vec![("seawall-purge", "all"), ("seawall-purge-mode", "soft")],
            vec![true, true, true],
        ),
    ] {
        caches[0].send(
            &request("PURGE", "/", &[secret, ("seawall-purge", "all")]),
            &Origin::default(),
        );
        fill(&mut caches);
        let mut headers = vec![secret];
        headers.extend(more.clone());
        let answer = caches[0].send(&request("PURGE", path, &headers), &Origin::default());
        assert_eq!(answer.status, 200, "{more:?}");
        let json: Value = serde_json::from_slice(&answer.body).unwrap();
        assert!(json["number"].as_u64().unwrap() > 0);
        assert_eq!(gone(&mut caches), expected, "{more:?}: {json}");
    }
}

#[test]
fn purging_is_for_those_who_may() {
    let configuration = json!({"purge": {"secret_header": "x-purge-secret", "secret": "let-me-in", "cidrs": ["10.0.0.0/8"]}});
    let mut cache = Cache::alone(&configuration);
    let mut send = |more: &[(&str, &str)], address: &str| {
        let mut exchange = cache.vm.open(&[("source.address", address.as_bytes())]);
        let Ended::Replied(reply) = cache
            .vm
            .request(&mut exchange, &request("PURGE", "/", more))
        else {
            panic!("not answered")
        };
        reply.status
    };
    assert_eq!(send(&[], "192.168.0.1:5"), 403);
    assert_eq!(
        send(&[("x-purge-secret", "let-me-out")], "192.168.0.1:5"),
        403
    );
    assert_eq!(
        send(&[("x-forwarded-for", "10.1.1.1")], "192.168.0.1:5"),
        403
    );
    assert_eq!(
        send(&[("x-purge-secret", "let-me-in")], "192.168.0.1:5"),
        200
    );
    assert_eq!(send(&[], "10.1.1.1:5"), 200);
    assert_eq!(send(&[], "10.1.1.1:0"), 403, "out of x-forwarded-for");
    assert_eq!(send(&[("seawall-purge", "some")], "10.1.1.1:5"), 400);
    assert_eq!(send(&[("seawall-purge", "tag")], "10.1.1.1:5"), 400);
    assert_eq!(send(&[("seawall-purge-mode", "gently")], "10.1.1.1:5"), 400);
    // Without a configuration it is a method like any other.
    let mut plain = Cache::alone(&json!({}));
    assert!(forwarded(&plain.start(&request("PURGE", "/", &[])).1));
}

#[test]
fn a_soft_purge_of_one_key_lets_it_be_served_while_it_is_refreshed() {
    let configuration = json!({"purge": {"secret_header": "x-purge-secret", "secret": "let-me-in"}, "refresh": {"algorithm": "off"}});
    let mut cache = Cache::alone(&configuration);
    cache.get(
        "/",
        &ok("max-age=600, stale-while-revalidate=60", "old").with("vary", "x-a"),
    );
    let soft = [
        ("x-purge-secret", "let-me-in"),
        ("seawall-purge-mode", "soft"),
    ];
    cache.send(&request("PURGE", "/", &soft), &Origin::default());
    let (refresher, ended) = get(&mut cache, "/");
    assert!(forwarded(&ended));
    let hit = cache.get("/", &Origin::default());
    assert!(hit.is_hit() && hit.status_line().contains("stale-while-revalidate"));
    cache.answer(refresher, &ok("max-age=600", "new"));
    assert_eq!(cache.get("/", &Origin::default()).body, b"new");
}

#[test]
fn variants_of_one_url_do_not_wait_for_each_other() {
    let (_world, mut caches) = workers(2, &still());
    let origin = |body| ok("max-age=60", body).with("vary", "x-v");
    let start = |cache: &mut Cache, value| cache.start(&request("GET", "/", &[("x-v", value)]));
    caches[0].get_with("/", &[("x-v", "a")], &origin("a"));
    let (b, ended) = start(&mut caches[0], "b");
    assert!(forwarded(&ended));
    let (c, ended) = start(&mut caches[1], "c");
    assert!(forwarded(&ended));
    let (waiting, ended) = start(&mut caches[1], "b");
    assert_eq!(ended, Ended::Paused);
    caches[1].answer(c, &origin("c"));
    caches[0].answer(b, &origin("b"));
    caches[1].vm.deliver();
    let reply: Got = caches[1].vm.reply(&waiting).expect("answered").into();
    assert_eq!(reply.body, b"b");
    assert_eq!(
        reply.status_line(),
        "seawall; fwd=vary-miss; collapsed; ttl=60"
    );
    for (value, body) in [("a", b"a"), ("b", b"b"), ("c", b"c")] {
        let hit = caches[0].get_with("/", &[("x-v", value)], &Origin::default());
        assert_eq!((hit.is_hit(), hit.body.as_slice()), (true, &body[..]));
    }
}

#[test]
fn a_variant_on_its_way_during_an_invalidation_is_not_stored() {
    let (_world, mut caches) = workers(2, &still());
    let origin = |body| ok("max-age=60", body).with("vary", "x-v");
    caches[0].get_with("/", &[("x-v", "a")], &origin("a"));
    for answer in [origin("old"), ok("max-age=60", "old")] {
        let (b, _) = caches[0].start(&request("GET", "/", &[("x-v", "b")]));
        caches[1].advance(10);
        caches[1].send(&request("POST", "/", &[]), &Origin::status("200"));
        // Other variants may have come back meanwhile.
        caches[1].advance(10);
        caches[1].get_with("/", &[("x-v", "a")], &origin("new"));
        caches[0].answer(b, &answer);
        let got = caches[1].get_with("/", &[("x-v", "b")], &ok("", "new"));
        assert_eq!(got.body, b"new");
    }
}

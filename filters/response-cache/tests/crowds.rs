//! Crowds that wait for one answer: how many may, that whoever waits no longer has made room, and what becomes of them when the
//! answer is none.
#![cfg(not(target_arch = "wasm32"))]

mod common;

use common::{ok, request, still, Cache, Got, Origin};
use seawall_core::testing::{Ended, Exchange};
use seawall_response_cache::CacheStream;
use serde_json::json;

/// Requests that a worker lets wait.
const MOST: usize = 8192;

/// The one that goes to the origin, and as many that wait for it as may.
fn crowd(cache: &mut Cache, path: &str) -> (Exchange<CacheStream>, Vec<Exchange<CacheStream>>) {
    let asked = request("GET", path, &[]);
    let (leader, ended) = cache.start(&asked);
    assert!(matches!(ended, Ended::Forwarded(_)), "{path}");
    let waiting: Vec<_> = (0..MOST)
        .map(|at| {
            let (exchange, ended) = cache.start(&asked);
            assert_eq!(ended, Ended::Paused, "{path}: number {at}");
            exchange
        })
        .collect();
    // One more goes by itself.
    let (exchange, ended) = cache.start(&asked);
    assert!(matches!(ended, Ended::Forwarded(_)), "{path}");
    cache.answer(exchange, &Origin::status("503"));
    (leader, waiting)
}

#[test]
fn who_was_woken_or_has_left_makes_room_for_another() {
    let mut cache = Cache::alone(&still());
    let (leader, waiting) = crowd(&mut cache, "/woken");
    cache.answer(leader, &ok("max-age=60", "x"));
    while waiting
        .iter()
        .any(|exchange| cache.vm.reply(exchange).is_none())
    {
        cache.vm.deliver();
    }
    for exchange in waiting {
        cache.vm.finish(exchange);
    }
    let (leader, waiting) = crowd(&mut cache, "/left");
    for exchange in waiting {
        cache.vm.finish(exchange);
    }
    cache.answer(leader, &ok("max-age=60", "x"));
    crowd(&mut cache, "/again");
}

/// A leader, and a crowd of more than are woken at once.
fn waiting(cache: &mut Cache) -> (Exchange<CacheStream>, Vec<Exchange<CacheStream>>) {
    let asked = request("GET", "/", &[]);
    let (leader, ended) = cache.start(&asked);
    assert!(matches!(ended, Ended::Forwarded(_)));
    let waiting = (0..100).map(|_| {
        let (exchange, ended) = cache.start(&asked);
        assert_eq!(ended, Ended::Paused);
        exchange
    });
    let waiting = waiting.collect();
    (leader, waiting)
}

/// The one of a crowd that leads now; all others still wait.
fn leads(cache: &Cache, crowd: &mut Vec<Exchange<CacheStream>>) -> Exchange<CacheStream> {
    let resumed = crowd.iter().enumerate();
    let resumed = resumed.filter(|(_, exchange)| cache.vm.resumed(exchange));
    let resumed: Vec<_> = resumed.map(|(at, _)| at).collect();
    assert_eq!(resumed, [0], "one leads, and it is the first that came");
    assert!(crowd.iter().all(|other| cache.vm.reply(other).is_none()));
    crowd.remove(0)
}

#[test]
fn a_crowd_whose_leader_brings_nothing_waits_for_the_next_one_and_comes_to_rest() {
    for end in ["leaves", "is outdated", "leaves in the body"] {
        let mut cache = Cache::alone(&still());
        let (mut leader, mut crowd) = waiting(&mut cache);
        match end {
            "leaves" => cache.vm.finish(leader),
            "is outdated" => {
                cache.send(&request("POST", "/", &[]), &Origin::status("204"));
                cache.answer(leader, &ok("max-age=60", "old"));
            }
            _ => {
                let headers = [(":status", "200"), ("cache-control", "max-age=60")];
                cache.vm.response(&mut leader, &headers, false);
                cache.part(&mut leader, b"ha", false);
                cache.vm.finish(leader);
            }
        }
        cache.vm.deliver_all();
        let next = leads(&cache, &mut crowd);
        cache.answer(next, &ok("max-age=60", "new"));
        cache.vm.deliver_all();
        for exchange in crowd {
            assert_eq!(cache.vm.reply(&exchange).expect(end).body, b"new");
            cache.vm.finish(exchange);
        }
    }
}

#[test]
fn a_crowd_whose_leader_failed_is_answered_with_the_stale_copy_and_asks_nobody() {
    let mut cache = Cache::alone(&still());
    cache.get("/", &ok("max-age=1, stale-if-error=60", "old"));
    cache.advance(2_000);
    let (leader, crowd) = waiting(&mut cache);
    assert_eq!(cache.answer(leader, &Origin::status("503")).body, b"old");
    cache.vm.deliver_all();
    for exchange in crowd {
        assert!(!cache.vm.resumed(&exchange), "the origin was asked again");
        let got: Got = cache.vm.reply(&exchange).expect("answered").into();
        assert_eq!(got.body, b"old");
        assert_eq!(
            got.status_line(),
            "seawall; fwd=stale; collapsed; ttl=-1; detail=stale-if-error"
        );
        cache.vm.finish(exchange);
    }
    assert_eq!(cache.metric("stale.if_error"), 101);
    assert_eq!(cache.metric("stale.if_error_coalesced"), 100);
    assert_eq!(cache.metric("refreshes"), 1);
}

#[test]
fn a_crowd_without_a_copy_that_may_stand_in_goes_on_by_itself_when_its_leader_failed() {
    let mut cache = Cache::alone(&still());
    cache.get("/", &ok("max-age=1", "old"));
    cache.advance(2_000);
    let (leader, crowd) = waiting(&mut cache);
    assert_eq!(cache.answer(leader, &Origin::status("503")).status, 503);
    cache.vm.deliver_all();
    for exchange in crowd {
        assert!(cache.vm.resumed(&exchange));
        cache.answer(exchange, &Origin::status("503"));
    }
}

/// What was given up while it was refreshed was shared before, and is again as soon as there is room.
#[test]
fn what_lost_its_place_while_it_was_refreshed_is_waited_for_all_the_same() {
    let mut cache = Cache::alone(&json!({
        "refresh": {"algorithm": "off"}, "max_entries": 8,
    }));
    for at in 0..7 {
        for _ in 0..9 {
            cache.get(&format!("/other/{at}"), &ok("max-age=600", "x"));
        }
    }
    cache.get("/", &ok("max-age=1", "old"));
    cache.advance(2_000);
    let (refresh, _) = cache.start(&request("GET", "/", &[]));
    for _ in 0..9 {
        cache.get("/new", &ok("max-age=600", "x"));
    }
    cache.answer(refresh, &ok("max-age=1", "new"));
    assert_eq!(cache.metric("rejected.admission"), 1);
    let (first, ended) = cache.start(&request("GET", "/", &[]));
    assert!(matches!(ended, Ended::Forwarded(_)));
    let (second, ended) = cache.start(&request("GET", "/", &[]));
    assert_eq!(ended, Ended::Paused);
    cache.vm.finish(first);
    cache.vm.finish(second);
}

//! A clock that was ahead when something was invalidated, and was set back since.
#![cfg(not(target_arch = "wasm32"))]
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "test code"
)]

mod common;

use common::{ok, request, Cache, Origin};
use serde_json::json;

/// A cache that has parts of requests in its key, or not.
fn cache(parted: bool) -> Cache {
    let headers: &[&str] = if parted { &["x-a"] } else { &[] };
    Cache::alone(&json!({"refresh": {"algorithm": "off"}, "key": {"headers": headers}}))
}

fn get(cache: &mut Cache, body: &str) -> bool {
    cache
        .get_with("/", &[("x-a", "1")], &ok("max-age=60", body))
        .is_hit()
}

/// An unsafe request of another client.
fn post(cache: &mut Cache) {
    let asked = request("POST", "/", &[("x-a", "2")]);
    cache.send(&asked, &Origin::status("200"));
    cache.advance(10);
}

#[test]
fn an_invalidation_of_the_future_keeps_nothing_out() {
    for parted in [false, true] {
        let mut cache = cache(parted);
        let begun = cache.vm.host.world().now();
        cache.advance(3_600_000);
        get(&mut cache, "old");
        cache.advance(10);
        post(&mut cache);
        cache.vm.host.world().set_clock(begun);
        assert!(!get(&mut cache, "new"), "{parted}");
        assert!(get(&mut cache, "newer"), "{parted}");
        // Those of the present do.
        cache.advance(10);
        post(&mut cache);
        assert!(!get(&mut cache, "newest"), "{parted}");
        assert!(get(&mut cache, ""), "{parted}");
    }
}

/// What was asked for by that clock may be older than any invalidation.
#[test]
fn what_was_invalidated_by_a_clock_that_was_ahead_does_not_come_back() {
    let mut cache = cache(true);
    let begun = cache.vm.host.world().now();
    cache.advance(3_600_000);
    get(&mut cache, "old");
    cache.advance(10);
    post(&mut cache);
    cache.vm.host.world().set_clock(begun);
    let (asking, ended) = cache.start(&request("GET", "/", &[("x-a", "1")]));
    assert!(matches!(ended, seawall_core::testing::Ended::Forwarded(_)));
    cache.vm.finish(asking);
    post(&mut cache);
    assert!(!get(&mut cache, "new"));
}

//! Keys of which an answer could not be shared: for how long that is remembered.
#![cfg(not(target_arch = "wasm32"))]

mod common;

use common::{ok, request, still, Cache, Origin};
use seawall_core::testing::Ended;

/// Whether the second of two that come at once waits for the first.
fn waits(cache: &mut Cache) -> bool {
    let (first, ended) = cache.start(&request("GET", "/", &[]));
    assert!(matches!(ended, Ended::Forwarded(_)));
    let (second, ended) = cache.start(&request("GET", "/", &[]));
    for exchange in [first, second] {
        cache.vm.finish(exchange);
    }
    ended == Ended::Paused
}

fn odd() -> Origin<'static> {
    ok("max-age=60", "for one").with("set-cookie", "a=b")
}

#[test]
fn an_answer_for_all_ends_the_memory_of_one_for_one_client() {
    for odd_ones in 1..4 {
        let mut cache = Cache::alone(&still());
        for _ in 0..odd_ones {
            assert!(!cache.get("/", &odd()).is_hit());
        }
        assert!(!waits(&mut cache));
        assert!(!cache.get("/", &ok("max-age=1", "for all")).is_hit());
        assert!(cache.get("/", &Origin::default()).is_hit());
        cache.advance(1_500);
        assert!(waits(&mut cache), "after {odd_ones}");
    }
}

#[test]
fn a_refresh_that_is_for_all_ends_it_as_well() {
    let mut cache = Cache::alone(&still());
    let control = "max-age=1, stale-while-revalidate=2";
    cache.get("/", &ok(control, "first"));
    cache.advance(1_500);
    assert!(!cache.get("/", &odd()).is_hit());
    assert!(!cache.get("/", &ok(control, "second")).is_hit());
    cache.advance(4_000);
    assert!(waits(&mut cache));
}

/// What every use needs the origin for is no answer for all.
#[test]
fn an_answer_that_is_only_to_be_validated_ends_nothing() {
    let mut cache = Cache::alone(&still());
    cache.get("/", &odd());
    for control in [
        "no-cache",
        "max-age=0, must-revalidate, stale-while-revalidate=60",
        "s-maxage=0, stale-if-error=60, proxy-revalidate, stale-while-revalidate=60",
    ] {
        cache.get("/", &ok(control, "x").with("etag", "\"a\""));
        assert!(!waits(&mut cache), "{control}");
    }
}

/// Others in the same place of the table of flights keep theirs.
#[test]
fn the_memory_of_other_keys_stays() {
    let mut cache = Cache::alone(&still());
    for path in ["/", "/other"] {
        cache.get(path, &odd());
    }
    cache.get("/other", &ok("max-age=1", "for all"));
    assert!(!waits(&mut cache));
}

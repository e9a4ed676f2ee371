//! How many may wait for one answer: the bound, and that whoever waits no longer has made room.
#![cfg(not(target_arch = "wasm32"))]

mod common;

use common::{ok, request, still, Cache, Origin};
use seawall_core::testing::{Ended, Exchange};
use seawall_response_cache::CacheStream;

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

//! Which of several stored answers is the most recent, where not all of them have `Vary`, on the fake host.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "test code"
)]

mod common;

use common::{cache, ok, request, still, Cache, Got, Origin};
use seawall_core::date;
use seawall_core::testing::World;
use seawall_core::time::Span;
use serde_json::json;

const ONE: [(&str, &str); 1] = [("x-k", "1")];
const TWO: [(&str, &str); 1] = [("x-k", "2")];

/// A `Date` so many seconds ago.
fn ago(cache: &Cache, seconds: u64) -> String {
    let now = cache.vm.host.world().now();
    date::format(now.saturating_sub(Span::from_secs(seconds)))
}

fn body(got: &Got) -> (bool, &str) {
    (got.is_hit(), std::str::from_utf8(&got.body).unwrap())
}

/// One for `x-k: 2` of now, and one without `Vary` of long ago.
fn fill(cache: &mut Cache) {
    let now = ago(cache, 0);
    let varied = ok("max-age=600", "varied");
    cache.get_with("/", &TWO, &varied.with("vary", "x-k").with("date", &now));
    let old = ago(cache, 5_000);
    let plain = ok("max-age=10000", "plain").with("etag", "\"p\"");
    cache.get("/", &plain.with("date", &old));
}

#[test]
fn an_older_answer_without_vary_does_not_hide_a_newer_variant() {
    let mut cache = cache();
    fill(&mut cache);
    for _ in 0..2 {
        let hit = cache.get_with("/", &TWO, &Origin::default());
        assert_eq!(body(&hit), (true, "varied"));
        // All others have only the other one.
        for more in [&[][..], &ONE] {
            let hit = cache.get_with("/", more, &Origin::default());
            assert_eq!(body(&hit), (true, "plain"));
        }
    }
    // When the newer one is over, what matches still is the older one.
    cache.advance(700_000);
    let got = cache.get_with("/", &TWO, &ok("no-store", "origin"));
    assert_eq!(body(&got), (false, "origin"));
}

#[test]
fn it_does_not_on_another_worker_either() {
    let world = World::new();
    let mut first = Cache::new(&world, 1, &still());
    let mut second = Cache::new(&world, 2, &still());
    fill(&mut first);
    for (more, expected) in [(&TWO[..], "varied"), (&[], "plain"), (&ONE, "plain")] {
        let hit = second.get_with("/", more, &Origin::default());
        assert_eq!(body(&hit), (true, expected));
    }
}

#[test]
fn an_answer_without_vary_of_now_takes_the_place_of_all_variants() {
    let mut cache = cache();
    fill(&mut cache);
    cache.advance(1_000);
    let now = ago(&cache, 0);
    let asks = [("cache-control", "no-cache")];
    cache.get_with("/", &asks, &ok("max-age=60", "new").with("date", &now));
    for more in [&[][..], &ONE, &TWO] {
        let hit = cache.get_with("/", more, &Origin::default());
        assert_eq!(body(&hit), (true, "new"));
    }
}

#[test]
fn an_update_of_an_older_answer_without_vary_stays_beside_the_variants() {
    for date in [0, 4_000] {
        let mut cache = cache();
        fill(&mut cache);
        cache.advance(1_000);
        let date = ago(&cache, date);
        let fresh = Origin::status("304").with("etag", "\"p\"");
        let fresh = fresh.with("date", &date).with("x-new", "1");
        let asks = [("cache-control", "no-cache")];
        let got = cache.get_with("/", &asks, &fresh);
        assert_eq!(
            (got.sent("if-none-match"), got.status),
            (Some("\"p\""), 200)
        );
        let hit = cache.get_with("/", &ONE, &Origin::default());
        assert_eq!(
            (body(&hit), hit.header("x-new")),
            ((true, "plain"), Some("1"))
        );
        assert_eq!(cache.metric("rejected.outdated"), 0);
    }
}

#[test]
fn what_is_invalidated_is_gone_with_and_without_vary() {
    let mut cache = cache();
    fill(&mut cache);
    cache.send(&request("DELETE", "/", &[]), &Origin::status("204"));
    for more in [&[][..], &ONE, &TWO] {
        assert!(!cache.get_with("/", more, &ok("no-store", "")).is_hit());
    }
}

/// The list of variants came while the one without `Vary` was on its way.
#[test]
fn an_older_answer_without_vary_does_not_hide_a_variant_that_came_meanwhile() {
    let mut cache = Cache::alone(&json!({
        "coalesce": {"enabled": false}, "refresh": {"algorithm": "off"}
    }));
    let (slow, _) = cache.start(&request("GET", "/", &[]));
    let now = ago(&cache, 0);
    let varied = ok("max-age=600", "varied");
    cache.get_with("/", &TWO, &varied.with("vary", "x-k").with("date", &now));
    let old = ago(&cache, 5_000);
    cache.answer(slow, &ok("max-age=10000", "plain").with("date", &old));
    for (more, expected) in [(&TWO[..], "varied"), (&[], "plain"), (&ONE, "plain")] {
        let hit = cache.get_with("/", more, &Origin::default());
        assert_eq!(body(&hit), (true, expected));
    }
}

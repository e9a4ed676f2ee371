//! What the parts of a key keep apart, and hard purges under soft ones.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "test code"
)]

mod common;

use common::{ok, request, Cache, Origin};
use serde_json::{json, Value};

type Fields<'a> = &'a [(&'a str, &'a str)];

/// Whether the second request gets what was stored for the first one.
fn shares(key: &Value, first: Fields<'_>, second: Fields<'_>) -> bool {
    let mut cache = Cache::alone(&json!({"key": key, "refresh": {"algorithm": "off"}}));
    cache.get_with("/", first, &ok("max-age=60", "first"));
    assert!(cache.get_with("/", first, &Origin::default()).is_hit());
    let got = cache.get_with("/", second, &ok("no-store", "second"));
    got.is_hit()
}

#[test]
fn values_of_one_part_are_not_those_of_another() {
    let cookies = json!({"cookies": ["a", "b"]});
    assert!(!shares(
        &cookies,
        &[("cookie", "a=1")],
        &[("cookie", "b=1")]
    ));
    assert!(shares(
        &cookies,
        &[("cookie", "a=1; c=2")],
        &[("cookie", "a=1; c=3")]
    ));
    let headers = json!({"headers": ["x-a", "x-b"]});
    assert!(!shares(&headers, &[("x-a", "1")], &[("x-b", "1")]));
    // What would be the same bytes without the lengths of the parts.
    let (one, other) = ([("x-a", "1x-b2")], [("x-a", "1"), ("x-b", "2x-b")]);
    assert!(!shares(&headers, &one, &other));
    // Fields that frameworks believe in, by name.
    let forwarded = [("x-forwarded-host", "v")];
    assert!(!shares(&json!({}), &forwarded, &[("x-original-host", "v")]));
}

/// A soft purge of everything leaves what was purged hard before as it is: gone.
#[test]
fn a_soft_purge_brings_nothing_back() {
    for kind in ["prefix", "tag"] {
        let mut cache = Cache::alone(&json!({
            "refresh": {"algorithm": "off"}, "stale_while_revalidate": "1h",
            "purge": {"secret_header": "x-purge", "secret": "let-me-in"},
        }));
        let origin = ok("max-age=60", "old").with("surrogate-key", "t");
        cache.get("/a", &origin);
        for (what, mode) in [(kind, "hard"), ("all", "soft")] {
            let mut fields = vec![
                ("x-purge", "let-me-in"),
                ("seawall-purge", what),
                ("seawall-purge-mode", mode),
            ];
            if what == "tag" {
                fields.push(("surrogate-key", "t"));
            }
            let got = cache.send(&request("PURGE", "/a", &fields), &Origin::default());
            assert_eq!(got.status, 200);
        }
        let (_, ended) = cache.start(&request("GET", "/a", &[]));
        let asked = matches!(ended, seawall_core::testing::Ended::Forwarded(_));
        assert!(asked, "{kind}");
        let (_, ended) = cache.start(&request("GET", "/a", &[]));
        let waits = matches!(ended, seawall_core::testing::Ended::Paused);
        assert!(waits, "{kind}: nothing stale is there to be used");
    }
}

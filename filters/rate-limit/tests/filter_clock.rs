//! A clock that is set back, as a request sees it.
#![cfg(not(target_arch = "wasm32"))]
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    dead_code,
    reason = "test code"
)]

mod common;

use common::filter::{ask, passes, passing, rig, wait};
use seawall_core::time::Span;
use serde_json::json;

#[test]
fn who_is_refused_after_the_clock_was_set_back_waits_as_long_as_it_is_told() {
    let key = json!([{"header": "k"}]);
    for algorithm in ["gcra", "sliding_window", "fixed_window"] {
        let tight =
            json!({"name": "a", "key": key, "algorithm": algorithm, "requests": 2, "per": "1m"});
        let same = json!({"name": "b", "key": key, "requests": 1_000, "per": "1m"});
        let other = json!({"name": "c", "requests": 1_000, "per": "1m"});
        for limits in [json!([tight]), json!([tight, same]), json!([tight, other])] {
            let mut rig = rig(json!({ "limits": limits }));
            assert_eq!(passing(&mut rig, &[("k", "x")], 5), 2);
            let world = rig.host.world();
            world.set_clock(world.now().saturating_sub(Span::from_secs(86_400)));
            let refused = ask(&mut rig, &[("k", "x")]).unwrap();
            let told = refused.header("retry-after").unwrap().parse().unwrap();
            assert!(told <= 120, "{algorithm}: {told}");
            wait(&rig, told);
            assert!(passes(&mut rig, &[("k", "x")]), "{limits}");
        }
    }
}

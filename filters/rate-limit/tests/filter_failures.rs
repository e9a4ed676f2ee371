//! Every host call fails, alone and together with others, at every moment of a request: traffic passes or is refused as the
//! user chose, nothing panics, and it is logged once.
#![cfg(not(target_arch = "wasm32"))]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    dead_code,
    reason = "test code"
)]

mod common;

use common::filter::{answered, ask, begin, count, passes, rig, Rig};
use proptest::prelude::*;
use seawall_core::host::{Expect, Failure, Host};
use seawall_core::testing::{Ended, Vm, World};
use seawall_rate_limit::RateLimit;
use serde_json::{json, Value};

const CALLS: [&str; 12] = [
    "now",
    "random",
    "headers",
    "header",
    "set_header",
    "add_header",
    "property",
    "set_property",
    "shared_get",
    "shared_set",
    "metric_add",
    "reply",
];
const FAILURES: [Failure; 4] = [
    Failure::NotFound,
    Failure::BadArgument,
    Failure::Status(10),
    Failure::Status(12),
];

/// Everything that can be configured at once.
fn everything(on_error: &str) -> Value {
    json!({
        "on_error": on_error,
        "access_log": true,
        "headers": "both",
        "answer": {"retry_after_jitter": "3s"},
        "exempt": {"cidr": "192.0.2.0/24"},
        "limits": [
            {"name": "tenant", "key": [{"header": "t"}], "requests": 3, "per": "1m", "enforce_percent": 99,
             "penalty": {"refusals": 2, "within": "1m", "block_for": "1m"}},
            {"name": "failures", "key": ["client_address"], "requests": 3, "per": "1m", "charge": {"status": "4xx"}},
            {"name": "open", "key": [{"cookie": "s"}], "concurrent": 3},
            {"name": "path", "key": ["path", "host", "method", {"query": "q"}, "route", "cluster", {"jwt_claim": "sub"}],
             "requests": 3, "per": "1h", "algorithm": "sliding_window", "cost": {"header": "c"}},
        ],
    })
}

/// A whole request, whatever comes of it. True when it went on.
fn request(rig: &mut Rig) -> bool {
    let headers = [
        ("t", "a"),
        (":path", "/x?q=1"),
        (":method", "GET"),
        (":authority", "h"),
        ("cookie", "s=1"),
    ];
    let properties: &[(&str, &[u8])] =
        &[("source.address", b"10.0.0.1:1"), ("xds.route_name", b"r")];
    let (exchange, ended) = begin(rig, properties, &headers);
    match ended {
        Ended::Forwarded(_) => {
            answered(rig, exchange, &[(":status", "404")]);
            true
        }
        Ended::Replied(_) => {
            rig.finish(exchange);
            false
        }
        Ended::Paused => panic!("a request that is held without an answer hangs for ever"),
    }
}

#[test]
fn each_call_fails_alone() {
    for on_error in ["allow", "deny"] {
        for call in CALLS {
            for failure in FAILURES {
                let mut rig = rig(everything(on_error));
                assert!(request(&mut rig));
                rig.host.fail(call, failure);
                for _ in 0..20 {
                    request(&mut rig);
                }
                rig.host.heal();
                let lines = rig.host.world().log();
                assert!(lines.len() <= 2, "{call}: {lines:?}");
            }
        }
    }
}

#[test]
fn without_storage_traffic_passes_or_not_as_the_user_chose() {
    for call in ["shared_get", "shared_set", "now", "header"] {
        let configuration = |on_error: &str| json!({"on_error": on_error, "limits": [{"name": "a", "key": [{"header": "t"}], "requests": 1, "per": "1d"}]});
        let mut allow = rig(configuration("allow"));
        allow.host.fail(call, Failure::Status(10));
        for _ in 0..100 {
            assert!(passes(&mut allow, &[]), "{call}");
        }
        assert_eq!(
            allow.host.world().metric("seawall.rate_limit.errors"),
            100,
            "{call}"
        );
        assert_eq!(
            allow.host.world().log().len(),
            1,
            "{call}: once, not per request"
        );
        if call.starts_with("shared") {
            assert_eq!(count(&allow, "a", "errors"), 100);
        }
        let mut deny = rig(configuration("deny"));
        deny.host.fail(call, Failure::Status(10));
        let refused = ask(&mut deny, &[]).unwrap();
        assert_eq!(
            (refused.status, refused.details.as_str()),
            (503, "seawall.rate_limit.undecided"),
            "{call}"
        );
        deny.host.heal();
        assert!(passes(&mut deny, &[]), "{call}");
        assert!(!passes(&mut deny, &[]), "{call}");
    }
}

#[test]
fn a_worker_that_never_wins_gives_up_in_the_end() {
    let mut rig = rig(json!({"max_keys": 16, "on_error": "deny",
        "limits": [{"name": "a", "requests": 1, "per": "1d"}]}));
    let rival = rig.host.world().clone();
    rig.host.before_shared(move || {
        for name in rival.shared_names() {
            if name != "seawall.rl.secret" {
                let (value, _) = rival.shared_get(&name).unwrap();
                rival.shared_set(&name, &value, Expect::Anything);
            }
        }
        if rival.shared_keys() == 1 {
            // No slot yet: the only one.
            rival.shared_set("seawall.rl.00000000", &[0; 8], Expect::Anything);
        }
    });
    assert_eq!(ask(&mut rig, &[]).unwrap().status, 503);
    assert_eq!(count(&rig, "a", "errors"), 1);
}

#[test]
fn anything_in_the_table_is_survived() {
    for garbage in [
        vec![],
        vec![0xff; 7],
        vec![0xff; 8],
        vec![0xff; 40],
        vec![0xff; 8 + 32 * 16],
        vec![0xff; 10_000],
    ] {
        let mut rig = rig(json!({"max_keys": 16, "limits": [
            {"name": "a", "requests": 1, "per": "1d"},
            {"name": "b", "concurrent": 5, "key": [{"header": "x"}]},
        ]}));
        rig.host
            .shared_set("seawall.rl.00000000", &garbage, Expect::Anything)
            .unwrap();
        passes(&mut rig, &[]);
        assert!(!passes(&mut rig, &[]));
    }
}

#[test]
fn without_a_secret_at_load_it_is_made_with_the_first_request() {
    let world = World::new();
    let mut rig: Rig = Vm::start(
        &world,
        1,
        &json!({"limits": [{"name": "a", "requests": 1, "per": "1d"}]}),
    );
    // What another process left there.
    rig.host
        .shared_set("seawall.rl.secret", b"short", Expect::Anything)
        .unwrap();
    let mut other: Rig = Vm::start(
        &world,
        2,
        &json!({"limits": [{"name": "a", "requests": 1, "per": "1d"}]}),
    );
    assert!(passes(&mut other, &[]));
    assert!(passes(&mut other, &[]), "it cannot limit, and lets pass");
    assert_eq!(world.metric("seawall.rate_limit.errors"), 2);
    assert!(passes(&mut rig, &[]));
    assert!(!passes(&mut rig, &[]), "this one had it before");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn any_calls_fail_at_any_time(
        turns in proptest::collection::vec((proptest::sample::subsequence(CALLS.to_vec(), 0..4), 0..4usize), 1..12),
        deny in any::<bool>(),
    ) {
        let mut rig = rig(everything(if deny { "deny" } else { "allow" }));
        for (failing, failure) in turns {
            for call in failing {
                rig.host.fail(call, FAILURES[failure]);
            }
            request(&mut rig);
            rig.host.heal();
            request(&mut rig);
        }
    }

    #[test]
    fn any_bytes_in_a_request_are_survived(
        values in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..40), 12),
    ) {
        let mut rig: Vm<RateLimit> = rig(everything("allow"));
        let names = ["t", ":path", ":method", ":authority", "cookie", "c", "x-forwarded-for", "content-type", "accept"];
        let headers: Vec<_> = names.iter().zip(&values).map(|(name, value)| ((*name).to_owned(), value.clone())).collect();
        for _ in 0..5 {
            let mut exchange = rig.open(&[("source.address", &values[9]), ("xds.route_name", &values[10])]);
            rig.request_bytes(&mut exchange, headers.clone(), true);
            rig.finish(exchange);
        }
    }
}

//! What callers of gRPC are told.
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

use common::filter::{ask, passing, rig};
use serde_json::json;

#[test]
fn grpc_callers_get_a_status_and_a_pushback() {
    let mut limited = rig(json!({"limits": [
        {"name": "a", "requests": 3, "per": "1s", "cost": {"header": "x-cost"}}
    ]}));
    passing(&mut limited, &[], 3);
    for kind in ["application/grpc", "application/grpc+proto"] {
        let refused = ask(
            &mut limited,
            &[
                ("content-type", kind),
                ("accept", "application/problem+json"),
            ],
        )
        .unwrap();
        assert_eq!(refused.grpc_status, Some(8), "{kind}");
        assert_eq!(refused.header("grpc-retry-pushback-ms"), Some("334"));
        assert_eq!(refused.body, b"rate limit exceeded");
        assert_eq!(refused.header("content-type"), None);
    }
    let never = ask(
        &mut limited,
        &[("content-type", "application/grpc"), ("x-cost", "4")],
    )
    .unwrap();
    assert_eq!(never.header("grpc-retry-pushback-ms"), Some("-1"));
    // Clients read 32 bits; what does not fit would be the same as never to some, and at once to others.
    for (per, expected) in [("24d", "2073600000"), ("25d", "-1")] {
        let mut slow = rig(json!({"limits": [{"name": "a", "requests": 1, "per": per}]}));
        passing(&mut slow, &[], 1);
        let refused = ask(&mut slow, &[("content-type", "application/grpc")]).unwrap();
        assert_eq!(refused.header("grpc-retry-pushback-ms"), Some(expected));
        assert!(refused.header("retry-after").is_some());
    }
    // Envoy answers these as HTTP, whatever it is told.
    for kind in ["text/grpc", "application/grpc-web", "application/grpcx"] {
        let refused = ask(&mut limited, &[("content-type", kind)]).unwrap();
        assert_eq!(refused.grpc_status, None, "{kind}");
        assert_eq!(refused.header("content-type"), Some("text/plain"));
        assert_eq!(refused.header("grpc-retry-pushback-ms"), None);
    }
}

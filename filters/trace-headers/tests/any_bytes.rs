//! Any bytes in any field: what goes on is one valid `traceparent`, that of the caller or a new one, and nothing traps.
#![cfg(not(target_arch = "wasm32"))]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "test code"
)]

mod common;

use common::{hex, one, position, FORMATS, REQUEST};
use proptest::prelude::*;
use seawall_core::testing::{Ended, Vm, World};
use seawall_trace_headers::ids::request_id::is_safe;
use seawall_trace_headers::TraceHeaders;
use serde_json::json;

const NAMES: [&str; 17] = [
    "traceparent",
    "tracestate",
    "baggage",
    "b3",
    "x-b3-traceid",
    "x-b3-spanid",
    "x-b3-sampled",
    "x-b3-flags",
    "uber-trace-id",
    "x-amzn-trace-id",
    "x-datadog-trace-id",
    "x-datadog-parent-id",
    "x-datadog-sampling-priority",
    "x-datadog-tags",
    "x-request-id",
    "cookie",
    "x-tenant-id",
];

/// Bytes that come near to what the formats look like, or do not.
fn value() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        prop::collection::vec(any::<u8>(), 0..70),
        "[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}(-[a-z]{0,3})?"
            .prop_map(String::into_bytes),
        "[0-9a-fA-F:;=%-]{0,60}".prop_map(String::into_bytes),
        "(Root=1-[0-9a-f]{8}-[0-9a-f]{24})?;?(Parent=[0-9a-f]{16})?;?(Sampled=[01?])?"
            .prop_map(String::into_bytes),
        "[a-z]{1,3}=[ -~]{0,20}(,[a-z]{1,3}=[ -~]{0,20}){0,3}".prop_map(String::into_bytes),
        "[0-9]{1,20}".prop_map(String::into_bytes),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(5000))]

    #[test]
    fn give_a_valid_traceparent(
        fields in prop::collection::vec((0..NAMES.len(), value()), 0..12),
        one_id in any::<bool>(),
        trusted in any::<bool>(),
    ) {
        let configuration = json!({
            "read": FORMATS,
            "write": FORMATS,
            "one_id": one_id,
            "trust": {"mode": if trusted { "always" } else { "never" }},
            "log": {"tenant_id": {"header": "x-tenant-id"}, "user_id": {"cookie": "u"}, "properties": true},
        });
        let mut vm: Vm<TraceHeaders> = Vm::start(&World::new(), 1, &configuration);
        let mut headers: Vec<(String, Vec<u8>)> = REQUEST
            .iter()
            .map(|(name, value)| ((*name).to_owned(), value.as_bytes().to_vec()))
            .collect();
        headers.extend(fields.iter().map(|(at, value)| (NAMES[*at].to_owned(), value.clone())));
        let mut exchange = vm.open(&[]);
        let Ended::Forwarded(out) = vm.request_bytes(&mut exchange, headers, true) else {
            panic!("not forwarded");
        };
        let found = position(&out);
        prop_assert!(one(&out, "traceparent").starts_with("00-"));
        // All formats that are written say the same.
        let trace = hex(found.trace_id.bytes());
        prop_assert!(one(&out, "b3").starts_with(&trace));
        prop_assert_eq!(one(&out, "x-b3-traceid"), &trace);
        prop_assert!(one(&out, "uber-trace-id").starts_with(&trace));
        let id = one(&out, "x-request-id");
        prop_assert!(is_safe(id.as_bytes()));
        for name in ["tenant_id", "user_id", "inbound_request_id", "inbound_traceparent"] {
            let logged = vm.property(&exchange, &format!("seawall.trace_headers.{name}")).unwrap_or_default();
            prop_assert!(logged.len() <= 128 && logged.iter().all(u8::is_ascii_graphic));
            prop_assert!(!logged.iter().any(|byte| b"\"\\<>&'".contains(byte)));
        }
        vm.finish(exchange);
    }
}

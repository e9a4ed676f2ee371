//! The same rules on wasm32: 32-bit lengths, hexadecimal, identifiers.
#![cfg(target_arch = "wasm32")]
#![allow(clippy::unwrap_used, reason = "test code")]

use seawall_core::config::load;
use seawall_core::testing::{FakeHost, World};
use seawall_trace_headers::config::Settings;
use seawall_trace_headers::ids::random::Pool;
use seawall_trace_headers::ids::request_id::{hyphenated, is_safe, Generator};
use seawall_trace_headers::w3c::traceparent::parse;
use seawall_trace_headers::w3c::tracestate::{receive, Tracestate};
use serde_json::json;
use wasm_bindgen_test::wasm_bindgen_test;

#[wasm_bindgen_test]
fn a_traceparent_reads_the_same() {
    let found = parse(b"00-12345678901234567890123456789012-1234567890123456-03").unwrap();
    assert!(found.sampled && found.random);
    assert!(parse(b"00-00000000000000000000000000000000-1234567890123456-03").is_none());
    assert!(parse(b"ff-12345678901234567890123456789012-1234567890123456-03").is_none());
    assert!(parse(&[b'0'; 70_000]).is_none());
}

#[wasm_bindgen_test]
fn a_long_tracestate_is_cut_to_whole_members() {
    let line: Vec<String> = (0..32)
        .map(|at| format!("k{at}={}", "v".repeat(200)))
        .collect();
    let line = line.join(",");
    let Tracestate::Rewritten { value, .. } = receive(&[line.as_bytes()], 512) else {
        unreachable!("it is longer than 512 bytes");
    };
    assert!(value.len() <= 512);
    assert!(line.contains(core::str::from_utf8(&value).unwrap()));
}

#[wasm_bindgen_test]
fn request_ids_increase_and_are_safe() {
    let world = World::new();
    let host = FakeHost::new(&world, 1);
    let (mut generator, mut pool) = (Generator::default(), Pool::default());
    let mut last = [0; 16];
    for _ in 0..10_000 {
        let id = generator
            .version_7(&host, &mut pool, Some(world.now()))
            .unwrap();
        assert!(id > last);
        last = id;
    }
    assert!(is_safe(&hyphenated(&last)));
}

#[wasm_bindgen_test]
fn the_configuration_is_checked_the_same() {
    let wrong = json!({"sampling": {"ratio": 2}, "request_id": {"format": "ulid"}});
    let errors = load::<Settings>(&wrong).unwrap_err().to_string();
    assert!(errors.contains("request_id.format"), "{errors}");
}

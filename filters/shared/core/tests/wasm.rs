//! The same vectors on wasm32: 32-bit lengths, float casts, hashing.
#![cfg(target_arch = "wasm32")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "test code"
)]

use seawall_core::config::parse;
use seawall_core::hash::{KeyHasher, Secret};
use seawall_core::headers::Headers;
use seawall_core::route::namespace;
use seawall_core::time::Span;
use wasm_bindgen_test::wasm_bindgen_test;

#[wasm_bindgen_test]
fn header_lengths_beyond_the_buffer_are_refused() {
    let mut bytes = vec![0xff; 12];
    assert!(Headers::from_abi(bytes.clone()).is_none());
    bytes[..4].copy_from_slice(&1u32.to_le_bytes());
    assert!(Headers::from_abi(bytes).is_none());
}

#[wasm_bindgen_test]
fn protobuf_lengths_beyond_32_bits_are_refused() {
    assert!(namespace(&[0x0a, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f], "x").is_err());
}

#[wasm_bindgen_test]
fn spans_saturate() {
    assert_eq!(Span::from_secs(u64::MAX), Span::MAX);
    assert_eq!(Span::from_secs(1).scale(f64::NAN), Span::ZERO);
    assert_eq!(Span::from_secs(1).scale(1e300), Span::MAX);
}

#[wasm_bindgen_test]
fn configuration_reads_the_same() {
    assert_eq!(
        parse(br#"{"a": 5.0}"#).unwrap(),
        serde_json::json!({"a": 5})
    );
}

#[wasm_bindgen_test]
fn fingerprints_are_those_of_every_platform() {
    let hash = KeyHasher::new(&Secret([7; 16])).part(b"tenant").finish();
    assert_eq!(hash.slot(1), 0);
    assert_eq!(
        hash,
        KeyHasher::new(&Secret([7; 16])).part(b"tenant").finish()
    );
}

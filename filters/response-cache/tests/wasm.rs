//! The same decisions on wasm32: 32-bit lengths, logarithms, formats, hashing.
#![cfg(target_arch = "wasm32")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "test code"
)]

use seawall_core::date;
use seawall_core::hash::Secret;
use seawall_core::headers::Headers;
use seawall_core::time::{Span, Timestamp};
use seawall_response_cache::entry::{Content, Entry, Meta};
use seawall_response_cache::http::directives::{seconds, MOST_SECONDS};
use seawall_response_cache::http::range::{read, Ranged};
use seawall_response_cache::http::request::Request;
use seawall_response_cache::key::{fingerprint, location_of, Recipe};
use seawall_response_cache::refresh::{due, Algorithm, Random};
use seawall_response_cache::reuse::{decide, Use};
use std::rc::Rc;
use wasm_bindgen_test::wasm_bindgen_test;

#[wasm_bindgen_test]
fn dates_far_in_the_future_are_read() {
    let now = Timestamp::from_secs(1_790_000_000);
    for (text, secs) in [
        ("Sat, 20 Nov 2286 17:46:39 GMT", 9_999_999_999),
        ("Tue, 19 Jan 2038 14:14:08 GMT", 2_147_523_248),
        ("Sunday, 06-Nov-94 08:49:37 GMT", 784_111_777),
    ] {
        assert_eq!(
            date::parse(text.as_bytes(), now),
            Some(Timestamp::from_secs(secs)),
            "{text}"
        );
    }
    assert_eq!(
        date::format(Timestamp::from_secs(784_111_777)),
        "Sun, 06 Nov 1994 08:49:37 GMT"
    );
}

#[wasm_bindgen_test]
fn numbers_beyond_32_bits_saturate() {
    assert_eq!(seconds(b"99999999999999999999"), Some(MOST_SECONDS));
    assert_eq!(
        read(b"bytes=0-99999999999", 10),
        Ranged::Part { first: 0, last: 9 }
    );
    assert_eq!(read(b"bytes=99999999999-", 10), Ranged::Unsatisfiable);
}

#[wasm_bindgen_test]
fn entries_are_written_and_read() {
    let entry = Entry {
        key: b"key".to_vec(),
        content: Content::Response {
            meta: Meta {
                generation: u64::MAX,
                lifetime: Span::from_secs(60),
                status: 200,
                ..Meta::default()
            },
            headers: Headers::from_pairs(&[("a", "1")]),
            body: Rc::new(vec![7; 70_000]),
        },
    };
    let value = entry.encode().unwrap();
    assert_eq!(Entry::decode(&value), Some(entry));
    assert_eq!(Entry::decode(&value[..value.len() - 1]), None);
    let mut longer = value;
    longer[9..13].copy_from_slice(&u32::MAX.to_le_bytes());
    assert_eq!(Entry::decode(&longer), None);
}

#[wasm_bindgen_test]
fn xfetch_follows_its_closed_form() {
    let mut random = Random::new(1);
    let now = Timestamp::from_secs(1_000);
    let expiry = now.saturating_add(Span::from_millis(100));
    let rule = Algorithm::Xfetch { beta: 1.0 };
    let hits = (0..20_000)
        .filter(|_| due(rule, now, expiry, Span::from_millis(100), random.unit()))
        .count();
    assert!(
        (hits as f64 / 20_000.0 - (-1.0f64).exp()).abs() < 0.02,
        "{hits}"
    );
}

#[wasm_bindgen_test]
fn keys_and_fingerprints() {
    let request = Request::read(Headers::from_pairs(&[
        (":authority", "a"),
        (":path", "/b?c"),
    ]));
    let key = Recipe::default().key(&request).unwrap();
    assert_eq!(location_of(&key), Some(&b"a/b"[..]));
    assert_eq!(
        fingerprint(&Secret([1; 16]), &key),
        fingerprint(&Secret([1; 16]), &key)
    );
}

#[wasm_bindgen_test]
fn freshness_saturates() {
    let meta = Meta {
        arrived: Timestamp(u64::MAX),
        lifetime: Span(u64::MAX),
        ..Meta::default()
    };
    assert_eq!(
        decide(&meta, Timestamp(1), &Default::default(), None),
        Use::Fresh
    );
}

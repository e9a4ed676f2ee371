//! W3C Trace Context Level 2, section 3.2: a case per rule, and any bytes at all.
#![cfg(not(target_arch = "wasm32"))]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "test code"
)]

use proptest::prelude::*;
use seawall_core::headers::Headers;
use seawall_trace_headers::interop::{extract, Format, Inbound};
use seawall_trace_headers::w3c::traceparent::parse;

const TRACE: &str = "12345678901234567890123456789012";
const SPAN: &str = "1234567890123456";

fn flags(value: &str) -> Option<(bool, bool)> {
    parse(value.as_bytes()).map(|found| (found.sampled, found.random))
}

#[test]
fn what_is_valid() {
    for (value, sampled, random) in [
        (format!("00-{TRACE}-{SPAN}-00"), false, false),
        (format!("00-{TRACE}-{SPAN}-01"), true, false),
        (format!("00-{TRACE}-{SPAN}-02"), false, true),
        (format!("00-{TRACE}-{SPAN}-03"), true, true),
        // Flags that are not known are ignored.
        (format!("00-{TRACE}-{SPAN}-fc"), false, false),
        (format!("00-{TRACE}-{SPAN}-ff"), true, true),
        // Optional whitespace around a field value.
        (format!(" \t00-{TRACE}-{SPAN}-01\t "), true, false),
        // Higher versions: as far as they are known.
        (format!("cc-{TRACE}-{SPAN}-01"), true, false),
        (
            format!("01-{TRACE}-{SPAN}-03-what-the-future-will-be"),
            true,
            true,
        ),
        (format!("fe-{TRACE}-{SPAN}-01-"), true, false),
    ] {
        assert_eq!(flags(&value), Some((sampled, random)), "{value}");
    }
}

#[test]
fn what_is_not() {
    let wrong = [
        // Version: two lower-case digits, not ff.
        format!("ff-{TRACE}-{SPAN}-01"),
        format!("0-{TRACE}-{SPAN}-01"),
        format!("000-{TRACE}-{SPAN}-01"),
        format!(".0-{TRACE}-{SPAN}-01"),
        format!("0.-{TRACE}-{SPAN}-01"),
        format!("CC-{TRACE}-{SPAN}-01"),
        // Version 00 has nothing after its flags.
        format!("00-{TRACE}-{SPAN}-01-"),
        format!("00-{TRACE}-{SPAN}-01-extra"),
        format!("00-{TRACE}-{SPAN}-01."),
        // Higher versions go on with a dash, and are not shorter.
        format!("cc-{TRACE}-{SPAN}-01.extra"),
        format!("cc-{TRACE}-{SPAN}-0"),
        format!("cc-{TRACE}-{SPAN}-0g"),
        format!("cc-{TRACE}-{SPAN}"),
        // Trace id: 32 lower-case digits, not all zeros.
        format!("00-{}-{SPAN}-01", "0".repeat(32)),
        format!("00-{}-{SPAN}-01", "ABCDEF".repeat(6).get(..32).unwrap()),
        format!("00-{TRACE}0-{SPAN}-01"),
        format!("00-{}-{SPAN}-01", &TRACE[1..]),
        format!("00-.{}-{SPAN}-01", &TRACE[1..]),
        format!("00-{}.-{SPAN}-01", &TRACE[1..]),
        // Parent id: 16 lower-case digits, not all zeros.
        format!("00-{TRACE}-{}-01", "0".repeat(16)),
        format!("00-{TRACE}-{SPAN}0-01"),
        format!("00-{TRACE}-{}-01", &SPAN[1..]),
        format!("00-{TRACE}-ABCDEF0123456789-01"),
        format!("00-{TRACE}-{}.-01", &SPAN[1..]),
        // Flags: two lower-case digits.
        format!("00-{TRACE}-{SPAN}-0"),
        format!("00-{TRACE}-{SPAN}-001"),
        format!("00-{TRACE}-{SPAN}-.0"),
        format!("00-{TRACE}-{SPAN}-0A"),
        format!("00-{TRACE}-{SPAN}-"),
        // Delimiters.
        format!("00_{TRACE}_{SPAN}_01"),
        format!("00-{TRACE}-{SPAN} 01"),
        // Several values on one line.
        format!("00-{TRACE}-{SPAN}-01,00-{TRACE}-{SPAN}-01"),
        String::new(),
        " ".to_owned(),
    ];
    for value in &wrong {
        assert_eq!(flags(value), None, "{value:?}");
    }
}

#[test]
fn there_is_one_line() {
    let line = ("traceparent", format!("00-{TRACE}-{SPAN}-01"));
    for (count, valid, invalid) in [(0, false, false), (1, true, false), (2, false, true)] {
        let headers = Headers::from_pairs(&vec![line.clone(); count]);
        let found = extract(&[Format::W3c], &Inbound::find(&headers, "x-request-id"));
        assert_eq!((found.remote.is_some(), found.invalid), (valid, invalid));
    }
}

#[test]
fn unknown_versions_and_flags_are_not_sent() {
    let found = parse(format!("cc-{TRACE}-{SPAN}-ff-more").as_bytes()).unwrap();
    assert_eq!(found.value(), format!("00-{TRACE}-{SPAN}-03").as_bytes());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(20_000))]

    #[test]
    fn any_bytes_are_valid_or_not(bytes in prop::collection::vec(any::<u8>(), 0..80)) {
        if let Some(found) = parse(&bytes) {
            prop_assert_eq!(parse(&found.value()), Some(found));
        }
    }

    /// One character changed in a valid value: what is still valid reads back as the same.
    #[test]
    fn a_changed_character(at in 0usize..55, byte in any::<u8>(), version in "[0-9a-f]{2}") {
        let mut value = format!("{version}-{TRACE}-{SPAN}-01").into_bytes();
        value[at] = byte;
        if let Some(found) = parse(&value) {
            prop_assert!(byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte) || byte == b'-');
            prop_assert_eq!(parse(&found.value()), Some(found));
        }
    }
}

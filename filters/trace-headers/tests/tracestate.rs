//! W3C Trace Context Level 2, section 3.3, and W3C Baggage: a case per rule, and any bytes at all.
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
use seawall_trace_headers::w3c::baggage::{self, Baggage};
use seawall_trace_headers::w3c::tracestate::{receive, Tracestate};

/// The value that goes on; `None` when nothing does.
fn sent(lines: &[&str], most: usize) -> Option<String> {
    let bytes: Vec<&[u8]> = lines.iter().map(|line| line.as_bytes()).collect();
    match receive(&bytes, most) {
        Tracestate::Unchanged => Some(lines.join("")),
        Tracestate::Rewritten { value, .. } => Some(String::from_utf8(value).unwrap()),
        Tracestate::Absent | Tracestate::Empty | Tracestate::Invalid => None,
    }
}

fn one(line: &str) -> Option<String> {
    sent(&[line], 4096)
}

#[test]
fn what_is_valid_goes_on_as_it_is() {
    let keys = "abcdefghijklmnopqrstuvwxyz0123456789_-*/";
    let values: String = (0x20u8..0x7f)
        .map(char::from)
        .filter(|c| *c != ',' && *c != '=')
        .collect();
    for line in [
        "foo=1".to_owned(),
        "foo=1,bar=2".to_owned(),
        "0=1".to_owned(),
        format!("{keys}={values}"),
        format!("{keys}@{keys}={values}"),
        "foo@=1,bar@b@z=2".to_owned(),
        // Spaces in front of a value belong to it.
        "foo=  1".to_owned(),
        format!("{}=1", "z".repeat(256)),
        format!("foo={}", "v".repeat(256)),
        "foo=1, bar=2".to_owned(),
    ] {
        assert_eq!(one(&line).as_deref(), Some(line.as_str()));
    }
}

#[test]
fn what_breaks_the_grammar_is_dropped_whole() {
    for line in [
        "foo =1",
        "FOO=1",
        "foo.bar=1",
        "@foo=1,bar=2",
        "_foo=1",
        "foo=bar=baz",
        "foo=,bar=3",
        "foo= ,bar=3",
        "foo",
        "=1",
        "foo=\u{e4}",
        "foo=a\tb",
        "foo=1;bar,\u{7f}=2",
    ] {
        assert_eq!(one(line), None, "{line:?}");
    }
    assert_eq!(one(&format!("foo=1,{}=1", "z".repeat(257))), None);
    assert_eq!(one(&format!("foo=1,bar={}", "v".repeat(257))), None);
}

#[test]
fn there_are_at_most_32_members() {
    let list = |n: usize| (0..n).map(|at| format!("k{at}=v")).collect::<Vec<_>>();
    let full = list(32);
    assert_eq!(one(&full.join(",")), Some(full.join(",")));
    assert_eq!(one(&list(33).join(",")), None);
    let (left, right) = (full[..16].join(","), full[16..].join(","));
    assert_eq!(sent(&[&left, &right], 4096), Some(full.join(",")));
    assert_eq!(sent(&[&left, &right, "more=1"], 4096), None);
    // Empty ones do not count.
    assert_eq!(
        one(&format!("{},,, ,", full.join(","))),
        Some(full.join(","))
    );
}

#[test]
fn lines_are_combined_in_order() {
    assert_eq!(
        sent(&["foo=1,bar=2", "rojo=1,congo=2", "baz=3"], 4096).as_deref(),
        Some("foo=1,bar=2,rojo=1,congo=2,baz=3")
    );
    assert_eq!(sent(&["foo=1", ""], 4096).as_deref(), Some("foo=1"));
    assert_eq!(sent(&["", "foo=1"], 4096).as_deref(), Some("foo=1"));
    assert_eq!(sent(&["foo=1", "BAD=1"], 4096), None);
    assert_eq!(sent(&[], 4096), None);
    assert_eq!(sent(&["", " ,\t"], 4096), None);
}

#[test]
fn whitespace_around_members_is_ignored() {
    for line in ["foo=1 \t , \t bar=2,\t \tbaz=3\t ", " foo=1,bar=2,baz=3"] {
        let sent = sent(&[line, "x=y"], 4096).unwrap();
        assert_eq!(sent, "foo=1,bar=2,baz=3,x=y");
    }
}

#[test]
fn of_two_with_the_same_key_the_left_one_stays() {
    assert_eq!(one("foo=1,bar=2,foo=3").as_deref(), Some("foo=1,bar=2"));
    assert_eq!(sent(&["foo=1", "foo=1"], 4096).as_deref(), Some("foo=1"));
}

#[test]
fn what_is_too_long_loses_whole_members_long_ones_first_then_from_the_right() {
    let long = format!("long={}", "x".repeat(124)); // 129
    let at_limit = format!("edge={}", "x".repeat(123)); // 128
    assert_eq!((long.len(), at_limit.len()), (129, 128));
    let short: Vec<String> = (0..12)
        .map(|at| format!("k{at:02}={}", "v".repeat(26)))
        .collect();
    let all = format!("{long},{at_limit},{}", short.join(","));
    assert_eq!(all.len(), 129 + 1 + 128 + 12 * 31);
    // The long one is enough.
    assert_eq!(
        sent(&[&all], 512),
        Some(format!("{at_limit},{}", short[..12].join(",")))
    );
    // What is left goes from the right; 128 is not long.
    let more: Vec<String> = (0..20)
        .map(|at| format!("m{at:02}={}", "v".repeat(26)))
        .collect();
    let all = format!("{at_limit},{long},{}", more.join(","));
    let kept = (512 - 128) / 31;
    assert_eq!(
        sent(&[&all], 512),
        Some(format!("{at_limit},{}", more[..kept].join(",")))
    );
    // Two long ones: the right one goes first, and alone where that is enough.
    let other = format!("other={}", "y".repeat(130));
    let line = format!("{long},{other}");
    assert_eq!(sent(&[&line], 200), Some(long));
}

#[test]
fn at_least_512_characters_go_on() {
    let line = format!("a={},b={}", "x".repeat(256), "y".repeat(251));
    assert_eq!(line.len(), 512);
    assert_eq!(sent(&[&line], 512), Some(line));
}

fn carried(lines: &[&str], members: usize, bytes: usize) -> String {
    let raw: Vec<&[u8]> = lines.iter().map(|line| line.as_bytes()).collect();
    match baggage::receive(&raw, members, bytes) {
        Baggage::Unchanged => lines.join(","),
        Baggage::Rewritten { value, .. } => String::from_utf8(value).unwrap(),
    }
}

#[test]
fn baggage_goes_on_within_both_limits_and_loses_whole_members_beyond() {
    let members: Vec<String> = (0..65).map(|at| format!("k{at}=v;p=1")).collect();
    assert_eq!(
        carried(&[&members[..64].join(",")], 64, 8192),
        members[..64].join(",")
    );
    assert_eq!(
        carried(&[&members.join(",")], 64, 8192),
        members[..64].join(",")
    );
    // Limits hold for all lines together.
    let (left, right) = (members[..40].join(","), members[40..].join(","));
    assert_eq!(carried(&[&left, &right], 64, 8192), members[..64].join(","));
    let exact = format!("k={}", "v".repeat(8190));
    assert_eq!(carried(&[&exact], 64, 8192), exact);
    let beyond = format!("k={},small=1", "v".repeat(8191));
    assert_eq!(carried(&[&beyond], 64, 8192), "small=1");
}

#[test]
fn malformed_baggage_members_are_left_out() {
    assert_eq!(
        carried(&["a=1,b,c=\u{e4},=2,d d=1,e = 2;x"], 64, 8192),
        "a=1,e = 2;x"
    );
    assert_eq!(carried(&["a=1,b=%20x"], 64, 8192), "a=1,b=%20x");
    // A list has a member at least; what is no member takes no room.
    assert_eq!(carried(&[" , ", ""], 64, 8192), "");
    assert_eq!(carried(&["a=1 ,  , b=2"], 64, 8), "a=1,b=2");
    assert_eq!(carried(&["a=1", "b=2"], 64, 6), "a=1");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]

    #[test]
    fn any_bytes_give_a_valid_list_or_none(
        lines in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..60), 0..4),
        most in 0usize..200,
    ) {
        let lines: Vec<&[u8]> = lines.iter().map(Vec::as_slice).collect();
        if let Tracestate::Rewritten { value, .. } = receive(&lines, most) {
            prop_assert!(value.len() <= most);
            prop_assert!(value.is_empty() || receive(&[&value], most) == Tracestate::Unchanged);
        }
        let _ = baggage::receive(&lines, 64, most);
    }

    /// Lists of valid members: what goes on is what came, in order, without what had to go.
    #[test]
    fn members_are_never_cut(
        members in prop::collection::vec(("[a-z][a-z0-9]{0,6}", "[!-+--<>-~]{1,150}"), 1..32),
        most in 100usize..2000,
    ) {
        let members: Vec<String> = members.iter().map(|(key, value)| format!("{key}={value}")).collect();
        let line = members.join(",");
        let sent = match receive(&[line.as_bytes()], most) {
            Tracestate::Unchanged => line.clone(),
            Tracestate::Rewritten { value, .. } => String::from_utf8(value).unwrap(),
            other => return Err(TestCaseError::fail(format!("{other:?}"))),
        };
        prop_assert!(sent.len() <= most);
        let mut rest = members.iter();
        for member in sent.split(',').filter(|member| !member.is_empty()) {
            prop_assert!(rest.any(|known| known == member), "{} out of order", member);
        }
    }
}

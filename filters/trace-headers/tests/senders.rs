//! What senders of the formats really send, where it is more, or less, than a specification's example.
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

use common::{all, forward, hex, one, position, start, with, Pairs, TRACE};
use serde_json::json;

const SPAN: &str = "b7ad6b7169203331";

/// What goes on of these fields in the same format, where nothing said means that the trace is not sampled.
fn pass(format: &str, fields: &[(&str, &str)]) -> Pairs {
    let configuration =
        json!({"read": [format], "write": ["w3c", format], "sampling": {"ratio": 0}});
    forward(&mut start(configuration), &with(fields))
}

/// Whether the trace goes on, and how it was decided.
fn continued(out: &Pairs) -> Option<bool> {
    let found = position(out);
    (hex(found.trace_id.bytes()) == TRACE).then_some(found.sampled)
}

/// openzipkin/b3-propagation: decision and parent are optional, each by itself; Brave writes a parent alone.
#[test]
fn b3_with_a_parent_and_no_decision() {
    for (rest, expected) in [
        ("-05e3ac9a4f6e3b90", Some(false)),
        ("-1-05e3ac9a4f6e3b90", Some(true)),
        // No parent, as some write it.
        ("-1-0000000000000000", Some(true)),
        ("-1-05e3ac9a4f6e3b9", None),
        ("-1-x5e3ac9a4f6e3b90", None),
        ("-05e3ac9a4f6e3b9", None),
        ("-05e3ac9a4f6e3b90-1", None),
        ("-", None),
        ("-1-", None),
        ("-1-05e3ac9a4f6e3b90-", None),
    ] {
        let value = format!("{TRACE}-{SPAN}{rest}");
        let out = pass("b3", &[("b3", &value)]);
        assert_eq!(continued(&out), expected, "{rest}");
    }
}

/// Services that hand on the fields of a list, as service meshes ask them to, hand on empty ones as well.
#[test]
fn an_empty_field_is_none() {
    let b3 = |sampled, parent, flags| {
        pass(
            "b3multi",
            &[
                ("x-b3-traceid", TRACE),
                ("x-b3-spanid", SPAN),
                ("x-b3-parentspanid", parent),
                ("x-b3-sampled", sampled),
                ("x-b3-flags", flags),
            ],
        )
    };
    assert_eq!(continued(&b3("", "", "")), Some(false));
    assert_eq!(continued(&b3("1", "", " ")), Some(true));
    let datadog = pass(
        "datadog",
        &[
            ("x-datadog-trace-id", "7"),
            ("x-datadog-parent-id", ""),
            ("x-datadog-sampling-priority", "1"),
        ],
    );
    assert_eq!(one(&datadog, "x-datadog-trace-id"), "7");
    // Nor is anything invalid about a request whose fields are all empty.
    let formats = common::FORMATS;
    let mut vm = start(json!({"read": formats, "write": ["w3c"]}));
    let fields = [("b3", ""), ("x-b3-sampled", ""), ("uber-trace-id", " ")];
    assert!(position(&forward(&mut vm, &with(&fields))).random);
    vm.tick();
    let invalid = "seawall.trace_headers.traceparent_invalid";
    assert_eq!(vm.host.world().metric(invalid), 0);
}

/// openzipkin/b3-propagation: "the first value wins". Python writes `True`.
#[test]
fn b3_on_several_lines_and_in_capitals() {
    let with_decision = |decision| {
        pass(
            "b3multi",
            &[
                ("x-b3-traceid", TRACE),
                ("x-b3-traceid", "00000000000000000000000000000001"),
                ("x-b3-spanid", SPAN),
                ("x-b3-sampled", decision),
                ("x-b3-sampled", "0"),
            ],
        )
    };
    for (decision, expected) in [
        ("1", Some(true)),
        ("True", Some(true)),
        ("FALSE", Some(false)),
        ("10", None),
    ] {
        let out = with_decision(decision);
        assert_eq!(continued(&out), expected, "{decision}");
        assert_eq!(all(&out, "x-b3-traceid").len(), 1, "{decision}");
    }
}

/// Jaeger: the debug flag counts beside the sampled flag only; a number may have zeros in front.
#[test]
fn flags_of_jaeger() {
    for (flags, expected, written) in [
        ("0", Some(false), "0"),
        ("1", Some(true), "1"),
        ("2", Some(false), "0"),
        ("3", Some(true), "3"),
        ("9", Some(true), "1"),
        ("ff", Some(true), "3"),
        ("00001", Some(true), "1"),
        ("101", None, "0"),
        ("", None, "0"),
    ] {
        let value = format!("{TRACE}:{SPAN}:0:{flags}");
        let out = pass("jaeger", &[("uber-trace-id", &value)]);
        assert_eq!(continued(&out), expected, "{flags}");
        let sent = one(&out, "uber-trace-id");
        assert!(sent.ends_with(&format!(":{written}")), "{flags}: {sent}");
    }
}

#[test]
fn times_of_aws_without_the_zeros_in_front() {
    for (root, expected) in [
        ("1-0-16cd43dd8448eb211c80319c", "00000000"),
        ("1-1a-16cd43dd8448eb211c80319c", "0000001a"),
        ("1-0af76519-16cd43dd8448eb211c80319c", "0af76519"),
        ("1--16cd43dd8448eb211c80319c", ""),
        ("1-0af7651900-16cd43dd8448eb211c80319c", ""),
        ("1-0af76519-6cd43dd8448eb211c80319c", ""),
        ("2-0af76519-16cd43dd8448eb211c80319c", ""),
        ("1-16cd43dd8448eb211c80319c", ""),
    ] {
        let value = format!("Root={root};Parent={SPAN};Sampled=1");
        let out = pass("aws", &[("x-amzn-trace-id", &value)]);
        let trace = hex(position(&out).trace_id.bytes());
        let known = trace.ends_with("16cd43dd8448eb211c80319c");
        assert_eq!(known, !expected.is_empty(), "{root}");
        assert!(trace.starts_with(expected), "{root}: {trace}");
    }
}

/// Datadog's tracers: every number above zero keeps the trace, whichever it is, and stays what it is.
#[test]
fn priorities_of_datadog() {
    let send = |priority: &str, mode: &str| {
        let mut vm = start(json!({
            "read": ["datadog"],
            "write": ["w3c", "datadog"],
            "sampling": {"mode": mode, "ratio": 0},
        }));
        let fields = [
            ("x-datadog-trace-id", "7"),
            ("x-datadog-parent-id", "8"),
            ("x-datadog-sampling-priority", priority),
            ("x-datadog-tags", "_dd.p.dm=-4,_dd.p.usr.id=a=="),
        ];
        forward(&mut vm, &with(&fields))
    };
    let both = "_dd.p.dm=-4,_dd.p.usr.id=a==";
    for (priority, mode, sent, tags) in [
        ("-2", "follow", "-2", both),
        ("-1", "follow", "-1", both),
        ("0", "follow", "0", both),
        ("1", "follow", "1", both),
        ("3", "follow", "3", both),
        // Nothing that was decided: the ratio decides, and whoever decided before is not named.
        ("x", "follow", "0", "_dd.p.usr.id=a=="),
        ("+1", "follow", "0", "_dd.p.usr.id=a=="),
        ("-", "follow", "0", "_dd.p.usr.id=a=="),
        ("000000000001", "follow", "0", "_dd.p.usr.id=a=="),
        // Nor where it was decided otherwise here.
        ("2", "never", "0", "_dd.p.usr.id=a=="),
        ("-1", "always", "1", "_dd.p.usr.id=a=="),
        ("2", "always", "2", both),
    ] {
        let out = send(priority, mode);
        let found = one(&out, "x-datadog-sampling-priority");
        assert_eq!(found, sent, "{priority} {mode}");
        let kept = !sent.starts_with('-') && sent != "0";
        assert_eq!(position(&out).sampled, kept, "{priority} {mode}");
        assert_eq!(one(&out, "x-datadog-tags"), tags, "{priority} {mode}");
    }
}

/// A sender that knows half of an id and sends `traceparent` as well: its trace stays whole.
#[test]
fn half_of_an_id_is_completed_by_a_format_that_has_all_of_it() {
    let low = &TRACE[16..];
    let b3 = format!("{low}-{SPAN}-0");
    let datadog = u64::from_str_radix(low, 16).unwrap().to_string();
    let parent = format!("00-{TRACE}-{SPAN}-03");
    for (format, name, value) in [
        ("b3", "b3", b3.as_str()),
        ("datadog", "x-datadog-trace-id", datadog.as_str()),
    ] {
        let mut vm = start(json!({"read": [format, "w3c"], "write": ["w3c", format]}));
        let fields = [
            (name, value),
            ("traceparent", parent.as_str()),
            ("tracestate", "a=1"),
        ];
        let out = forward(&mut vm, &with(&fields));
        let found = position(&out);
        assert_eq!(hex(found.trace_id.bytes()), TRACE, "{format}");
        assert!(found.random, "{format}");
        assert_eq!(one(&out, "tracestate"), "a=1", "{format}");
    }
    // A traceparent is whole as it is.
    let mut vm = start(json!({"read": ["w3c", "b3"]}));
    let padded = format!("00-0000000000000000{low}-{SPAN}-01");
    let whole = format!("{TRACE}-{SPAN}-1");
    let fields = [("traceparent", padded.as_str()), ("b3", whole.as_str())];
    let out = forward(&mut vm, &with(&fields));
    assert_eq!(position(&out).trace_id.high(), 0);
    // Another trace completes nothing.
    let mut vm = start(json!({"read": ["b3", "w3c"]}));
    let other = format!("00-{}-{SPAN}-01", "1".repeat(32));
    let fields = [("b3", b3.as_str()), ("traceparent", other.as_str())];
    let out = forward(&mut vm, &with(&fields));
    assert_eq!(hex(position(&out).trace_id.bytes()), format!("{low:0>32}"));
}

/// Of a format that is one line, two say two things.
#[test]
fn two_lines_of_one_are_no_trace() {
    let b3 = format!("{TRACE}-{SPAN}-1");
    let jaeger = format!("{TRACE}:{SPAN}:0:1");
    let aws = format!("Root=1-{}-{};Sampled=1", &TRACE[..8], &TRACE[8..]);
    let datadog = u64::from_str_radix(&TRACE[16..], 16).unwrap().to_string();
    for (format, name, value) in [
        ("b3", "b3", &b3),
        ("jaeger", "uber-trace-id", &jaeger),
        ("aws", "x-amzn-trace-id", &aws),
        ("datadog", "x-datadog-trace-id", &datadog),
    ] {
        let low = |out: &Pairs| position(out).trace_id.low();
        let once = pass(format, &[(name, value)]);
        let twice = pass(format, &[(name, value), (name, value)]);
        assert_ne!(low(&once), low(&twice), "{format}");
        assert_eq!(all(&twice, name).len(), 1, "{format}");
    }
}

/// A decision without ids is for the trace that begins here; a flag that says nothing is none, and no malformed trace.
#[test]
fn b3_decides_on_several_lines_without_ids() {
    for (name, value, ratio, sampled) in [
        ("x-b3-sampled", "0", 1, false),
        ("x-b3-sampled", "1", 0, true),
        ("x-b3-flags", "1", 0, true),
        ("x-b3-flags", "0", 0, false),
        ("x-b3-flags", "0", 1, true),
    ] {
        let ratio = json!({"ratio": ratio});
        let mut vm = start(json!({"read": ["b3multi"], "sampling": ratio}));
        let found = position(&forward(&mut vm, &with(&[(name, value)])));
        assert_eq!(found.sampled, sampled, "{name}: {value}");
        assert!(found.random, "a trace that begins here");
        vm.tick();
        let invalid = "seawall.trace_headers.traceparent_invalid";
        assert_eq!(vm.host.world().metric(invalid), 0, "{name}: {value}");
    }
}

#[test]
fn numbers_of_datadog_have_digits_only() {
    for value in ["+7", "-7", "0x7", "7 7", "18446744073709551616", "0"] {
        let ids = [("x-datadog-trace-id", value), ("x-datadog-parent-id", "8")];
        let out = pass("datadog", &ids);
        assert!(position(&out).trace_id.high() != 0, "a new trace: {value}");
        let ids = [("x-datadog-trace-id", "7"), ("x-datadog-parent-id", value)];
        let out = pass("datadog", &ids);
        let known = one(&out, "x-datadog-trace-id") == "7";
        // A parent of zero says that there is none.
        assert_eq!(known, value == "0", "{value}");
    }
    // Half an id that is zero is none, whatever the other half is.
    let ids = [
        ("x-datadog-trace-id", "0"),
        ("x-datadog-parent-id", "8"),
        ("x-datadog-tags", "_dd.p.tid=00000000000000ff"),
    ];
    assert_ne!(position(&pass("datadog", &ids)).trace_id.high(), 0xff);
}

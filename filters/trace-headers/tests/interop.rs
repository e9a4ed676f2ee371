//! The formats among each other: every pair there and back, what one format knows and another does not, and conflicts.
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

use common::{all, forward, hex, one, position, start, with, Pairs, FORMATS};
use serde_json::{json, Value};

/// A position in a trace, as the specifications of the formats write it.
struct Golden<'a> {
    trace: &'a str,
    span: &'a str,
    /// The caller's caller: `-` where none is written.
    parent: &'a str,
    sampled: bool,
}

impl Golden<'_> {
    fn fields(&self, format: &str) -> Vec<(String, String)> {
        let Golden { trace, span, .. } = self;
        let flag = if self.sampled { "1" } else { "0" };
        let known = self.parent != "-";
        let decimal = |hex: &str| u64::from_str_radix(hex, 16).unwrap().to_string();
        let fields: Vec<(&str, String)> = match format {
            "w3c" => vec![("traceparent", format!("00-{trace}-{span}-0{flag}"))],
            "b3" if known => vec![("b3", format!("{trace}-{span}-{flag}-{}", self.parent))],
            "b3" => vec![("b3", format!("{trace}-{span}-{flag}"))],
            "b3multi" => {
                let mut fields = vec![
                    ("x-b3-traceid", (*trace).to_owned()),
                    ("x-b3-spanid", (*span).to_owned()),
                ];
                if known {
                    fields.push(("x-b3-parentspanid", self.parent.to_owned()));
                }
                fields.push(("x-b3-sampled", flag.to_owned()));
                fields
            }
            "jaeger" => {
                let parent = if known { self.parent } else { "0" };
                vec![("uber-trace-id", format!("{trace}:{span}:{parent}:{flag}"))]
            }
            "aws" => {
                let (time, rest) = trace.split_at(8);
                let value = format!("Root=1-{time}-{rest};Parent={span};Sampled={flag}");
                vec![("x-amzn-trace-id", value)]
            }
            "datadog" => vec![
                ("x-datadog-trace-id", decimal(&trace[16..])),
                ("x-datadog-parent-id", decimal(span)),
                ("x-datadog-sampling-priority", flag.to_owned()),
                ("x-datadog-tags", format!("_dd.p.tid={}", &trace[..16])),
            ],
            other => panic!("{other}"),
        };
        let own = fields
            .into_iter()
            .map(|(name, value)| (name.to_owned(), value));
        own.collect()
    }
}

/// The format, and `traceparent`, off which a test reads the span of a hop.
fn written(format: &str) -> Vec<&str> {
    if format == "w3c" {
        vec!["w3c"]
    } else {
        vec![format, "w3c"]
    }
}

fn hop(configuration: Value, fields: &[(String, String)]) -> Pairs {
    let pairs: Vec<(&str, &str)> = fields
        .iter()
        .map(|(name, value)| (name.as_str(), value.as_str()))
        .collect();
    forward(&mut start(configuration), &with(&pairs))
}

/// What of the fields that went on belongs to a format.
fn of<'a>(pairs: &'a Pairs, fields: &[(String, String)]) -> Vec<(&'a str, &'a str)> {
    fields
        .iter()
        .map(|(name, _)| {
            (
                pairs.iter().find(|(n, _)| n == name).unwrap().0.as_str(),
                one(pairs, name),
            )
        })
        .collect()
}

#[test]
fn every_pair_there_and_back() {
    for sampled in [true, false] {
        for from in FORMATS {
            for to in FORMATS {
                let sent = Golden {
                    trace: "0af7651916cd43dd8448eb211c80319c",
                    span: "b7ad6b7169203331",
                    parent: "-",
                    sampled,
                };
                // The span of the hop is read off its traceparent.
                let write = written(to);
                let there = hop(json!({"read": [from], "write": write}), &sent.fields(from));
                let span = hex(position(&there).parent_id.bytes());
                assert_ne!(span, sent.span);
                let expected = Golden {
                    span: &span,
                    parent: sent.span,
                    ..sent
                };
                let expected = expected.fields(to);
                let found: Vec<(String, String)> = of(&there, &expected)
                    .into_iter()
                    .map(|(name, value)| (name.to_owned(), value.to_owned()))
                    .collect();
                assert_eq!(found, expected, "{from} to {to}");

                let back = hop(json!({"read": [to], "write": written(from)}), &found);
                let next = position(&back);
                assert_eq!(
                    hex(next.trace_id.bytes()),
                    sent.trace,
                    "{from} to {to} and back"
                );
                assert_eq!(next.sampled, sampled, "{from} to {to} and back");
                let returned = Golden {
                    span: &hex(next.parent_id.bytes()),
                    parent: &span,
                    ..sent
                };
                let returned = returned.fields(from);
                let found: Vec<(String, String)> = of(&back, &returned)
                    .into_iter()
                    .map(|(name, value)| (name.to_owned(), value.to_owned()))
                    .collect();
                assert_eq!(found, returned, "{from} to {to} and back");
            }
        }
    }
}

#[test]
fn ids_of_64_bits_are_padded_and_do_not_claim_to_be_random() {
    let low = "8448eb211c80319c";
    for (read, fields) in [
        ("b3", vec![("b3", "8448eb211c80319c-b7ad6b7169203331-1")]),
        (
            "b3multi",
            vec![
                ("x-b3-traceid", low),
                ("x-b3-spanid", "b7ad6b7169203331"),
                ("x-b3-sampled", "1"),
            ],
        ),
        (
            "jaeger",
            vec![("uber-trace-id", "8448eb211c80319c:b7ad6b7169203331:0:1")],
        ),
        (
            "datadog",
            vec![
                ("x-datadog-trace-id", "9532127138774266268"),
                ("x-datadog-parent-id", "13235353014750950193"),
                ("x-datadog-sampling-priority", "1"),
            ],
        ),
    ] {
        let mut vm = start(json!({"read": [read], "write": ["w3c", "b3", "datadog"]}));
        let out = forward(&mut vm, &with(&fields));
        let found = position(&out);
        assert_eq!(
            hex(found.trace_id.bytes()),
            format!("{:0>32}", low),
            "{read}"
        );
        assert!(!found.random, "{read}");
        assert!(one(&out, "b3").starts_with(&format!("0000000000000000{low}-")));
        assert_eq!(one(&out, "x-datadog-trace-id"), "9532127138774266268");
        assert!(
            all(&out, "x-datadog-tags").is_empty(),
            "no upper half, no tag"
        );
    }
}

#[test]
fn decisions_that_only_some_formats_know() {
    let case = |read: &str, name: &str, value: &str, write: &str| {
        let mut vm =
            start(json!({"read": [read], "write": [write, "w3c"], "sampling": {"ratio": 0}}));
        forward(&mut vm, &with(&[(name, value)]))
    };
    let trace = "0af7651916cd43dd8448eb211c80319c";
    // Debug goes on where it can, and is sampled where it cannot.
    let debug = format!("{trace}-b7ad6b7169203331-d");
    assert!(one(&case("b3", "b3", &debug, "b3multi"), "x-b3-flags") == "1");
    assert!(all(&case("b3", "b3", &debug, "b3multi"), "x-b3-sampled").is_empty());
    assert!(one(&case("b3", "b3", &debug, "jaeger"), "uber-trace-id").ends_with(":3"));
    assert!(position(&case("b3", "b3", &debug, "aws")).sampled);
    // Nothing said: the ratio decides.
    let deferred = format!("{trace}-b7ad6b7169203331");
    assert!(!position(&case("b3", "b3", &deferred, "aws")).sampled);
    let asked = "Root=1-0af76519-16cd43dd8448eb211c80319c;Parent=b7ad6b7169203331;Sampled=?";
    assert!(!position(&case("aws", "x-amzn-trace-id", asked, "b3")).sampled);
    // A decision alone starts a trace that follows it.
    for (value, sampled) in [("0", false), ("1", true), ("d", true)] {
        let mut vm =
            start(json!({"read": ["b3"], "write": ["w3c", "b3"], "sampling": {"ratio": 0.5}}));
        for _ in 0..20 {
            let out = forward(&mut vm, &with(&[("b3", value)]));
            assert_eq!(position(&out).sampled, sampled, "b3: {value}");
        }
    }
    // A user's own decision of Datadog stays one.
    let mut vm = start(json!({"read": ["datadog"], "write": ["datadog"]}));
    let keep = [
        ("x-datadog-trace-id", "7"),
        ("x-datadog-parent-id", "8"),
        ("x-datadog-sampling-priority", "2"),
        ("x-datadog-origin", "synthetics"),
        ("x-datadog-tags", "_dd.p.dm=-4,_dd.p.tid=00000000000000ff"),
    ];
    let out = forward(&mut vm, &with(&keep));
    assert_eq!(one(&out, "x-datadog-sampling-priority"), "2");
    assert_eq!(one(&out, "x-datadog-origin"), "synthetics");
    assert_eq!(
        one(&out, "x-datadog-tags"),
        "_dd.p.tid=00000000000000ff,_dd.p.dm=-4"
    );
}

/// A format that names the trace and decides nothing is completed by one further on in the order, as long as that is about the
/// same trace.
#[test]
fn what_the_first_format_leaves_open_a_later_one_says() {
    let trace = "0af7651916cd43dd8448eb211c80319c";
    let id = |trace: &str| ("x-amzn-trace-id", aws(trace));
    let w3c = |flags: &str| {
        (
            "traceparent",
            format!("00-{trace}-b7ad6b7169203331-{flags}"),
        )
    };
    let b3 = |value: &str| ("b3", value.to_owned());
    let other = "00000000000000010000000000000002";
    let deferred = format!("{trace}-00f067aa0ba902b7");
    let multi = || {
        vec![
            ("x-b3-traceid", trace.to_owned()),
            ("x-b3-spanid", "00f067aa0ba902b7".to_owned()),
        ]
    };
    // Where nobody decides the ratio does, which is the opposite of what is expected.
    for (read, fields, sampled, parent) in [
        (
            ["aws", "w3c"],
            vec![id(trace), w3c("00")],
            false,
            "b7ad6b7169203331",
        ),
        (
            ["aws", "w3c"],
            vec![id(trace), w3c("01")],
            true,
            "b7ad6b7169203331",
        ),
        (
            ["b3", "w3c"],
            vec![b3(&deferred), w3c("01")],
            true,
            "00f067aa0ba902b7",
        ),
        (
            ["b3", "w3c"],
            vec![b3(&deferred), w3c("00")],
            false,
            "00f067aa0ba902b7",
        ),
        // A decision alone, behind the ids and in front of them.
        (
            ["b3multi", "b3"],
            [multi(), vec![b3("0")]].concat(),
            false,
            "00f067aa0ba902b7",
        ),
        (
            ["b3", "b3multi"],
            [multi(), vec![b3("1")]].concat(),
            true,
            "00f067aa0ba902b7",
        ),
        // What the first says stands.
        (
            ["b3", "w3c"],
            vec![b3(&format!("{deferred}-0")), w3c("01")],
            false,
            "00f067aa0ba902b7",
        ),
        (
            ["w3c", "b3"],
            vec![w3c("00"), b3("1")],
            false,
            "b7ad6b7169203331",
        ),
    ] {
        let ratio = if sampled { 0 } else { 1 };
        let mut vm = start(json!({
            "read": read, "write": ["w3c", "jaeger"], "sampling": {"ratio": ratio},
        }));
        let fields: Vec<(&str, &str)> = fields.iter().map(|(n, v)| (*n, v.as_str())).collect();
        let out = forward(&mut vm, &with(&fields));
        let found = position(&out);
        assert_eq!(hex(found.trace_id.bytes()), trace, "{read:?} {fields:?}");
        assert_eq!(found.sampled, sampled, "{read:?} {fields:?}");
        let jaeger = one(&out, "uber-trace-id");
        let parents = u64::from_str_radix(jaeger.split(':').nth(2).unwrap(), 16).unwrap();
        assert_eq!(format!("{parents:016x}"), parent, "{read:?} {fields:?}");
        vm.tick();
        assert_eq!(vm.host.world().metric("seawall.trace_headers.conflicts"), 0);
    }
    // Another trace's decision and span are not this one's.
    let mut vm = start(json!({"read": ["aws", "w3c"], "write": ["w3c", "jaeger"]}));
    let (root, parent) = (aws(other), w3c("00").1);
    let both = [("x-amzn-trace-id", root.as_str()), ("traceparent", &parent)];
    let out = forward(&mut vm, &with(&both));
    assert!(position(&out).sampled);
    assert_eq!(one(&out, "uber-trace-id").split(':').nth(2), Some("0"));
    vm.tick();
    assert_eq!(vm.host.world().metric("seawall.trace_headers.conflicts"), 1);
}

/// A root without a parent or a decision.
fn aws(trace: &str) -> String {
    let (time, rest) = trace.split_at(8);
    format!("Root=1-{time}-{rest}")
}

#[test]
fn what_a_format_carries_beside_the_ids_goes_on() {
    let mut vm = start(json!({"read": ["aws"], "write": ["aws"]}));
    let value = "Self=1-67891234-12456789abcdef012345678;Root=1-0af76519-16cd43dd8448eb211c80319c;CalledFrom=app";
    let out = forward(&mut vm, &with(&[("x-amzn-trace-id", value)]));
    let sent = one(&out, "x-amzn-trace-id");
    assert!(
        sent.starts_with("Root=1-0af76519-16cd43dd8448eb211c80319c;Parent="),
        "{sent}"
    );
    assert!(
        sent.ends_with(";Sampled=1;Self=1-67891234-12456789abcdef012345678;CalledFrom=app"),
        "{sent}"
    );
}

#[test]
fn jaeger_may_be_short_and_percent_encoded() {
    for value in [
        "ff:1:0:1",
        "ff%3A1%3A0%3A1",
        "ff%3a1:0%3A1",
        "00FF:0001:1:01",
    ] {
        let mut vm = start(json!({"read": ["jaeger"]}));
        let out = forward(&mut vm, &with(&[("uber-trace-id", value)]));
        assert_eq!(
            hex(position(&out).trace_id.bytes()),
            format!("{:0>32}", "ff"),
            "{value}"
        );
        assert!(position(&out).sampled);
    }
    for value in [
        "ff:1:0",
        "ff:1:0:1:2",
        "0:1:0:1",
        "fg:1:0:1",
        "ff%3B1:0:1",
        ":::",
        "%3A%3A%3A",
    ] {
        let mut vm = start(json!({"read": ["jaeger"]}));
        let out = forward(&mut vm, &with(&[("uber-trace-id", value)]));
        assert_ne!(
            hex(position(&out).trace_id.bytes()),
            format!("{:0>32}", "ff"),
            "{value}"
        );
    }
}

#[test]
fn of_two_formats_that_disagree_the_first_in_order_wins_and_it_is_counted() {
    let w3c = (
        "traceparent",
        "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
    );
    let b3 = ("b3", "00000000000000000000000000000001-0000000000000002-0");
    for (order, trace) in [
        (["w3c", "b3"], "0af7651916cd43dd8448eb211c80319c"),
        (["b3", "w3c"], "00000000000000000000000000000001"),
    ] {
        let mut vm = start(json!({"read": order, "write": ["w3c"]}));
        let out = forward(&mut vm, &with(&[w3c, b3, ("tracestate", "a=1")]));
        assert_eq!(hex(position(&out).trace_id.bytes()), trace);
        // `tracestate` belongs to the trace of its `traceparent`.
        assert_eq!(all(&out, "tracestate").is_empty(), order[0] == "b3");
        vm.tick();
        assert_eq!(vm.host.world().metric("seawall.trace_headers.conflicts"), 1);
    }
    // The same trace in both, once with its lower half only, is no conflict.
    let mut vm = start(json!({"read": ["w3c", "b3"]}));
    let half = ("b3", "8448eb211c80319c-b7ad6b7169203331-1");
    forward(&mut vm, &with(&[w3c, half]));
    vm.tick();
    assert_eq!(vm.host.world().metric("seawall.trace_headers.conflicts"), 0);
}

#[test]
fn formats_to_clear_go_and_others_stay() {
    let fields = [
        ("b3", "00000000000000000000000000000001-0000000000000002-1"),
        ("x-b3-traceid", "00000000000000000000000000000001"),
        ("uber-trace-id", "1:2:0:1"),
        (
            "x-amzn-trace-id",
            "Root=1-00000000-000000000000000000000001",
        ),
    ];
    let mut vm =
        start(json!({"read": ["b3"], "write": ["w3c"], "clear": ["b3", "b3multi", "jaeger"]}));
    let out = forward(&mut vm, &with(&fields));
    assert_eq!(
        hex(position(&out).trace_id.bytes()),
        format!("{:0>32}", "1")
    );
    for gone in ["b3", "x-b3-traceid", "uber-trace-id"] {
        assert!(all(&out, gone).is_empty(), "{gone}");
    }
    assert_eq!(
        all(&out, "x-amzn-trace-id").len(),
        1,
        "neither read nor cleared"
    );
}

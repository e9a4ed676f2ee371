//! Formats that name the same trace, or do not: what goes on from one into the other.
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

use common::{all, forward, hex, one, position, start, with, TRACE};
use seawall_trace_headers::TraceHeaders;
use serde_json::{json, Value};

fn parent(flags: &str) -> String {
    format!("00-{TRACE}-b7ad6b7169203331-{flags}")
}

/// W3C Trace Context Level 2, section "Random Trace ID Flag": a trace that goes on keeps the flag, set or not.
#[test]
fn the_random_flag_goes_on_with_its_trace_whatever_names_that_first() {
    for (flags, random) in [("03", true), ("02", true), ("01", false), ("00", false)] {
        for read in [json!(["b3", "w3c"]), json!(["b3"])] {
            let mut vm = start(json!({"read": read, "write": ["w3c", "b3"]}));
            let b3 = format!("{TRACE}-00f067aa0ba902b7-1");
            let parent = parent(flags);
            let out = forward(&mut vm, &with(&[("b3", &b3), ("traceparent", &parent)]));
            assert_eq!(hex(position(&out).trace_id.bytes()), TRACE);
            assert_eq!(position(&out).random, random, "{flags}");
        }
    }
    // Not with another trace.
    let mut vm = start(json!({"read": ["b3", "w3c"]}));
    let other = "0af7651916cd43dd8448eb211c80319d-00f067aa0ba902b7-1";
    let parent = parent("03");
    let out = forward(&mut vm, &with(&[("b3", other), ("traceparent", &parent)]));
    assert!(!position(&out).random);
}

#[test]
fn what_travels_beside_the_ids_stays_with_its_trace() {
    let config = json!({"read": ["w3c", "datadog", "aws"], "write": ["datadog", "aws"]});
    let parent = parent("01");
    let run = |datadog: &str, root: &str| {
        let mut vm = start(config.clone());
        let aws = format!("Root=1-{root};Lineage=a:1");
        forward(
            &mut vm,
            &with(&[
                ("traceparent", &parent),
                ("x-datadog-trace-id", datadog),
                ("x-datadog-parent-id", "5"),
                ("x-datadog-sampling-priority", "2"),
                ("x-datadog-origin", "rum"),
                ("x-datadog-tags", "_dd.p.dm=-4"),
                ("x-amzn-trace-id", &aws),
            ]),
        )
    };
    let same = run("9532127138774266268", "0af76519-16cd43dd8448eb211c80319c");
    assert_eq!(one(&same, "x-datadog-sampling-priority"), "2");
    assert_eq!(one(&same, "x-datadog-origin"), "rum");
    assert!(one(&same, "x-datadog-tags").ends_with(",_dd.p.dm=-4"));
    assert!(one(&same, "x-amzn-trace-id").ends_with(";Lineage=a:1"));

    let other = run("123", "0af76519-16cd43dd8448eb211c80319d");
    assert_eq!(one(&other, "x-datadog-trace-id"), "9532127138774266268");
    assert_eq!(one(&other, "x-datadog-sampling-priority"), "1");
    assert!(all(&other, "x-datadog-origin").is_empty());
    assert_eq!(one(&other, "x-datadog-tags"), "_dd.p.tid=0af7651916cd43dd");
    assert!(one(&other, "x-amzn-trace-id").ends_with(";Sampled=1"));
}

/// X-Ray's header may come without a root: from a caller that only decides, or from a load balancer.
#[test]
fn a_decision_of_aws_without_a_root_counts() {
    let count = |vm: &mut seawall_core::testing::Vm<TraceHeaders>| {
        vm.tick();
        let world = vm.host.world().clone();
        world.metric("seawall.trace_headers.traceparent_invalid")
    };
    for (value, ratio, sampled) in [
        ("Sampled=0", 1, false),
        ("Sampled=1", 0, true),
        (
            "Self=1-67891234-12456789abcdef0123456789;Sampled=0",
            1,
            false,
        ),
        ("Sampled=?", 0, false),
        ("Self=1-67891234-12456789abcdef0123456789", 1, true),
    ] {
        let ratio: Value = json!({"ratio": ratio});
        let mut vm = start(json!({"read": ["aws"], "sampling": ratio}));
        let out = forward(&mut vm, &with(&[("x-amzn-trace-id", value)]));
        assert_eq!(position(&out).sampled, sampled, "{value}");
        assert!(position(&out).random, "a trace that begins here: {value}");
        assert_eq!(count(&mut vm), 0, "{value}");
    }
    let mut vm = start(json!({"read": ["aws"]}));
    forward(&mut vm, &with(&[("x-amzn-trace-id", "Root=x;Sampled=0")]));
    assert_eq!(count(&mut vm), 1);
}

#[test]
fn one_id_is_of_the_version_that_is_asked_for() {
    for (format, version) in [("uuidv7", "7"), ("uuidv4", "4")] {
        let mut vm = start(json!({"one_id": true, "request_id": {"format": format}}));
        let out = forward(&mut vm, &with(&[]));
        let id = one(&out, "x-request-id");
        assert_eq!(&id[14..15], version, "{id}");
        assert_eq!(hex(position(&out).trace_id.bytes()), id.replace('-', ""));
        assert!(position(&out).random);
    }
}

/// Unless they are to be one, an id tells nothing of the other; and a UUIDv7 tells its time.
#[test]
fn two_ids_are_two() {
    let id = "01981234-5678-7abc-8def-0123456789ab";
    let parent = parent("01");
    for fields in [
        vec![],
        vec![("x-request-id", id)],
        vec![("traceparent", parent.as_str())],
    ] {
        let mut vm = start(json!({}));
        let out = forward(&mut vm, &with(&fields));
        let (found, trace) = (one(&out, "x-request-id"), position(&out).trace_id);
        assert_ne!(found.replace('-', ""), hex(trace.bytes()), "{fields:?}");
        if found != id {
            let now = vm.host.world().now();
            let time = u64::from_str_radix(&found.replace('-', "")[..12], 16);
            assert_eq!(time, Ok(now.as_millis()));
        }
    }
}

/// Fields that are not written this time go on while they name a trace, and where nobody asked what they name.
#[test]
fn w3c_fields_beside_another_format() {
    let good = parent("01");
    for (read, sent, stays) in [
        (json!(["b3", "w3c"]), Some(good.as_str()), true),
        (json!(["b3", "w3c"]), Some("no-trace"), false),
        (json!(["b3", "w3c"]), None, false),
        (json!(["b3"]), Some("no-trace"), true),
    ] {
        let mut vm = start(json!({"read": read, "write": ["b3"]}));
        let mut fields = vec![("tracestate", "a=1")];
        fields.extend(sent.map(|parent| ("traceparent", parent)));
        let out = forward(&mut vm, &with(&fields));
        let expected: Vec<_> = sent.filter(|_| stays).into_iter().collect();
        assert_eq!(all(&out, "traceparent"), expected, "{sent:?}");
        assert_eq!(
            all(&out, "tracestate").len(),
            usize::from(stays),
            "{sent:?}"
        );
    }
}

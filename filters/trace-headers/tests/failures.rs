//! A host that fails, and a configuration that is wrong.
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

use common::{forward, one, start, with, PARENT, REQUEST};
use seawall_core::host::Failure;
use seawall_core::testing::{Ended, Vm};
use seawall_trace_headers::TraceHeaders;
use serde_json::json;

#[test]
fn without_randomness_traffic_passes_and_nothing_hostile_goes_on() {
    let mut vm = start(json!({}));
    vm.host.fail("random", Failure::Status(10));
    let good = with(&[
        ("traceparent", PARENT),
        ("tracestate", "a=1 ,b=2"),
        ("x-request-id", "a"),
    ]);
    let out = forward(&mut vm, &good);
    // Unchanged, both: a new parent id cannot be made, and without one tracestate must not change.
    assert_eq!(one(&out, "traceparent"), PARENT);
    assert_eq!(one(&out, "tracestate"), "a=1 ,b=2");
    let bad = with(&[
        ("traceparent", "bad"),
        ("tracestate", "a=1"),
        ("x-request-id", "<>"),
    ]);
    let out = forward(&mut vm, &bad);
    assert_eq!(out.len(), REQUEST.len());
    vm.tick();
    assert_eq!(vm.host.world().metric("seawall.trace_headers.errors"), 2);
    assert_eq!(
        vm.host.world().log().len(),
        1,
        "logged once: {:?}",
        vm.host.world().log()
    );
}

#[test]
fn whatever_host_call_fails_traffic_passes() {
    let spans = json!({"cluster": "collector"});
    let config = json!({
        "trust": {"mode": "cidr", "cidrs": ["10.0.0.0/8"]},
        "write": ["w3c", "b3multi", "datadog"],
        "log": {"tenant_id": {"header": "accept"}, "user_id": {"claim": ["a", "b"]}, "properties": true},
        "response": {"server_timing": "trace", "traceresponse": true},
        "latency": {"routes": ["a"], "upstreams": []},
        "spans": spans,
    });
    for call in [
        "now",
        "random",
        "log",
        "headers",
        "header",
        "set_header",
        "add_header",
        "remove_header",
        "set_headers",
        "property",
        "set_property",
        "set_tick",
        "http_call",
        "metric_add",
        "metric_record",
    ] {
        for failure in [Failure::NotFound, Failure::BadArgument, Failure::Status(10)] {
            let mut vm = start(config.clone());
            vm.host.fail(call, failure);
            let headers = with(&[
                ("traceparent", "bad"),
                ("tracestate", "a=1"),
                ("x-request-id", "<>"),
            ]);
            let mut exchange = vm.open(&[]);
            let ended = vm.request(&mut exchange, &headers);
            assert!(matches!(ended, Ended::Forwarded(_)), "{call}: {ended:?}");
            let response = vm.response(&mut exchange, &[(":status", "200")], true);
            assert_eq!(one(&response, ":status"), "200");
            vm.finish(exchange);
            vm.tick();
        }
    }
}

#[test]
fn configuration_errors_name_their_fields() {
    let found = Vm::<TraceHeaders>::errors(&json!({
        "colour": 1,
        "request_id": {"header": "X Id", "format": "v9"},
        "trust": {"mode": "cidr", "cidrs": ["10.0.0.1/8"], "peers": ["a", ""]},
        "read": ["w3c", "zipkin"],
        "write": ["w3c", "w3c"],
        "clear": ["w3c"],
        "sampling": {"ratio": 2},
        "tracestate": {"max_length": 100},
        "endpoint": "a b",
        "log": {"tenant_id": {"header": "a", "cookie": "b"}, "user_id": {"claim": ["a"]}},
        "response": {"server_timing": false},
        "latency": {"routes": ["a.b", "a_b"]},
        "spans": {"interval": "1h", "authority": "a\nb", "service": ""},
    }));
    for expected in [
        "colour: unknown field",
        "request_id.format: unknown variant `v9`, expected one of `uuidv7`, `uuidv4`, `hex32`",
        "request_id.header: must be a header name of 1 to 64 letters",
        "trust.cidrs[0]: must be an address or a network such as \"10.0.0.0/8\"",
        "trust.peers[1]: must be a name, got \"\"",
        "read[1]: unknown variant `zipkin`",
        "write[1]: names a format twice",
        "clear[0]: is also in write",
        "sampling.ratio: must be from 0 to 1, got 2",
        "tracestate.max_length: must be from 512 to 16447, got 100",
        "endpoint: must be a route template",
        "log.tenant_id: must have exactly one of header, cookie and claim, got 2",
        "log.user_id.claim: must be 2 to 8 steps such as [envoy.filters.http.jwt_authn, jwt_payload, sub], got [\"a\"]",
        "response.server_timing: invalid type: boolean `false`, expected one of `off`, `trace`, `traceparent`",
        "spans.authority: must be a host, and a port where it has one, got \"a\\nb\"",
        "spans.service: must be a name, got \"\"",
        "latency.routes[1]: \"a_b\" would share the metric \"a_b\"",
        "spans.cluster: must name the collector's cluster",
        "spans.interval: must be from 10ms to 1m, got 1h",
    ] {
        assert!(
            found.iter().any(|line| line.starts_with(expected)),
            "{expected}\n{found:#?}"
        );
    }
    // A list whose networks are all wrong is not one without networks.
    assert!(
        !found.iter().any(|line| line.starts_with("trust.cidrs: ")),
        "{found:#?}"
    );
}

#[test]
fn ends_of_what_is_allowed() {
    let claim = |steps: usize| json!({"log": {"user_id": {"claim": vec!["a"; steps]}}});
    let cookie = |name: &str| json!({"log": {"user_id": {"cookie": name}}});
    let path = |path: &str| json!({"spans": {"cluster": "c", "path": path}});
    let authority = |host: &str| json!({"spans": {"cluster": "c", "authority": host}});
    for (configuration, wrong) in [
        (claim(2), ""),
        (claim(8), ""),
        (claim(9), "log.user_id.claim"),
        (
            json!({"log": {"user_id": {"claim": ["a", ""]}}}),
            "log.user_id.claim",
        ),
        (
            json!({"log": {"user_id": {"claim": ["a", "b\0c"]}}}),
            "log.user_id.claim",
        ),
        (cookie("uid"), ""),
        (cookie(""), "log.user_id.cookie"),
        (cookie("a=b"), "log.user_id.cookie"),
        (cookie("a;b"), "log.user_id.cookie"),
        (cookie("a b"), "log.user_id.cookie"),
        (path("/v1/traces?a"), ""),
        (path("v1/traces"), "spans.path"),
        (path("/v1 traces"), "spans.path"),
        (authority("c.example:4318"), ""),
        (authority(""), "spans.authority"),
        (authority("outbound|4318||c.example"), "spans.authority"),
        (json!({"trust": {"mode": "cidr"}}), "trust.cidrs"),
        (json!({"latency": {"routes": ["a".repeat(64)]}}), ""),
        (
            json!({"latency": {"routes": ["a".repeat(65)]}}),
            "latency.routes[0]",
        ),
        (
            json!({"latency": {"upstreams": ["other"]}}),
            "latency.upstreams[0]",
        ),
    ] {
        let found = Vm::<TraceHeaders>::errors(&configuration);
        let named: Vec<&str> = found
            .iter()
            .filter_map(|line| line.split(':').next())
            .collect();
        let expected: Vec<&str> = (!wrong.is_empty()).then_some(wrong).into_iter().collect();
        assert_eq!(named, expected, "{configuration}: {found:?}");
    }
}

/// Who writes networks and forgets the mode would trust everybody.
#[test]
fn lists_of_the_trusted_need_a_mode() {
    for trust in [json!({"cidrs": ["10.0.0.0/8"]}), json!({"peers": ["a"]})] {
        let found = Vm::<TraceHeaders>::errors(&json!({ "trust": trust }));
        assert_eq!(
            found,
            ["trust.mode: must be cidr or mtls where cidrs or peers are given, got \"\""]
        );
    }
}

#[test]
fn a_request_id_takes_no_header_that_means_something() {
    for name in [
        "traceparent",
        "x-datadog-tags",
        "baggage",
        "cookie",
        "host",
        "te",
        "authorization",
        "Proxy-Authorization",
        "set-cookie",
        "location",
        "forwarded",
        "x-forwarded-for",
        "x-forwarded-client-cert",
        "x-real-ip",
        "x-envoy-external-address",
        "traceresponse",
        "server-timing",
        "uberctx-a",
        "ot-baggage-a",
        "jaeger-debug-id",
        "content-type",
        "content-encoding",
        "grpc-status",
        "grpc-message",
        "grpc-trace-bin",
    ] {
        let found = Vm::<TraceHeaders>::errors(&json!({"request_id": {"header": name}}));
        let name = name.to_ascii_lowercase();
        let expected = format!("request_id.header: must be a header of its own, with no meaning to HTTP or to a trace, got {name:?}");
        assert_eq!(found, [expected]);
    }
}

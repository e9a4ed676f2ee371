//! Calls through the filter on the fake host.
#![allow(
    dead_code,
    unused_imports,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "test code, not all of it used by each test"
)]

pub use seawall_circuit_breaker::CircuitBreaker;
pub use seawall_core::config::merge;
pub use seawall_core::host::Failure;
pub use seawall_core::testing::{Ended, Exchange, SentReply, Vm, World};
pub use seawall_core::time::{Span, Timestamp};
pub use serde_json::{json, Value};

pub type Worker = Vm<CircuitBreaker>;
pub type Call = Exchange<<CircuitBreaker as seawall_core::plugin::Plugin>::Stream>;

pub const GET: [(&str, &str); 3] = [(":method", "GET"), (":path", "/"), (":authority", "shop")];

/// Envoy's flag of a client that left.
pub const LEFT: u64 = 0x4000;

/// Envoy's flag of an upstream that reset the stream.
const UPSTREAM_RESET: u64 = 0x10;

pub fn workers(world: &World, count: u32, configuration: &Value) -> Vec<Worker> {
    (1..=count)
        .map(|number| Vm::start(world, number, configuration))
        .collect()
}

/// A worker whose breakers open with the first failure, with these settings besides.
pub fn sensitive(world: &World, more: &Value) -> Worker {
    let first = json!({"failure_threshold": 1, "jitter": 0, "open_for": "10s"});
    Vm::start(world, 1, &merge(&first, more))
}

pub fn metric(world: &World, name: &str) -> i64 {
    world.metric(&format!("seawall.circuit_breaker.{name}"))
}

/// A call that has got as far as the filter lets it.
pub fn begin(worker: &mut Worker, cluster: &str, headers: &[(&str, &str)]) -> (Call, Ended) {
    let mut call = worker.open(&[
        ("xds.cluster_name", cluster.as_bytes()),
        ("response.flags", &0u64.to_le_bytes()),
        ("response.code_details", b"via_upstream"),
    ]);
    let ended = worker.request(&mut call, headers);
    (call, ended)
}

/// A call that goes through.
pub fn admitted(worker: &mut Worker, cluster: &str) -> Call {
    let (call, ended) = begin(worker, cluster, &GET);
    assert!(matches!(ended, Ended::Forwarded(_)), "{ended:?}");
    call
}

/// The upstream's answer, with a body, and the end.
pub fn end(worker: &mut Worker, mut call: Call, status: &str) {
    worker.response(&mut call, &[(":status", status)], false);
    worker.finish(call);
}

/// The end of a call with flags and without an answer.
pub fn break_off(worker: &mut Worker, call: Call, flags: u64) {
    worker.host.open(call.context);
    worker
        .host
        .put_property("response\0flags", &flags.to_le_bytes());
    worker.host.put_property("response\0code_details", b"");
    worker.finish(call);
}

/// The end of a call whose answer had begun and then broke off.
pub fn cut_short(worker: &mut Worker, call: Call) {
    worker.host.open(call.context);
    let reset = UPSTREAM_RESET.to_le_bytes();
    worker.host.put_property("response\0flags", &reset);
    worker.finish(call);
}

/// A whole call; false when the breaker refused it.
pub fn call(worker: &mut Worker, cluster: &str, status: &str) -> bool {
    let (call, ended) = begin(worker, cluster, &GET);
    if matches!(ended, Ended::Forwarded(_)) {
        end(worker, call, status);
        true
    } else {
        break_off(worker, call, 0);
        false
    }
}

/// The refusal of a call.
pub fn refusal(worker: &mut Worker, cluster: &str, headers: &[(&str, &str)]) -> SentReply {
    match begin(worker, cluster, headers).1 {
        Ended::Replied(reply) => reply,
        other => panic!("not refused but {other:?}"),
    }
}

//! What a request costs in the modules as they ship, by counts that are the same on every machine: a change shows.
//!
//! Callbacks are calls of the host into the module, calls those of the module to the host; one that gives bytes away calls
//! the module's allocator in between, which costs as much as a callback. Fuel is what the interpreter charges for instructions and copies: good for comparing a path with itself.
//! The limits are what was measured, and a tenth of the fuel to spare. Lower them when the cost goes down.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "test code"
)]

use seawall_vm_host::{module, pairs, Pairs, Run, State, Step};
use serde_json::{json, Value};

/// One request: callbacks, host calls, those among them that give bytes away, fuel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Cost {
    callbacks: u64,
    calls: usize,
    giving: usize,
    fuel: u64,
}

fn headers() -> Pairs {
    pairs(&[
        (":authority", "example.com"),
        (":path", "/orders/17?page=2"),
        (":method", "GET"),
        (":scheme", "https"),
        ("user-agent", "curl/8.5.0"),
        ("accept", "*/*"),
        ("x-tenant-id", "acme"),
        ("x-forwarded-for", "203.0.113.7"),
        ("x-forwarded-proto", "https"),
    ])
}

fn answer(cache_control: &str) -> Pairs {
    pairs(&[
        (":status", "200"),
        ("content-type", "application/json"),
        ("content-length", "1024"),
        ("cache-control", cache_control),
        ("date", "Sun, 09 Sep 2001 01:46:40 GMT"),
        ("x-envoy-upstream-service-time", "3"),
    ])
}

fn lived(run: &mut Run, context: u32, cache_control: &str) {
    let steps = [
        Step::Request(context, headers(), true),
        Step::Response(context, answer(cache_control), false),
        Step::ResponseBody(context, vec![b'x'; 1024], true),
        Step::End(context),
    ];
    for step in &steps {
        run.step(step).expect("no trap");
    }
}

/// The cost of one more request after twenty.
fn cost(filter: &str, configuration: &Value, cache_control: &str) -> Cost {
    let properties = [
        ("xds.cluster_name", &b"orders"[..]),
        ("xds.route_name", b"orders"),
        ("source.address", b"203.0.113.7:40000"),
        ("response.code_details", b"via_upstream"),
        ("response.flags", &[0; 8]),
        ("request.duration", &[0; 8]),
    ];
    let state = State {
        configuration: configuration.to_string().into_bytes(),
        now: 1_000_000_000_000_000_000,
        properties: properties
            .iter()
            .map(|(path, value)| ((*path).to_owned(), value.to_vec()))
            .collect(),
        ..State::default()
    };
    let mut run = Run::new(&module(filter), state).expect("it starts");
    run.step(&Step::Start).expect("it is configured");
    assert!(run.configured, "{filter}: {:?}", run.vm.state().log);
    for context in 2..22 {
        lived(&mut run, context, cache_control);
    }
    let (before, calls) = (run.vm.spent(), run.vm.state().calls.len());
    lived(&mut run, 22, cache_control);
    let after = run.vm.spent();
    let made = &run.vm.state().calls[calls..];
    Cost {
        callbacks: after.callbacks - before.callbacks,
        calls: made.len(),
        giving: made.iter().filter(|made| made.gives).count(),
        fuel: after.fuel - before.fuel,
    }
}


#[test]
fn tmp() {
    for c in [json!({}), json!({"per_route": false}), json!({"failure_percentage": 0, "slow_percentage": 0}), json!({"per_route": false,"failure_percentage": 0, "slow_percentage": 0}), json!({"mode":"forced_closed","per_route":false}), json!({"mode":"forced_closed"}), json!({"slow_after":"1s"}), json!({"key":[{"header":"x-tenant-id"}]}), json!({"key":["cluster", "cluster"]}), json!({"key":["cluster", "cluster","cluster"]})] {
        println!("{c} {:?}", cost("circuit-breaker", &c, "no-store"));
    }
}

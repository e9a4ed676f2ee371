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

use seawall_vm_host::{module, ordinary, Run, Step};
use serde_json::{json, Value};

/// One request: callbacks, host calls, those among them that give bytes away, fuel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Cost {
    callbacks: u64,
    calls: usize,
    giving: usize,
    fuel: u64,
}

/// The cost of one more request after twenty.
fn cost(filter: &str, configuration: &Value, cache_control: &str) -> Cost {
    let state = ordinary::host(&configuration.to_string());
    let mut run = Run::new(&module(filter), state).expect("it starts");
    run.step(&Step::Start).expect("it is configured");
    assert!(run.configured, "{filter}: {:?}", run.vm.state().log);
    for context in 2..22 {
        ordinary::life(&mut run, context, cache_control).expect("no trap");
    }
    let (before, calls) = (run.vm.spent(), run.vm.state().calls.len());
    ordinary::life(&mut run, 22, cache_control).expect("no trap");
    let after = run.vm.spent();
    let made = &run.vm.state().calls[calls..];
    Cost {
        callbacks: after.callbacks - before.callbacks,
        calls: made.len(),
        giving: made.iter().filter(|made| made.gives).count(),
        fuel: after.fuel - before.fuel,
    }
}

fn limit() -> Value {
    json!({"limits": [{"name": "client", "key": ["client_address"], "requests": 1_000_000, "per": "1s"}]})
}

/// A path, and the most that it may cost: callbacks, calls, giving calls, fuel.
struct Path {
    what: &'static str,
    filter: &'static str,
    configuration: Value,
    cache_control: &'static str,
    most: Cost,
}

fn path(
    what: &'static str,
    filter: &'static str,
    configuration: Value,
    cache_control: &'static str,
    most: (u64, usize, usize, u64),
) -> Path {
    let (callbacks, calls, giving, fuel) = most;
    Path {
        what,
        filter,
        configuration,
        cache_control,
        most: Cost {
            callbacks,
            calls,
            giving,
            fuel,
        },
    }
}

fn paths() -> Vec<Path> {
    let refused = json!({"limits": [{"name": "client", "key": ["client_address"], "requests": 1, "per": "1d"}]});
    let all = json!({"trace_headers": {}, "rate_limit": limit(), "response_cache": {}, "circuit_breaker": {}});
    vec![
        path(
            "admitted",
            "rate-limit",
            limit(),
            "no-store",
            (4, 9, 4, 16_100),
        ),
        path(
            "refused",
            "rate-limit",
            refused,
            "no-store",
            (4, 9, 6, 22_500),
        ),
        path(
            "hit",
            "response-cache",
            json!({}),
            "max-age=60",
            (4, 6, 3, 43_700),
        ),
        path(
            "not storable",
            "response-cache",
            json!({}),
            "no-store",
            (5, 7, 4, 49_800),
        ),
        path(
            "closed",
            "circuit-breaker",
            json!({}),
            "no-store",
            (6, 6, 4, 14_800),
        ),
        path(
            "new trace",
            "trace-headers",
            json!({}),
            "no-store",
            (5, 6, 3, 13_200),
        ),
        path(
            "forwarded",
            "seawall",
            all.clone(),
            "no-store",
            (6, 18, 7, 111_800),
        ),
        path("hit", "seawall", all, "max-age=60", (5, 15, 5, 91_500)),
    ]
}

#[test]
fn no_path_costs_more_than_it_did() {
    let mut dearer = Vec::new();
    println!("| module | path | callbacks | host calls | giving bytes | fuel |");
    println!("| --- | --- | ---: | ---: | ---: | ---: |");
    for path in paths() {
        let cost = cost(path.filter, &path.configuration, path.cache_control);
        println!(
            "| {} | {} | {} | {} | {} | {} |",
            path.filter, path.what, cost.callbacks, cost.calls, cost.giving, cost.fuel
        );
        let most = path.most;
        if cost.callbacks > most.callbacks
            || cost.calls > most.calls
            || cost.giving > most.giving
            || cost.fuel > most.fuel
        {
            dearer.push(format!(
                "{} {}: {cost:?} > {most:?}",
                path.filter, path.what
            ));
        }
    }
    assert!(dearer.is_empty(), "{dearer:#?}");
}

#[test]
fn modules_stay_small() {
    // Bytes; what was built, and a tenth to spare.
    for (filter, most) in [
        // 200 KB is what it may ever have.
        ("trace-headers", 200_000),
        ("rate-limit", 471_000),
        ("response-cache", 572_000),
        ("circuit-breaker", 355_000),
        ("seawall", 1_198_000),
    ] {
        let path = format!("{}/../../dist/{filter}.wasm", env!("CARGO_MANIFEST_DIR"));
        let size = std::fs::metadata(&path).expect("it is built").len();
        println!("{filter}: {size} bytes");
        assert!(size <= most, "{filter}: {size} > {most} bytes");
    }
}

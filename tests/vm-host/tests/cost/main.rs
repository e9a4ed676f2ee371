//! What a request costs in the modules as they ship, by counts that are the same on every machine: a change shows.
//!
//! Callbacks are calls of the host into the module, calls those of the module to the host; one that gives bytes away calls
//! the module's allocator in between, which costs as much as a callback. Copied are the bytes that calls bring over the boundary, one way
//! or the other. Fuel is what the interpreter charges for instructions and copies: good for comparing a path with itself.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "test code"
)]

mod paths;

use paths::{paths, Path};
use seawall_vm_host::{module, ordinary, Made, Run, Step};
use std::collections::BTreeMap;

/// As many requests go before: what a filter does once is over by then.
const BEFORE: u32 = 20;

/// What a request may cost: as this test prints it. Replace it by that when the cost goes down.
const COSTS: &str = include_str!("costs.md");

/// What a request costs.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Cost {
    callbacks: u64,
    calls: String,
    giving: usize,
    copied: u64,
    fuel: u64,
}

impl Cost {
    /// The row of a path in the table.
    fn row(&self, path: &Path) -> String {
        let Cost {
            callbacks,
            calls,
            giving,
            copied,
            fuel,
        } = self;
        let (filter, what) = (path.filter, path.what);
        format!("| {filter} | {what} | {callbacks} | {calls} | {giving} | {copied} | {fuel} |")
    }
}

/// A row without its amounts, and these: the bytes copied and the fuel.
fn split(row: &str) -> Option<(&str, u64, u64)> {
    let (rest, fuel) = row.strip_suffix(" |")?.rsplit_once(" | ")?;
    let (counts, copied) = rest.rsplit_once(" | ")?;
    Some((counts, copied.parse().ok()?, fuel.parse().ok()?))
}

/// Counts are to be the same, so that it shows when they go down. Of amounts a tenth is to spare, for random numbers in a request
/// are some bytes longer or shorter.
fn within(row: &str, most: &str) -> bool {
    let amounts = (split(row), split(most));
    let (Some((counts, copied, fuel)), Some((expected, most_copied, most_fuel))) = amounts else {
        return row == most;
    };
    let fits = |amount: u64, most: u64| amount <= most + most / 10;
    counts == expected && fits(copied, most_copied) && fits(fuel, most_fuel)
}

/// What a host call is about.
fn kind(call: &Made) -> &'static str {
    match call.name {
        "proxy_get_header_map_pairs" => "map read",
        "proxy_get_header_map_value" => "field read",
        "proxy_set_header_map_pairs" => "map set",
        "proxy_add_header_map_value" => "field added",
        // These make Envoy index the map by name.
        "proxy_replace_header_map_value" | "proxy_remove_header_map_value" => "field set",
        "proxy_get_property" => "property read",
        "proxy_set_property" => "property set",
        "proxy_get_shared_data" => "shared read",
        "proxy_set_shared_data" => "shared set",
        "proxy_get_metric" => "metric read",
        "proxy_increment_metric" | "proxy_record_metric" => "metric set",
        "proxy_get_buffer_bytes" => "body read",
        "proxy_get_current_time_nanoseconds" => "time",
        "proxy_send_local_response" => "reply",
        "random_get" => "random",
        other => other,
    }
}

fn by_kind(calls: &[Made]) -> String {
    let mut kinds: BTreeMap<&str, usize> = BTreeMap::new();
    for call in calls {
        *kinds.entry(kind(call)).or_default() += 1;
    }
    let kinds = kinds.iter().map(|(kind, count)| format!("{count} {kind}"));
    kinds.collect::<Vec<_>>().join(", ")
}

/// The cost of one more request after twenty.
fn cost(path: &Path) -> Cost {
    let state = ordinary::host(&path.configuration.to_string());
    let mut run = Run::new(&module(path.filter), state).expect("it starts");
    run.step(&Step::Start).expect("it is configured");
    let log = &run.vm.state().log;
    assert!(run.configured, "{}: {log:?}", path.filter);
    for number in 0..BEFORE {
        let exchange = (path.exchange)(number);
        exchange.live(&mut run, number + 2).expect("no trap");
    }
    let (spent, copied) = (run.vm.spent(), run.vm.state().copied);
    run.vm.state_mut().calls.clear();
    let context = BEFORE + 2;
    let exchange = (path.exchange)(BEFORE);
    exchange.live(&mut run, context).expect("no trap");
    let fate = &run.fates[&context];
    let reply = fate.reply.as_ref().map(|reply| reply.status);
    assert_eq!(reply, path.reply, "{} {}", path.filter, path.what);
    let after = run.vm.spent();
    let state = run.vm.state();
    Cost {
        callbacks: after.callbacks - spent.callbacks,
        calls: by_kind(&state.calls),
        giving: state.calls.iter().filter(|made| made.gives).count(),
        copied: state.copied - copied,
        fuel: after.fuel - spent.fuel,
    }
}

#[test]
fn no_path_costs_more_than_it_did() {
    let mut table = vec![
        "| module | path | callbacks | host calls | giving bytes | bytes copied | fuel |"
            .to_owned(),
        "| --- | --- | ---: | --- | ---: | ---: | ---: |".to_owned(),
    ];
    table.extend(paths().iter().map(|path| cost(path).row(path)));
    println!("{}", table.join("\n"));
    let expected: Vec<&str> = COSTS.lines().collect();
    let other: Vec<_> = table
        .iter()
        .zip(&expected)
        .filter(|(row, most)| !within(row, most))
        .collect();
    assert!(other.is_empty(), "{other:#?}");
    assert_eq!(table.len(), expected.len(), "a row for each path");
}

#[test]
fn modules_stay_small() {
    // Bytes; what was built, and a tenth to spare.
    for (filter, most) in [
        // 200 KB is what it may ever have.
        ("trace-headers", 200_000),
        ("rate-limit", 480_000),
        ("response-cache", 580_000),
        ("circuit-breaker", 355_000),
        ("seawall", 1_208_000),
    ] {
        let path = format!("{}/../../dist/{filter}.wasm", env!("CARGO_MANIFEST_DIR"));
        let size = std::fs::metadata(&path).expect("it is built").len();
        println!("{filter}: {size} bytes");
        assert!(size <= most, "{filter}: {size} > {most} bytes");
    }
}

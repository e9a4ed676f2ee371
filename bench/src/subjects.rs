//! What is measured: Seawall's filters, the yardsticks, and the peers that do the same work.

use crate::calls;
use crate::config::{self, wasm, Chain};
use crate::load::{fixed, Arrival, Measured};
use crate::peers;
use crate::process::{free_port, free_ports, Proxy, OTHERS, PROXY};
use crate::Options;
use serde_json::{json, Value};
use std::error::Error;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The CPU cost of one subject, round by round.
#[derive(Debug, serde::Serialize)]
pub struct Subject {
    /// What it is.
    pub name: String,
    /// Which of Seawall's filters it is a peer of, or the yardstick.
    pub group: &'static str,
    /// The measurements over HTTP/1.1.
    pub rounds: Vec<Measured>,
    /// Those over HTTP/2, of a proxy that speaks it here.
    pub http2: Vec<Measured>,
}

struct Running {
    subject: Subject,
    path: &'static str,
    proxy: Proxy,
    arrivals: &'static [Arrival],
}

impl Running {
    fn measure(
        &self,
        options: &Options,
        arrival: Arrival,
        folder: &Path,
    ) -> Result<Measured, Box<dyn Error>> {
        let (requests, at_a_time) = (options.requests, options.connections);
        fixed(&self.proxy, self.path, requests, at_a_time, arrival, folder)
            .map_err(|error| format!("{}: {error}", self.subject.name).into())
    }
}

/// So many measurements go before those that count.
const WARM: usize = 3;

/// Where a response has 64 KB.
const LARGE: &str = "/large";

/// A module in `dist/`.
pub fn module(name: &str) -> PathBuf {
    Path::new("dist").join(format!("{name}.wasm"))
}

fn noop(vm: &str) -> Value {
    let target = std::env::var("CARGO_TARGET_DIR").unwrap_or_else(|_| "target".into());
    let path = Path::new(&target).join("wasm32-wasip1/release/seawall_noop.wasm");
    wasm(vm, &path, json!({}))
}

/// A limit by client address that admits everything the benchmark sends.
pub fn limit() -> Value {
    json!({"limits": [{"name": "client", "key": ["client_address"], "requests": 1_000_000_000, "per": "1s"}]})
}

/// What a filter is measured with; `seawall` is the four as one module.
fn configuration(filter: &str) -> Value {
    match filter {
        "rate-limit" => limit(),
        "seawall" => {
            json!({"trace_headers": {}, "rate_limit": limit(), "response_cache": {}, "circuit_breaker": {}})
        }
        _ => json!({}),
    }
}

fn seawall(filter: &str) -> Value {
    wasm(filter, &module(filter), configuration(filter))
}

/// Without what not everybody needs: settings per route, and a limit's fields on responses.
fn lean(filter: &str) -> Value {
    let mut configuration = configuration(filter);
    if filter == "seawall" {
        for block in configuration.as_object_mut().into_iter().flatten() {
            block.1["per_route"] = json!(false);
        }
        configuration["rate_limit"]["headers"] = json!("none");
        return configuration;
    }
    configuration["per_route"] = json!(false);
    if filter == "rate-limit" {
        configuration["headers"] = json!("none");
    }
    configuration
}

fn seawall_lean(filter: &str) -> Chain {
    Chain::of(vec![wasm(filter, &module(filter), lean(filter))])
}

/// The host calls of a filter without the filter.
fn calls_of(folder: &Path, filter: &str, configuration: &Value) -> Result<Chain, Box<dyn Error>> {
    Ok(Chain::of(vec![calls::alone(
        folder,
        filter,
        configuration,
    )?]))
}

type Entry = (&'static str, &'static str, &'static str, Chain);

/// Modules that are made for it are written to `folder`.
fn chains(folder: &Path) -> Result<Vec<Entry>, Box<dyn Error>> {
    let all = || {
        [
            "trace-headers",
            "rate-limit",
            "response-cache",
            "circuit-breaker",
        ]
        .map(seawall)
    };
    let four = ["a", "b", "c", "d"].map(noop);
    Ok(vec![
        ("yardstick", "no filter", "/plain", Chain::default()),
        (
            "yardstick",
            "filter without callbacks",
            "/plain",
            Chain::of(vec![calls::none(folder)?]),
        ),
        (
            "yardstick",
            "do-nothing SDK filter",
            "/plain",
            Chain::of(vec![noop("a")]),
        ),
        (
            "yardstick",
            "four do-nothing SDK filters",
            "/plain",
            Chain::of(four.to_vec()),
        ),
        (
            "all four",
            "all four filters, forwarded",
            "/plain",
            Chain::of(all().to_vec()),
        ),
        (
            "all four",
            "all four filters, cache hit",
            "/cached",
            Chain::of(all().to_vec()),
        ),
        (
            "all four",
            "all four as one (seawall.wasm), forwarded",
            "/plain",
            Chain::of(vec![seawall("seawall")]),
        ),
        (
            "calls",
            "host calls of seawall.wasm, nothing else",
            "/plain",
            calls_of(folder, "seawall", &configuration("seawall"))?,
        ),
        (
            "all four",
            "all four as one (seawall.wasm), forwarded, nothing per route, no fields",
            "/plain",
            seawall_lean("seawall"),
        ),
        (
            "calls",
            "host calls of seawall.wasm, nothing per route, no fields, nothing else",
            "/plain",
            calls_of(folder, "seawall", &lean("seawall"))?,
        ),
        (
            "all four",
            "all four as one (seawall.wasm), cache hit",
            "/cached",
            Chain::of(vec![seawall("seawall")]),
        ),
        (
            "rate-limit",
            "rate-limit",
            "/plain",
            Chain::of(vec![seawall("rate-limit")]),
        ),
        (
            "calls",
            "host calls of rate-limit, nothing else",
            "/plain",
            calls_of(folder, "rate-limit", &configuration("rate-limit"))?,
        ),
        (
            "rate-limit",
            "rate-limit, nothing per route, no fields",
            "/plain",
            seawall_lean("rate-limit"),
        ),
        (
            "calls",
            "host calls of rate-limit, nothing per route, no fields, nothing else",
            "/plain",
            calls_of(folder, "rate-limit", &lean("rate-limit"))?,
        ),
        (
            "rate-limit",
            "native local_ratelimit",
            "/plain",
            peers::local_ratelimit(),
        ),
        (
            "rate-limit",
            "Lua limiter (per worker)",
            "/plain",
            peers::lua(),
        ),
        (
            "response-cache",
            "response-cache, hit",
            "/cached",
            Chain::of(vec![seawall("response-cache")]),
        ),
        (
            "response-cache",
            "response-cache, hit, nothing per route",
            "/cached",
            seawall_lean("response-cache"),
        ),
        (
            "calls",
            "host calls of a hit, nothing per route, nothing else",
            "/cached",
            Chain::of(vec![calls::hit(folder, &lean("response-cache"))?]),
        ),
        (
            "yardstick",
            "an answer of the route itself (direct_response)",
            "/cached",
            peers::direct(),
        ),
        (
            "yardstick",
            "an answer of the route itself, behind a filter without callbacks",
            "/cached",
            Chain {
                filters: vec![calls::none(folder)?],
                ..peers::direct()
            },
        ),
        (
            "response-cache",
            "response-cache, hit of 64 KB",
            LARGE,
            Chain::of(vec![seawall("response-cache")]),
        ),
        (
            "response-cache",
            "native cache_v2, hit of 64 KB",
            LARGE,
            peers::native_cache(),
        ),
        (
            "response-cache",
            "no filter, 64 KB",
            LARGE,
            Chain::default(),
        ),
        (
            "response-cache",
            "response-cache, not storable",
            "/plain",
            Chain::of(vec![seawall("response-cache")]),
        ),
        (
            "calls",
            "host calls of response-cache (not storable), nothing else",
            "/plain",
            calls_of(folder, "response-cache", &configuration("response-cache"))?,
        ),
        (
            "response-cache",
            "native cache_v2, hit",
            "/cached",
            peers::native_cache(),
        ),
        (
            "circuit-breaker",
            "circuit-breaker",
            "/plain",
            Chain::of(vec![seawall("circuit-breaker")]),
        ),
        (
            "calls",
            "host calls of circuit-breaker, nothing else",
            "/plain",
            calls_of(folder, "circuit-breaker", &configuration("circuit-breaker"))?,
        ),
        (
            "circuit-breaker",
            "circuit-breaker, nothing per route",
            "/plain",
            seawall_lean("circuit-breaker"),
        ),
        (
            "calls",
            "host calls of circuit-breaker, nothing per route, nothing else",
            "/plain",
            calls_of(folder, "circuit-breaker", &lean("circuit-breaker"))?,
        ),
        (
            "trace-headers",
            "trace-headers",
            "/plain",
            Chain::of(vec![seawall("trace-headers")]),
        ),
        (
            "calls",
            "host calls of trace-headers, nothing else",
            "/plain",
            calls_of(folder, "trace-headers", &configuration("trace-headers"))?,
        ),
        (
            "trace-headers",
            "trace-headers, nothing per route",
            "/plain",
            seawall_lean("trace-headers"),
        ),
        (
            "calls",
            "host calls of trace-headers, nothing per route, nothing else",
            "/plain",
            calls_of(folder, "trace-headers", &lean("trace-headers"))?,
        ),
        (
            "trace-headers",
            "native tracing and request id",
            "/plain",
            peers::native_tracing(),
        ),
    ])
}

fn has(program: &str) -> bool {
    Command::new("sh")
        .args(["-c", &format!("command -v {program}")])
        .output()
        .is_ok_and(|output| output.status.success())
}

fn start(
    options: &Options,
    upstream: u16,
    begun: usize,
    folder: &Path,
) -> Result<Vec<Running>, Box<dyn Error>> {
    let wanted = |name: &str| {
        let only = options.only.as_deref();
        name == "no filter" || only.is_none_or(|text| name.contains(text))
    };
    let subject = |group, name: &str| Subject {
        name: name.to_owned(),
        group,
        rounds: Vec::new(),
        http2: Vec::new(),
    };
    let modules = folder.join("modules");
    fs::create_dir(&modules)?;
    let mut chains = chains(&modules)?;
    chains.retain(|(_, name, ..)| wanted(name));
    let ports = free_ports(chains.len())?;
    let mut listeners: Vec<(u16, Chain)> = ports
        .iter()
        .zip(&chains)
        .map(|(port, (_, name, _, chain))| (*port, chain.clone().apart(name)))
        .collect();
    // Where a VM lies depends on which ones were made before it.
    let others = listeners.len().saturating_sub(1).max(1);
    listeners.rotate_left(begun * 11 % others);
    let config = config::proxies(
        upstream,
        listeners.iter().map(|(port, chain)| (*port, chain)),
    );
    let envoy = Proxy::envoy_on(PROXY, &config, ports[0], folder)?;
    let mut running = Vec::new();
    for (port, (group, name, path, _)) in ports.iter().zip(chains) {
        running.push(Running {
            subject: subject(group, name),
            path,
            proxy: envoy.at(*port),
            arrivals: &[Arrival::Connections, Arrival::Streams],
        });
    }
    type Start = fn(u16, &Path) -> Result<Proxy, Box<dyn Error>>;
    let others: [(&str, &str, Start); 2] = [
        ("nginx, hit", "nginx", peers::nginx),
        ("Varnish, hit", "varnishd", peers::varnish),
    ];
    for (name, program, start) in others {
        if wanted(name) && has(program) {
            let proxy = start(upstream, folder).map_err(|error| format!("{name}: {error}"))?;
            running.push(Running {
                subject: subject("response-cache", name),
                path: "/cached",
                proxy,
                arrivals: &[Arrival::Connections],
            });
        } else if wanted(name) {
            eprintln!("{program} is not installed: left out");
        }
    }
    Ok(running)
}

/// Measures all subjects in turns, `starts` times from their start on.
pub fn measure(options: &Options) -> Result<Vec<Subject>, Box<dyn Error>> {
    let folder = tempfile::tempdir()?;
    let port = free_port()?;
    let _upstream = Proxy::envoy_on(OTHERS, &config::upstream(port), port, folder.path())?;
    let mut subjects: Vec<Subject> = Vec::new();
    for begun in 1..=options.starts {
        eprintln!("start {begun} of {}", options.starts);
        let seen = measure_once(options, port, begun)?;
        if subjects.is_empty() {
            subjects = seen;
            continue;
        }
        for (subject, seen) in subjects.iter_mut().zip(seen) {
            subject.rounds.extend(seen.rounds);
            subject.http2.extend(seen.http2);
        }
    }
    Ok(subjects)
}

fn measure_once(
    options: &Options,
    upstream: u16,
    begun: usize,
) -> Result<Vec<Subject>, Box<dyn Error>> {
    let folder = tempfile::tempdir()?;
    let mut running = start(options, upstream, begun, folder.path())?;
    for one in &running {
        // Warm: connections, caches, and code that V8 compiles again once it is hot.
        for _ in 0..WARM {
            for arrival in one.arrivals {
                one.measure(options, *arrival, folder.path())?;
            }
        }
    }
    for round in 0..options.rounds {
        eprintln!("round {} of {}", round + 1, options.rounds);
        let count = running.len();
        for at in 0..count {
            // Every round begins with another one.
            let one = &mut running[(at + round) % count];
            for arrival in one.arrivals {
                let seen = one.measure(options, *arrival, folder.path())?;
                match arrival {
                    Arrival::Connections => one.subject.rounds.push(seen),
                    Arrival::Streams => one.subject.http2.push(seen),
                }
            }
        }
    }
    Ok(running.into_iter().map(|one| one.subject).collect())
}

//! What grows with what: CPU with workers and keys, memory with keys, time to load with the number of limits.

use crate::config::{self, wasm, Chain};
use crate::process::{free_port, Proxy};
use crate::stats::least;
use crate::subjects::module;
use crate::{keys, load, Options};
use serde_json::{json, Value};
use std::error::Error;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

/// One row: so many workers and keys.
#[derive(Debug, serde::Serialize)]
pub struct Row {
    /// Worker threads.
    pub workers: u32,
    /// Different keys.
    pub keys: u64,
    /// CPU per request of the proxy without a filter.
    pub without_us: f64,
    /// CPU per request with rate-limit.
    pub with_us: f64,
    /// What rate-limit adds.
    pub above_us: f64,
    /// Resident memory afterwards, with rate-limit.
    pub memory_mb: f64,
}

/// The memory of a cache that has seen so many URLs of 1 KB.
#[derive(Debug, serde::Serialize)]
pub struct Entries {
    /// Worker threads.
    pub workers: u32,
    /// Different URLs.
    pub urls: u64,
    /// Resident memory before the first request.
    pub before_mb: f64,
    /// Resident memory afterwards.
    pub after_mb: f64,
}

/// The results.
#[derive(Debug, serde::Serialize)]
pub struct Scaling {
    /// By workers and keys.
    pub rows: Vec<Row>,
    /// response-cache by workers and URLs.
    pub entries: Vec<Entries>,
    /// Seconds of `envoy --mode validate` with one limit.
    pub validate_one_s: f64,
    /// Seconds of `envoy --mode validate` with 1,000 limits.
    pub validate_thousand_s: f64,
}

fn limited() -> Value {
    let limits = json!({
        "limits": [{"name": "key", "key": [{"query": "k"}], "requests": 1_000_000_000, "per": "1s"}],
        "max_keys": 2_000_000,
    });
    wasm("rate-limit", &module("rate-limit"), limits)
}

fn validate(config: &Value, folder: &Path) -> Result<f64, Box<dyn Error>> {
    let path = folder.join("validate.json");
    std::fs::write(&path, config.to_string())?;
    let program = std::env::var("ENVOY_BIN").unwrap_or_else(|_| ".tools/bin/envoy".into());
    let start = Instant::now();
    let output = Command::new(program)
        .args(["--mode", "validate", "-c"])
        .arg(&path)
        .output()?;
    if !output.status.success() {
        return Err(String::from_utf8_lossy(&output.stderr).into_owned().into());
    }
    Ok(start.elapsed().as_secs_f64())
}

/// A configuration whose rate-limit has so many limits, each for a path of its own.
fn many_limits(count: usize) -> Value {
    let limits: Vec<Value> = (0..count)
        .map(|at| {
            json!({"name": format!("limit-{at}"), "key": ["client_address"], "match": {"path": format!("/{at}/*")},
                   "requests": at + 1, "per": "1m"})
        })
        .collect();
    let chain = Chain {
        filters: vec![wasm(
            "rate-limit",
            &module("rate-limit"),
            json!({"limits": limits}),
        )],
        ..Chain::default()
    };
    config::proxy(10_000, 10_001, &chain)
}

/// The memory of response-cache by what it has been asked for.
fn entries(
    options: &Options,
    upstream: u16,
    time: Duration,
    folder: &Path,
) -> Result<Vec<Entries>, Box<dyn Error>> {
    let mut all = Vec::new();
    for (workers, urls) in [(1, 1000), (1, 20_000), (1, 1_000_000), (4, 1_000_000)] {
        eprintln!("cache memory: {workers} workers, {urls} URLs");
        let port = free_port()?;
        let chain = Chain {
            filters: vec![wasm("response-cache", &module("response-cache"), json!({}))],
            ..Chain::default()
        };
        let config = config::proxy(port, upstream, &chain);
        let proxy = Proxy::envoy(&config, port, workers, folder)?;
        let before = proxy.memory();
        load::keys(
            &proxy,
            "/cached",
            urls,
            options.connections.max(32),
            time,
            folder,
        )?;
        all.push(Entries {
            workers,
            urls,
            before_mb: before as f64 / 1e6,
            after_mb: proxy.memory() as f64 / 1e6,
        });
    }
    Ok(all)
}

/// A proxy that answers by itself: with an upstream behind it, most of what scatters is how the two wake each other.
fn start(filters: Vec<Value>, workers: u32, folder: &Path) -> Result<Proxy, Box<dyn Error>> {
    let port = free_port()?;
    let chain = Chain {
        filters,
        ..Chain::default()
    };
    let mut config = config::proxy(port, port, &chain);
    let listener = &mut config["static_resources"]["listeners"][0];
    // The few connections of the load are to be spread over the workers evenly, not as the kernel likes.
    listener["connection_balance_config"] = json!({"exact_balance": {}});
    let manager = &mut listener["filter_chains"][0]["filters"][0]["typed_config"];
    manager["route_config"]["virtual_hosts"][0]["routes"][0] = json!({"match": {"prefix": "/"},
        "direct_response": {"status": 200, "body": {"inline_string": "ok"}}});
    Ok(Proxy::envoy(&config, port, workers, folder)?)
}

/// The proxies of so many workers, and what was measured of them.
struct Group {
    workers: u32,
    without: Proxy,
    /// With rate-limit: each for so many keys.
    with: Vec<(u64, Proxy)>,
    without_us: Vec<f64>,
    with_us: Vec<Vec<f64>>,
}

impl Group {
    fn start(workers: u32, most: u64, folder: &Path) -> Result<Self, Box<dyn Error>> {
        let without = start(vec![], workers, folder)?;
        let mut with = Vec::new();
        for count in [1, most.min(1000), most] {
            eprintln!("scaling: {workers} workers, {count} keys");
            let proxy = start(vec![limited()], workers, folder)?;
            keys::each(&proxy, count, folder)?;
            with.push((count, proxy));
        }
        Ok(Group {
            workers,
            without,
            with_us: vec![Vec::new(); with.len()],
            with,
            without_us: Vec::new(),
        })
    }

    fn measure(&mut self, requests: usize, folder: &Path) -> Result<(), Box<dyn Error>> {
        self.without_us
            .push(keys::random(&self.without, 1, requests, folder)?);
        for ((count, proxy), seen) in self.with.iter().zip(&mut self.with_us) {
            seen.push(keys::random(proxy, *count, requests, folder)?);
        }
        Ok(())
    }

    fn rows(&self) -> impl Iterator<Item = Row> + '_ {
        self.with
            .iter()
            .zip(&self.with_us)
            .map(|((count, proxy), with_us)| {
                let (without_us, with_us) = (least(&self.without_us), least(with_us));
                Row {
                    workers: self.workers,
                    keys: *count,
                    without_us,
                    with_us,
                    above_us: with_us - without_us,
                    memory_mb: proxy.memory() as f64 / 1e6,
                }
            })
    }
}

/// CPU by workers and keys: all proxies at once, measured in turns.
fn rows(options: &Options, folder: &Path) -> Result<Vec<Row>, Box<dyn Error>> {
    let mut groups = Vec::new();
    for workers in [1, 2, 4] {
        groups.push(Group::start(workers, options.keys, folder)?);
    }
    // The first round warms up.
    let rounds = options.starts * options.rounds;
    for round in 0..=rounds {
        eprintln!("scaling: round {round} of {rounds}");
        for group in &mut groups {
            group.measure(options.requests, folder)?;
            if round == 0 {
                group.without_us.clear();
                group.with_us.iter_mut().for_each(Vec::clear);
            }
        }
    }
    Ok(groups.iter().flat_map(Group::rows).collect())
}

/// Measures.
pub fn measure(options: &Options) -> Result<Scaling, Box<dyn Error>> {
    let folder = tempfile::tempdir()?;
    let folder = folder.path();
    let upstream = free_port()?;
    let _upstream = Proxy::envoy(&config::upstream(upstream), upstream, 1, folder)?;
    Ok(Scaling {
        rows: rows(options, folder)?,
        entries: entries(options, upstream, Duration::from_secs(12), folder)?,
        validate_one_s: validate(&many_limits(1), folder)?,
        validate_thousand_s: validate(&many_limits(1000), folder)?,
    })
}

//! What grows with what: CPU with workers and keys, memory with keys, time to load with the number of limits.

use crate::config::{self, wasm, Chain};
use crate::load::keys;
use crate::process::{free_port, Proxy};
use crate::subjects::module;
use crate::Options;
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
    /// Seconds of `envoy --mode validate` with no limit.
    pub validate_none_s: f64,
    /// Seconds of `envoy --mode validate` with 1,000 routes that have a limit each.
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

/// A configuration whose rate-limit has so many limits, as overrides of one.
fn many_limits(count: usize) -> Value {
    let overrides: Vec<Value> = (0..count)
        .map(|at| json!({"key": [format!("tenant-{at}")], "requests": at + 1}))
        .collect();
    let limits = json!({"limits": [{"name": "tenant", "key": [{"header": "x-tenant-id"}], "requests": 10, "per": "1m", "overrides": overrides}]});
    let chain = Chain {
        filters: vec![wasm("rate-limit", &module("rate-limit"), limits)],
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
        keys(
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

/// Measures.
pub fn measure(options: &Options) -> Result<Scaling, Box<dyn Error>> {
    let folder = tempfile::tempdir()?;
    let folder = folder.path();
    let upstream = free_port()?;
    let _upstream = Proxy::envoy(&config::upstream(upstream), upstream, 1, folder)?;
    let time = Duration::from_secs(4);
    let mut rows = Vec::new();
    for workers in [1, 2, 4] {
        for count in [1, 1000, 1_000_000] {
            eprintln!("scaling: {workers} workers, {count} keys");
            let start = |filters: Vec<Value>| -> Result<Proxy, Box<dyn Error>> {
                let port = free_port()?;
                let chain = Chain {
                    filters,
                    ..Chain::default()
                };
                Ok(Proxy::envoy(
                    &config::proxy(port, upstream, &chain),
                    port,
                    workers,
                    folder,
                )?)
            };
            let (without, with) = (start(vec![])?, start(vec![limited()])?);
            let run = |proxy: &Proxy, time| {
                keys(
                    proxy,
                    "/plain",
                    count,
                    options.connections.max(32),
                    time,
                    folder,
                )
            };
            run(&without, Duration::from_secs(1))?;
            run(&with, Duration::from_secs(1))?;
            let (mut plain, mut limited) = (Vec::new(), Vec::new());
            for _ in 0..2 {
                plain.push(run(&without, time)?);
                limited.push(run(&with, time)?);
            }
            rows.push(Row {
                workers,
                keys: count,
                without_us: crate::stats::median(&plain),
                with_us: crate::stats::median(&limited),
                memory_mb: with.memory() as f64 / 1e6,
            });
        }
    }
    Ok(Scaling {
        rows,
        entries: entries(options, upstream, time.saturating_mul(3), folder)?,
        validate_none_s: validate(&many_limits(0), folder)?,
        validate_thousand_s: validate(&many_limits(1000), folder)?,
    })
}

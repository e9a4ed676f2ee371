//! What a miss costs that is stored: every request is for another URL.

use crate::config::{self, wasm, Chain};
use crate::process::{free_port, free_ports, Proxy, OTHERS, PROXY};
use crate::stats::{estimate, median, Estimate};
use crate::subjects::module;
use crate::{keys, peers, Options};
use serde_json::json;
use std::error::Error;

/// One proxy.
#[derive(Debug, serde::Serialize)]
pub struct Misses {
    /// What it is.
    pub name: &'static str,
    /// CPU time per request: of the median round after each start, the median.
    pub cpu_us: f64,
    /// What that is above "no filter", start by start.
    pub above: Estimate,
}

fn subjects() -> [(&'static str, Chain); 3] {
    let cache = wasm("response-cache", &module("response-cache"), json!({}));
    let cache = Chain {
        filters: vec![cache],
        ..Chain::default()
    };
    [
        ("no filter", Chain::default()),
        ("response-cache", cache),
        ("native cache_v2", peers::native_cache()),
    ]
}

/// The median round of each after one start.
fn measure_once(options: &Options, upstream: u16) -> Result<Vec<f64>, Box<dyn Error>> {
    let folder = tempfile::tempdir()?;
    let folder = folder.path();
    let subjects = subjects();
    let ports = free_ports(subjects.len())?;
    let chains = ports.iter().zip(&subjects);
    let chains = chains.map(|(port, (_, chain))| (*port, chain));
    let config = config::proxies(upstream, chains);
    let envoy = Proxy::envoy_on(PROXY, &config, ports[0], folder)?;
    let proxies: Vec<Proxy> = ports.iter().map(|port| envoy.at(*port)).collect();
    let mut seen = vec![Vec::new(); proxies.len()];
    // The first two rounds warm up.
    for round in 0..options.rounds + 2 {
        let first = (round * options.requests) as u64;
        for turn in 0..proxies.len() {
            let at = (turn + round) % proxies.len();
            let cpu = keys::fresh(
                &proxies[at],
                "/cached",
                first,
                options.requests,
                OTHERS,
                folder,
            )?;
            if round >= 2 {
                seen[at].push(cpu);
            }
        }
    }
    Ok(seen.iter().map(|rounds| median(rounds)).collect())
}

/// Measures all in turns, `starts` times from their start on.
pub fn measure(options: &Options) -> Result<Vec<Misses>, Box<dyn Error>> {
    let folder = tempfile::tempdir()?;
    let port = free_port()?;
    let _upstream = Proxy::envoy_on(OTHERS, &config::upstream(port), port, folder.path())?;
    let mut starts = Vec::new();
    for begun in 1..=options.starts {
        eprintln!("misses: start {begun} of {}", options.starts);
        starts.push(measure_once(options, port)?);
    }
    let cpu = |at: usize| median(&starts.iter().map(|seen| seen[at]).collect::<Vec<_>>());
    let above = |at: usize| {
        let above: Vec<f64> = starts.iter().map(|seen| seen[at] - seen[0]).collect();
        estimate(&above)
    };
    let names = subjects().map(|(name, _)| name);
    Ok(names
        .into_iter()
        .enumerate()
        .map(|(at, name)| Misses {
            name,
            cpu_us: cpu(at),
            above: above(at),
        })
        .collect())
}

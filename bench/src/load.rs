//! Load from outside: `h2load` for a fixed number of requests, `wrk` with a script where every request has a key of its own.

use crate::process::{on_processor, Proxy, OTHERS};
use crate::stats::percentile;
use std::error::Error;
use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

/// What one measurement saw.
#[derive(Debug, Clone, serde::Serialize)]
pub struct Measured {
    /// CPU time of the proxy per request.
    pub cpu_us: f64,
    /// Requests answered in a second.
    pub per_second: f64,
    /// Latency as the client sees it.
    pub p50_us: f64,
    /// Latency as the client sees it.
    pub p99_us: f64,
}

fn run(command: &mut Command) -> Result<String, Box<dyn Error>> {
    let name = command.get_program().to_string_lossy().into_owned();
    let output = command.output().map_err(|error| {
        format!(
            "{name} cannot be run ({error}); Debian and Ubuntu: apt-get install nghttp2-client wrk"
        )
    })?;
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// How requests come: as many at a time either way, so that the proxy always has work. With few, what is measured is how
/// the kernel wakes a client that waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Arrival {
    /// HTTP/1.1, each on a connection of its own.
    Connections,
    /// HTTP/2, sixteen on a connection.
    Streams,
}

/// So many requests; every one must be answered with 200.
pub fn fixed(
    proxy: &Proxy,
    path: &str,
    requests: usize,
    at_a_time: usize,
    arrival: Arrival,
    folder: &Path,
) -> Result<Measured, Box<dyn Error>> {
    let shape = match arrival {
        Arrival::Connections => vec!["--h1".to_owned(), format!("-c{at_a_time}")],
        Arrival::Streams => vec!["-m16".to_owned(), format!("-c{}", (at_a_time / 16).max(1))],
    };
    let log = folder.join("requests.log");
    let _ = fs::remove_file(&log);
    let (cpu, start) = (proxy.cpu(), Instant::now());
    run(on_processor(OTHERS, "h2load")
        .args(shape)
        .args(["-t1", "-n"])
        .arg(requests.to_string())
        .arg("--log-file")
        .arg(&log)
        .arg(format!("http://{}{path}", proxy.address)))?;
    let (cpu, seconds) = (proxy.cpu() - cpu, start.elapsed().as_secs_f64());
    // Start time, status, and duration in microseconds of each request.
    let text = fs::read_to_string(&log)?;
    let mut latencies = Vec::with_capacity(requests);
    for line in text.lines() {
        let mut fields = line.split('\t').skip(1);
        match (
            fields.next(),
            fields.next().and_then(|field| field.parse().ok()),
        ) {
            (Some("200"), Some(latency)) => latencies.push(latency),
            other => return Err(format!("a request was not answered with 200: {other:?}").into()),
        }
    }
    if latencies.len() != requests {
        return Err(format!("{} of {requests} requests were answered", latencies.len()).into());
    }
    Ok(Measured {
        cpu_us: cpu.as_secs_f64() * 1e6 / requests as f64,
        per_second: requests as f64 / seconds,
        p50_us: percentile(&mut latencies, 0.5),
        p99_us: percentile(&mut latencies, 0.99),
    })
}

/// Requests for a time, each with `?k=` and a number below `keys`; answers the CPU time per request.
pub fn keys(
    proxy: &Proxy,
    path: &str,
    keys: u64,
    connections: usize,
    time: Duration,
    folder: &Path,
) -> Result<f64, Box<dyn Error>> {
    let script = folder.join("keys.lua");
    fs::write(
        &script,
        format!(
            "math.randomseed(os.time())\n\
             request = function() return wrk.format('GET', '{path}?k=' .. math.random(0, {})) end\n",
            keys - 1
        ),
    )?;
    let cpu = proxy.cpu();
    let text = run(Command::new("wrk")
        .args(["-t1", "-c"])
        .arg(connections.to_string())
        .arg("-d")
        .arg(format!("{}s", time.as_secs().max(1)))
        .arg("-s")
        .arg(&script)
        .arg(format!("http://{}", proxy.address)))?;
    let cpu = proxy.cpu() - cpu;
    if text.contains("Non-2xx") {
        return Err(format!("some requests were refused: {text}").into());
    }
    let requests = text
        .lines()
        .find_map(|line| line.trim().split_once(" requests in"))
        .and_then(|(number, _)| number.trim().parse::<f64>().ok())
        .ok_or_else(|| format!("wrk says nothing of requests: {text}"))?;
    Ok(cpu.as_secs_f64() * 1e6 / requests)
}

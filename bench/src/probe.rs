//! What each host call costs, by the module in `bench/probe`.

use crate::config::{self, wasm, Chain};
use crate::process::{free_port, Proxy};
use serde_json::{json, Value};
use std::error::Error;
use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;

/// One kind of call.
#[derive(Debug, serde::Serialize)]
pub struct Call {
    /// What it does.
    pub what: String,
    /// Nanoseconds, repeated in a loop; the best of several runs.
    pub ns: u64,
}

fn calls(log: &str) -> Vec<Call> {
    let read = |line: &str| {
        let (_, text) = line.split_once("probe probe: probe ")?;
        let (what, ns) = text.rsplit_once(": ")?;
        Some(Call {
            what: what.to_owned(),
            ns: ns.strip_suffix(" ns")?.trim().parse().ok()?,
        })
    };
    log.lines().filter_map(read).collect()
}

fn metadata() -> Value {
    json!({"metadata": {"filter_metadata": {"seawall.rate_limit":
        {"limits": [{"name": "reports", "key": [{"header": "x-tenant-id"}], "requests": 10, "per": "1m"}]}}}})
}

/// Measures.
pub fn measure() -> Result<Vec<Call>, Box<dyn Error>> {
    let folder = tempfile::tempdir()?;
    let port = free_port()?;
    let target = std::env::var("CARGO_TARGET_DIR").unwrap_or_else(|_| "target".into());
    let path = Path::new(&target).join("wasm32-wasip1/release/seawall_probe.wasm");
    let chain = Chain {
        filters: vec![wasm("probe", &path, json!({}))],
        route: json!({"beside": metadata()}),
        ..Chain::default()
    };
    let proxy = Proxy::envoy(&config::proxy(port, 9, &chain), port, 1, folder.path())?;
    // Three times, so that V8 has compiled the loops.
    for _ in 0..3 {
        let mut client = TcpStream::connect(proxy.address)?;
        client.write_all(b"GET / HTTP/1.1\r\nhost: probe\r\nuser-agent: probe\r\nx-tenant-id: acme\r\nconnection: close\r\n\r\n")?;
        let mut answer = Vec::new();
        client.read_to_end(&mut answer)?;
    }
    let found = calls(&fs::read_to_string(
        folder.path().join(format!("{port}.log")),
    )?);
    let last = found.len() / 3 * 2;
    if last == 0 {
        return Err("the probe logged nothing".into());
    }
    Ok(found.into_iter().skip(last).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_the_probe_logs() {
        let log = "[t][1][warning][wasm] [c.cc:1] wasm log probe probe: probe all headers: 840 ns\nelse\n";
        let found = calls(log);
        assert_eq!((found[0].what.as_str(), found[0].ns), ("all headers", 840));
        assert_eq!(found.len(), 1);
    }
}

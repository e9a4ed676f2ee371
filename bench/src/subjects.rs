//! What is measured: Seawall's filters, the yardsticks, and the peers that do the same work.

use crate::calls;
use crate::config::{self, native, wasm, Chain};
use crate::load::{fixed, Arrival, Measured};
use crate::process::{free_port, on_processor, Proxy, OTHERS, PROXY};
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

/// The host calls of a filter without the filter.
fn calls_of(filter: &str) -> Result<Chain, Box<dyn Error>> {
    Ok(filters(vec![calls::alone(filter, &configuration(filter))?]))
}

fn filters(filters: Vec<Value>) -> Chain {
    Chain {
        filters,
        ..Chain::default()
    }
}

/// Envoy's own limiter with a bucket for each address.
fn local_ratelimit() -> Chain {
    let bucket = json!({"max_tokens": 1_000_000_000, "tokens_per_fill": 1_000_000_000, "fill_interval": "1s"});
    Chain {
        filters: vec![native(
            "local_ratelimit",
            "envoy.extensions.filters.http.local_ratelimit.v3.LocalRateLimit",
            json!({
                "stat_prefix": "local",
                "token_bucket": bucket,
                "filter_enabled": {"default_value": {"numerator": 100}},
                "filter_enforced": {"default_value": {"numerator": 100}},
                "rate_limits": [{"actions": [{"remote_address": {}}]}],
                "descriptors": [{"entries": [{"key": "remote_address"}], "token_bucket": bucket}],
            }),
        )],
        ..Chain::default()
    }
}

/// A token bucket for each address, in each worker for itself: Lua shares nothing.
fn lua() -> Chain {
    let code = "local buckets, count = {}, 0\n\
        function envoy_on_request(handle)\n\
          local key = handle:streamInfo():downstreamRemoteAddress():match('^(.*):')\n\
          local now = handle:timestamp()\n\
          local bucket = buckets[key]\n\
          if not bucket then\n\
            if count > 10000 then buckets, count = {}, 0 end\n\
            bucket = {tokens = 1e9, at = now}\n\
            buckets[key] = bucket\n\
            count = count + 1\n\
          end\n\
          bucket.tokens = math.min(1e9, bucket.tokens + (now - bucket.at) * 1e6)\n\
          bucket.at = now\n\
          if bucket.tokens < 1 then handle:respond({[':status'] = '429', ['retry-after'] = '1'}, '') return end\n\
          bucket.tokens = bucket.tokens - 1\n\
        end\n";
    filters(vec![native(
        "lua",
        "envoy.extensions.filters.http.lua.v3.Lua",
        json!({"default_source_code": {"inline_string": code}}),
    )])
}

fn native_cache() -> Chain {
    filters(vec![native(
        "cache",
        "envoy.extensions.filters.http.cache_v2.v3.CacheV2Config",
        json!({"typed_config": {"@type": "type.googleapis.com/envoy.extensions.http.cache_v2.simple_http_cache.v3.SimpleHttpCacheV2Config"}}),
    )])
}

/// Request id and W3C trace by Envoy; nothing is sampled, as nothing is exported by trace-headers here.
fn native_tracing() -> Chain {
    Chain {
        manager: json!({
            "generate_request_id": true,
            "always_set_request_id_in_response": true,
            "tracing": {
                "random_sampling": {"value": 0},
                "provider": {"name": "otel", "typed_config": {
                    "@type": "type.googleapis.com/envoy.config.trace.v3.OpenTelemetryConfig",
                    "grpc_service": {"envoy_grpc": {"cluster_name": "collector"}, "timeout": "1s"},
                    "service_name": "bench",
                }},
            },
        }),
        clusters: vec![config::cluster("collector", 9)],
        ..Chain::default()
    }
}

type Entry = (&'static str, &'static str, &'static str, Chain);

fn chains() -> Result<Vec<Entry>, Box<dyn Error>> {
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
            "do-nothing SDK filter",
            "/plain",
            filters(vec![noop("a")]),
        ),
        (
            "yardstick",
            "four do-nothing SDK filters",
            "/plain",
            filters(four.to_vec()),
        ),
        (
            "all four",
            "all four filters, forwarded",
            "/plain",
            filters(all().to_vec()),
        ),
        (
            "all four",
            "all four filters, cache hit",
            "/cached",
            filters(all().to_vec()),
        ),
        (
            "all four",
            "all four as one (seawall.wasm), forwarded",
            "/plain",
            filters(vec![seawall("seawall")]),
        ),
        (
            "calls",
            "host calls of seawall.wasm, nothing else",
            "/plain",
            calls_of("seawall")?,
        ),
        (
            "all four",
            "all four as one (seawall.wasm), cache hit",
            "/cached",
            filters(vec![seawall("seawall")]),
        ),
        (
            "rate-limit",
            "rate-limit",
            "/plain",
            filters(vec![seawall("rate-limit")]),
        ),
        (
            "calls",
            "host calls of rate-limit, nothing else",
            "/plain",
            calls_of("rate-limit")?,
        ),
        (
            "rate-limit",
            "native local_ratelimit",
            "/plain",
            local_ratelimit(),
        ),
        ("rate-limit", "Lua limiter (per worker)", "/plain", lua()),
        (
            "response-cache",
            "response-cache, hit",
            "/cached",
            filters(vec![seawall("response-cache")]),
        ),
        (
            "response-cache",
            "response-cache, hit of 64 KB",
            LARGE,
            filters(vec![seawall("response-cache")]),
        ),
        (
            "response-cache",
            "native cache_v2, hit of 64 KB",
            LARGE,
            native_cache(),
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
            filters(vec![seawall("response-cache")]),
        ),
        (
            "calls",
            "host calls of response-cache (not storable), nothing else",
            "/plain",
            calls_of("response-cache")?,
        ),
        (
            "response-cache",
            "native cache_v2, hit",
            "/cached",
            native_cache(),
        ),
        (
            "circuit-breaker",
            "circuit-breaker",
            "/plain",
            filters(vec![seawall("circuit-breaker")]),
        ),
        (
            "calls",
            "host calls of circuit-breaker, nothing else",
            "/plain",
            calls_of("circuit-breaker")?,
        ),
        (
            "trace-headers",
            "trace-headers",
            "/plain",
            filters(vec![seawall("trace-headers")]),
        ),
        (
            "calls",
            "host calls of trace-headers, nothing else",
            "/plain",
            calls_of("trace-headers")?,
        ),
        (
            "trace-headers",
            "native tracing and request id",
            "/plain",
            native_tracing(),
        ),
    ])
}

fn has(program: &str) -> bool {
    Command::new("sh")
        .args(["-c", &format!("command -v {program}")])
        .output()
        .is_ok_and(|output| output.status.success())
}

fn nginx(upstream: u16, folder: &Path) -> Result<Proxy, Box<dyn Error>> {
    let port = free_port()?;
    let root = folder.display();
    let path = folder.join("nginx.conf");
    fs::write(
        &path,
        format!(
            "daemon off; worker_processes 1; pid {root}/nginx.pid; error_log {root}/nginx.err;\n\
             events {{ worker_connections 1024; }}\n\
             http {{ access_log off; keepalive_requests 1000000; client_body_temp_path {root}/n1; proxy_temp_path {root}/n2;\n\
             fastcgi_temp_path {root}/n3; uwsgi_temp_path {root}/n4; scgi_temp_path {root}/n5;\n\
             proxy_cache_path {root}/cache keys_zone=bench:10m;\n\
             server {{ listen 127.0.0.1:{port}; location / {{ proxy_pass http://127.0.0.1:{upstream}; proxy_http_version 1.1;\n\
             proxy_cache bench; }} }} }}\n"
        ),
    )?;
    let mut command = on_processor(PROXY, "nginx");
    command.arg("-c").arg(&path);
    Ok(Proxy::start(&mut command, port, &folder.join("nginx.log"))?)
}

fn varnish(upstream: u16, folder: &Path) -> Result<Proxy, Box<dyn Error>> {
    let port = free_port()?;
    let mut command = on_processor(PROXY, "varnishd");
    command
        .args([
            "-F",
            "-a",
            &format!("127.0.0.1:{port}"),
            "-b",
            &format!("127.0.0.1:{upstream}"),
        ])
        .args(["-s", "malloc,64m", "-j", "none", "-n"])
        .arg(folder.join("varnish"));
    Ok(Proxy::start(
        &mut command,
        port,
        &folder.join("varnish.log"),
    )?)
}

fn start(options: &Options, upstream: u16, folder: &Path) -> Result<Vec<Running>, Box<dyn Error>> {
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
    let mut running = Vec::new();
    for (group, name, path, chain) in chains()? {
        if wanted(name) {
            let port = free_port()?;
            let chain = config::proxy(port, upstream, &chain);
            let proxy = Proxy::envoy_on(PROXY, &chain, port, folder)
                .map_err(|error| format!("{name}: {error}"))?;
            running.push(Running {
                subject: subject(group, name),
                path,
                proxy,
                arrivals: &[Arrival::Connections, Arrival::Streams],
            });
        }
    }
    type Start = fn(u16, &Path) -> Result<Proxy, Box<dyn Error>>;
    let others: [(&str, &str, Start); 2] = [
        ("nginx, hit", "nginx", nginx),
        ("Varnish, hit", "varnishd", varnish),
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

/// Measures all subjects in turns.
pub fn measure(options: &Options) -> Result<Vec<Subject>, Box<dyn Error>> {
    let folder = tempfile::tempdir()?;
    let port = free_port()?;
    let _upstream = Proxy::envoy_on(OTHERS, &config::upstream(port), port, folder.path())?;
    let mut running = start(options, port, folder.path())?;
    for one in &running {
        // Warm: connections, caches, and code that V8 compiles again once it is hot.
        for arrival in one.arrivals {
            one.measure(options, *arrival, folder.path())?;
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

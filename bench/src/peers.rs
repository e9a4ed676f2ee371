//! What others do about the same work: filters of Envoy, a limiter in Lua, nginx and Varnish.

use crate::config::{self, native, Chain};
use crate::process::{free_port, on_processor, Proxy, PROXY};
use serde_json::json;
use std::error::Error;
use std::fs;
use std::path::Path;

/// Envoy's own limiter with a bucket for each address.
pub fn local_ratelimit() -> Chain {
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
pub fn lua() -> Chain {
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
    Chain::of(vec![native(
        "lua",
        "envoy.extensions.filters.http.lua.v3.Lua",
        json!({"default_source_code": {"inline_string": code}}),
    )])
}

/// Envoy's own cache, in memory.
pub fn native_cache() -> Chain {
    Chain::of(vec![native(
        "cache",
        "envoy.extensions.filters.http.cache_v2.v3.CacheV2Config",
        json!({"typed_config": {"@type": "type.googleapis.com/envoy.extensions.http.cache_v2.simple_http_cache.v3.SimpleHttpCacheV2Config"}}),
    )])
}

/// A route that answers by itself, without a filter: the least that an answer of the proxy's own costs.
pub fn direct() -> Chain {
    Chain {
        route: json!({"instead": config::answer("max-age=3600", 1024)}),
        ..Chain::default()
    }
}

/// Request id and W3C trace by Envoy; nothing is sampled, as nothing is exported by trace-headers here.
pub fn native_tracing() -> Chain {
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

/// nginx with a cache.
pub fn nginx(upstream: u16, folder: &Path) -> Result<Proxy, Box<dyn Error>> {
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

/// Varnish with its defaults.
pub fn varnish(upstream: u16, folder: &Path) -> Result<Proxy, Box<dyn Error>> {
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

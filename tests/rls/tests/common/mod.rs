//! A real Redis and the service, each a process that ends with its test.
#![allow(dead_code, reason = "not every test needs all of it")]

use seawall_tests::envoy::free_address;
use seawall_tests::prelude::*;
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use tempfile::TempDir;

/// `REDIS_SERVER`, or what is in `.tools/bin`, or what the machine has.
fn redis_server() -> PathBuf {
    if let Some(path) = std::env::var_os("REDIS_SERVER") {
        return path.into();
    }
    let own = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../.tools/bin/redis-server");
    if own.exists() {
        own
    } else {
        "redis-server".into()
    }
}

/// A Redis of its own, with nothing in it.
pub struct Redis {
    child: Child,
    address: SocketAddr,
    _files: TempDir,
}

impl Redis {
    pub async fn start() -> Self {
        let files = tempfile::tempdir().expect("a temporary folder");
        let address = free_address();
        let mut child = Command::new(redis_server())
            .args(["--port", &address.port().to_string()])
            .args(["--bind", "127.0.0.1"])
            .args(["--save", "", "--appendonly", "no", "--dir"])
            .arg(files.path())
            .stdout(Stdio::null())
            .spawn()
            .expect("Redis can be started: apt-get install redis-server, or set REDIS_SERVER");
        eventually("Redis is up", || {
            let ended = child.try_wait().expect("its state is known");
            // What listens there now would be somebody else.
            assert!(ended.is_none(), "Redis ended: {ended:?}");
            async move {
                let connection = tokio::net::TcpStream::connect(address).await;
                connection.ok().map(drop)
            }
        })
        .await;
        Redis {
            child,
            address,
            _files: files,
        }
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The service in a process of its own.
pub struct Rls {
    child: Child,
    pub address: SocketAddr,
}

impl Rls {
    pub fn start(redis: &Redis) -> Self {
        Self::at(redis, "127.0.0.1:0")
    }

    pub fn at(redis: &Redis, listen: &str) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_rls"))
            .args([listen, &format!("redis://{}", redis.address)])
            .stdout(Stdio::piped())
            .spawn()
            .expect("the service can be started");
        let mut line = String::new();
        let said = child.stdout.take().expect("its output is piped");
        BufReader::new(said)
            .read_line(&mut line)
            .expect("it says where it listens");
        let address = line.trim().parse().expect("an address");
        Rls { child, address }
    }

    pub fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Drop for Rls {
    fn drop(&mut self) {
        self.kill();
    }
}

/// An Envoy with four workers whose limits a service at that address keeps.
pub fn envoy(upstream: &Upstream, service: SocketAddr, configuration: Value) -> EnvoyBuilder {
    Envoy::to(upstream)
        .http2_cluster("ratelimit", service)
        .filter("rate-limit", configuration)
}

//! The running process, and what can be asked of it.

use super::builder::EnvoyBuilder;
use super::find::envoy_binary;
use crate::client::{burst, Answer, Client};
use crate::wait::eventually;
use serde_json::{json, Value};
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use tempfile::TempDir;

/// The files of one Envoy; gone with it.
#[derive(Debug)]
pub(super) struct Files(TempDir);

impl Files {
    pub(super) fn new() -> Self {
        Files(
            tempfile::Builder::new()
                .prefix("seawall-")
                .tempdir()
                .expect("a temporary folder"),
        )
    }

    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    pub(super) fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.path(name);
        std::fs::write(&path, text).expect("the temporary folder is writable");
        path
    }

    fn read(&self, name: &str) -> String {
        std::fs::read(self.path(name)).map_or_else(
            |_| String::new(),
            |bytes| String::from_utf8_lossy(&bytes).into_owned(),
        )
    }
}

/// A running Envoy. It ends when this is dropped; its log is printed when the test fails.
pub struct Envoy {
    /// Where the listener is.
    pub address: SocketAddr,
    /// Where the admin interface is.
    pub admin: SocketAddr,
    child: Child,
    files: Files,
    client: Client,
    start: Start,
}

/// What is needed to start the process, and to start it again.
#[derive(Debug, Clone)]
struct Start {
    config: PathBuf,
    workers: u32,
    epoch: u32,
    environment: Vec<(String, OsString)>,
}

impl Start {
    /// Starts the process of this epoch; the ones after the first take over from the one before.
    fn spawn(&self, files: &Files) -> Child {
        let log = std::fs::File::options()
            .create(true)
            .append(true)
            .open(files.path("envoy.log"))
            .expect("a log file");
        let mut command = Command::new(envoy_binary());
        command
            .arg("-c")
            .arg(&self.config)
            .args(["--concurrency", &self.workers.to_string(), "-l", "info"])
            // Who is drained is told so with the next answer, and has long gone before the time is over.
            .args(["--drain-strategy", "immediate", "--drain-time-s", "5"])
            .args(["--parent-shutdown-time-s", "8"])
            // Tests wait for lines of the access log, which are written every 10 seconds otherwise.
            .args(["--file-flush-interval-msec", "20"])
            .arg("--admin-address-path")
            .arg(files.path("admin"));
        if self.epoch == 0 {
            command.arg("--use-dynamic-base-id");
            command.arg("--base-id-path").arg(files.path("base-id"));
        } else {
            let epoch = self.epoch.to_string();
            command.args(["--base-id", files.read("base-id").trim()]);
            command.args(["--restart-epoch", &epoch]);
        }
        command
            .envs(self.environment.iter().map(|(name, value)| (name, value)))
            .current_dir(super::find::repository())
            .stdout(Stdio::from(log.try_clone().expect("a log file")))
            .stderr(Stdio::from(log))
            .spawn()
            .expect("Envoy can be started")
    }
}

/// What `envoy --mode validate` says of a file.
///
/// # Errors
/// What it prints when it refuses.
pub async fn validate(path: &Path) -> Result<(), String> {
    let output = tokio::process::Command::new(envoy_binary())
        .args(["--mode", "validate", "-l", "warn", "-c"])
        .arg(path)
        .current_dir(super::find::repository())
        .output()
        .await
        .expect("Envoy can be started");
    if output.status.success() {
        Ok(())
    } else {
        Err(String::from_utf8_lossy(&output.stderr).into_owned())
    }
}

impl Envoy {
    pub(super) async fn launch(
        files: Files,
        config: &str,
        kind: &str,
        workers: u32,
        listener: Option<SocketAddr>,
        listeners: Option<Value>,
        environment: Vec<(String, OsString)>,
    ) -> Envoy {
        if let Some(listener) = &listeners {
            files.write("listeners.json", &discovery(listener));
        }
        let start = Start {
            config: files.write(&format!("envoy.{kind}"), config),
            workers,
            epoch: 0,
            environment,
        };
        let child = start.spawn(&files);
        let unset: SocketAddr = "127.0.0.1:1".parse().expect("an address");
        let address = listener.unwrap_or(unset);
        let mut envoy = Envoy {
            address,
            admin: unset,
            child,
            files,
            client: Client::new(address),
            start,
        };
        envoy.become_ready().await;
        envoy
    }

    async fn become_ready(&mut self) {
        let admin = loop {
            if let Ok(Some(status)) = self.child.try_wait() {
                panic!("Envoy ended with {status}");
            }
            match self.files.read("admin").trim().parse() {
                Ok(address) => break address,
                Err(_) => tokio::time::sleep(std::time::Duration::from_millis(10)).await,
            }
        };
        self.admin = admin;
        let client = Client::new(admin);
        eventually("Envoy is ready", || async {
            (client.get("/ready").await.status == 200).then_some(())
        })
        .await;
        let address = self.address;
        eventually("the listener is up", || async move {
            tokio::net::TcpStream::connect(address).await.ok().map(drop)
        })
        .await;
    }

    /// Starts a second process that takes over the listeners, and waits until the first one has ended.
    pub async fn hot_restart(&mut self) {
        self.start.epoch += 1;
        std::fs::remove_file(self.files.path("admin")).expect("the address was written");
        let old = std::mem::replace(&mut self.child, self.start.spawn(&self.files));
        self.become_ready().await;
        let mut old = old;
        eventually("the old process ends", || {
            let ended = matches!(old.try_wait(), Ok(Some(_)));
            async move { ended.then_some(()) }
        })
        .await;
    }

    /// A client that shares kept-alive connections.
    pub fn client(&self) -> Client {
        self.client.clone()
    }

    /// GET over kept-alive connections.
    pub async fn get(&self, path: &str) -> Answer {
        self.client.get(path).await
    }

    /// GET with fields.
    pub async fn get_with(&self, path: &str, headers: &[(&str, &str)]) -> Answer {
        self.client.get_with(path, headers).await
    }

    /// The statuses of so many requests, one after the other.
    pub async fn statuses(&self, path: &str, headers: &[(&str, &str)], count: usize) -> Vec<u16> {
        let mut statuses = Vec::with_capacity(count);
        for _ in 0..count {
            statuses.push(self.get_with(path, headers).await.status);
        }
        statuses
    }

    /// Any request.
    pub async fn send(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> Answer {
        self.client.send(method, path, headers, body).await
    }

    /// GET on a connection of its own, so that any worker may take it.
    pub async fn get_fresh(&self, path: &str) -> Answer {
        Client::fresh(self.address).get(path).await
    }

    /// `count` times GET of `path` over so many connections at once.
    pub async fn burst(&self, path: &str, count: usize, connections: usize) -> Vec<Answer> {
        burst(self.address, count, connections, |_| {
            (path.to_owned(), Vec::new())
        })
        .await
    }

    /// All counters and gauges.
    pub async fn stats(&self) -> BTreeMap<String, u64> {
        let text = Client::new(self.admin).get("/stats").await.text();
        let pairs = text.lines().filter_map(|line| line.split_once(": "));
        pairs
            .filter_map(|(name, value)| Some((name.to_owned(), value.parse().ok()?)))
            .collect()
    }

    /// One counter or gauge; zero when it does not exist.
    pub async fn stat(&self, name: &str) -> u64 {
        self.stats().await.get(name).copied().unwrap_or_default()
    }

    /// Waits until a counter or gauge has at least this value.
    pub async fn wait_for_stat(&self, name: &str, least: u64) -> u64 {
        eventually(&format!("{name} reaches {least}"), || async move {
            let value = self.stat(name).await;
            (value >= least).then_some(value)
        })
        .await
    }

    /// The admin interface's answer to a path.
    pub async fn admin(&self, path: &str) -> String {
        Client::new(self.admin).get(path).await.text()
    }

    /// The admin interface's answer to a command (POST).
    pub async fn admin_post(&self, path: &str) -> String {
        Client::new(self.admin)
            .send("POST", path, &[], b"")
            .await
            .text()
    }

    /// The metrics as Prometheus gets them.
    pub async fn prometheus(&self) -> String {
        self.admin("/stats/prometheus").await
    }

    /// Everything Envoy has logged so far.
    pub fn log(&self) -> String {
        self.files.read("envoy.log")
    }

    /// At most so many bytes of the end of what Envoy has logged.
    pub fn log_end(&self, most: u64) -> String {
        use std::io::{Read, Seek, SeekFrom};
        let mut end = Vec::new();
        if let Ok(mut file) = std::fs::File::open(self.files.path("envoy.log")) {
            let length = file.metadata().map_or(0, |file| file.len());
            let read = file
                .seek(SeekFrom::Start(length.saturating_sub(most)))
                .and_then(|_| file.read_to_end(&mut end));
            // What could not be read is not there.
            let _ = read;
        }
        String::from_utf8_lossy(&end).into_owned()
    }

    /// Copies what Envoy logs from now on to standard output, until Envoy ends: how it began would push what was said before out
    /// of sight.
    pub async fn follow_log(&self) {
        let mut shown = self.log().len();
        while Client::new(self.admin).get("/ready").await.status != 0 {
            let log = self.log();
            print!("{}", log.get(shown..).unwrap_or_default());
            shown = log.len();
            tokio::time::sleep(std::time::Duration::from_millis(200)).await;
        }
    }

    /// Waits for the log to contain this text.
    pub async fn wait_for_log(&self, text: &str) {
        eventually(&format!("the log says {text:?}"), || async move {
            self.log().contains(text).then_some(())
        })
        .await;
    }

    /// Waits for at least so many lines of the access log, each read as JSON.
    pub async fn access_log(&self, lines: usize) -> Vec<Value> {
        eventually(&format!("{lines} lines in the access log"), || async move {
            let text = self.files.read("access.log");
            let whole = text.rfind('\n').map_or("", |end| &text[..end]);
            (whole.lines().count() >= lines && !whole.is_empty()).then(|| {
                whole
                    .lines()
                    .map(|line| {
                        serde_json::from_str(line).unwrap_or_else(|e| panic!("{e}: {line}"))
                    })
                    .collect()
            })
        })
        .await
    }

    /// Resident memory in bytes.
    pub fn memory(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id()));
        let kib = status.ok().and_then(|text| {
            let line = text
                .lines()
                .find(|line| line.starts_with("VmRSS:"))?
                .to_owned();
            line.split_whitespace().nth(1)?.parse::<u64>().ok()
        });
        kib.unwrap_or_default() * 1024
    }

    /// How often its threads have gone to sleep so far: each timer that fires wakes one.
    pub fn wakes(&self) -> u64 {
        let tasks = std::fs::read_dir(format!("/proc/{}/task", self.child.id()));
        let statuses = tasks.into_iter().flatten().flatten().filter_map(|task| {
            let status = std::fs::read_to_string(task.path().join("status")).ok()?;
            let line = status
                .lines()
                .find_map(|line| line.strip_prefix("voluntary_ctxt_switches:"))?;
            line.trim().parse::<u64>().ok()
        });
        statuses.sum()
    }

    /// Replaces the listener of an Envoy started as [`EnvoyBuilder::dynamic`], and waits until it has taken effect.
    pub async fn swap_listener(&self, builder: &EnvoyBuilder) {
        let before = self.stat("listener_manager.lds.update_success").await;
        let listener = builder.listener(&self.files, self.address);
        self.files.write("listeners.new", &discovery(&listener));
        // Envoy watches for moves only.
        std::fs::rename(
            self.files.path("listeners.new"),
            self.files.path("listeners.json"),
        )
        .expect("both are in the same folder");
        self.wait_for_stat("listener_manager.lds.update_success", before + 1)
            .await;
    }
}

fn discovery(listener: &Value) -> String {
    let mut listener = listener.clone();
    listener["@type"] = json!("type.googleapis.com/envoy.config.listener.v3.Listener");
    json!({"resources": [listener]}).to_string()
}

impl Drop for Envoy {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            let log = self.log();
            let lines: Vec<&str> = log.lines().collect();
            let wasm = lines.iter().filter(|line| line.contains("wasm"));
            eprintln!("--- what Envoy logged of wasm, and its last lines");
            for line in wasm.take(40).chain(lines.iter().rev().take(10).rev()) {
                eprintln!("{line}");
            }
        }
    }
}

//! Proxy processes: started, awaited, and asked for the CPU time and memory that they have used.

use std::fs;
use std::io::{Error, Result};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::rc::Rc;
use std::time::{Duration, Instant};

/// A process. It ends with this value.
#[derive(Debug)]
struct Process(Child);

/// A running proxy, at one of its listeners. The process ends with the last of them.
#[derive(Debug, Clone)]
pub struct Proxy {
    process: Rc<Process>,
    /// Where it listens.
    pub address: SocketAddr,
}

/// The processor of the measured proxy, and that of the client and the upstream.
pub const PROXY: usize = 0;
/// See [`PROXY`].
pub const OTHERS: usize = 1;

/// A command that stays on one processor, where there are two and `taskset` is: then the proxy competes with nobody, and
/// neither migrates.
pub fn on_processor(processor: usize, program: &str) -> Command {
    let several = std::thread::available_parallelism().is_ok_and(|count| count.get() > 1);
    let taskset = || Command::new("taskset").arg("--version").output();
    if several && taskset().is_ok_and(|output| output.status.success()) {
        let mut command = Command::new("taskset");
        command.args(["-c", &processor.to_string(), program]);
        return command;
    }
    Command::new(program)
}

/// A port that nobody uses.
pub fn free_port() -> Result<u16> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?.port())
}

/// So many of them, each another one.
pub fn free_ports(count: usize) -> Result<Vec<u16>> {
    let held: Result<Vec<_>> = (0..count)
        .map(|_| TcpListener::bind("127.0.0.1:0"))
        .collect();
    held?
        .iter()
        .map(|one| Ok(one.local_addr()?.port()))
        .collect()
}

fn program() -> String {
    std::env::var("ENVOY_BIN").unwrap_or_else(|_| ".tools/bin/envoy".into())
}

impl Proxy {
    /// Starts a command and waits until it accepts connections on the port.
    pub fn start(command: &mut Command, port: u16, log: &Path) -> Result<Self> {
        let errors = fs::File::create(log)?;
        let child = command
            .stdin(Stdio::null())
            .stdout(errors.try_clone()?)
            .stderr(errors)
            .spawn()?;
        let mut process = Process(child);
        let address = SocketAddr::from(([127, 0, 0, 1], port));
        let start = Instant::now();
        loop {
            if TcpStream::connect(address).is_ok() {
                let process = Rc::new(process);
                return Ok(Proxy { process, address });
            }
            let ended = process.0.try_wait()?;
            if ended.is_some() || start.elapsed() > Duration::from_secs(30) {
                let text = fs::read_to_string(log).unwrap_or_default();
                let tail: Vec<&str> = text.lines().rev().take(5).collect();
                return Err(Error::other(format!("did not start: {tail:?}")));
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// The same process at another port.
    pub fn at(&self, port: u16) -> Self {
        let mut other = self.clone();
        other.address.set_port(port);
        other
    }

    /// Starts Envoy with a configuration, on any processor.
    pub fn envoy(
        config: &serde_json::Value,
        port: u16,
        workers: u32,
        folder: &Path,
    ) -> Result<Self> {
        Self::run_envoy(Command::new(program()), config, port, workers, folder)
    }

    /// Starts Envoy with a configuration and one worker, on one processor.
    pub fn envoy_on(
        processor: usize,
        config: &serde_json::Value,
        port: u16,
        folder: &Path,
    ) -> Result<Self> {
        Self::run_envoy(on_processor(processor, &program()), config, port, 1, folder)
    }

    fn run_envoy(
        mut command: Command,
        config: &serde_json::Value,
        port: u16,
        workers: u32,
        folder: &Path,
    ) -> Result<Self> {
        let path = folder.join(format!("{port}.json"));
        fs::write(&path, config.to_string())?;
        command
            .arg("-c")
            .arg(&path)
            .args(["-l", "warn", "--use-dynamic-base-id", "--concurrency"])
            .arg(workers.to_string());
        Self::start(&mut command, port, &folder.join(format!("{port}.log")))
    }

    /// The time on a CPU of all its threads (and its children's) so far.
    pub fn cpu(&self) -> Duration {
        let mut nanos = 0;
        for process in self.process.all() {
            let tasks = fs::read_dir(format!("/proc/{process}/task"));
            for task in tasks.into_iter().flatten().flatten() {
                let text = fs::read_to_string(task.path().join("schedstat")).unwrap_or_default();
                let on_cpu = text.split(' ').next().and_then(|part| part.parse().ok());
                nanos += on_cpu.unwrap_or(0u64);
            }
        }
        Duration::from_nanos(nanos)
    }

    /// Resident memory in bytes.
    pub fn memory(&self) -> u64 {
        let pages = |process: u32| {
            let text = fs::read_to_string(format!("/proc/{process}/statm")).unwrap_or_default();
            text.split(' ').nth(1)?.parse::<u64>().ok()
        };
        self.process
            .all()
            .into_iter()
            .filter_map(pages)
            .sum::<u64>()
            * 4096
    }
}

impl Process {
    /// It and its children.
    fn all(&self) -> Vec<u32> {
        let own = self.0.id();
        let mut all = vec![own];
        let children = fs::read_to_string(format!("/proc/{own}/task/{own}/children"));
        all.extend(
            children
                .unwrap_or_default()
                .split_whitespace()
                .filter_map(|pid| pid.parse::<u32>().ok()),
        );
        all
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        for process in self.all().into_iter().skip(1) {
            let _ = Command::new("kill").arg(process.to_string()).status();
        }
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

//! A client and an origin that cost little: HTTP/1.1 as bytes, so that the load is on Envoy.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// What a client got.
#[derive(Debug)]
pub struct Shot {
    /// When it was due.
    pub due: Instant,
    /// `Cache-Status`
    pub status: String,
    /// From the moment at which it was due until the whole answer was there.
    pub took: Duration,
}

/// A kept-alive connection.
pub struct Wire {
    stream: TcpStream,
    buffer: Vec<u8>,
}

impl Wire {
    pub async fn to(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address)
            .await
            .expect("the listener is up");
        stream.set_nodelay(true).expect("it is a socket");
        Wire {
            stream,
            buffer: Vec::new(),
        }
    }

    pub async fn send(&mut self, path: &str) {
        let request = format!("GET {path} HTTP/1.1\r\nHost: load\r\n\r\n");
        let sent = self.stream.write_all(request.as_bytes()).await;
        sent.expect("Envoy reads");
    }

    /// The next answer, which must be a 200 with a length: its `Cache-Status`.
    pub async fn answer(&mut self) -> String {
        loop {
            if let Some((status, whole)) = complete(&self.buffer) {
                self.buffer.drain(..whole);
                return status;
            }
            let mut part = [0; 16 * 1024];
            let size = self.stream.read(&mut part).await.expect("Envoy answers");
            assert!(
                size > 0,
                "closed early: {}",
                String::from_utf8_lossy(&self.buffer)
            );
            self.buffer.extend_from_slice(&part[..size]);
        }
    }
}

/// The `Cache-Status` of an answer that is complete, and its length.
fn complete(bytes: &[u8]) -> Option<(String, usize)> {
    let end = bytes.windows(4).position(|four| four == b"\r\n\r\n")? + 4;
    let head = std::str::from_utf8(&bytes[..end]).expect("text");
    assert!(head.starts_with("HTTP/1.1 200"), "{head}");
    let field = |name: &str| {
        head.lines()
            .find_map(|line| line.strip_prefix(name)?.strip_prefix(": "))
    };
    let length: usize = field("content-length")
        .expect("a length")
        .parse()
        .expect("a number");
    let status = field("cache-status").unwrap_or_default().to_owned();
    (bytes.len() >= end + length).then_some((status, end + length))
}

/// Asks for one path at a steady rate, whether answers come or not: `rate` a second for so long, over `lanes` connections.
pub async fn steady(address: SocketAddr, rate: usize, lanes: usize, length: Duration) -> Vec<Shot> {
    let begun = Instant::now();
    let tasks = (0..lanes).map(|lane| {
        tokio::spawn(async move {
            let mut wire = Wire::to(address).await;
            let mut shots = Vec::new();
            for number in (lane..).step_by(lanes) {
                let due = begun + Duration::from_secs_f64(number as f64 / rate as f64);
                if due > begun + length {
                    return shots;
                }
                tokio::time::sleep_until(due.into()).await;
                wire.send("/hot").await;
                let status = wire.answer().await;
                shots.push(Shot {
                    due,
                    status,
                    took: due.elapsed(),
                });
            }
            shots
        })
    });
    let mut shots = Vec::new();
    for task in tasks.collect::<Vec<_>>() {
        shots.extend(task.await.expect("the lane ends"));
    }
    shots
}

/// Asks for `count` distinct paths once each. One at a time on each connection: Envoy closes a connection on which further
/// requests lie behind one that a filter answers.
pub async fn flood(address: SocketAddr, prefix: &str, count: usize, lanes: usize) {
    let tasks = (0..lanes).map(|lane| {
        let prefix = prefix.to_owned();
        tokio::spawn(async move {
            let mut wire = Wire::to(address).await;
            for number in (lane..count).step_by(lanes) {
                wire.send(&format!("{prefix}/{number}")).await;
                wire.answer().await;
            }
        })
    });
    for task in tasks.collect::<Vec<_>>() {
        task.await.expect("the lane ends");
    }
}

/// A client that asks for the same paths over and over on one connection.
pub struct Asking {
    stop: Arc<AtomicBool>,
    task: tokio::task::JoinHandle<(usize, usize)>,
}

/// Starts one.
pub fn keep_asking(address: SocketAddr, paths: usize) -> Asking {
    let stop = Arc::new(AtomicBool::new(false));
    let told = Arc::clone(&stop);
    let task = tokio::spawn(async move {
        let mut wire = Wire::to(address).await;
        let (mut asked, mut forwarded) = (0, 0);
        while !told.load(Ordering::SeqCst) {
            wire.send(&format!("/hot/{}", asked % paths)).await;
            let status = wire.answer().await;
            asked += 1;
            forwarded += usize::from(!status.contains("; hit;"));
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        (asked, forwarded)
    });
    Asking { stop, task }
}

impl Asking {
    /// How many requests it made, and how many of them went to the origin.
    pub async fn stop(self) -> (usize, usize) {
        self.stop.store(true, Ordering::SeqCst);
        self.task.await.expect("it ends")
    }
}

/// An origin that gives every request the same answer, after a while.
pub struct Origin {
    pub address: SocketAddr,
    asked: Arc<Asked>,
}

/// What it was asked.
#[derive(Default)]
struct Asked {
    /// When.
    at: Mutex<Vec<Instant>>,
    /// How many requests it has not answered yet, and the most of them.
    now: AtomicUsize,
    at_once: AtomicUsize,
}

impl Origin {
    pub async fn serving(fields: &str, body: &str, after: Duration) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("it is bound");
        let asked = Arc::new(Asked::default());
        let answer: Arc<str> = format!(
            "HTTP/1.1 200 OK\r\n{fields}\r\ncontent-length: {}\r\n\r\n{body}",
            body.len()
        )
        .into();
        let note = Arc::clone(&asked);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serve(stream, Arc::clone(&answer), Arc::clone(&note), after));
            }
        });
        Origin { address, asked }
    }

    /// How many requests came.
    pub fn hits(&self) -> usize {
        self.asked.at.lock().expect("not poisoned").len()
    }

    /// The most that came before the one before was answered.
    pub fn at_once(&self) -> usize {
        self.asked.at_once.load(Ordering::SeqCst)
    }

    /// The time between the first and the last.
    pub fn over(&self) -> Duration {
        let at = self.asked.at.lock().expect("not poisoned");
        let ends = at.first().zip(at.last());
        ends.map_or(Duration::ZERO, |(first, last)| *last - *first)
    }
}

/// Envoy sends one request at a time on a connection, and none of them has a body.
async fn serve(mut stream: TcpStream, answer: Arc<str>, asked: Arc<Asked>, after: Duration) {
    let _ = stream.set_nodelay(true);
    let mut buffer = Vec::new();
    let mut part = [0; 4096];
    while let Ok(size @ 1..) = stream.read(&mut part).await {
        buffer.extend_from_slice(&part[..size]);
        if buffer.ends_with(b"\r\n\r\n") {
            buffer.clear();
            asked.at.lock().expect("not poisoned").push(Instant::now());
            let now = asked.now.fetch_add(1, Ordering::SeqCst) + 1;
            asked.at_once.fetch_max(now, Ordering::SeqCst);
            if !after.is_zero() {
                tokio::time::sleep(after).await;
            }
            asked.now.fetch_sub(1, Ordering::SeqCst);
            if stream.write_all(answer.as_bytes()).await.is_err() {
                return;
            }
        }
    }
}

//! A real upstream (HTTP/1.1 and HTTP/2 without TLS) whose behaviour the test chooses, at any time.

mod reply;
mod serve;

pub use reply::{Gate, Reply};

use crate::wait::eventually;
use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, RwLock};
use std::time::Instant;
use tokio::net::TcpSocket;
use tokio::task::{AbortHandle, JoinSet};

/// A request as the upstream saw it.
#[derive(Debug, Clone)]
pub struct Seen {
    /// The method.
    pub method: String,
    /// Path and query.
    pub path: String,
    /// Field lines in order.
    pub headers: Vec<(String, Vec<u8>)>,
    /// The body.
    pub body: Vec<u8>,
    /// When the request was there.
    pub at: Instant,
    /// How many requests came before it.
    pub number: usize,
}

impl Seen {
    /// The first value of a field as text.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.all(name).into_iter().next()
    }

    /// All values of a field that are text.
    pub fn all(&self, name: &str) -> Vec<&str> {
        let lines = self.headers.iter().filter(|(field, _)| field == name);
        lines
            .filter_map(|(_, value)| std::str::from_utf8(value).ok())
            .collect()
    }
}

type Behaviour = Arc<dyn Fn(&Seen) -> Reply + Send + Sync>;

/// An upstream on a port of its own.
pub struct Upstream {
    /// Where it listens.
    pub address: SocketAddr,
    shared: Arc<Shared>,
    running: Mutex<Option<AbortHandle>>,
    /// Keeps the port while nobody listens on it.
    reserved: Mutex<Option<TcpSocket>>,
}

pub(crate) struct Shared {
    behaviour: RwLock<Behaviour>,
    seen: Mutex<VecDeque<Seen>>,
    /// How many of them are kept.
    most: AtomicUsize,
    hits: AtomicUsize,
    in_flight: AtomicUsize,
    connections: Mutex<JoinSet<()>>,
}

/// Requests that are kept unless told otherwise: more than any test looks at.
const MOST: usize = 1 << 18;

impl Shared {
    /// Keeps a request, and gives up the oldest one for it.
    fn note(&self, request: Seen) {
        let mut seen = self.seen.lock().expect("not poisoned");
        while seen.len() >= self.most.load(Ordering::SeqCst).max(1) {
            seen.pop_front();
        }
        seen.push_back(request);
    }
}

impl Upstream {
    /// An upstream that answers `200` with the body `ok`.
    pub async fn start() -> Self {
        Self::serving(|_| Reply::ok("ok")).await
    }

    /// An upstream that behaves so.
    pub async fn serving(behaviour: impl Fn(&Seen) -> Reply + Send + Sync + 'static) -> Self {
        Self::serving_on(SocketAddr::from(([127, 0, 0, 1], 0)), behaviour).await
    }

    /// An upstream that holds every request until the gate is opened, and then behaves so.
    pub async fn gated(behaviour: impl Fn(&Seen) -> Reply + Send + Sync + 'static) -> (Self, Gate) {
        let gate = Gate::new();
        let held = gate.clone();
        let upstream = Self::serving(move |seen| behaviour(seen).gated(&held)).await;
        (upstream, gate)
    }

    /// The same as [`Upstream::serving`] on an address of the caller's choice.
    pub async fn serving_on(
        address: SocketAddr,
        behaviour: impl Fn(&Seen) -> Reply + Send + Sync + 'static,
    ) -> Self {
        let listener = serve::listen(serve::bind(address).expect("the port is free"));
        let address = listener
            .local_addr()
            .expect("a bound listener has an address");
        let shared = Arc::new(Shared {
            behaviour: RwLock::new(Arc::new(behaviour)),
            seen: Mutex::default(),
            most: AtomicUsize::new(MOST),
            hits: AtomicUsize::new(0),
            in_flight: AtomicUsize::new(0),
            connections: Mutex::default(),
        });
        let upstream = Upstream {
            address,
            shared,
            running: Mutex::new(None),
            reserved: Mutex::new(None),
        };
        upstream.accept_on(listener);
        upstream
    }

    fn accept_on(&self, listener: tokio::net::TcpListener) {
        let task = tokio::spawn(serve::accept(listener, Arc::clone(&self.shared)));
        *self.running.lock().expect("not poisoned") = Some(task.abort_handle());
    }

    /// Behaves so from the next request on.
    pub fn behave(&self, behaviour: impl Fn(&Seen) -> Reply + Send + Sync + 'static) {
        *self.shared.behaviour.write().expect("not poisoned") = Arc::new(behaviour);
    }

    /// Gives every request this reply from now on.
    pub fn always(&self, reply: Reply) {
        self.behave(move |_| reply.clone());
    }

    /// Closes the port and all connections: further ones are refused. The port stays this upstream's.
    pub async fn refuse(&self) {
        if let Some(task) = self.running.lock().expect("not poisoned").take() {
            task.abort();
        }
        let mut connections =
            std::mem::take(&mut *self.shared.connections.lock().expect("not poisoned"));
        connections.shutdown().await;
        let address = self.address;
        // Or the system might give it to whoever asks for any port.
        let reserved = eventually("the port is reserved", || async move {
            serve::bind(address).ok()
        })
        .await;
        *self.reserved.lock().expect("not poisoned") = Some(reserved);
        eventually("the port is closed", || async move {
            tokio::net::TcpStream::connect(address)
                .await
                .is_err()
                .then_some(())
        })
        .await;
    }

    /// Listens again on the same port, after [`Upstream::refuse`].
    pub fn revive(&self) {
        let reserved = self.reserved.lock().expect("not poisoned").take();
        let socket = reserved.expect("it was told to refuse");
        self.accept_on(serve::listen(socket));
    }

    /// Requests received so far.
    pub fn hits(&self) -> usize {
        self.shared.hits.load(Ordering::SeqCst)
    }

    /// Keeps no more than the newest so many of the requests; they are counted all the same.
    pub fn remember(&self, most: usize) {
        self.shared.most.store(most, Ordering::SeqCst);
    }

    /// Requests received for this path, of those that are kept.
    pub fn hits_of(&self, path: &str) -> usize {
        self.seen().iter().filter(|seen| seen.path == path).count()
    }

    /// Requests received and not answered yet.
    pub fn in_flight(&self) -> usize {
        self.shared.in_flight.load(Ordering::SeqCst)
    }

    /// Everything received so far, the oldest first; see [`Upstream::remember`].
    pub fn seen(&self) -> Vec<Seen> {
        let seen = self.shared.seen.lock().expect("not poisoned");
        seen.iter().cloned().collect()
    }

    /// The last request received; fails the test when there is none.
    pub fn last(&self) -> Seen {
        let seen = self.shared.seen.lock().expect("not poisoned");
        seen.back()
            .cloned()
            .expect("the upstream has received a request")
    }

    /// Forgets what was received and counted.
    pub fn forget(&self) {
        self.shared.seen.lock().expect("not poisoned").clear();
        self.shared.hits.store(0, Ordering::SeqCst);
    }

    /// Waits until at least this many requests have been received.
    pub async fn wait_for_hits(&self, count: usize) {
        eventually(
            &format!("{count} requests at the upstream"),
            || async move { (self.hits() >= count).then_some(()) },
        )
        .await;
    }

    /// Waits until exactly this many requests are being worked on.
    pub async fn wait_for_in_flight(&self, count: usize) {
        eventually(&format!("{count} requests in flight"), || async move {
            (self.in_flight() == count).then_some(())
        })
        .await;
    }
}

impl Drop for Upstream {
    fn drop(&mut self) {
        if let Some(task) = self.running.lock().ok().and_then(|mut task| task.take()) {
            task.abort();
        }
    }
}

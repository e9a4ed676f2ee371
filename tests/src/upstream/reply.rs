//! What an upstream can do with a request.

use std::time::Duration;
use tokio::sync::watch;

/// What an upstream does with a request.
#[derive(Debug, Clone)]
pub enum Reply {
    /// Answers.
    Answer {
        /// The status.
        status: u16,
        /// Field lines, repeated ones included.
        headers: Vec<(String, String)>,
        /// The parts of the body; each is a chunk of its own.
        body: Vec<Vec<u8>>,
        /// A pause before each part but the first.
        pause: Duration,
        /// Trailers.
        trailers: Vec<(String, String)>,
        /// Resets the connection after the parts instead of ending the body.
        cut: bool,
    },
    /// Accepts the request and never answers.
    Hang,
    /// Closes the connection before any answer.
    Close,
    /// Resets the connection before any answer.
    Reset,
    /// Waits, then does the other thing.
    After(Duration, Box<Reply>),
    /// Waits until the gate is opened, then does the other thing.
    Gated(Gate, Box<Reply>),
}

impl Reply {
    /// An answer with a status and no body.
    pub fn status(status: u16) -> Self {
        Reply::Answer {
            status,
            headers: Vec::new(),
            body: Vec::new(),
            pause: Duration::ZERO,
            trailers: Vec::new(),
            cut: false,
        }
    }

    /// 200 with a body.
    pub fn ok(body: impl Into<Vec<u8>>) -> Self {
        Reply::status(200).chunk(body)
    }

    /// A gRPC answer: one empty message, and the status in the trailers.
    pub fn grpc(code: u32) -> Self {
        Reply::status(200)
            .header("content-type", "application/grpc")
            .chunk(vec![0; 5])
            .trailer("grpc-status", &code.to_string())
    }

    /// A gRPC answer without a message: the status is in the headers.
    pub fn grpc_trailers_only(code: u32) -> Self {
        Reply::status(200)
            .header("content-type", "application/grpc")
            .header("grpc-status", &code.to_string())
    }

    /// One more field line.
    pub fn header(mut self, name: &str, value: &str) -> Self {
        if let Reply::Answer { headers, .. } = &mut self {
            headers.push((name.to_owned(), value.to_owned()));
        }
        self
    }

    /// One more part of the body.
    pub fn chunk(mut self, bytes: impl Into<Vec<u8>>) -> Self {
        if let Reply::Answer { body, .. } = &mut self {
            body.push(bytes.into());
        }
        self
    }

    /// One more trailer.
    pub fn trailer(mut self, name: &str, value: &str) -> Self {
        if let Reply::Answer { trailers, .. } = &mut self {
            trailers.push((name.to_owned(), value.to_owned()));
        }
        self
    }

    /// A pause between the parts of the body.
    pub fn slowly(mut self, between: Duration) -> Self {
        if let Reply::Answer { pause, .. } = &mut self {
            *pause = between;
        }
        self
    }

    /// Resets the connection after the parts given.
    pub fn cut_short(mut self) -> Self {
        if let Reply::Answer { cut, .. } = &mut self {
            *cut = true;
        }
        self
    }

    /// The same, after a while.
    pub fn after(self, wait: Duration) -> Self {
        Reply::After(wait, Box::new(self))
    }

    /// The same, once the gate is open.
    pub fn gated(self, gate: &Gate) -> Self {
        Reply::Gated(gate.clone(), Box::new(self))
    }
}

/// Holds answers back until a test opens it.
#[derive(Debug, Clone)]
pub struct Gate(watch::Sender<bool>);

impl Default for Gate {
    fn default() -> Self {
        Gate(watch::channel(false).0)
    }
}

impl Gate {
    /// A gate that is shut.
    pub fn new() -> Self {
        Gate::default()
    }

    /// Lets everything through from now on.
    pub fn open(&self) {
        self.0.send_replace(true);
    }

    pub(super) async fn pass(&self) {
        // The sender lives in `self`, so waiting cannot fail.
        let _ = self.0.subscribe().wait_for(|open| *open).await;
    }
}

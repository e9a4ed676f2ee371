//! The client's side.

use crate::wait::{within, PATIENCE};
use futures_util::future::join_all;
use reqwest::Method;
use std::net::SocketAddr;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// What a client got.
#[derive(Debug, Clone)]
pub struct Answer {
    /// The status; 0 when there was no answer at all.
    pub status: u16,
    /// Field lines in order.
    pub headers: Vec<(String, Vec<u8>)>,
    /// The body as far as it came.
    pub body: Vec<u8>,
    /// True when the answer ended as it should.
    pub whole: bool,
}

impl Answer {
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

    /// The body as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    fn none() -> Self {
        Answer {
            status: 0,
            headers: Vec::new(),
            body: Vec::new(),
            whole: false,
        }
    }
}

/// A client of one listener. Requests of one client share kept-alive connections.
#[derive(Debug, Clone)]
pub struct Client {
    base: String,
    http: reqwest::Client,
}

fn build(builder: reqwest::ClientBuilder) -> reqwest::Client {
    builder
        .redirect(reqwest::redirect::Policy::none())
        .timeout(PATIENCE)
        .no_proxy()
        .build()
        .expect("a client without TLS can be built")
}

impl Client {
    /// HTTP/1.1 with kept-alive connections.
    pub fn new(address: SocketAddr) -> Self {
        Client {
            base: format!("http://{address}"),
            http: build(reqwest::Client::builder()),
        }
    }

    /// HTTP/1.1 with a new connection for every request.
    pub fn fresh(address: SocketAddr) -> Self {
        let builder = reqwest::Client::builder().pool_max_idle_per_host(0);
        Client {
            base: format!("http://{address}"),
            http: build(builder),
        }
    }

    /// HTTP/2 without TLS.
    pub fn http2(address: SocketAddr) -> Self {
        let builder = reqwest::Client::builder().http2_prior_knowledge();
        Client {
            base: format!("http://{address}"),
            http: build(builder),
        }
    }

    /// Sends a request and reads the whole answer.
    pub async fn send(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> Answer {
        let method = Method::from_bytes(method.as_bytes()).expect("a method");
        let mut request = self.http.request(method, format!("{}{path}", self.base));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        if !body.is_empty() {
            request = request.body(body.to_vec());
        }
        let Ok(mut response) = request.send().await else {
            return Answer::none();
        };
        let mut answer = Answer {
            status: response.status().as_u16(),
            headers: response
                .headers()
                .iter()
                .map(|(name, value)| (name.to_string(), value.as_bytes().to_vec()))
                .collect(),
            body: Vec::new(),
            whole: true,
        };
        loop {
            match response.chunk().await {
                Ok(Some(part)) => answer.body.extend_from_slice(&part),
                Ok(None) => return answer,
                Err(_) => {
                    answer.whole = false;
                    return answer;
                }
            }
        }
    }

    /// GET without further fields.
    pub async fn get(&self, path: &str) -> Answer {
        self.send("GET", path, &[], b"").await
    }

    /// GET with fields.
    pub async fn get_with(&self, path: &str, headers: &[(&str, &str)]) -> Answer {
        self.send("GET", path, headers, b"").await
    }

    /// GET that returns once the first part of the answer's body is there; whoever drops what it returns leaves in the middle.
    pub async fn begin(&self, path: &str) -> Option<impl Send> {
        let request = self.http.get(format!("{}{path}", self.base));
        let mut response = request.send().await.ok()?;
        response.chunk().await.ok().flatten().map(|_| response)
    }

    /// Starts a request and leaves before the answer: drops it after `patience`.
    pub async fn abandon(&self, path: &str, patience: Duration) {
        let _ = tokio::time::timeout(patience, self.get(path)).await;
    }
}

/// Sends `count` requests over `connections` kept-alive connections, each one request after the other, all connections at
/// once. `request` is given the number of the request and returns path and fields.
pub async fn burst(
    address: SocketAddr,
    count: usize,
    connections: usize,
    request: impl Fn(usize) -> (String, Vec<(String, String)>),
) -> Vec<Answer> {
    let lanes = (0..connections).map(|lane| {
        let client = Client::new(address);
        let request = &request;
        async move {
            let mut answers = Vec::new();
            for number in (lane..count).step_by(connections) {
                let (path, headers) = request(number);
                let headers: Vec<(&str, &str)> = headers
                    .iter()
                    .map(|(name, value)| (name.as_str(), value.as_str()))
                    .collect();
                answers.push(client.get_with(&path, &headers).await);
            }
            answers
        }
    });
    join_all(lanes).await.into_iter().flatten().collect()
}

/// Sends bytes as they are on a new connection and returns what comes back until the other side closes or, unless it was asked
/// to, a second of silence has passed after the first byte.
pub async fn raw(address: SocketAddr, bytes: &[u8]) -> Vec<u8> {
    let mut connection = TcpStream::connect(address)
        .await
        .expect("the listener is up");
    connection
        .write_all(bytes)
        .await
        .expect("the listener reads");
    let asked = String::from_utf8_lossy(bytes).to_ascii_lowercase();
    let silence = match asked.contains("\r\nconnection: close\r\n") {
        true => PATIENCE,
        false => Duration::from_secs(1),
    };
    let mut received = Vec::new();
    let mut part = [0; 16 * 1024];
    loop {
        let patience = if received.is_empty() {
            PATIENCE
        } else {
            silence
        };
        match tokio::time::timeout(patience, connection.read(&mut part)).await {
            Ok(Ok(size)) if size > 0 => received.extend_from_slice(&part[..size]),
            _ => return received,
        }
    }
}

/// Sends bytes as they are on a new connection and returns what has come back when it ends with `last`; the answer goes on as
/// long as the connection is held.
pub async fn open_until(address: SocketAddr, bytes: &[u8], last: &str) -> (TcpStream, String) {
    let mut connection = TcpStream::connect(address).await.expect("it listens");
    connection.write_all(bytes).await.expect("it is taken");
    let mut received = Vec::new();
    within(last, async {
        while !received.ends_with(last.as_bytes()) {
            received.push(connection.read_u8().await.expect("more comes"));
        }
    })
    .await;
    let text = String::from_utf8_lossy(&received).into_owned();
    (connection, text)
}

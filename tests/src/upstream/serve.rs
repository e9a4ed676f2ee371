//! The server under an upstream.

use super::{Reply, Seen, Shared};
use bytes::Bytes;
use futures_util::{stream, StreamExt};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Empty, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::header::{HeaderMap, HeaderName, HeaderValue};
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use std::future::pending;
use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::net::{TcpListener, TcpSocket, TcpStream};

type Body = UnsyncBoxBody<Bytes, io::Error>;

/// A port of its own, on which nobody listens yet.
pub(super) fn bind(address: SocketAddr) -> io::Result<TcpSocket> {
    let socket = TcpSocket::new_v4()?;
    // The port must come back after `refuse`, whatever connections linger.
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    Ok(socket)
}

pub(super) fn listen(socket: TcpSocket) -> TcpListener {
    socket.listen(4096).expect("it listens")
}

pub(super) async fn accept(listener: TcpListener, shared: Arc<Shared>) {
    while let Ok((connection, _)) = listener.accept().await {
        let task = serve(connection, Arc::clone(&shared));
        let mut connections = shared.connections.lock().expect("not poisoned");
        while connections.try_join_next().is_some() {}
        connections.spawn(task);
    }
}

async fn serve(connection: TcpStream, shared: Arc<Shared>) {
    // Whether dropping the connection shall reset it.
    let reset = Arc::new(AtomicBool::new(false));
    let _ = connection.set_nodelay(true);
    let raw = connection.into_std().expect("a connection has a socket");
    let other = raw.try_clone().expect("it can be duplicated");
    let connection = TcpStream::from_std(raw).expect("it is a socket");
    let shall_reset = Arc::clone(&reset);
    let service =
        service_fn(move |request| answer(request, Arc::clone(&shared), Arc::clone(&shall_reset)));
    let mut server = auto::Builder::new(TokioExecutor::new());
    server.http1().half_close(false);
    let served = server
        .serve_connection(TokioIo::new(connection), service)
        .await;
    if served.is_err() && reset.load(Ordering::SeqCst) {
        // Zero linger makes the last close a reset.
        if let Ok(socket) = TcpStream::from_std(other) {
            #[allow(deprecated, reason = "a zero linger does not block")]
            let _ = socket.set_linger(Some(Duration::ZERO));
        }
    }
}

/// Counts a request as in flight while it lives.
struct InFlight<'a>(&'a AtomicUsize);

impl Drop for InFlight<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

async fn answer(
    request: Request<Incoming>,
    shared: Arc<Shared>,
    reset: Arc<AtomicBool>,
) -> io::Result<Response<Body>> {
    let number = shared.hits.fetch_add(1, Ordering::SeqCst);
    shared.in_flight.fetch_add(1, Ordering::SeqCst);
    let _in_flight = InFlight(&shared.in_flight);
    let (head, body) = request.into_parts();
    let headers = head
        .headers
        .iter()
        .map(|(n, v)| (n.to_string(), v.as_bytes().to_vec()));
    let mut headers: Vec<_> = headers.collect();
    if let Some(authority) = head.uri.authority() {
        headers.push(("host".to_owned(), authority.to_string().into_bytes()));
    }
    let mut seen = Seen {
        method: head.method.to_string(),
        path: head
            .uri
            .path_and_query()
            .map(ToString::to_string)
            .unwrap_or_default(),
        headers,
        body: Vec::new(),
        at: Instant::now(),
        number,
    };
    let behaviour = shared.behaviour.read().expect("not poisoned").clone();
    let body = body.collect().await.map(|body| body.to_bytes());
    if let Ok(bytes) = &body {
        seen.body = bytes.to_vec();
    }
    let mut reply = behaviour(&seen);
    shared.note(seen);
    if let Err(error) = body {
        // Nobody is there to be answered, now or when a gate opens.
        return Err(io::Error::other(error));
    }
    loop {
        reply = match reply {
            Reply::After(wait, then) => {
                tokio::time::sleep(wait).await;
                *then
            }
            Reply::Gated(gate, then) => {
                gate.pass().await;
                *then
            }
            Reply::Hang => pending().await,
            Reply::Close => return Err(io::Error::other("closed on purpose")),
            Reply::Reset => {
                reset.store(true, Ordering::SeqCst);
                return Err(io::Error::other("reset on purpose"));
            }
            answer @ Reply::Answer { .. } => return Ok(response(answer, reset)),
        }
    }
}

fn fields(pairs: &[(String, String)]) -> HeaderMap {
    let mut map = HeaderMap::new();
    for (name, value) in pairs {
        let name = HeaderName::from_bytes(name.as_bytes()).expect("a field name");
        map.append(
            name,
            HeaderValue::from_bytes(value.as_bytes()).expect("a field value"),
        );
    }
    map
}

fn response(reply: Reply, reset: Arc<AtomicBool>) -> Response<Body> {
    let Reply::Answer {
        status,
        headers,
        body,
        pause,
        trailers,
        cut,
    } = reply
    else {
        unreachable!("only answers come here")
    };
    let mut frames: Vec<io::Result<Frame<Bytes>>> = body
        .into_iter()
        .map(|part| Ok(Frame::data(Bytes::from(part))))
        .collect();
    if !trailers.is_empty() {
        frames.push(Ok(Frame::trailers(fields(&trailers))));
    }
    let length: Option<usize> = (frames.len() <= 1 && !cut && trailers.is_empty()).then(|| {
        frames
            .iter()
            .flatten()
            .filter_map(Frame::data_ref)
            .map(Bytes::len)
            .sum()
    });
    if cut {
        frames.push(Err(io::Error::other("cut on purpose")));
    }
    let empty = frames.is_empty();
    let parts = stream::iter(frames.into_iter().enumerate()).then(move |(at, frame)| {
        let reset = Arc::clone(&reset);
        async move {
            if at > 0 && !pause.is_zero() {
                tokio::time::sleep(pause).await;
            } else if at > 0 && frame.is_err() {
                // The parts before must be on the wire first.
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
            if frame.is_err() {
                reset.store(true, Ordering::SeqCst);
            }
            frame
        }
    });
    let body = if empty {
        // Nothing follows the headers, and they say so.
        Empty::new().map_err(|never| match never {}).boxed_unsync()
    } else {
        StreamBody::new(parts).boxed_unsync()
    };
    let mut response = Response::new(body);
    *response.status_mut() = hyper::StatusCode::from_u16(status).expect("a status");
    *response.headers_mut() = fields(&headers);
    if let (Some(length), false) = (
        length,
        (100..200).contains(&status) || status == 204 || status == 304,
    ) {
        response
            .headers_mut()
            .entry("content-length")
            .or_insert(HeaderValue::from(length));
    }
    response
}

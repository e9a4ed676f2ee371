//! The HTTP server of the live view. It listens on this machine only, and takes commands from its own page only: a page of
//! somebody else's cannot send the field that they need.

use super::{actions, snapshot};
use crate::demo::Stage;
use bytes::Bytes;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper::{Method, Request, Response};
use hyper_util::rt::TokioIo;
use serde_json::{json, Value};
use std::convert::Infallible;
use std::sync::{Arc, Mutex};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

const PAGE: &str = include_str!("page/index.html");
const STYLE: &str = include_str!("page/style.css");
const CHARTS: &str = include_str!("page/charts.js");
const VIEW: &str = include_str!("page/view.js");

/// The field that the page sends with its commands.
const COMMAND: &str = "x-seawall-live";

pub(super) struct View {
    stage: Arc<Stage>,
    traffic: Mutex<Option<JoinHandle<()>>>,
}

impl View {
    pub(super) fn new(stage: Arc<Stage>) -> Self {
        View {
            stage,
            traffic: Mutex::default(),
        }
    }

    fn set_traffic(&self, on: bool) -> Value {
        let mut traffic = self.traffic.lock().expect("not poisoned");
        if let Some(task) = traffic.take() {
            task.abort();
        }
        if on {
            *traffic = Some(tokio::spawn(actions::traffic(Arc::clone(&self.stage))));
        }
        json!({"said": if on { "about 30 requests a second" } else { "no more requests" }, "on": on})
    }

    fn has_traffic(&self) -> bool {
        let traffic = self.traffic.lock().expect("not poisoned");
        traffic.as_ref().is_some_and(|task| !task.is_finished())
    }

    async fn command(&self, path: &str) -> Option<Value> {
        Some(match path {
            "/api/burst" => actions::burst(&self.stage).await,
            "/api/expire" => actions::expire(&self.stage).await,
            "/api/dependency/kill" => actions::dependency(&self.stage, false).await,
            "/api/dependency/revive" => actions::dependency(&self.stage, true).await,
            "/api/traffic/on" => self.set_traffic(true),
            "/api/traffic/off" => self.set_traffic(false),
            _ => return None,
        })
    }
}

impl Drop for View {
    fn drop(&mut self) {
        self.set_traffic(false);
    }
}

pub(super) async fn accept(listener: TcpListener, view: Arc<View>) {
    while let Ok((connection, _)) = listener.accept().await {
        let view = Arc::clone(&view);
        let service = service_fn(move |request| answer(request, Arc::clone(&view)));
        tokio::spawn(async move {
            let server = hyper::server::conn::http1::Builder::new();
            // A page that was closed is no news.
            let _ = server
                .serve_connection(TokioIo::new(connection), service)
                .await;
        });
    }
}

async fn answer(
    request: Request<Incoming>,
    view: Arc<View>,
) -> Result<Response<Full<Bytes>>, Infallible> {
    let path = request.uri().path();
    if request.method() == Method::POST {
        if !request.headers().contains_key(COMMAND) {
            return Ok(respond(
                403,
                "text/plain",
                format!("commands need the field {COMMAND}\n"),
            ));
        }
        return Ok(match view.command(path).await {
            Some(done) => respond(200, "application/json", done.to_string()),
            None => respond(404, "text/plain", "no such command\n".to_owned()),
        });
    }
    Ok(match path {
        "/" => respond(200, "text/html; charset=utf-8", PAGE.to_owned()),
        "/style.css" => respond(200, "text/css", STYLE.to_owned()),
        "/charts.js" => respond(200, "text/javascript", CHARTS.to_owned()),
        "/view.js" => respond(200, "text/javascript", VIEW.to_owned()),
        "/api/snapshot" => {
            let mut shown = snapshot::snapshot(&view.stage).await;
            shown["traffic"] = json!(view.has_traffic());
            respond(200, "application/json", shown.to_string())
        }
        _ => respond(404, "text/plain", "nothing here\n".to_owned()),
    })
}

fn respond(status: u16, kind: &str, body: String) -> Response<Full<Bytes>> {
    Response::builder()
        .status(status)
        .header("content-type", kind)
        .header("cache-control", "no-store")
        .header(
            "content-security-policy",
            "default-src 'self'; frame-ancestors 'none'",
        )
        .body(Full::new(Bytes::from(body)))
        .expect("a response")
}

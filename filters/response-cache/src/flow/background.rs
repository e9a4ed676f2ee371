//! Refreshing without the client's request, which is answered at once.

use super::exchange::{Exchange, Fetch};
use super::filling::{failed, finish};
use super::origin::{is_error, is_passing, status_of};
use super::revalidate::{freshened, is_replaced, restore, supersede};
use super::store::{directives, prepare, store};
use super::Cx;
use crate::entry::Content;
use crate::http::directives::{list_of, seconds};
use crate::http::storable::Refusal;
use seawall_core::headers::Headers;
use seawall_core::host::{Buffer, Map};
use std::rc::Rc;

/// More refreshes at a time are left to the clients' requests.
const MOST_CALLS: usize = 256;

/// A refresh on its way.
#[derive(Debug)]
pub struct Call {
    exchange: Exchange,
    fetch: Fetch,
}

/// Fields of the client's request that do not go with a refresh.
const LEFT_OUT: [&[u8]; 14] = [
    b"if-none-match",
    b"if-modified-since",
    b"if-range",
    b"range",
    b"cache-control",
    b"pragma",
    b"connection",
    b"keep-alive",
    b"te",
    b"transfer-encoding",
    b"content-length",
    b"expect",
    b"upgrade",
    b"x-envoy-expected-rq-timeout-ms",
];

/// Starts a refresh, if the route allows it; false when the client's request must do it.
pub fn start(cx: Cx<'_>, exchange: &Exchange, fetch: &Fetch) -> bool {
    let Some(background) = &exchange.settings.refresh.background else {
        return false;
    };
    let calls = cx
        .worker
        .calls
        .try_borrow()
        .map_or(MOST_CALLS, |calls| calls.len());
    if calls >= MOST_CALLS {
        return false;
    }
    let cluster = match &background.cluster {
        Some(cluster) => cluster.clone(),
        None => {
            let named = cx.host.property("xds\0cluster_name").ok().flatten();
            match named.and_then(|name| String::from_utf8(name).ok()) {
                Some(name) if !name.is_empty() => name,
                _ => return false,
            }
        }
    };
    let Some(stored) = &fetch.stale else {
        return false;
    };
    let Content::Response { headers: known, .. } = &stored.entry.content else {
        return false;
    };
    let nominated: Vec<Vec<u8>> = exchange
        .request
        .headers
        .all("connection")
        .flat_map(list_of)
        .map(<[u8]>::to_ascii_lowercase)
        .collect();
    let mut headers: Vec<(&str, &[u8])> = exchange
        .request
        .headers
        .iter()
        .filter(|(name, _)| {
            !LEFT_OUT.contains(name)
                && *name != b":method"
                && !nominated.iter().any(|field| field == name)
        })
        .filter_map(|(name, value)| Some((std::str::from_utf8(name).ok()?, value)))
        .collect();
    headers.insert(0, (":method", b"GET"));
    if background.cluster.is_some() {
        // It may lead back to this very listener, so that the route's rules hold: then it must not be answered from here.
        headers.push(("cache-control", b"no-cache"));
    }
    let mut validating = false;
    for (field, validator) in [
        ("if-none-match", "etag"),
        ("if-modified-since", "last-modified"),
    ] {
        if let Some(value) = known.get(validator) {
            headers.push((field, value));
            validating = true;
        }
    }
    let Ok(token) = cx
        .host
        .http_call(&cluster, &headers, b"", background.timeout)
    else {
        cx.core.failed(
            cx.host,
            &format!("a background refresh to cluster {cluster:?} could not start"),
        );
        return false;
    };
    let call = Call {
        exchange: Exchange {
            request: exchange.request.clone(),
            key: exchange.key.clone(),
            fingerprint: exchange.fingerprint,
            epoch: exchange.epoch,
            salt: exchange.salt,
            ..Exchange::new(0, Rc::clone(&exchange.settings), cx.now)
        },
        fetch: Fetch {
            validating,
            ..fetch.clone()
        },
    };
    if let Ok(mut calls) = cx.worker.calls.try_borrow_mut() {
        calls.insert(token, call);
    }
    cx.core.metrics.refreshes.increment();
    cx.core.metrics.refreshes_background.increment();
    true
}

/// The answer to a refresh.
pub fn done(cx: Cx<'_>, token: u32, header_count: usize, body_size: usize) {
    let calls = cx.worker.calls.try_borrow_mut();
    let Some(call) = calls.ok().and_then(|mut calls| calls.remove(&token)) else {
        return;
    };
    let Call {
        mut exchange,
        fetch,
    } = call;
    // The client's wishes were for its own answer.
    exchange.request.directives = Default::default();
    let result = learn(cx, &exchange, &fetch, header_count, body_size);
    if let Err(refusal) = result {
        cx.core.metrics.reject(refusal);
    }
    if result == Err(Refusal::Incomplete) && has_failed(cx, header_count) {
        failed(cx, &exchange, &fetch);
    } else {
        finish(cx, &exchange, &fetch, result);
    }
}

/// Whether the origin answered with an error, or not at all.
fn has_failed(cx: Cx<'_>, header_count: usize) -> bool {
    let headers = cx.host.headers(Map::CallResponse).ok();
    header_count == 0 || headers.is_none_or(|headers| is_error(status_of(&headers)))
}

fn learn(
    cx: Cx<'_>,
    exchange: &Exchange,
    fetch: &Fetch,
    header_count: usize,
    body_size: usize,
) -> Result<(), Refusal> {
    if header_count == 0 {
        return Err(Refusal::Incomplete);
    }
    let headers: Headers = cx
        .host
        .headers(Map::CallResponse)
        .map_err(|_| Refusal::Internal)?;
    let status = status_of(&headers);
    if is_passing(status) {
        // What is stored stays for as long as it may be used.
        return Err(Refusal::Incomplete);
    }
    let refused = |refusal| {
        supersede(cx, fetch, status, refusal);
        refusal
    };
    if fetch
        .stale
        .as_ref()
        .is_some_and(|stored| is_replaced(cx, stored))
    {
        // By the same request, where it led back to this cache: that has stored what there is to store.
        return Ok(());
    }
    if let Some(stored) = fetch
        .stale
        .as_ref()
        .filter(|_| status == 304 && fetch.validating)
    {
        cx.core.metrics.revalidated.increment();
        let (pending, body) =
            freshened(cx, exchange, fetch, stored, &headers, cx.now).map_err(refused)?;
        return restore(cx, exchange, fetch, stored, pending, body);
    }
    if body_size > exchange.settings.max_entry_bytes {
        return Err(refused(Refusal::TooLarge));
    }
    let mut pending = prepare(
        cx,
        exchange,
        fetch,
        status,
        &headers,
        directives(exchange, &headers),
        cx.now,
    )
    .map_err(refused)?;
    pending.meta.delta = cx.now.since(exchange.asked);
    let body = if body_size == 0 {
        Vec::new()
    } else {
        cx.host
            .body(Buffer::CallResponse, 0, body_size)
            .ok()
            .filter(|body| body.len() == body_size)
            .ok_or(Refusal::Internal)?
    };
    let promised = headers.get("content-length").and_then(seconds);
    if promised.is_some_and(|length| usize::try_from(length) != Ok(body.len())) {
        return Err(Refusal::Incomplete);
    }
    store(cx, exchange, fetch, pending, Rc::new(body))
}

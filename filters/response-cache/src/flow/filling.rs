//! A response on its way into the cache: its body, its end, and the end of the flight that brought it.

use super::exchange::{Exchange, Fetch, Fill, Phase};
use super::revalidate::supersede;
use super::store::store;
use super::worker::Told;
use super::Cx;
use crate::flight::{share, Sharing};
use crate::http::storable::Refusal;
use seawall_core::host::Buffer;
use seawall_core::plugin::Flow;
use std::rc::Rc;

/// Bytes of bodies on their way into the cache, at most: a quarter of what Envoy lets a VM have, for while a body grows or is
/// written it takes up to three times its size.
const MOST_FILLING: usize = 256 * 1024 * 1024;

/// A part of the response body.
pub fn body(cx: Cx<'_>, exchange: &mut Exchange, size: usize, end_of_stream: bool) -> Flow {
    match std::mem::take(&mut exchange.phase) {
        Phase::Filling(mut fill) => {
            let most = exchange.settings.max_entry_bytes;
            let room = exchange
                .settings
                .layout
                .worker_bytes
                .max(most.saturating_mul(4))
                .min(MOST_FILLING);
            let refusal = if fill.body.len().saturating_add(size) > most {
                Some(Refusal::TooLarge)
            } else if size > 0 && !cx.worker.reserve_filling(size, room) {
                Some(Refusal::Internal)
            } else if size == 0 {
                None
            } else {
                match cx.host.body(Buffer::ResponseBody, 0, size) {
                    Ok(bytes) if bytes.len() == size && fill.body.try_reserve(size).is_ok() => {
                        fill.body.extend_from_slice(&bytes);
                        None
                    }
                    _ => {
                        cx.worker.release_filling(size);
                        cx.core
                            .failed(cx.host, "a response body cannot be read; it is not stored");
                        Some(Refusal::Internal)
                    }
                }
            };
            match refusal {
                Some(refusal) => {
                    give_up(cx, exchange, fill, refusal);
                }
                None if end_of_stream => complete(cx, exchange, fill),
                None => exchange.phase = Phase::Filling(fill),
            }
        }
        Phase::Replacing(body) => {
            // The first part carries all of ours, those after it nothing.
            if cx
                .host
                .replace_body(Buffer::ResponseBody, body.as_deref().unwrap_or_default())
                .is_err()
            {
                cx.core
                    .failed(cx.host, "a response body could not be replaced");
            }
            exchange.phase = Phase::Replacing(None);
        }
        other => exchange.phase = other,
    }
    Flow::Continue
}

/// Response trailers: the body is complete. They are not stored (RFC 9111, section 3.1 allows that).
pub fn trailers(cx: Cx<'_>, exchange: &mut Exchange) {
    match std::mem::take(&mut exchange.phase) {
        Phase::Filling(fill) => complete(cx, exchange, fill),
        other => exchange.phase = other,
    }
}

fn give_up(cx: Cx<'_>, exchange: &mut Exchange, fill: Fill, refusal: Refusal) {
    cx.worker.release_filling(fill.body.len());
    cx.core.metrics.reject(refusal);
    supersede(cx, &fill.fetch, fill.pending.meta.status, refusal);
    finish(cx, exchange, &fill.fetch, Err(refusal));
}

/// The body is complete.
pub(super) fn complete(cx: Cx<'_>, exchange: &mut Exchange, fill: Fill) {
    cx.worker.release_filling(fill.body.len());
    if fill
        .promised
        .is_some_and(|length| length != fill.body.len())
    {
        cx.core.metrics.reject(Refusal::Incomplete);
        finish(cx, exchange, &fill.fetch, Err(Refusal::Incomplete));
        return;
    }
    let shared = fill.pending.is_shared();
    let mut pending = fill.pending;
    pending.meta.delta = cx.now.since(exchange.asked);
    let stored = store(cx, exchange, &fill.fetch, pending, Rc::new(fill.body));
    if let Err(refusal) = stored {
        cx.core.metrics.reject(refusal);
    }
    match stored {
        // Stored, but every use needs the origin: waiting for it gains nothing.
        Ok(()) if !shared => finish(cx, exchange, &fill.fetch, Err(Refusal::NoFreshness)),
        stored => finish(cx, exchange, &fill.fetch, stored),
    }
}

/// Ends the flight, if there is one, and what was remembered of an answer that was for one client. Those who wait look into the cache again if something usable is there, or may come.
pub(super) fn finish(cx: Cx<'_>, exchange: &Exchange, fetch: &Fetch, stored: Result<(), Refusal>) {
    let Some(fingerprint) = exchange.flight() else {
        return;
    };
    let Some(leader) = fetch.leader else {
        if fetch.unshared && stored.is_ok() {
            share(cx.host, fingerprint, cx.now);
        }
        return;
    };
    // What was stored before has lost its room for a moment; others of its kind are stored.
    let of_the_moment = stored == Err(Refusal::Admission) && fetch.stale.is_some();
    let sharing = match stored {
        Ok(()) => Sharing::Possible,
        Err(refusal) if refusal.lasts() && !of_the_moment => Sharing::NotUntil(
            cx.now
                .saturating_add(exchange.settings.coalesce.uncacheable_for),
        ),
        Err(_) => Sharing::Unknown,
    };
    let told = match stored {
        Ok(()) | Err(Refusal::Outdated) => Told::LookAgain,
        Err(_) => Told::GoAlone,
    };
    cx.worker.end_flight(cx, fingerprint, leader, told, sharing);
}

/// Ends the flight, if there is one, with an error of the origin that what is stored stands in for.
pub(super) fn failed(cx: Cx<'_>, exchange: &Exchange, fetch: &Fetch) {
    if let (Some(leader), Some(fingerprint)) = (fetch.leader, exchange.flight()) {
        cx.worker
            .end_flight(cx, fingerprint, leader, Told::Failed, Sharing::Unknown);
    }
}

/// The request is over before its response was complete: somebody else may try.
pub fn abandoned(cx: Cx<'_>, exchange: &mut Exchange) {
    match std::mem::replace(&mut exchange.phase, Phase::Done) {
        // Its client may have left, or a filter behind this one has answered in the place of a failed response. That goes to
        // the client directly, and then nobody is served by others trying one after the other.
        Phase::Fetching(fetch) if fetch.leader.is_some() && is_answered(cx) => {
            finish(cx, exchange, &fetch, Err(Refusal::Incomplete));
        }
        Phase::Fetching(fetch) => finish(cx, exchange, &fetch, Err(Refusal::Outdated)),
        Phase::Filling(fill) => {
            cx.worker.release_filling(fill.body.len());
            cx.core.metrics.reject(Refusal::Incomplete);
            // An upstream that broke off may do so again: those who wait are not to find that out one after the other.
            let ended = if broke_off(cx) {
                Refusal::Incomplete
            } else {
                Refusal::Outdated
            };
            finish(cx, exchange, &fill.fetch, Err(ended));
        }
        _ => {}
    }
}

/// Whether it was the upstream that ended a response early, and not its client.
fn broke_off(cx: Cx<'_>) -> bool {
    let details = cx.host.property("response\0code_details");
    details.ok().flatten().is_some_and(|details| {
        details.starts_with(b"upstream_") || details.as_slice() == b"response_timeout"
    })
}

/// Whether the client got response headers, other than Envoy's own of a `100 Continue`.
fn is_answered(cx: Cx<'_>) -> bool {
    let code = cx.host.property("response\0code").ok().flatten();
    let code = code
        .and_then(|code| code.try_into().ok())
        .map(u64::from_le_bytes);
    code.is_some_and(|code| code >= 200)
}

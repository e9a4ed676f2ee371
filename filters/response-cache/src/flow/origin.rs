//! The response's side: store it, make what is stored fresh again by it, or put what is stored in its place.

use super::answer::{age, Answer};
use super::exchange::{Exchange, Fetch, Fill, Phase, Stored};
use super::invalidate;
use super::status::{forwarded, Ended, Forward};
use super::store::{directives, leave, prepare, store, Pending};
use super::Cx;
use crate::entry::Content;
use crate::http::conditions::weakly_equal;
use crate::http::directives::seconds;
use crate::http::fields::updated;
use crate::http::request::Method;
use crate::http::storable::Refusal;
use crate::reuse::on_error;
use seawall_core::headers::Headers;
use seawall_core::host::{Buffer, Map};
use seawall_core::plugin::Flow;
use seawall_core::reply::Reply;
use seawall_core::time::Timestamp;

/// Statuses that stale entries may stand in for (RFC 5861, section 4).
pub(super) fn is_error(status: u16) -> bool {
    matches!(status, 500 | 502 | 503 | 504)
}

fn status_of(headers: &Headers) -> u16 {
    headers
        .get(":status")
        .and_then(seconds)
        .and_then(|status| u16::try_from(status).ok())
        .unwrap_or(0)
}

/// True for an answer of the origin, false for one that Envoy or a filter gave itself.
fn is_upstream(cx: Cx<'_>) -> bool {
    cx.host
        .property(&["response", "code_details"])
        .ok()
        .flatten()
        .is_some_and(|details| details == b"via_upstream")
}

/// Response headers.
pub fn headers(cx: Cx<'_>, exchange: &mut Exchange, end_of_stream: bool) -> Flow {
    match std::mem::take(&mut exchange.phase) {
        Phase::Fetching(fetch) => arrived(cx, exchange, fetch, end_of_stream),
        Phase::Unsafe => {
            if let Ok(headers) = cx.host.headers(Map::Response) {
                if (200..400).contains(&status_of(&headers)) && is_upstream(cx) {
                    invalidate::run(cx, exchange, &headers);
                }
            }
            tell(cx, exchange, 0, Ended::NotStored(None));
            Flow::Continue
        }
        Phase::Pass => {
            tell(cx, exchange, 0, Ended::NotStored(None));
            Flow::Continue
        }
        other => {
            exchange.phase = other;
            Flow::Continue
        }
    }
}

fn arrived(cx: Cx<'_>, exchange: &mut Exchange, fetch: Fetch, end_of_stream: bool) -> Flow {
    let Ok(headers) = cx.host.headers(Map::Response) else {
        cx.core.failed(
            cx.host,
            "response headers cannot be read; the response passes",
        );
        finish(cx, exchange, &fetch, Err(Refusal::Internal), false);
        return Flow::Continue;
    };
    let status = status_of(&headers);
    if (100..200).contains(&status) {
        // Interim; the final response comes through here again.
        exchange.phase = Phase::Fetching(fetch);
        return Flow::Continue;
    }
    let upstream = is_upstream(cx);
    if is_error(status) || !upstream {
        if let Some(stored) = fetch.stale.clone().filter(|_| is_error(status)) {
            let purged = stored.found.purged;
            let allowed = match &stored.found.entry.content {
                Content::Response { meta, .. } => {
                    on_error(meta, cx.now, &exchange.request.directives, purged)
                }
                Content::Variants { .. } => false,
            };
            if allowed {
                finish(cx, exchange, &fetch, Err(Refusal::Incomplete), true);
                cx.core.metrics.stale_if_error.increment(cx.host);
                return replace(
                    cx,
                    exchange,
                    &stored,
                    status,
                    Ended::StaleIfError,
                    end_of_stream,
                );
            }
        }
        if !upstream {
            finish(cx, exchange, &fetch, Err(Refusal::Incomplete), false);
            tell(cx, exchange, status, Ended::NotStored(None));
            return Flow::Continue;
        }
    }
    if status == 304 && fetch.validating {
        return revalidated(cx, exchange, fetch, &headers, end_of_stream);
    }
    if exchange.request.method == Method::Head {
        head(cx, exchange, &fetch, status, &headers);
        finish(cx, exchange, &fetch, Err(Refusal::Status), false);
        tell(cx, exchange, status, Ended::NotStored(None));
        return Flow::Continue;
    }
    fill(cx, exchange, fetch, status, &headers, end_of_stream)
}

/// Starts storing a response, or does not.
fn fill(
    cx: Cx<'_>,
    exchange: &mut Exchange,
    fetch: Fetch,
    status: u16,
    headers: &Headers,
    end_of_stream: bool,
) -> Flow {
    let promised = headers
        .get("content-length")
        .and_then(seconds)
        .and_then(|length| usize::try_from(length).ok());
    let prepared = prepare(cx, exchange, &fetch, status, headers, cx.now).and_then(|pending| {
        if promised.is_some_and(|length| length > exchange.settings.max_entry_bytes) {
            Err(Refusal::TooLarge)
        } else {
            Ok(pending)
        }
    });
    match prepared {
        Ok(pending) => {
            tell(cx, exchange, status, Ended::Stored);
            let fill = Fill {
                fetch,
                pending,
                body: Vec::new(),
                promised,
            };
            if end_of_stream {
                complete(cx, exchange, fill);
            } else {
                exchange.phase = Phase::Filling(fill);
            }
        }
        Err(refusal) => {
            tell(cx, exchange, status, Ended::NotStored(Some(refusal)));
            cx.core.metrics.reject(cx.host, refusal);
            // An error says nothing about the answers to come.
            let lasts = refusal.lasts() && !is_error(status);
            finish(
                cx,
                exchange,
                &fetch,
                if lasts {
                    Err(refusal)
                } else {
                    Err(Refusal::Incomplete)
                },
                false,
            );
        }
    }
    Flow::Continue
}

/// A part of the response body.
pub fn body(cx: Cx<'_>, exchange: &mut Exchange, size: usize, end_of_stream: bool) -> Flow {
    match std::mem::take(&mut exchange.phase) {
        Phase::Filling(mut fill) => {
            let most = exchange.settings.max_entry_bytes;
            let room = exchange
                .settings
                .layout
                .worker_bytes
                .max(most.saturating_mul(4));
            let refusal = if fill.body.len().saturating_add(size) > most {
                Some(Refusal::TooLarge)
            } else if size > 0 && !cx.worker.reserve_filling(size, room) {
                Some(Refusal::Internal)
            } else if size == 0 {
                None
            } else {
                match cx.host.body(Buffer::ResponseBody, 0, size) {
                    Ok(bytes) if bytes.len() == size => {
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
    cx.core.metrics.reject(cx.host, refusal);
    finish(cx, exchange, &fill.fetch, Err(refusal), false);
}

/// The body is complete.
fn complete(cx: Cx<'_>, exchange: &mut Exchange, fill: Fill) {
    cx.worker.release_filling(fill.body.len());
    if fill
        .promised
        .is_some_and(|length| length != fill.body.len())
    {
        cx.core.metrics.reject(cx.host, Refusal::Incomplete);
        finish(cx, exchange, &fill.fetch, Err(Refusal::Incomplete), false);
        return;
    }
    let shared = fill.pending.is_shared();
    let mut pending = fill.pending;
    pending.meta.delta = cx.now.since(exchange.asked);
    let stored = store(cx, exchange, &fill.fetch, pending, fill.body);
    if let Err(refusal) = stored {
        cx.core.metrics.reject(cx.host, refusal);
    }
    match stored {
        // Stored, but every use needs the origin: waiting for it gains nothing.
        Ok(()) if !shared => finish(cx, exchange, &fill.fetch, Err(Refusal::NoFreshness), false),
        stored => finish(cx, exchange, &fill.fetch, stored, false),
    }
}

/// Ends the flight, if there is one.
pub(super) fn finish(
    cx: Cx<'_>,
    exchange: &Exchange,
    fetch: &Fetch,
    stored: Result<(), Refusal>,
    again: bool,
) {
    let (Some(leader), Some(fingerprint)) = (fetch.leader, exchange.fingerprint) else {
        return;
    };
    let unshared = match stored {
        Err(refusal) if refusal.lasts() => Some(
            cx.now
                .saturating_add(exchange.settings.coalesce.uncacheable_for),
        ),
        _ => None,
    };
    let look_again = again || stored.is_ok() || stored == Err(Refusal::Outdated);
    cx.worker
        .end_flight(cx, fingerprint, leader, look_again, unshared);
}

/// The request is over before its response was complete: somebody else may try.
pub fn abandoned(cx: Cx<'_>, exchange: &mut Exchange) {
    match std::mem::replace(&mut exchange.phase, Phase::Done) {
        Phase::Fetching(fetch) => finish(cx, exchange, &fetch, Err(Refusal::Outdated), true),
        Phase::Filling(fill) => {
            cx.worker.release_filling(fill.body.len());
            cx.core.metrics.reject(cx.host, Refusal::Incomplete);
            finish(cx, exchange, &fill.fetch, Err(Refusal::Outdated), true);
        }
        _ => {}
    }
}

/// What is stored, updated by a 304 (RFC 9111, section 4.3.4): stored again; what to answer with.
pub(super) fn freshened(
    cx: Cx<'_>,
    exchange: &Exchange,
    fetch: &Fetch,
    stored: &Stored,
    fresh: &Headers,
    arrived: Timestamp,
) -> Result<(Pending, Vec<u8>), Refusal> {
    let Content::Response {
        meta,
        headers,
        body,
    } = &stored.found.entry.content
    else {
        return Err(Refusal::Internal);
    };
    let (directives, _) = directives(exchange, fresh);
    let fields = updated(headers, fresh, &directives, leave(exchange));
    // The age is that of the 304, not of what was stored.
    let mut all: Vec<(&[u8], &[u8])> = fields;
    if let Some(value) = fresh.get("age") {
        all.push((b"age", value));
    }
    let all = Headers::from_pairs(&all);
    let mut pending = prepare(cx, exchange, fetch, meta.status, &all, arrived)?;
    pending.meta.delta = cx.now.since(exchange.asked);
    Ok((pending, body.clone()))
}

fn revalidated(
    cx: Cx<'_>,
    exchange: &mut Exchange,
    fetch: Fetch,
    fresh: &Headers,
    end_of_stream: bool,
) -> Flow {
    let Some(stored) = fetch.stale.clone() else {
        return Flow::Continue;
    };
    cx.core.metrics.revalidated.increment(cx.host);
    let known = match &stored.found.entry.content {
        Content::Response { headers, .. } => headers.get("etag").map(<[u8]>::to_vec),
        Content::Variants { .. } => None,
    };
    // A 304 for another entity tag says nothing of ours (section 4.3.4); it is no reason to refuse the client either.
    let same = match (fresh.get("etag"), &known) {
        (Some(theirs), Some(ours)) => weakly_equal(theirs, ours),
        _ => true,
    };
    let mut answer = stored.clone();
    let result = if same {
        freshened(cx, exchange, &fetch, &stored, fresh, cx.now).and_then(|(pending, body)| {
            let shared = pending.is_shared();
            let entry = crate::entry::Entry {
                key: stored.key.clone(),
                content: Content::Response {
                    meta: pending.meta.clone(),
                    headers: pending.headers.clone(),
                    body: body.clone(),
                },
            };
            answer.found.entry = std::rc::Rc::new(entry);
            answer.found.purged = None;
            store(cx, exchange, &fetch, pending, body)?;
            if shared {
                Ok(())
            } else {
                Err(Refusal::NoFreshness)
            }
        })
    } else {
        cx.worker.table.invalidate(cx.host, &stored.key, cx.now);
        Err(Refusal::Outdated)
    };
    if let Err(refusal) = result {
        if refusal != Refusal::NoFreshness {
            cx.core.metrics.reject(cx.host, refusal);
        }
    }
    finish(cx, exchange, &fetch, result, false);
    replace(
        cx,
        exchange,
        &answer,
        304,
        Ended::Revalidated,
        end_of_stream,
    )
}

/// A response to `HEAD` says whether what is stored is still right (RFC 9111, section 4.3.5).
fn head(cx: Cx<'_>, exchange: &Exchange, fetch: &Fetch, status: u16, fresh: &Headers) {
    let Some(stored) = fetch.stale.as_ref().filter(|_| status == 200) else {
        return;
    };
    let Content::Response { headers, body, .. } = &stored.found.entry.content else {
        return;
    };
    let agrees = |field: &str| match (fresh.get(field), headers.get(field)) {
        (Some(new), Some(old)) => new == old,
        (None, _) => true,
        (Some(_), None) => false,
    };
    let length = fresh
        .get("content-length")
        .and_then(seconds)
        .is_none_or(|length| usize::try_from(length) == Ok(body.len()));
    if agrees("etag") && agrees("last-modified") && length {
        if let Ok((pending, body)) = freshened(cx, exchange, fetch, stored, fresh, cx.now) {
            // What cannot be stored stays as it was.
            let _ = store(cx, exchange, fetch, pending, body);
        }
    } else {
        cx.worker.table.invalidate(cx.host, &stored.key, cx.now);
    }
}

/// Puts what is stored in the place of a response whose headers are at hand.
///
/// A response with a body is changed as it passes, so that the filters before this one see it. One without cannot be
/// given a body that way: it is replaced by a local reply, which goes to the client directly.
fn replace(
    cx: Cx<'_>,
    exchange: &mut Exchange,
    stored: &Stored,
    status: u16,
    ended: Ended,
    end_of_stream: bool,
) -> Flow {
    let entry = &stored.found.entry;
    let Some(mut answer) = Answer::of(entry, exchange) else {
        return Flow::Continue;
    };
    let name = exchange.settings.cache_status.as_deref();
    let forward = exchange.forward.unwrap_or(Forward::Stale);
    let text = name.map(|name| forwarded(name, forward, status, ended));
    let age = age(entry, cx.now);
    answer.fields.push(("age", age.as_bytes()));
    if let Some(text) = &text {
        answer.fields.push(("cache-status", text.as_bytes()));
    }
    if let Some(range) = &answer.content_range {
        answer.fields.push(("content-range", range.as_bytes()));
    }
    if exchange.settings.access_log {
        let word = text.as_deref().unwrap_or("revalidated");
        let _ = cx
            .host
            .set_property(&["seawall.response_cache"], word.as_bytes());
    }
    let sends_body = exchange.request.method != Method::Head && !answer.body.is_empty();
    if end_of_stream && sends_body {
        let request_id = exchange.request.headers.get("x-request-id");
        if let Some(id) = request_id {
            answer.fields.push(("x-request-id", id));
        }
        let replied = cx.host.reply(&Reply {
            status: u32::from(answer.status),
            headers: &answer.fields,
            body: answer.body,
            grpc_status: None,
            details: "seawall_response_cache_revalidated",
        });
        exchange.phase = Phase::Answered;
        return if replied.is_ok() {
            Flow::Pause
        } else {
            Flow::Continue
        };
    }
    let code = answer.status.to_string();
    let length = answer.length.to_string();
    let mut fields: Vec<(&str, &[u8])> = vec![(":status", code.as_bytes())];
    fields.append(&mut answer.fields);
    if answer.status != 304 && answer.status != 204 {
        fields.push(("content-length", length.as_bytes()));
    }
    if cx
        .host
        .set_headers(Map::Response, &Headers::from_pairs(&fields))
        .is_err()
    {
        cx.core
            .failed(cx.host, "response headers could not be replaced");
        return Flow::Continue;
    }
    exchange.phase = if end_of_stream {
        Phase::Answered
    } else {
        Phase::Replacing(Some(if sends_body {
            answer.body.to_vec()
        } else {
            Vec::new()
        }))
    };
    Flow::Continue
}

/// Adds `Cache-Status` to a response of the origin.
fn tell(cx: Cx<'_>, exchange: &Exchange, status: u16, ended: Ended) {
    let (Some(name), Some(forward)) = (exchange.settings.cache_status.as_deref(), exchange.forward)
    else {
        return;
    };
    let text = forwarded(name, forward, status, ended);
    if cx
        .host
        .add_header(Map::Response, "cache-status", text.as_bytes())
        .is_err()
    {
        cx.core.failed(cx.host, "Cache-Status could not be added");
    }
    if exchange.settings.access_log {
        let _ = cx
            .host
            .set_property(&["seawall.response_cache"], text.as_bytes());
    }
}

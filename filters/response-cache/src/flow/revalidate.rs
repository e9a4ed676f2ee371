//! What a 304 or a response to `HEAD` says of what is stored (RFC 9111, sections 4.3.3 to 4.3.5).

use super::exchange::{Exchange, Fetch};
use super::filling::finish;
use super::replace::replace;
use super::status::Ended;
use super::store::{directives, leave, prepare, store, Pending};
use super::Cx;
use crate::entry::Content;
use crate::http::conditions::weakly_equal;
use crate::http::directives::seconds;
use crate::http::fields::updated;
use crate::http::storable::Refusal;
use crate::store::Found;
use seawall_core::headers::Headers;
use seawall_core::plugin::Flow;
use seawall_core::time::Timestamp;

/// What is stored, updated by a 304 (RFC 9111, section 4.3.4): stored again; what to answer with.
pub(super) fn freshened(
    cx: Cx<'_>,
    exchange: &Exchange,
    fetch: &Fetch,
    stored: &Found,
    fresh: &Headers,
    arrived: Timestamp,
) -> Result<(Pending, Vec<u8>), Refusal> {
    let Content::Response {
        meta,
        headers,
        body,
    } = &stored.entry.content
    else {
        return Err(Refusal::Internal);
    };
    let (directives, _) = directives(exchange, fresh);
    let fields = updated(headers, fresh, &directives, leave(exchange));
    // Age and date are those of the 304, not of what was stored; without a `Date` it was made when it arrived.
    let mut all: Vec<(&[u8], &[u8])> = fields;
    if fresh.get("date").is_none() {
        all.retain(|(name, _)| *name != b"date");
    }
    if let Some(value) = fresh.get("age") {
        all.push((b"age", value));
    }
    let all = Headers::from_pairs(&all);
    let said = super::store::directives(exchange, &all);
    let mut pending = prepare(cx, exchange, fetch, meta.status, &all, said, arrived)?;
    pending.meta.delta = cx.now.since(exchange.asked);
    Ok((pending, body.clone()))
}

pub(super) fn revalidated(
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
    let known = match &stored.entry.content {
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
                key: stored.entry.key.clone(),
                content: Content::Response {
                    meta: pending.meta.clone(),
                    headers: pending.headers.clone(),
                    body: body.clone(),
                },
            };
            answer.entry = std::rc::Rc::new(entry);
            answer.purged = None;
            store(cx, exchange, &fetch, pending, body)?;
            if shared {
                Ok(())
            } else {
                Err(Refusal::NoFreshness)
            }
        })
    } else {
        cx.worker
            .table
            .invalidate(cx.host, &stored.entry.key, cx.now);
        Err(Refusal::Outdated)
    };
    if let Err(refusal) = result {
        if refusal != Refusal::NoFreshness {
            cx.core.metrics.reject(refusal);
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
pub(super) fn head(cx: Cx<'_>, exchange: &Exchange, fetch: &Fetch, status: u16, fresh: &Headers) {
    let Some(stored) = fetch.stale.as_ref().filter(|_| status == 200) else {
        return;
    };
    let Content::Response { headers, body, .. } = &stored.entry.content else {
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
        cx.worker
            .table
            .invalidate(cx.host, &stored.entry.key, cx.now);
    }
}

//! Asking whether what is stored still holds, and what a 304 or a response to `HEAD` says of it (RFC 9111, sections 4.3.1 and
//! 4.3.3 to 4.3.5).

use super::exchange::{Exchange, Fetch};
use super::filling::finish;
use super::invalidate::remove;
use super::replace::{replace, Rest};
use super::status::Ended;
use super::store::{directives, leave, prepare, store, Pending};
use super::Cx;
use crate::entry::{Content, Entry, Meta};
use crate::http::age::{date_value, initial, Times};
use crate::http::conditions::weakly_equal;
use crate::http::directives::{seconds, ResponseDirectives};
use crate::http::fields::{for_its_client, to_store, updated, Leave};
use crate::http::storable::Refusal;
use crate::http::vary;
use crate::reuse::is_fresh;
use crate::store::Found;
use seawall_core::date;
use seawall_core::headers::Headers;
use seawall_core::host::Map;
use seawall_core::plugin::Flow;
use seawall_core::time::Timestamp;
use std::rc::Rc;

/// Takes out the client's conditions, so that the whole comes, which can be stored. What the host does not take out stays, and
/// what is no whole answer is not stored.
pub(super) fn drop_conditions(cx: Cx<'_>, exchange: &Exchange) {
    let conditions = &exchange.request.conditions;
    for (field, there) in [
        ("if-none-match", !conditions.none_match.is_empty()),
        ("if-modified-since", conditions.modified_since.is_some()),
    ] {
        if there {
            let _ = cx.host.remove_header(Map::Request, field);
        }
    }
}

/// Replaces the client's conditions by ours (RFC 9111, section 4.3.1). False when there are no validators.
pub(super) fn set_validators(cx: Cx<'_>, exchange: &Exchange, stored: &Found) -> bool {
    let Content::Response { headers, .. } = &stored.entry.content else {
        return false;
    };
    let mut set = false;
    for (field, validator) in [
        ("if-none-match", "etag"),
        ("if-modified-since", "last-modified"),
    ] {
        if let Some(value) = headers.get(validator) {
            set |= cx.host.set_header(Map::Request, field, value).is_ok();
        }
    }
    if set {
        let conditions = &exchange.request.conditions;
        let gone = [
            (
                "if-none-match",
                !conditions.none_match.is_empty() && headers.get("etag").is_none(),
            ),
            (
                "if-modified-since",
                conditions.modified_since.is_some() && headers.get("last-modified").is_none(),
            ),
            ("range", exchange.request.range.is_some()),
            ("if-range", conditions.range.is_some()),
        ];
        for (field, _) in gone.iter().filter(|(_, present)| *present) {
            let _ = cx.host.remove_header(Map::Request, field);
        }
    }
    set
}

/// The fields of what is stored, updated by those of a 304.
fn merged(exchange: &Exchange, stored: &Headers, fresh: &Headers) -> Headers {
    let (directives, _) = directives(exchange, fresh);
    // Age and date are those of the 304, not of what was stored; without a `Date` it was made when it arrived.
    let mut all = updated(stored, fresh, &directives, leave(exchange));
    if fresh.get("date").is_none() {
        all.retain(|(name, _)| *name != b"date");
    }
    if let Some(value) = fresh.get("age") {
        all.push((b"age", value));
    }
    Headers::from_pairs(&all)
}

/// What is stored, updated by a 304 (RFC 9111, section 4.3.4): stored again; what to answer with.
pub(super) fn freshened(
    cx: Cx<'_>,
    exchange: &Exchange,
    fetch: &Fetch,
    stored: &Found,
    fresh: &Headers,
    arrived: Timestamp,
) -> Result<(Pending, Rc<Vec<u8>>), Refusal> {
    let Content::Response {
        meta,
        headers,
        body,
    } = &stored.entry.content
    else {
        return Err(Refusal::Internal);
    };
    if !is_about(headers, fresh, cx.now) {
        remove(cx, &stored.entry.key);
        return Err(Refusal::Outdated);
    }
    let all = merged(exchange, headers, fresh);
    let said = super::store::directives(exchange, &all);
    let mut pending = prepare(cx, exchange, fetch, meta.status, &all, said, arrived)?;
    pending.meta.delta = cx.now.since(exchange.asked);
    pending.updates = Some(stored.entry.generation());
    Ok((pending, Rc::clone(body)))
}

/// Stores what was updated. Where it varies by other fields than before it has another key, and what was not updated must not
/// be found under the old one.
pub(super) fn restore(
    cx: Cx<'_>,
    exchange: &Exchange,
    fetch: &Fetch,
    stored: &Found,
    mut pending: Pending,
    body: Rc<Vec<u8>>,
) -> Result<(), Refusal> {
    if fields(stored) == vary::fields(&pending.headers) {
        return store(cx, exchange, fetch, pending, body);
    }
    if is_replaced(cx, stored) {
        return Err(Refusal::Outdated);
    }
    pending.updates = None;
    let result = store(cx, exchange, fetch, pending, body);
    let old = &stored.entry.key;
    if *old != exchange.key {
        remove(cx, old);
    }
    result
}

/// True where something else has come in its place.
pub(super) fn is_replaced(cx: Cx<'_>, stored: &Found) -> bool {
    let present = cx.worker.table.find(cx.host, &stored.entry.key, cx.now);
    present
        .ok()
        .flatten()
        .is_some_and(|found| found.entry.generation() != stored.entry.generation())
}

fn fields(stored: &Found) -> Vec<String> {
    match &stored.entry.content {
        Content::Response { headers, .. } => vary::fields(headers),
        Content::Variants { .. } => Vec::new(),
    }
}

/// Whether a 304 says something of what is stored: by their entity tags, else by when they were modified. An origin that went
/// back to an earlier state may answer 304 to the later date. A strong tag is about what has the same one, or at least was
/// modified at the same time: it may be that of what replaced it within a second.
fn is_about(stored: &Headers, fresh: &Headers, now: Timestamp) -> bool {
    let tag = fresh.get("etag");
    if let (Some(theirs), Some(ours)) = (tag, stored.get("etag")) {
        return weakly_equal(theirs, ours);
    }
    let modified = |headers: &Headers| date::parse(headers.get("last-modified")?, now);
    match (modified(fresh), modified(stored)) {
        (Some(theirs), Some(ours)) => theirs == ours,
        _ => tag.is_none_or(|tag| tag.starts_with(b"W/")),
    }
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
    cx.core.metrics.revalidated.increment();
    // Where the 304 was for another entity tag, the client gets what is stored all the same.
    let mut answer = stored.clone();
    let mut shared = true;
    let result =
        freshened(cx, exchange, &fetch, &stored, fresh, cx.now).and_then(|(pending, body)| {
            shared = pending.is_shared();
            let entry = Entry {
                key: stored.entry.key.clone(),
                content: Content::Response {
                    meta: pending.meta.clone(),
                    headers: pending.headers.clone(),
                    body: Rc::clone(&body),
                },
            };
            answer.entry = Rc::new(entry);
            answer.purged = None;
            restore(cx, exchange, &fetch, &stored, pending, body)
        });
    let ended = match result {
        Ok(()) => Ended::Revalidated,
        Err(refusal) => {
            if refusal != Refusal::Outdated {
                answer.entry = unstored(cx, exchange, &stored, fresh).unwrap_or(answer.entry);
                answer.purged = None;
            }
            cx.core.metrics.reject(refusal);
            supersede(cx, &fetch, 304, refusal);
            Ended::NotStored(Some(refusal))
        }
    };
    let gained = result.and(if shared {
        Ok(())
    } else {
        Err(Refusal::NoFreshness)
    });
    finish(cx, exchange, &fetch, gained);
    let own = own_fields(exchange, &answer, fresh);
    replace(
        cx,
        exchange,
        &answer,
        (304, &own),
        ended,
        Rest::bodiless(end_of_stream),
    )
}

/// What is stored as a 304 says it is by now, though that cannot be stored: it is for this client only.
fn unstored(cx: Cx<'_>, exchange: &Exchange, stored: &Found, fresh: &Headers) -> Option<Rc<Entry>> {
    let Content::Response {
        meta,
        headers,
        body,
    } = &stored.entry.content
    else {
        return None;
    };
    let all = merged(exchange, headers, fresh);
    let times = Times {
        request: exchange.asked,
        response: cx.now,
    };
    let meta = Meta {
        asked: exchange.asked,
        arrived: cx.now,
        initial_age: initial(&all, date_value(&all, cx.now), times),
        ..meta.clone()
    };
    let sent = to_store(&all, &ResponseDirectives::default(), Leave::default());
    Some(Rc::new(Entry {
        key: stored.entry.key.clone(),
        content: Content::Response {
            meta,
            headers: Headers::from_pairs(&sent),
            body: Rc::clone(body),
        },
    }))
}

/// The fields of a 304 that are for its client alone, such as the cookie of a session that goes on.
fn own_fields(exchange: &Exchange, answer: &Found, fresh: &Headers) -> Headers {
    let Content::Response { headers, .. } = &answer.entry.content else {
        return Headers::default();
    };
    let (directives, _) = directives(exchange, headers);
    Headers::from_pairs(&for_its_client(fresh, &directives, headers))
}

/// The origin has something else by now, which cannot be stored: what is stored must not be used stale any more, for it is
/// not suitable (RFC 9111, section 4.3.3). While it is fresh it stays, for the origin has said so; but a 304 changes what it
/// has said (section 4.3.4).
///
/// Refusals that are about one client's request say nothing of what others may get.
pub(super) fn supersede(cx: Cx<'_>, fetch: &Fetch, status: u16, refusal: Refusal) {
    let Some(stored) = &fetch.stale else {
        return;
    };
    let Content::Response { meta, .. } = &stored.entry.content else {
        return;
    };
    let is_answer = matches!(status, 200..=205 | 207..=399 | 404 | 410);
    let for_all = matches!(
        refusal,
        Refusal::NoStore
            | Refusal::Private
            | Refusal::VaryStar
            | Refusal::NoFreshness
            | Refusal::Malformed
            | Refusal::TooLarge
    );
    if is_answer && for_all && (status == 304 || !is_fresh(meta, cx.now, stored.purged)) {
        remove(cx, &stored.entry.key);
    }
}

/// A response to `HEAD` says whether what is stored is still right (RFC 9111, section 4.3.5).
pub(super) fn head(cx: Cx<'_>, exchange: &Exchange, fetch: &Fetch, status: u16, fresh: &Headers) {
    let Some(stored) = fetch.stale.as_ref().filter(|_| status == 200) else {
        return;
    };
    let Content::Response {
        meta,
        headers,
        body,
    } = &stored.entry.content
    else {
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
    if meta.status == status && agrees("etag") && agrees("last-modified") && length {
        let updated = freshened(cx, exchange, fetch, stored, fresh, cx.now)
            .and_then(|(pending, body)| restore(cx, exchange, fetch, stored, pending, body));
        // As after a 304: what must not be stored any more is not.
        if let Err(refusal) = updated {
            supersede(cx, fetch, 304, refusal);
        }
    } else {
        remove(cx, &stored.entry.key);
    }
}

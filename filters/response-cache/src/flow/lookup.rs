//! What is stored for a request, variants and purges considered.

use super::exchange::Exchange;
use super::Cx;
use crate::entry::{Content, Meta};
use crate::http::age::date_value;
use crate::key::variant;
use crate::marks;
use crate::purge::Verdict;
use crate::store::Found;
use seawall_core::generation::Seen;
use seawall_core::hash::Fingerprint;
use seawall_core::headers::Headers;
use seawall_core::host::Answer;
use seawall_core::time::Timestamp;

/// What was found.
#[derive(Debug, Default)]
pub struct Looked {
    /// A response for this request.
    pub stored: Option<Found>,
    /// The URL has responses for other request fields.
    pub has_variants: bool,
    /// Nothing is stored, and nobody waits for this key's answers.
    pub alone: bool,
    /// As of when; unknown where the URL has responses for other request fields only.
    pub seen: Option<Seen>,
}

/// Looks.
///
/// # Errors
/// When the host fails.
pub fn look(cx: Cx<'_>, exchange: &mut Exchange) -> Answer<Looked> {
    let parted = exchange.settings.key.is_parted();
    if exchange.salt.take().is_some() {
        exchange.fingerprint = None;
    }
    let table = &cx.worker.table;
    let fingerprint = exchange
        .fingerprint
        .unwrap_or_else(|| table.fingerprint(&exchange.key));
    exchange.fingerprint = Some(fingerprint);
    let seen = table.changes().seen(cx.host, fingerprint, cx.now);
    // Where what is remembered still holds, there was no purge since.
    exchange.epoch = cx.worker.purges.known();
    let flight = exchange.flight().unwrap_or(fingerprint);
    if seen.is_some_and(|seen| cx.worker.goes_alone(flight, seen, cx.now)) {
        return Ok(Looked {
            alone: true,
            ..Looked::default()
        });
    }
    let found = find_current(cx, parted, fingerprint, &exchange.key, seen)?;
    exchange.epoch = cx.worker.purges.known();
    let Some(primary) = found else {
        return Ok(Looked {
            seen,
            ..Looked::default()
        });
    };
    let entry = std::rc::Rc::clone(&primary.entry);
    let Content::Variants { salt, lists, .. } = &entry.content else {
        return Ok(Looked {
            stored: Some(primary),
            seen,
            ..Looked::default()
        });
    };
    // Each variant has a flight of its own: none waits for another.
    exchange.salt = Some(*salt);
    let mut latest: Option<(Found, Fingerprint, Option<Seen>)> = None;
    for (at, fields) in lists.iter().enumerate() {
        let key = variant(&exchange.key, *salt, fields, &exchange.request.headers);
        let fingerprint = table.fingerprint(&key);
        if at == 0 {
            exchange.fingerprint = Some(fingerprint);
            // A variant is admitted by its own demand.
            table.count(fingerprint);
        }
        let seen = table.changes().seen(cx.host, fingerprint, cx.now);
        let found = find_current(cx, parted, fingerprint, &key, seen)?;
        exchange.epoch = cx.worker.purges.known();
        // Of several that match the most recent counts (RFC 9111, section 4).
        if let Some(found) = found {
            let newer = latest
                .as_ref()
                .is_none_or(|(known, ..)| sent(known) < sent(&found));
            if newer {
                latest = Some((found, fingerprint, seen));
            }
        }
    }
    let mut looked = Looked {
        has_variants: true,
        ..Looked::default()
    };
    if let Some((found, fingerprint, seen)) = latest {
        exchange.fingerprint = Some(fingerprint);
        looked.stored = Some(found);
        looked.seen = seen;
    }
    Ok(looked)
}

/// When the origin sent it, by its `Date`; of those of one second, the later arrival is later.
pub(super) fn sent(found: &Found) -> (Timestamp, Timestamp) {
    match &found.entry.content {
        Content::Response { meta, headers, .. } => sent_at(headers, meta),
        Content::Variants { .. } => Default::default(),
    }
}

/// The same for what is not stored yet.
pub(super) fn sent_at(headers: &Headers, meta: &Meta) -> (Timestamp, Timestamp) {
    (date_value(headers, meta.arrived), meta.arrived)
}

/// The same as [`find`], from the worker's own copy where that is current; else read anew and remembered as of `seen`.
fn find_current(
    cx: Cx<'_>,
    parted: bool,
    fingerprint: Fingerprint,
    key: &[u8],
    seen: Option<Seen>,
) -> Answer<Option<Found>> {
    let table = &cx.worker.table;
    if let Some(seen) = seen {
        if let Some(found) = table.current(cx.host, fingerprint, key, seen, cx.now) {
            let gone = parted && is_marked(cx, &found)?;
            return Ok(Some(found).filter(|_| !gone));
        }
    }
    // After `seen` was taken, so that no purge is missed.
    cx.worker.purges.refresh(cx.host, cx.now)?;
    let found = find(cx, parted, fingerprint, key)?;
    if let Some(found) = &found {
        table.keep(fingerprint, found, seen);
    }
    Ok(found)
}

/// True where one URL has several keys, and it was invalidated since this was asked for.
fn is_marked(cx: Cx<'_>, found: &Found) -> Answer<bool> {
    match &found.entry.content {
        Content::Response { meta, .. } => marks::hits(cx.host, meta.url, meta.asked, cx.now),
        Content::Variants { .. } => Ok(false),
    }
}

/// What is stored under a key, if no purge has hit it, nor an invalidation of its URL where one URL has several keys.
pub(super) fn find(
    cx: Cx<'_>,
    parted: bool,
    fingerprint: Fingerprint,
    key: &[u8],
) -> Answer<Option<Found>> {
    let table = &cx.worker.table;
    let Some(mut found) = table.find_as(cx.host, fingerprint, key, cx.now)? else {
        return Ok(None);
    };
    if parted && is_marked(cx, &found)? {
        return Ok(None);
    }
    let (headers, url) = match &found.entry.content {
        Content::Response { meta, headers, .. } => (Some(headers), Some(meta.url)),
        Content::Variants { .. } => (None, None),
    };
    let secret = cx.worker.table.secret();
    match cx
        .worker
        .purges
        .check(secret, key, found.entry.epoch(), headers, url)
    {
        Verdict::Good => {}
        Verdict::Gone => return Ok(None),
        Verdict::Stale(since) => {
            found.purged = Some(found.purged.map_or(since, |earlier| earlier.min(since)));
        }
    }
    Ok(Some(found))
}

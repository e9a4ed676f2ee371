//! What is stored for a request, variants and purges considered.

use super::exchange::{Exchange, Stored};
use super::Cx;
use crate::entry::Content;
use crate::key::variant;
use crate::marks::marked;
use crate::purge::Verdict;
use crate::store::Found;
use seawall_core::hash::Fingerprint;
use seawall_core::host::Answer;

/// What was found.
#[derive(Debug, Default)]
pub struct Looked {
    /// A response for this request.
    pub stored: Option<Stored>,
    /// The URL has responses for other request fields.
    pub has_variants: bool,
}

/// Looks.
///
/// # Errors
/// When the host fails.
pub fn look(cx: Cx<'_>, exchange: &mut Exchange) -> Answer<Looked> {
    exchange.epoch = cx.worker.purges.refresh(cx.host)?;
    let parted = exchange.settings.key.is_parted();
    if exchange.salt.take().is_some() {
        exchange.fingerprint = None;
    }
    let fingerprint = exchange
        .fingerprint
        .unwrap_or_else(|| cx.worker.table.fingerprint(&exchange.key));
    exchange.fingerprint = Some(fingerprint);
    let Some(primary) = find(cx, parted, fingerprint, &exchange.key)? else {
        return Ok(Looked::default());
    };
    let entry = std::rc::Rc::clone(&primary.entry);
    let Content::Variants { salt, lists, .. } = &entry.content else {
        let stored = Stored {
            found: primary,
            key: exchange.key.clone(),
        };
        return Ok(Looked {
            stored: Some(stored),
            has_variants: false,
        });
    };
    // Each variant has a flight of its own: none waits for another.
    exchange.salt = Some(*salt);
    for (at, fields) in lists.iter().enumerate() {
        let key = variant(&exchange.key, *salt, fields, &exchange.request.headers);
        let fingerprint = cx.worker.table.fingerprint(&key);
        if at == 0 {
            exchange.fingerprint = Some(fingerprint);
            // A variant is admitted by its own demand.
            cx.worker.table.count(fingerprint);
        }
        if let Some(found) = find(cx, parted, fingerprint, &key)? {
            exchange.fingerprint = Some(fingerprint);
            return Ok(Looked {
                stored: Some(Stored { found, key }),
                has_variants: true,
            });
        }
    }
    Ok(Looked {
        stored: None,
        has_variants: true,
    })
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
    if let Content::Response { meta, .. } = &found.entry.content {
        if parted && meta.asked <= marked(cx.host, meta.url)? {
            return Ok(None);
        }
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

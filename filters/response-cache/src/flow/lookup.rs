//! What is stored for a request, variants and purges considered.

use super::exchange::{Exchange, Stored};
use super::Cx;
use crate::entry::Content;
use crate::key::variant;
use crate::purge::Verdict;
use crate::store::Found;
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
    let Some(primary) = find(cx, &exchange.key)? else {
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
    for fields in lists {
        let key = variant(&exchange.key, *salt, fields, &exchange.request.headers);
        if let Some(found) = find(cx, &key)? {
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

/// What is stored under a key, if no purge has hit it.
pub(super) fn find(cx: Cx<'_>, key: &[u8]) -> Answer<Option<Found>> {
    let Some(mut found) = cx.worker.table.find(cx.host, key, cx.now)? else {
        return Ok(None);
    };
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

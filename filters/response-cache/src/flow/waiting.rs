//! Waiting for another request's answer.

use super::exchange::{Exchange, Phase, Shared};
use super::request::Next;
use super::Cx;
use crate::flight::{join, Joined, Lease, Wish};
use seawall_core::generation::Seen;
use seawall_core::hash::Fingerprint;

/// Whether something has changed since this was looked up: the flight before may have ended in between, with an answer.
pub(super) fn is_outrun(cx: Cx<'_>, exchange: &Exchange, seen: Option<Seen>) -> bool {
    let (Some(seen), Some(fingerprint)) = (seen, exchange.fingerprint) else {
        return false;
    };
    let present = cx.worker.table.changes().seen(cx.host, fingerprint, cx.now);
    !present.is_some_and(|present| seen.holds_at(present))
}

/// Holds a request until the flight of this number ends.
pub(super) fn wait(
    cx: Cx<'_>,
    shared: &Shared,
    exchange: &mut Exchange,
    fingerprint: Fingerprint,
) -> Next {
    if exchange.deadline.is_none() {
        exchange.deadline = Some(cx.now.saturating_add(exchange.settings.coalesce.wait));
        cx.core.metrics.coalesced.increment();
    }
    exchange.collapsed = true;
    exchange.phase = Phase::Waiting;
    cx.worker.park(fingerprint, shared);
    Next::Wait
}

/// A list of variants is there, and none for this request: the answer that made the list may be on its way into the cache, and
/// be the one. `None` where nobody brings it.
pub(super) fn wait_for_the_first(
    cx: Cx<'_>,
    shared: &Shared,
    exchange: &mut Exchange,
) -> Option<Next> {
    let settings = &exchange.settings;
    let own = exchange.request.directives.no_store && !settings.ignore_client_directives;
    if !settings.coalesce.enabled || own || !cx.worker.has_room() {
        return None;
    }
    let queue = cx.worker.queue(cx.host)?;
    let of_variant = exchange.fingerprint;
    exchange.fingerprint = Some(cx.worker.table.fingerprint(&exchange.key));
    let first = exchange.flight()?;
    let lease = Lease {
        leader: 0,
        until: cx.now,
        now: cx.now,
    };
    if join(cx.host, first, Wish::Wait(queue), lease) == Ok(Joined::Waits) {
        exchange.salt = None;
        return Some(wait(cx, shared, exchange, first));
    }
    exchange.fingerprint = of_variant;
    None
}

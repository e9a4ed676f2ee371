//! What this filter and circuit-breaker tell each other about calls that fail while the breaker is closed.
//!
//! An answer that the breaker gives to such a call goes to the client directly, past this filter. So this filter says on the
//! request's way out that a copy stands by, and until when; the breaker then leaves the failed response alone, and marks it
//! as one. Both are properties of the request, which no client can set.

use super::exchange::{Exchange, Fetch};
use super::Cx;
use crate::entry::Content;
use crate::reuse::on_error_until;

/// Until when a copy may be used instead of an error: nanoseconds since the epoch, eight bytes, little-endian.
const STANDS_BY: &str = "seawall.response_cache.stands_by";

/// Set where the breaker counted the call as failed, and would have answered it without a copy.
const FAILED: &str = "seawall.circuit_breaker.failed";

/// Says that a copy stands by, if one does.
pub(super) fn announce(cx: Cx<'_>, exchange: &Exchange, fetch: &Fetch) {
    let Some(stored) = &fetch.stale else { return };
    let Content::Response { meta, .. } = &stored.entry.content else {
        return;
    };
    let until = on_error_until(meta, &exchange.directives(), stored.purged);
    if let Some(until) = until.filter(|until| cx.now < *until) {
        // Unheard, the breaker answers as if there were no copy.
        let _ = cx.host.set_property(STANDS_BY, &until.0.to_le_bytes());
    }
}

/// Whether the breaker counted the call as failed, whatever its status.
pub(super) fn failed(cx: Cx<'_>) -> bool {
    matches!(cx.host.property(FAILED), Ok(Some(_)))
}

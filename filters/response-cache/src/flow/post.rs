//! A response to `POST` that may be stored for `GET` (RFC 9110, section 9.3.3): it says by `Content-Location` that it is
//! what a `GET` of the same URL would give, and for how long.

use super::exchange::{Exchange, Fetch};
use super::invalidate::resolve;
use super::store::directives;
use super::Cx;
use seawall_core::headers::Headers;
use seawall_core::time::Timestamp;

/// What a successful response to an unsafe method is stored as; `None` for nearly all of them.
pub fn storable(
    cx: Cx<'_>,
    exchange: &mut Exchange,
    status: u16,
    response: &Headers,
) -> Option<Fetch> {
    let request = &exchange.request;
    let settings = &exchange.settings;
    let location = response.get("content-location")?;
    let (directives, targeted) = directives(exchange, response);
    let explicit = directives.max_age.is_some()
        || directives.s_maxage.is_some()
        || (!targeted && response.get("expires").is_some());
    if status != 200
        || !explicit
        || request.headers.get(":method") != Some(b"POST")
        || resolve(exchange, location)? != request.path()
        || request.not_http
        || settings.bypass.iter().any(|rule| rule.holds(request))
    {
        return None;
    }
    let no_store = exchange.directives().no_store;
    exchange.key = settings.key.key(request)?;
    // Purges since the last lookup of this worker hit it as well: too many rather than one too few.
    exchange.epoch = cx.worker.purges.known();
    // The invalidation that the same request caused must not keep its own answer out: it comes after that.
    exchange.asked = Timestamp(cx.now.0.saturating_add(1));
    Some(Fetch {
        store: !exchange.is_ruled_out() && !no_store,
        ..Fetch::default()
    })
}

//! A response to `POST` that may be stored for `GET` (RFC 9110, section 9.3.3): it says by `Content-Location` that it is
//! what a `GET` of the same URL would give, and for how long.

use super::exchange::{Exchange, Fetch};
use super::invalidate::resolve;
use super::store::directives;
use super::Cx;
use crate::http::storable::Refusal;
use crate::marks;
use crate::purge::number_of_url;
use seawall_core::headers::Headers;
use seawall_core::time::Timestamp;

/// What a successful response to an unsafe method is stored as; `None` for nearly all of them. To be asked before the invalidation
/// by the same request, which takes the place of those before.
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
    if is_outdated(cx, exchange) {
        cx.core.metrics.reject(Refusal::Outdated);
        return None;
    }
    Some(Fetch {
        store: !exchange.is_ruled_out() && !no_store,
        // The invalidation that the same request causes must not keep its own answer out: it comes after that.
        counts_from: Some(Timestamp(cx.now.0.saturating_add(1))),
        ..Fetch::default()
    })
}

/// Whether what it would be stored as was invalidated since it was asked for; also where that cannot be read.
fn is_outdated(cx: Cx<'_>, exchange: &Exchange) -> bool {
    let (table, asked) = (&cx.worker.table, exchange.asked);
    if table.is_invalidated(cx.host, &exchange.key, asked, cx.now) != Ok(false) {
        return true;
    }
    let recipe = &exchange.settings.key;
    let url = || number_of_url(table.secret(), &recipe.url(&exchange.request));
    recipe.is_parted() && marks::hits(cx.host, url(), asked, cx.now) != Ok(false)
}

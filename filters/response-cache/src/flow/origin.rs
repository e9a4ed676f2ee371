//! The response's side: what becomes of an answer of the origin, or of whoever answered in its place.

use super::exchange::{Exchange, Fetch, Fill, Phase};
use super::filling::{complete, failed, finish};
use super::replace::{replace, Rest};
use super::revalidate::{head, revalidated, supersede};
use super::status::{forwarded, Ended};
use super::store::{directives, prepare, refused, Said};
use super::{invalidate, post, standby, Core, Cx};
use crate::entry::Content;
use crate::http::directives::seconds;
use crate::http::request::Method;
use crate::http::storable::Refusal;
use crate::reuse::on_error;
use seawall_core::headers::Headers;
use seawall_core::host::{Host, Map};
use seawall_core::plugin::Flow;

/// How the details of a refusal by circuit-breaker begin. It may have any status: its fallback is configured.
const BREAKER: &[u8] = b"seawall.circuit_breaker.";

/// Statuses that stale entries may stand in for (RFC 5861, section 4).
pub(super) fn is_error(status: u16) -> bool {
    matches!(status, 500 | 502 | 503 | 504)
}

/// Statuses that say nothing about the answers to come: of the moment, or of how one client asked.
pub(super) fn is_passing(status: u16) -> bool {
    is_error(status)
        || matches!(
            status,
            206 | 400 | 408 | 411 | 412 | 413 | 416 | 417 | 425 | 428 | 429 | 431
        )
}

pub(super) fn status_of(headers: &Headers) -> u16 {
    headers
        .get(":status")
        .and_then(seconds)
        .and_then(|status| u16::try_from(status).ok())
        .unwrap_or(0)
}

/// Who answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Answerer {
    Upstream,
    /// circuit-breaker, instead of the upstream.
    Breaker,
    /// Envoy or another filter.
    Other,
}

fn answerer(cx: Cx<'_>) -> Answerer {
    let details = cx.host.property("response\0code_details");
    match details.ok().flatten() {
        Some(details) if details == b"via_upstream" => Answerer::Upstream,
        Some(details) if details.starts_with(BREAKER) => Answerer::Breaker,
        _ => Answerer::Other,
    }
}

/// How a response begins, as far as neither the time nor who answered matters.
#[derive(Debug)]
pub enum Begun {
    /// It is none of the cache's business any more.
    Passes,
    /// It is looked at; these are its fields, where they could be read, and what they say of storing it.
    Goes(Option<Headers>, Option<Said>),
}

/// Response headers, without another look at the host where a response cannot be stored and nobody waits for it.
pub fn begin(host: &dyn Host, core: &Core, exchange: &mut Exchange) -> Begun {
    match &exchange.phase {
        Phase::Pass => {
            tell(host, core, exchange, 0, Ended::NotStored(None));
            Begun::Passes
        }
        Phase::Fetching(fetch) => {
            let Ok(headers) = host.headers(Map::Response) else {
                return Begun::Goes(None, None);
            };
            let status = status_of(&headers);
            // Errors may be answered otherwise, and are not counted where they are Envoy's own.
            let plain = (200..400).contains(&status) && exchange.request.method == Method::Get;
            if fetch.leader.is_some() || fetch.stale.is_some() || !plain {
                return Begun::Goes(Some(headers), None);
            }
            let said = directives(exchange, &headers);
            let Some(refusal) = refused(exchange, fetch, status, &headers, &said) else {
                return Begun::Goes(Some(headers), Some(said));
            };
            tell(
                host,
                core,
                exchange,
                status,
                Ended::NotStored(Some(refusal)),
            );
            core.metrics.reject(refusal);
            exchange.phase = Phase::Done;
            Begun::Passes
        }
        Phase::Unsafe => Begun::Goes(host.headers(Map::Response).ok(), None),
        _ => Begun::Goes(None, None),
    }
}

/// The rest of it.
pub fn headers(
    cx: Cx<'_>,
    exchange: &mut Exchange,
    headers: Option<Headers>,
    said: Option<Said>,
    end_of_stream: bool,
) -> Flow {
    match std::mem::take(&mut exchange.phase) {
        Phase::Fetching(fetch) => arrived(cx, exchange, fetch, headers, said, end_of_stream),
        Phase::Unsafe => {
            if let Some(headers) = headers {
                let status = status_of(&headers);
                if (200..400).contains(&status) && answerer(cx) == Answerer::Upstream {
                    let fetch = post::storable(cx, exchange, status, &headers);
                    invalidate::run(cx, exchange, &headers);
                    if let Some(fetch) = fetch {
                        let said = directives(exchange, &headers);
                        return fill(cx, exchange, fetch, status, (&headers, said), end_of_stream);
                    }
                }
            }
            tell(cx.host, cx.core, exchange, 0, Ended::NotStored(None));
            Flow::Continue
        }
        other => {
            exchange.phase = other;
            Flow::Continue
        }
    }
}

fn arrived(
    cx: Cx<'_>,
    exchange: &mut Exchange,
    fetch: Fetch,
    headers: Option<Headers>,
    said: Option<Said>,
    end_of_stream: bool,
) -> Flow {
    let Some(headers) = headers else {
        cx.core.failed(
            cx.host,
            "response headers cannot be read; the response passes",
        );
        finish(cx, exchange, &fetch, Err(Refusal::Internal));
        return Flow::Continue;
    };
    let status = status_of(&headers);
    if (100..200).contains(&status) {
        // Interim; the final response comes through here again.
        exchange.phase = Phase::Fetching(fetch);
        return Flow::Continue;
    }
    let answerer = answerer(cx);
    let is_failure = is_error(status)
        || answerer == Answerer::Breaker
        || (status >= 400 && fetch.stale.is_some() && standby::failed(cx));
    if is_failure {
        if let Some(stored) = fetch.stale.clone() {
            let purged = stored.purged;
            let allowed = match &stored.entry.content {
                Content::Response { meta, .. } => {
                    on_error(meta, cx.now, &exchange.directives(), purged)
                }
                Content::Variants { .. } => false,
            };
            if allowed {
                failed(cx, exchange, &fetch);
                cx.core.metrics.stale_if_error.increment();
                let ended = Ended::StaleIfError;
                return replace(
                    cx,
                    exchange,
                    &stored,
                    (status, &Headers::default()),
                    ended,
                    Rest::of(&headers, end_of_stream),
                );
            }
        }
    }
    if answerer != Answerer::Upstream {
        // What Envoy itself answers well, such as a redirect of the route, it will answer again.
        let lasts = answerer == Answerer::Other && (200..400).contains(&status);
        let ended = if lasts {
            Refusal::Rule
        } else {
            Refusal::Incomplete
        };
        finish(cx, exchange, &fetch, Err(ended));
        tell(cx.host, cx.core, exchange, status, Ended::NotStored(None));
        return Flow::Continue;
    }
    if status == 304 && fetch.validating {
        return revalidated(cx, exchange, fetch, &headers, end_of_stream);
    }
    if exchange.request.method == Method::Head {
        head(cx, exchange, &fetch, status, &headers);
        finish(cx, exchange, &fetch, Err(Refusal::Status));
        tell(cx.host, cx.core, exchange, status, Ended::NotStored(None));
        return Flow::Continue;
    }
    let said = said.unwrap_or_else(|| directives(exchange, &headers));
    fill(cx, exchange, fetch, status, (&headers, said), end_of_stream)
}

/// Starts storing a response, or does not.
fn fill(
    cx: Cx<'_>,
    exchange: &mut Exchange,
    fetch: Fetch,
    status: u16,
    (headers, said): (&Headers, Said),
    end_of_stream: bool,
) -> Flow {
    let promised = headers
        .get("content-length")
        .and_then(seconds)
        .and_then(|length| usize::try_from(length).ok());
    let prepared =
        prepare(cx, exchange, &fetch, status, headers, said, cx.now).and_then(|pending| {
            if promised.is_some_and(|length| length > exchange.settings.max_entry_bytes) {
                Err(Refusal::TooLarge)
            } else {
                Ok(pending)
            }
        });
    match prepared {
        Ok(mut pending) => {
            if let Some(from) = fetch.counts_from {
                exchange.asked = from;
                pending.meta.asked = from;
            }
            tell(cx.host, cx.core, exchange, status, Ended::Stored);
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
            tell(
                cx.host,
                cx.core,
                exchange,
                status,
                Ended::NotStored(Some(refusal)),
            );
            cx.core.metrics.reject(refusal);
            supersede(cx, &fetch, status, refusal);
            let lasts = refusal.lasts() && !is_passing(status);
            let ended = if lasts { refusal } else { Refusal::Incomplete };
            finish(cx, exchange, &fetch, Err(ended));
        }
    }
    Flow::Continue
}

/// Adds `Cache-Status` to a response of the origin.
fn tell(host: &dyn Host, core: &Core, exchange: &Exchange, status: u16, ended: Ended) {
    let (Some(name), Some(forward)) = (exchange.settings.cache_status.as_deref(), exchange.forward)
    else {
        return;
    };
    let text = forwarded(name, forward, status, ended);
    if host
        .add_header(Map::Response, "cache-status", text.as_bytes())
        .is_err()
    {
        core.failed(host, "Cache-Status could not be added");
    }
    if exchange.settings.access_log {
        let _ = host.set_property("seawall.response_cache", text.as_bytes());
    }
}

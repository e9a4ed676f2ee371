//! The request's side: answer it, let it wait, or let it go to the origin.

use super::answer::{gateway_timeout, push_age, Answer};
use super::exchange::{Exchange, Fetch, Phase, Shared};
use super::lookup::look;
use super::revalidate::{drop_conditions, set_validators};
use super::status::{hit, Forward};
use super::waiting::{is_outrun, wait, wait_for_the_first};
use super::worker::Told;
use super::{background, invalidate, purge, standby, Cx};
use crate::entry::{Content, Meta};
use crate::flight::{join, Joined, Lease, Sharing, Wish};
use crate::http::request::{Method, Request};
use crate::metrics::Tally;
use crate::refresh::due;
use crate::reuse::{decide, is_fresh, on_error, Use, Why};
use crate::store::Found;
use seawall_core::generation::Seen;
use seawall_core::host::Map;

/// When a request is looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Occasion {
    /// It has come.
    First,
    /// What it waited for may be there.
    Woken,
    /// The origin failed the one that it waited for.
    Failed,
    /// It has waited long enough, or in vain.
    Alone,
}

/// What becomes of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Next {
    /// On to the origin.
    Forward,
    /// Held.
    Wait,
    /// Answered.
    Replied,
}

/// A request that has come.
pub fn begin(cx: Cx<'_>, shared: &Shared, exchange: &mut Exchange, has_body: bool) -> Next {
    let settings = std::rc::Rc::clone(&exchange.settings);
    let Ok(headers) = cx.host.headers(Map::Request) else {
        cx.core.failed(
            cx.host,
            "request headers cannot be read; the request passes",
        );
        return Next::Forward;
    };
    if let Some(rules) = &settings.purge {
        if headers.get(":method") == Some(rules.method.as_bytes()) {
            return purge::answer(cx, exchange, Request::read(headers), rules);
        }
    }
    exchange.request = Request::read(headers);
    let request = &exchange.request;
    match request.method {
        // A call is no change of what a `GET` of the same path gets.
        Method::Unsafe if request.grpc => return Next::Forward,
        Method::Unsafe => {
            invalidate::prepare(cx, exchange);
            return Next::Forward;
        }
        Method::Safe => {
            exchange.forward = Some(Forward::Method);
            return Next::Forward;
        }
        // Not HTTP any more, or not a cache's business: not even a field is added.
        Method::Connect => return Next::Forward,
        Method::Get | Method::Head if request.not_http => return Next::Forward,
        Method::Get | Method::Head => {}
    }
    // A body of a `GET` means something to somebody, and is not in the key.
    let passes =
        has_body || request.preconditions || settings.bypass.iter().any(|rule| rule.holds(request));
    match settings.key.key(request).filter(|_| !passes) {
        Some(key) => exchange.key = key,
        None => {
            cx.core.metrics.bypasses.increment();
            exchange.forward = Some(Forward::Bypass);
            return Next::Forward;
        }
    }
    let fingerprint = cx.worker.table.fingerprint(&exchange.key);
    exchange.fingerprint = Some(fingerprint);
    cx.worker.table.count(fingerprint);
    settle(cx, shared, exchange, Occasion::First)
}

/// A request that was held.
pub fn proceed(cx: Cx<'_>, shared: &Shared, exchange: &mut Exchange, occasion: Occasion) {
    if settle(cx, shared, exchange, occasion) == Next::Forward && cx.host.resume_request().is_err()
    {
        cx.core
            .failed(cx.host, "a waiting request could not be resumed");
    }
}

fn settle(cx: Cx<'_>, shared: &Shared, exchange: &mut Exchange, occasion: Occasion) -> Next {
    exchange.phase = Phase::Pass;
    let looked = match look(cx, exchange) {
        Ok(looked) => looked,
        Err(failure) => {
            cx.core.failed(
                cx.host,
                &format!("a lookup failed ({failure:?}); the request passes"),
            );
            cx.core.metrics.bypasses.increment();
            exchange.forward = Some(Forward::Bypass);
            return Next::Forward;
        }
    };
    let directives = exchange.directives();
    let Some(stored) = looked.stored else {
        if directives.only_if_cached {
            return gateway_timeout(cx, exchange);
        }
        exchange.forward = Some(if looked.has_variants {
            Forward::VaryMiss
        } else {
            Forward::UriMiss
        });
        let occasion = if looked.alone || occasion == Occasion::Failed {
            Occasion::Alone
        } else {
            occasion
        };
        if looked.has_variants && occasion != Occasion::Alone {
            if let Some(next) = wait_for_the_first(cx, shared, exchange) {
                return next;
            }
        }
        let lacking = Lacking {
            seen: looked.seen,
            unshared: looked.alone,
            ..Lacking::default()
        };
        return go(cx, shared, exchange, lacking, occasion);
    };
    let Content::Response { meta, headers, .. } = &stored.entry.content else {
        return Next::Forward;
    };
    let (purged, seen) = (stored.purged, looked.seen);
    match decide(meta, cx.now, &directives, purged) {
        Use::Fresh => {
            // Who wants what is stored or nothing is not sent to the origin, neither here nor below.
            let asks = occasion == Occasion::First && !directives.only_if_cached;
            if asks && is_due(cx, exchange, meta) {
                if let Some(next) = refresh(cx, exchange, &stored, seen, Forward::Early) {
                    return next;
                }
            }
            serve(cx, exchange, &stored, "", &cx.core.metrics.hits)
        }
        Use::MaxStale => {
            let counter = &cx.core.metrics.stale_max_stale;
            serve(cx, exchange, &stored, "max-stale", counter)
        }
        Use::WhileRevalidate => {
            if !directives.only_if_cached {
                if let Some(next) = refresh(cx, exchange, &stored, seen, Forward::Stale) {
                    return next;
                }
            }
            let counter = &cx.core.metrics.stale_while_revalidate;
            let detail = "stale-while-revalidate";
            serve(cx, exchange, &stored, detail, counter)
        }
        Use::Validate(_) if directives.only_if_cached => gateway_timeout(cx, exchange),
        Use::Validate(why) => {
            exchange.forward = Some(match why {
                // The word for what could be used but for the request (RFC 9211, section 2.2).
                Why::Request if is_fresh(meta, cx.now, purged) => Forward::Request,
                Why::Request | Why::Stale => Forward::Stale,
            });
            // The origin has just failed another one: asking again for each of those who waited with it would gain nothing.
            if occasion == Occasion::Failed && on_error(meta, cx.now, &directives, purged) {
                let counter = &cx.core.metrics.stale_if_error;
                let next = serve(cx, exchange, &stored, "stale-if-error", counter);
                if next == Next::Replied {
                    cx.core.metrics.stale_if_error_coalesced.increment();
                }
                return next;
            }
            let has_validator = crate::http::storable::has_validator(headers);
            // Who asks for a validation wants the origin's own word, and not what another request has brought.
            let occasion = match occasion {
                _ if why == Why::Request => Occasion::Alone,
                // Without a copy that may stand in, what waited for a failure goes on by itself.
                Occasion::Failed => Occasion::Alone,
                occasion => occasion,
            };
            let lacking = Lacking {
                stored: Some(stored),
                has_validator,
                seen,
                unshared: false,
            };
            go(cx, shared, exchange, lacking, occasion)
        }
    }
}

fn is_due(cx: Cx<'_>, exchange: &Exchange, meta: &Meta) -> bool {
    let algorithm = exchange.settings.refresh.algorithm;
    exchange.request.method == Method::Get
        && !meta.immutable
        && due(
            algorithm,
            cx.now,
            meta.fresh_until(),
            meta.delta,
            cx.worker.table.unit(),
        )
}

fn plain(request: &Request) -> bool {
    request.method == Method::Get && request.range.is_none() && !request.conditions.any()
}

/// Whether a request can fetch what answers others too. With conditions of its own it asks for the whole instead: when nobody
/// has a copy but the browsers, a 304 for each of them would leave nothing to store, and all would go to the origin.
fn can_fill(exchange: &Exchange) -> bool {
    let request = &exchange.request;
    plain(request)
        || request.method == Method::Get
            && request.range.is_none()
            && exchange.settings.coalesce.conditional
            && !request.conditions.asks_for_none()
}

/// Why a request cannot be answered from here.
#[derive(Debug, Default)]
struct Lacking {
    /// What is stored must be validated first.
    stored: Option<Found>,
    /// It can be.
    has_validator: bool,
    /// As of when.
    seen: Option<Seen>,
    /// An answer could not be shared.
    unshared: bool,
}

/// To the origin, as the one for all where that is possible, or behind another one.
fn go(
    cx: Cx<'_>,
    shared: &Shared,
    exchange: &mut Exchange,
    lacking: Lacking,
    occasion: Occasion,
) -> Next {
    let Lacking {
        stored,
        has_validator,
        seen,
        mut unshared,
    } = lacking;
    let settings = std::rc::Rc::clone(&exchange.settings);
    let may_store = !exchange.directives().no_store;
    let ruled_out = exchange.is_ruled_out();
    // Without validators a range or a condition can only be the origin's to answer.
    let leads = may_store
        && !ruled_out
        && (can_fill(exchange) || (has_validator && exchange.request.method == Method::Get));
    let mut leader = None;
    if settings.coalesce.enabled && occasion != Occasion::Alone && may_store && !ruled_out {
        match (exchange.flight(), cx.worker.queue(cx.host)) {
            (Some(fingerprint), Some(queue)) => {
                let wish = if leads {
                    Wish::LeadOrWait(queue)
                } else {
                    Wish::Wait(queue)
                };
                let number = cx.worker.table.bits();
                let lease = Lease {
                    leader: number,
                    until: cx.now.saturating_add(settings.coalesce.lease),
                    now: cx.now,
                };
                match join(cx.host, fingerprint, wish, lease) {
                    Ok(Joined::Leads) => {
                        if !exchange.looked_again && is_outrun(cx, exchange, seen) {
                            exchange.looked_again = true;
                            cx.worker.end_flight(
                                cx,
                                fingerprint,
                                number,
                                Told::LookAgain,
                                Sharing::Unknown,
                            );
                            return settle(cx, shared, exchange, occasion);
                        }
                        cx.worker
                            .lead(number, fingerprint, cx.now, settings.coalesce.lease);
                        leader = Some(number);
                    }
                    Ok(Joined::Waits) if cx.worker.has_room() => {
                        return wait(cx, shared, exchange, fingerprint);
                    }
                    Ok(Joined::Unshared(until)) => {
                        unshared = true;
                        // Only what is known to be absent need not be looked for.
                        if let Some(seen) = seen.filter(|_| stored.is_none()) {
                            cx.worker.let_go_alone(fingerprint, seen, until);
                        }
                    }
                    Ok(Joined::Waits | Joined::Taken | Joined::Alone) => {}
                    Err(_) => cx.core.failed(cx.host, "requests could not be coalesced"),
                }
            }
            _ => cx.core.failed(cx.host, "requests could not be coalesced"),
        }
    }
    let fetch = Fetch {
        leader,
        store: may_store && !ruled_out,
        stale: stored,
        unshared,
        ..Fetch::default()
    };
    depart(cx, exchange, fetch)
}

/// Sends a request to the origin, with the validators of what is stored.
pub(super) fn depart(cx: Cx<'_>, exchange: &mut Exchange, mut fetch: Fetch) -> Next {
    exchange.asked = cx.now;
    if let Some(stored) = &fetch.stale {
        fetch.validating = set_validators(cx, exchange, stored);
    }
    if fetch.leader.is_some() && !fetch.validating && can_fill(exchange) {
        drop_conditions(cx, exchange);
    }
    if fetch.stale.is_some() {
        standby::announce(cx, exchange, &fetch);
        cx.core.metrics.refreshes.increment();
    } else {
        cx.core.metrics.misses.increment();
    }
    exchange.phase = Phase::Fetching(fetch);
    Next::Forward
}

/// Refreshes while what is stored is served: in the background, or by this request. `None` when somebody else does it, or should
/// because nothing that this one brings is to be stored.
fn refresh(
    cx: Cx<'_>,
    exchange: &mut Exchange,
    stored: &Found,
    seen: Option<Seen>,
    why: Forward,
) -> Option<Next> {
    let Content::Response { headers, .. } = &stored.entry.content else {
        return None;
    };
    // Only a whole answer can refresh, or a word on what is stored.
    let can_ask = exchange.request.method == Method::Get
        && (can_fill(exchange) || crate::http::storable::has_validator(headers));
    if exchange.is_ruled_out() || !(can_ask || exchange.settings.refresh.background.is_some()) {
        return None;
    }
    let fingerprint = exchange.flight()?;
    let lease = exchange.settings.coalesce.lease;
    let number = cx.worker.table.bits();
    let until = cx.now.saturating_add(lease);
    // While what is stored may be used stale, one at a time tries, whatever the last one was answered; fresh, nobody needs to.
    let wish = if why == Forward::Stale {
        Wish::LeadInAnyCase
    } else {
        Wish::Lead
    };
    let joined = join(
        cx.host,
        fingerprint,
        wish,
        Lease {
            leader: number,
            until,
            now: cx.now,
        },
    );
    match joined {
        // Who has just refreshed it did so for this one as well.
        Ok(Joined::Leads) if is_outrun(cx, exchange, seen) => {
            cx.worker
                .end_flight(cx, fingerprint, number, Told::LookAgain, Sharing::Unknown);
            return None;
        }
        Ok(Joined::Leads) => {}
        // There is no place for another flight.
        Ok(Joined::Alone) if why == Forward::Stale && plain(&exchange.request) => {
            exchange.forward = Some(why);
            let fetch = Fetch {
                stale: Some(stored.clone()),
                store: true,
                ..Fetch::default()
            };
            return Some(depart(cx, exchange, fetch));
        }
        _ => return None,
    }
    cx.worker.lead(number, fingerprint, cx.now, lease);
    if why == Forward::Early {
        cx.core.metrics.refreshes_early.increment();
    }
    let fetch = Fetch {
        leader: Some(number),
        stale: Some(stored.clone()),
        store: true,
        ..Fetch::default()
    };
    if background::start(cx, exchange, &fetch) {
        return None;
    }
    if !can_ask {
        cx.worker
            .end_flight(cx, fingerprint, number, Told::LookAgain, Sharing::Unknown);
        return None;
    }
    exchange.forward = Some(why);
    Some(depart(cx, exchange, fetch))
}

/// Answers from what is stored.
fn serve(
    cx: Cx<'_>,
    exchange: &mut Exchange,
    stored: &Found,
    detail: &str,
    counter: &Tally,
) -> Next {
    let entry = &stored.entry;
    let (Some(mut answer), Content::Response { meta, .. }) =
        (Answer::of(entry, exchange), &entry.content)
    else {
        return Next::Forward;
    };
    let name = exchange.settings.cache_status.as_deref();
    let mut text = hit(
        name.unwrap_or_default(),
        meta,
        cx.now,
        stored.purged,
        exchange.forward.filter(|_| exchange.collapsed),
        detail,
    );
    if exchange.settings.access_log {
        let _ = cx
            .host
            .set_property("seawall.response_cache", text.as_bytes());
    }
    let end = text.len();
    push_age(&mut text, entry, cx.now);
    let (status, age) = text.split_at_checked(end).unwrap_or_default();
    answer.fields.push(("age", age.as_bytes()));
    if name.is_some() {
        answer.fields.push(("cache-status", status.as_bytes()));
    }
    if let Some(range) = &answer.content_range {
        answer.fields.push(("content-range", range.as_bytes()));
    }
    let replied = answer.send(cx.host, "seawall.response_cache.hit");
    exchange.retouch = answer.retouch(exchange.request.method);
    if replied.is_err() {
        cx.core
            .failed(cx.host, "an answer could not be sent; the request passes");
        cx.core.metrics.bypasses.increment();
        exchange.forward = Some(Forward::Bypass);
        return Next::Forward;
    }
    counter.increment();
    exchange.phase = Phase::Answered;
    Next::Replied
}

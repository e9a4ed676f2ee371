//! Asking the service, and what its answer, or its silence, makes of a request.

use super::waiting::{Asked, Ticket};
use super::{wire, METHOD, SERVICE};
use crate::answer;
use crate::config::{Fleet, OnError, OnFleetError, Settings};
use crate::decide::{count_work, passed, refuse, refused, rehearse, Blamed, Decided};
use crate::exchange::{settle, Exchange, Told};
use crate::filter::Filter;
use crate::key::Facts;
use crate::outcome::Outcome;
use crate::quota::{Quota, Remembered};
use crate::table;
use seawall_core::host::{Buffer, Host};
use seawall_core::shared::UpdateError;
use seawall_core::time::Span;
use std::cell::RefCell;
use std::rc::Rc;

/// The longest answer that is looked at: one for 64 limits takes a few KiB, and a worker keeps the memory that it once needed.
const LONGEST_ANSWER: usize = 1 << 20;

/// Asks the service about a request that everything here has admitted.
///
/// # Errors
/// When the host fails.
pub(crate) fn ask(
    host: &dyn Host,
    filter: &Filter,
    context: u32,
    exchange: &mut Exchange,
    facts: &Facts<'_>,
    mut asked: Asked,
) -> Result<Decided, UpdateError> {
    let settings = Rc::clone(&asked.settings);
    let Some(fleet) = &settings.fleet else {
        return Ok(Decided::Passes);
    };
    // What refuses nothing is asked apart: it changes neither the answer about the rest nor how long that takes.
    let (enforced, shadows): (Vec<_>, Vec<_>) = asked
        .tickets
        .into_iter()
        .partition(|ticket| ticket.enforced);
    if !shadows.is_empty() {
        let shadow = Asked {
            waits: None,
            settings: Rc::clone(&settings),
            tickets: shadows,
            paid: Vec::new(),
            admitted: Vec::new(),
            shadowed: false,
        };
        match call(host, filter, fleet, &shadow.tickets, false) {
            Some(token) => filter.waiting.add(token, shadow),
            None => failed(host, filter, &settings, &shadow.tickets),
        }
    }
    asked.tickets = enforced;
    if asked.tickets.is_empty() {
        passed(host, filter, &settings, &asked.admitted);
        exchange.note(host, &settings, Outcome::passed(asked.shadowed), None);
        return Ok(Decided::Passes);
    }
    let Some(token) = call(host, filter, fleet, &asked.tickets, true) else {
        return conclude(host, filter, fleet, exchange, facts, &asked, None);
    };
    exchange.settings = Some(settings);
    let shared = Rc::new(RefCell::new(std::mem::take(exchange)));
    asked.waits = Some((context, Rc::clone(&shared)));
    filter.waiting.add(token, asked);
    Ok(Decided::Waits(token, shared))
}

/// Starts the call. `None` when too many are open, or the host cannot.
fn call(
    host: &dyn Host,
    filter: &Filter,
    fleet: &Fleet,
    tickets: &[Ticket],
    waited_for: bool,
) -> Option<u32> {
    if !filter.waiting.has_room(fleet.max_waiting, waited_for) {
        return None;
    }
    let descriptors: Vec<(&[u8], u64)> = tickets
        .iter()
        .map(|ticket| (ticket.descriptor.as_slice(), ticket.cost))
        .collect();
    let message = wire::request(&fleet.domain, &descriptors);
    filter.metrics.fleet_calls.increment(host);
    host.grpc_call(&fleet.cluster, SERVICE, METHOD, &message, fleet.timeout)
        .ok()
}

/// The service has answered, or the call has failed: whoever waits for it goes on.
pub(crate) fn answered(host: &dyn Host, filter: &Filter, token: u32, status: u32, size: usize) {
    let Some(asked) = filter.waiting.take(token) else {
        return;
    };
    let settings = Rc::clone(&asked.settings);
    let Some(fleet) = &settings.fleet else {
        return;
    };
    let message = if status == 0 && (1..=LONGEST_ANSWER).contains(&size) {
        host.body(Buffer::GrpcReceive, 0, size).ok()
    } else {
        None
    };
    let answer = message.and_then(|message| wire::answer(&message));
    let Some((context, shared)) = &asked.waits else {
        return shadow(host, filter, fleet, &asked, answer.as_ref());
    };
    // A request that has ended meanwhile needs no decision.
    let Ok(mut exchange) = shared.try_borrow_mut() else {
        return;
    };
    if host.act_on(*context).is_err() {
        return;
    }
    let decided = Facts::new(host, 0)
        .map_err(UpdateError::Host)
        .and_then(|facts| {
            conclude(
                host,
                filter,
                fleet,
                &mut exchange,
                &facts,
                &asked,
                answer.as_ref(),
            )
        });
    let answered = match decided {
        Ok(Decided::Answered) => true,
        Ok(_) => false,
        Err(error) => {
            filter.trouble(host, || {
                format!("a request could not be decided about: {error:?}")
            });
            exchange.note(host, &settings, Outcome::Error, None);
            settings.on_error == OnError::Deny && answer::unavailable(host).is_ok()
        }
    };
    if !answered {
        if let Err(error) = host.resume_request() {
            filter.trouble(host, || format!("a request cannot go on: {error:?}"));
        }
    }
}

fn conclude(
    host: &dyn Host,
    filter: &Filter,
    fleet: &Fleet,
    exchange: &mut Exchange,
    facts: &Facts<'_>,
    asked: &Asked,
    answer: Option<&wire::Answer>,
) -> Result<Decided, UpdateError> {
    let settings = &*asked.settings;
    let outcome = match answer {
        Some(answer) => Ok(by_the_service(
            host, filter, fleet, settings, exchange, asked, answer,
        )),
        None => {
            failed(host, filter, settings, &asked.tickets);
            match fleet.on_error {
                OnFleetError::Local => by_ourselves(host, filter, settings, exchange, asked),
                OnFleetError::Allow => {
                    passed(host, filter, settings, &asked.admitted);
                    exchange.note(host, settings, Outcome::Error, None);
                    return Ok(Decided::Passes);
                }
                OnFleetError::Deny => {
                    take_back(host, filter, exchange, asked);
                    exchange.note(host, settings, Outcome::Error, None);
                    answer::unavailable(host).map_err(UpdateError::Host)?;
                    *exchange = Exchange::default();
                    return Ok(Decided::Answered);
                }
            }
        }
    };
    let blamed = match outcome {
        Ok(blamed) => blamed,
        Err(error) => {
            if settings.on_error == OnError::Deny {
                take_back(host, filter, exchange, asked);
            }
            return Err(error);
        }
    };
    if blamed.is_empty() {
        passed(host, filter, settings, &asked.admitted);
        for ticket in &asked.tickets {
            passed(host, filter, settings, &[ticket.limit]);
        }
        exchange.note(host, settings, Outcome::passed(asked.shadowed), None);
        return Ok(Decided::Passes);
    }
    take_back(host, filter, exchange, asked);
    for blame in &blamed {
        refused(host, filter, blame.limit, true);
    }
    let decided = refuse(host, filter, settings, exchange, facts, &blamed);
    *exchange = Exchange::default();
    decided
}

/// Takes back what was charged here.
fn take_back(host: &dyn Host, filter: &Filter, exchange: &mut Exchange, asked: &Asked) {
    exchange.open.clear();
    for paid in &asked.paid {
        let left = settle(host, filter, paid, 0);
        exchange.now_left(paid.limit, left);
    }
}

/// Counts that the service failed.
fn failed(host: &dyn Host, filter: &Filter, settings: &Settings, tickets: &[Ticket]) {
    filter.metrics.fleet_errors.increment(host);
    filter.service_trouble(host);
    for limit in tickets
        .iter()
        .filter_map(|ticket| settings.limits.get(ticket.limit))
    {
        filter.counters(host, limit).errors.increment(host);
    }
}

/// Each ticket that is over its limit, with what the client is to be told.
fn over<'a>(
    settings: &'a Settings,
    tickets: &'a [Ticket],
    answer: &'a wire::Answer,
) -> impl Iterator<Item = (&'a Ticket, Option<&'a wire::Status>, Option<Span>)> {
    let whole = answer.statuses.len() == tickets.len();
    // Who says no without saying why means all of them.
    let blames = whole && answer.statuses.iter().any(|status| status.over);
    tickets.iter().enumerate().map(move |(index, ticket)| {
        let status = answer.statuses.get(index).filter(|_| whole);
        let is_over = answer.over && (!blames || status.is_some_and(|status| status.over));
        let longest = || ticket.plan(settings)?.fleet.as_ref().map(|plan| plan.per);
        let wait = is_over.then(|| {
            let reset = status.and_then(|status| status.reset);
            reset.or_else(longest).unwrap_or_default()
        });
        (ticket, status, wait)
    })
}

/// What the service says is final. Returns the limits that refuse.
fn by_the_service<'s>(
    host: &dyn Host,
    filter: &Filter,
    fleet: &Fleet,
    settings: &'s Settings,
    exchange: &mut Exchange,
    asked: &Asked,
    answer: &wire::Answer,
) -> Vec<Blamed<'s>> {
    let mut blamed = Vec::new();
    for (ticket, status, wait) in over(settings, &asked.tickets, answer) {
        let most = ticket.plan(settings).and_then(|plan| plan.fleet.as_ref());
        let most = most.map_or(0, |plan| plan.gate.most());
        let told = match (wait, status) {
            // Less than was asked for, but not nothing where a request costs several.
            (Some(wait), status) => {
                let counted = status.filter(|status| status.requests.is_some());
                let left = counted.map_or(0, |status| status.remaining);
                Some((left.min(ticket.cost.saturating_sub(1)), Some(wait)))
            }
            // A status without a number is one of a service that does not count for this descriptor.
            (None, Some(status)) => status.requests.map(|_| (status.remaining, status.reset)),
            (None, None) => None,
        };
        if let Some((remaining, more)) = told {
            exchange.told.push(Told {
                limit: ticket.limit,
                tier: ticket.tier,
                most: status.and_then(|status| status.requests).unwrap_or(most),
                remaining,
                more,
            });
        }
        if let Some(wait) = wait {
            remember(host, filter, fleet, settings, ticket, status, wait);
            let possible = most_of(settings, ticket, status) >= ticket.cost;
            let limit = settings.limits.get(ticket.limit);
            blamed.extend(
                limit
                    .zip(ticket.claim(settings, false))
                    .map(|(limit, claim)| Blamed {
                        index: ticket.limit,
                        limit,
                        claim,
                        wait: possible.then_some(wait),
                    }),
            );
        }
    }
    blamed
}

/// What costs more is never admitted, as far as the service says or was told.
fn most_of(settings: &Settings, ticket: &Ticket, status: Option<&wire::Status>) -> u64 {
    let said = status.and_then(|status| status.requests);
    let told = || match ticket.plan(settings)?.fleet.as_ref()?.gate {
        Quota::Remembered(gate) => Some(gate.most),
        _ => None,
    };
    said.or_else(told).unwrap_or(u64::MAX)
}

/// The least that is too much: what was asked for, or one more than is left, where the service says how much that is.
fn least_of(ticket: &Ticket, status: Option<&wire::Status>) -> u64 {
    let counted = status.filter(|status| status.requests.is_some());
    let left = counted.map_or(u64::MAX, |status| status.remaining);
    ticket.cost.min(left.saturating_add(1))
}

/// Remembers that a key is over its limit, so that a flood does not reach the service.
fn remember(
    host: &dyn Host,
    filter: &Filter,
    fleet: &Fleet,
    settings: &Settings,
    ticket: &Ticket,
    status: Option<&wire::Status>,
    told: Span,
) {
    let kept = match status.and_then(|status| status.reset) {
        Some(reset) => reset,
        None => fleet.remember.min(told),
    };
    let place = (ticket.slot, ticket.tags.0);
    let remembered = host.now().map_err(UpdateError::Host).and_then(|now| {
        let state = Remembered::over(now, kept, told, least_of(ticket, status));
        table::hold(host, &filter.table(host), now, place, state)
    });
    match (remembered, settings.limits.get(ticket.limit)) {
        (Ok(true), Some(limit)) => filter.counters(host, limit).live_evictions.increment(host),
        (Ok(_), _) => {}
        (Err(error), _) => {
            filter.trouble(host, || format!("an answer is not remembered: {error:?}"));
        }
    }
}

/// The service fails, and each Envoy keeps the limit for itself.
fn by_ourselves<'s>(
    host: &dyn Host,
    filter: &Filter,
    settings: &'s Settings,
    exchange: &mut Exchange,
    asked: &'s Asked,
) -> Result<Vec<Blamed<'s>>, UpdateError> {
    let asking: Vec<_> = asked
        .tickets
        .iter()
        .filter_map(|ticket| {
            let limit = settings.limits.get(ticket.limit)?;
            Some((ticket, limit, ticket.claim(settings, true)?))
        })
        .collect();
    let claims: Vec<_> = asking.iter().map(|(_, _, claim)| *claim).collect();
    let now = host.now().map_err(UpdateError::Host)?;
    let decision = table::decide(host, &filter.table(host), now, &claims)?;
    let of = |index: usize| asking.get(index).map(|(_, limit, _)| *limit);
    count_work(host, filter, of, &decision);
    let mut blamed = Vec::new();
    for ((ticket, limit, claim), verdict) in asking.iter().zip(&decision.verdicts) {
        exchange.told.push(Told {
            limit: ticket.limit,
            tier: ticket.tier,
            most: claim.quota.most(),
            remaining: verdict.remaining,
            more: verdict.more,
        });
        if !verdict.admitted {
            blamed.push(Blamed {
                index: ticket.limit,
                limit,
                claim: *claim,
                wait: verdict.wait,
            });
        }
    }
    Ok(blamed)
}

/// The answer about limits that refuse nothing.
fn shadow(
    host: &dyn Host,
    filter: &Filter,
    fleet: &Fleet,
    asked: &Asked,
    answer: Option<&wire::Answer>,
) {
    let settings = &*asked.settings;
    let Some(answer) = answer else {
        return failed(host, filter, settings, &asked.tickets);
    };
    for (ticket, status, wait) in over(settings, &asked.tickets, answer) {
        match (wait, settings.limits.get(ticket.limit)) {
            (Some(wait), Some(limit)) => {
                refused(host, filter, limit, false);
                if let (Some(claim), Ok(now)) = (ticket.claim(settings, false), host.now()) {
                    rehearse(host, filter, now, limit, &claim);
                }
                remember(host, filter, fleet, settings, ticket, status, wait);
            }
            _ => passed(host, filter, settings, &[ticket.limit]),
        }
    }
}

//! The decision about a request on its way in.

use crate::answer;
use crate::claims::{collect, Claimed, Collected};
use crate::config::{Limit, Settings};
use crate::exchange::{Exchange, Open, Shared, Told};
use crate::filter::Filter;
use crate::fleet;
use crate::key::Facts;
use crate::outcome::Outcome;
use crate::quota::{Ask, Quota, Verdict};
use crate::sole;
use crate::table::{self, Claim, Decision};
use seawall_core::host::Host;
use seawall_core::shared::UpdateError;
use seawall_core::time::{Span, Timestamp};
use std::rc::Rc;

/// What becomes of a request.
#[derive(Debug)]
pub(crate) enum Decided {
    /// It goes on.
    Passes,
    /// It was answered.
    Answered,
    /// It waits for the answer to the call with this token; that is decided over what is kept there.
    Waits(u32, Shared),
}

/// Why nothing can be said about a request.
#[derive(Debug)]
pub(crate) enum Undecided {
    /// The storage fails.
    #[allow(dead_code, reason = "read for the log line only")]
    Storage(UpdateError),
    /// More limits are for it than can be decided about together.
    TooManyLimits,
}

impl From<UpdateError> for Undecided {
    fn from(error: UpdateError) -> Self {
        Undecided::Storage(error)
    }
}

/// Asks all limits about a request.
///
/// # Errors
/// When the host fails.
pub(crate) fn decide(
    host: &dyn Host,
    filter: &Filter,
    settings: &Rc<Settings>,
    context: u32,
    exchange: &mut Exchange,
) -> Result<Decided, Undecided> {
    let facts = Facts::new(host, settings.headers_needed).map_err(UpdateError::Host)?;
    exchange.at = host.now().map_err(UpdateError::Host)?;
    match &settings.sole {
        Some(hasher) => sole::decide(host, filter, settings, hasher, &facts, exchange),
        None => several(host, filter, settings, context, &facts, exchange),
    }
}

/// Asks limits of all kinds. Kept apart in the module, too: code that is not run is not to lie between that which is.
#[inline(never)]
fn several(
    host: &dyn Host,
    filter: &Filter,
    settings: &Rc<Settings>,
    context: u32,
    facts: &Facts<'_>,
    exchange: &mut Exchange,
) -> Result<Decided, Undecided> {
    let collected =
        collect(host, filter, settings, facts, exchange.at).map_err(UpdateError::Host)?;
    let (claimed, beside) = match collected {
        Collected::Exempt => {
            exchange.note(host, settings, Outcome::Exempt, None);
            return Ok(Decided::Passes);
        }
        Collected::Incomplete(limit) => {
            let name = settings.limits.get(limit).map(|limit| limit.name.as_str());
            let name = name.unwrap_or_default();
            return Ok(incomplete(host, facts, settings, exchange, name)?);
        }
        Collected::TooMany => return Err(Undecided::TooManyLimits),
        Collected::Claims(claimed, beside) if claimed.is_empty() => {
            passed(host, filter, settings, &beside.free);
            if beside.lacking || !beside.free.is_empty() {
                exchange.note(host, settings, Outcome::passed(beside.lacking), None);
            }
            return Ok(Decided::Passes);
        }
        Collected::Claims(claimed, beside) => (claimed, beside),
    };
    let decision = ask_table(host, filter, exchange.at, &claimed)?;
    for (claimed, verdict) in claimed.iter().zip(&decision.verdicts) {
        if !verdict.admitted {
            not_admitted(host, filter, exchange.at, claimed);
        }
        tell(exchange, claimed, verdict, decision.admitted);
    }
    if !decision.admitted {
        let blamed = blamed(&claimed, &decision);
        return Ok(refuse(host, filter, settings, exchange, facts, &blamed)?);
    }
    let only_watches =
        |(claimed, verdict): (&Claimed<'_>, &Verdict)| !claimed.claim.enforced && !verdict.admitted;
    let shadowed = beside.lacking || claimed.iter().zip(&decision.verdicts).any(only_watches);
    let Admitted {
        limits,
        tickets,
        paid,
    } = admit(exchange, claimed, &decision, beside.free);
    if tickets.is_empty() {
        passed(host, filter, settings, &limits);
        exchange.note(host, settings, Outcome::passed(shadowed), None);
        return Ok(Decided::Passes);
    }
    let asked = fleet::Asked {
        waits: None,
        settings: Rc::clone(settings),
        tickets,
        paid,
        admitted: limits,
        shadowed,
    };
    Ok(fleet::ask(host, filter, context, exchange, facts, asked)?)
}

/// Decides about all claims together, and counts what that took.
fn ask_table(
    host: &dyn Host,
    filter: &Filter,
    at: Timestamp,
    claimed: &[Claimed<'_>],
) -> Result<Decision, UpdateError> {
    let claims: Vec<_> = claimed.iter().map(|claimed| claimed.claim).collect();
    let table = filter.table(host);
    let decision = table::decide(host, &table, at, &claims).inspect_err(|_| {
        for claimed in claimed {
            filter.counters(host, claimed.limit).errors.increment(host);
        }
    })?;
    let of = |index: usize| claimed.get(index).map(|claimed| claimed.limit);
    count_work(host, filter, of, &decision);
    Ok(decision)
}

/// Counts for a limit that does not admit a request, with what follows from it where the limit only watches.
fn not_admitted(host: &dyn Host, filter: &Filter, at: Timestamp, claimed: &Claimed<'_>) {
    let enforced = claimed.claim.enforced;
    refused(host, filter, claimed.limit, enforced);
    if !enforced {
        rehearse(host, filter, at, claimed.limit, &claimed.claim);
    }
}

/// Keeps for the response's fields what a limit said. What a service keeps, nobody knows until it has answered.
fn tell(exchange: &mut Exchange, claimed: &Claimed<'_>, verdict: &Verdict, admitted: bool) {
    if !claimed.claim.enforced || (claimed.fleet.is_some() && verdict.admitted) {
        return;
    }
    // What would have been charged is still there when another limit refuses.
    let (remaining, more) = if verdict.admitted && !admitted {
        before(&claimed.claim, verdict, exchange.at)
    } else {
        (verdict.remaining, verdict.more)
    };
    exchange.told.push(Told {
        limit: claimed.index,
        tier: claimed.tier,
        most: claimed.claim.quota.most(),
        remaining,
        more,
    });
}

/// The limits that refuse a request.
fn blamed<'s>(claimed: &[Claimed<'s>], decision: &Decision) -> Vec<Blamed<'s>> {
    let all = claimed.iter().zip(&decision.verdicts);
    all.filter(|(claimed, verdict)| claimed.claim.enforced && !verdict.admitted)
        .map(|(claimed, verdict)| Blamed {
            index: claimed.index,
            limit: claimed.limit,
            claim: claimed.claim,
            wait: verdict.wait,
        })
        .collect()
}

/// What remains to be done about a request that everything here admits.
struct Admitted {
    /// The limits that have admitted it.
    limits: Vec<usize>,
    /// What a service is asked.
    tickets: Vec<fleet::Ticket>,
    /// What is charged here, and is taken back where the service refuses.
    paid: Vec<Open>,
}

/// Keeps open what is settled by the response, or given back at the end.
fn admit(
    exchange: &mut Exchange,
    claimed: Vec<Claimed<'_>>,
    decision: &Decision,
    free: Vec<usize>,
) -> Admitted {
    let asks = claimed.iter().any(|claimed| claimed.fleet.is_some());
    let mut admitted = Admitted {
        limits: free,
        tickets: Vec::new(),
        paid: Vec::new(),
    };
    for (claimed, verdict) in claimed.into_iter().zip(&decision.verdicts) {
        if !verdict.admitted {
            continue;
        }
        if let Some(ticket) = claimed.fleet {
            admitted.tickets.push(ticket);
            continue;
        }
        admitted.limits.push(claimed.index);
        let open = Open {
            limit: claimed.index,
            quota: *claimed.claim.quota,
            place: (claimed.claim.slot, claimed.claim.tag),
            at: claimed.claim.quota.booked(verdict.charged, exchange.at),
            charged: claimed.claim.ask.cost,
            cost: claimed.cost,
        };
        let concurrent = matches!(open.quota, Quota::Concurrency(_)) && open.charged > 0;
        if concurrent || claimed.limit.charge.is_some() {
            exchange.open.push(open);
        }
        if asks && open.charged > 0 {
            admitted.paid.push(open);
        }
    }
    admitted
}

/// What is left of a limit without the charge that its verdict speaks of.
fn before(claim: &Claim<'_>, verdict: &Verdict, at: Timestamp) -> table::Left {
    let cost = claim.ask.cost;
    let booked = claim.quota.booked(verdict.charged, at);
    let state = claim.quota.refund(verdict.charged, booked, cost);
    let nothing = Ask { need: 0, cost: 0 };
    let as_it_was = claim.quota.check(Some(state), at, nothing);
    (verdict.remaining.saturating_add(cost), as_it_was.more)
}

/// Counts what a decision took: lost races at its first limit, evictions at the limits that they were for.
pub(crate) fn count_work<'s>(
    host: &dyn Host,
    filter: &Filter,
    limit: impl Fn(usize) -> Option<&'s Limit>,
    decision: &Decision,
) {
    if let Some(first) = limit(0) {
        let retries = filter.counters(host, first).swap_retries;
        retries.add(host, u64::from(decision.conflicts));
    }
    for evicting in decision.evicted.iter().filter_map(|claim| limit(*claim)) {
        let evictions = filter.counters(host, evicting).live_evictions;
        evictions.increment(host);
    }
}

/// Counts a refusal, or what would have been one.
pub(crate) fn refused(host: &dyn Host, filter: &Filter, limit: &Limit, enforced: bool) {
    let metrics = filter.counters(host, limit);
    if enforced {
        metrics.refused.increment(host);
    } else {
        metrics.shadow_refused.increment(host);
    }
}

/// Counts a request for the limits that have admitted it.
pub(crate) fn passed(host: &dyn Host, filter: &Filter, settings: &Settings, admitted: &[usize]) {
    for limit in admitted
        .iter()
        .filter_map(|limit| settings.limits.get(*limit))
    {
        filter.counters(host, limit).allowed.increment(host);
    }
}

/// Answers a request whose key lacks a part, which the limit of this name refuses.
///
/// # Errors
/// When the host fails.
#[inline(never)]
pub(crate) fn incomplete(
    host: &dyn Host,
    facts: &Facts<'_>,
    settings: &Settings,
    exchange: &Exchange,
    name: &str,
) -> Result<Decided, UpdateError> {
    exchange.note(host, settings, Outcome::Refused, Some(name));
    let refusal = answer::Refusal {
        violated: &[name],
        wait: None,
        banned: false,
        shown: &[],
    };
    send(host, facts, settings, &refusal)
}

/// A limit that refuses a request.
pub(crate) struct Blamed<'s> {
    pub(crate) index: usize,
    pub(crate) limit: &'s Limit,
    pub(crate) claim: Claim<'s>,
    pub(crate) wait: Option<Span>,
}

/// Notes a refusal where the limit has consequences for refused requests.
#[inline(never)]
fn note(
    host: &dyn Host,
    filter: &Filter,
    at: Timestamp,
    limit: &Limit,
    claim: &Claim<'_>,
) -> Option<table::Noted> {
    if !limit.count_refused && limit.penalty.is_none() {
        return None;
    }
    let table = filter.table(host);
    match table::now_refused(host, &table, at, claim, limit.count_refused) {
        Ok(noted) => Some(noted),
        Err(error) => {
            filter.trouble(host, || format!("a refusal is not noted: {error:?}"));
            None
        }
    }
}

/// Notes what would have been a refusal, so that a limit that only watches counts what it would refuse later on, too. Where a
/// share is refused, those refusals alone have consequences.
pub(crate) fn rehearse(
    host: &dyn Host,
    filter: &Filter,
    at: Timestamp,
    limit: &Limit,
    claim: &Claim<'_>,
) {
    if limit.shadow || limit.enforce <= 0.0 {
        note(host, filter, at, limit, claim);
    }
}

/// Answers a request that is refused.
///
/// # Errors
/// When the host fails.
#[inline(never)]
pub(crate) fn refuse(
    host: &dyn Host,
    filter: &Filter,
    settings: &Settings,
    exchange: &mut Exchange,
    facts: &Facts<'_>,
    blamed: &[Blamed<'_>],
) -> Result<Decided, UpdateError> {
    let mut wait = Some(Span::ZERO);
    let mut banned = false;
    for blame in blamed {
        let mut own = blame.wait;
        let noted = note(host, filter, exchange.at, blame.limit, &blame.claim);
        if let Some(noted) = noted {
            banned |= noted.banned.is_some();
            own = own.map(|own| own.max(noted.wait).max(noted.banned.unwrap_or_default()));
            exchange.now_left(blame.index, noted.left);
        }
        wait = wait.zip(own).map(|(wait, own)| wait.max(own));
    }
    let violated: Vec<&str> = blamed
        .iter()
        .map(|blame| blame.limit.name.as_str())
        .collect();
    exchange.note(host, settings, Outcome::Refused, violated.first().copied());
    let refusal = answer::Refusal {
        violated: &violated,
        wait,
        banned,
        shown: &exchange.shown(settings),
    };
    send(host, facts, settings, &refusal)
}

fn send(
    host: &dyn Host,
    facts: &Facts<'_>,
    settings: &Settings,
    refusal: &answer::Refusal<'_>,
) -> Result<Decided, UpdateError> {
    answer::refuse(host, facts, &settings.answers, settings.headers, refusal)
        .map_err(UpdateError::Host)?;
    Ok(Decided::Answered)
}

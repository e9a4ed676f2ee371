//! The decision where there is one limit and it is an ordinary one, as for most requests there are: the same as
//! [`crate::decide`] comes to, without lists.

use crate::claims::placed;
use crate::config::{Cost, Limit, Missing, Settings};
use crate::decide::{incomplete, refuse, refused, Blamed, Decided, Undecided};
use crate::exchange::{Exchange, Told};
use crate::filter::Filter;
use crate::key::{hasher_of, key_of, Facts, Key, Part};
use crate::outcome::Outcome;
use crate::quota::Ask;
use crate::table::{self, Claim};
use seawall_core::hash::KeyHasher;
use seawall_core::host::{Answer, Host};
use seawall_core::shared::UpdateError;
use std::cell::OnceCell;

/// Asks the only limit about a request.
///
/// # Errors
/// When the host fails.
pub(crate) fn decide(
    host: &dyn Host,
    filter: &Filter,
    settings: &Settings,
    hasher: &OnceCell<KeyHasher>,
    facts: &Facts<'_>,
    exchange: &mut Exchange,
) -> Result<Decided, Undecided> {
    let Some(limit) = settings.limits.first() else {
        return Ok(Decided::Passes);
    };
    let (Some(quota), Cost::Fixed(cost)) = (&limit.plan.quota, &limit.cost) else {
        return Ok(Decided::Passes);
    };
    let key = key(host, filter, settings, limit, hasher, facts).map_err(UpdateError::Host)?;
    if !key.complete {
        match limit.missing {
            Missing::Shared => {}
            Missing::Skip => return Ok(Decided::Passes),
            Missing::Deny => {
                refused(host, filter, limit, true);
                return Ok(incomplete(host, facts, settings, exchange, &limit.name)?);
            }
        }
    }
    let table = filter.table(host);
    let claim = Claim {
        slot: key.fingerprint.slot(table.slots),
        tag: (key.fingerprint.tag() ^ limit.plan.identity).max(1),
        quota,
        ask: Ask::of(*cost),
        enforced: true,
        penalty: None,
        before: table.slot_before(key.fingerprint, exchange.at, || limit.longest(quota)),
    };
    let counters = filter.counters(host, limit);
    let one = table::decide_one(host, &table, exchange.at, &claim)
        .inspect_err(|_| counters.errors.increment(host))?;
    counters.swap_retries.add(host, u64::from(one.conflicts));
    counters.live_evictions.add(host, u64::from(one.evicted));
    exchange.told.push(Told {
        limit: 0,
        tier: None,
        most: quota.most(),
        remaining: one.verdict.remaining,
        more: one.verdict.more,
    });
    if !one.verdict.admitted {
        counters.refused.increment(host);
        let blamed = [Blamed {
            index: 0,
            limit,
            claim,
            wait: one.verdict.wait,
        }];
        return Ok(refuse(host, filter, settings, exchange, facts, &blamed)?);
    }
    counters.allowed.increment(host);
    exchange.note(host, settings, Outcome::Allowed, None);
    Ok(Decided::Passes)
}

fn key(
    host: &dyn Host,
    filter: &Filter,
    settings: &Settings,
    limit: &Limit,
    hasher: &OnceCell<KeyHasher>,
    facts: &Facts<'_>,
) -> Answer<Key> {
    let parts = settings.keys.get(limit.key).map_or(&[][..], Vec::as_slice);
    let hasher = match hasher.get() {
        Some(hasher) => hasher,
        None => begin(host, filter, parts, hasher)?,
    };
    let mut key = key_of(parts, facts, hasher.clone(), |_, _| {})?;
    key.fingerprint = placed(key.fingerprint, parts, limit.plan.identity);
    Ok(key)
}

#[cold]
fn begin<'h>(
    host: &dyn Host,
    filter: &Filter,
    parts: &[Part],
    hasher: &'h OnceCell<KeyHasher>,
) -> Answer<&'h KeyHasher> {
    let secret = filter.secret(host)?;
    Ok(hasher.get_or_init(|| hasher_of(parts, &secret)))
}

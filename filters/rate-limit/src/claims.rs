//! Which limits a request is asked about, and what it asks of each.

use crate::config::{Cost, Limit, Missing, Plan, Settings};
use crate::filter::Filter;
use crate::fleet::{descriptor, Ticket};
use crate::key::{hasher_of, key_of, Facts, Key, Part};
use crate::quota::{Ask, Quota};
use crate::rules::one_matches;
use crate::table::{Claim, MOST};
use seawall_core::hash::{Fingerprint, Secret};
use seawall_core::host::{Answer, Host};
use seawall_core::time::Timestamp;

/// Makes the tag of a limit's penalty from that of its counter.
const PENALTY: u64 = 0x79b9_7f4a_7c15;

/// Makes the tag of what is remembered of a service from that of the count that stands in for it.
const REMEMBERED: u64 = 0x4a32_d192_ed03;

/// A claim and where it comes from.
pub(crate) struct Claimed<'s> {
    pub(crate) claim: Claim<'s>,
    pub(crate) limit: &'s Limit,
    pub(crate) index: usize,
    pub(crate) tier: Option<usize>,
    /// What the request costs, whatever is charged for now.
    pub(crate) cost: u64,
    /// The question to the service, where one keeps the limit.
    pub(crate) fleet: Option<Ticket>,
}

/// What limits say without a look at the table.
#[derive(Default)]
pub(crate) struct Beside {
    /// One that refuses nothing would have refused the request, whose key lacks a part.
    pub(crate) lacking: bool,
    /// Limits that a service keeps, and that the request costs nothing of.
    pub(crate) free: Vec<usize>,
}

/// What a request is asked about.
pub(crate) enum Collected<'s> {
    /// Nothing, by the exemptions for all limits.
    Exempt,
    /// Its key lacks a part, which this limit refuses.
    Incomplete(usize),
    /// More than a slot can hold together.
    TooMany,
    /// These limits, and what those said that need no look at the table.
    Claims(Vec<Claimed<'s>>, Beside),
}

/// A key and the values it was made of, where somebody asks for them.
struct Known {
    key: Key,
    values: Vec<Option<Vec<u8>>>,
}

/// The keys of a request, each made when the first limit asks for it.
struct Keys<'s> {
    settings: &'s Settings,
    secret: Secret,
    known: Vec<Option<Known>>,
}

impl<'s> Keys<'s> {
    fn new(settings: &'s Settings, secret: Secret) -> Self {
        let mut known = Vec::with_capacity(settings.keys.len());
        known.resize_with(settings.keys.len(), || None);
        Keys {
            settings,
            secret,
            known,
        }
    }

    /// A limit's key, and what it is made of.
    fn of(&mut self, limit: &Limit, facts: &Facts<'_>) -> Answer<Option<(&'s [Part], &Known)>> {
        let (Some(parts), Some(place)) = (
            self.settings.keys.get(limit.key),
            self.known.get_mut(limit.key),
        ) else {
            return Ok(None);
        };
        if let Some(known) = place {
            return Ok(Some((parts, known)));
        }
        let wanted = self.settings.valued.get(limit.key) == Some(&true);
        let mut values = Vec::new();
        let hasher = self.settings.hashers.get(limit.key);
        let begin = || hasher_of(parts, &self.secret);
        let hasher = hasher.map_or_else(begin, |known| known.get_or_init(begin).clone());
        let key = key_of(parts, facts, hasher, |part, value| {
            if wanted {
                values.resize(part, None);
                values.push(Some(value.to_vec()));
            }
        })?;
        Ok(Some((parts, place.insert(Known { key, values }))))
    }
}

/// What the limits of the settings ask for a request.
///
/// # Errors
/// When the host fails.
pub(crate) fn collect<'s>(
    host: &dyn Host,
    filter: &Filter,
    settings: &'s Settings,
    facts: &Facts<'_>,
    now: Timestamp,
) -> Answer<Collected<'s>> {
    if one_matches(&settings.exempt, facts)? {
        filter.metrics.exempt.increment(host);
        return Ok(Collected::Exempt);
    }
    let table = filter.table(host);
    let mut keys = Keys::new(settings, filter.secret(host)?);
    let mut claims = Vec::with_capacity(settings.entries);
    let mut entries = 0usize;
    let mut beside = Beside::default();
    for (index, limit) in settings.limits.iter().enumerate() {
        if !limit.matches.is_empty() && !one_matches(&limit.matches, facts)? {
            continue;
        }
        if one_matches(&limit.exempt, facts)? {
            filter.counters(host, limit).exempt.increment(host);
            continue;
        }
        let Some((parts, known)) = keys.of(limit, facts)? else {
            continue;
        };
        if !known.key.complete {
            match limit.missing {
                Missing::Shared => {}
                Missing::Skip => continue,
                Missing::Deny if enforced(host, limit)? => {
                    filter.counters(host, limit).refused.increment(host);
                    return Ok(Collected::Incomplete(index));
                }
                Missing::Deny => {
                    filter.counters(host, limit).shadow_refused.increment(host);
                    beside.lacking = true;
                    continue;
                }
            }
        }
        let (tier, plan) = plan_for(limit, &known.values, facts)?;
        let Some(quota) = &plan.quota else {
            filter.counters(host, limit).exempt.increment(host);
            continue;
        };
        let cost = cost_of(limit, facts)?;
        let fingerprint = placed(known.key.fingerprint, parts, plan.identity);
        let tag = (fingerprint.tag() ^ plan.identity).max(1);
        let penalty = limit.penalty.as_ref();
        let mut claimed = Claimed {
            claim: Claim {
                slot: fingerprint.slot(table.slots),
                tag,
                quota,
                ask: ask_of(limit, cost),
                before: table.slot_before(fingerprint, now, || limit.longest(quota)),
                enforced: enforced(host, limit)?,
                penalty: penalty.map(|penalty| ((tag ^ PENALTY).max(1), penalty)),
            },
            limit,
            index,
            tier,
            cost,
            fleet: None,
        };
        if let Some(fleet) = &plan.fleet {
            if cost == 0 {
                beside.free.push(index);
                continue;
            }
            let descriptor = descriptor(limit, plan, parts, &known.values);
            ask_the_service(&mut claimed, &fleet.gate, descriptor);
        }
        let own = if penalty.is_some() { 2 } else { 1 };
        entries = entries.saturating_add(own);
        claims.push(claimed);
    }
    if entries > MOST {
        return Ok(Collected::TooMany);
    }
    Ok(Collected::Claims(claims, beside))
}

/// The fingerprint by which a counter has its slot. All that have no key would meet in one.
pub(crate) fn placed(key: Fingerprint, parts: &[Part], identity: u64) -> Fingerprint {
    if parts.is_empty() {
        // Its 48 bits become the upper ones, which choose the slot.
        Fingerprint(key.0 ^ u128::from(identity) << 80)
    } else {
        key
    }
}

/// What a request of this cost asks for on its way in.
fn ask_of(limit: &Limit, cost: u64) -> Ask {
    let Some(charge) = &limit.charge else {
        return Ask::of(cost);
    };
    let reserve = charge.reserve.unwrap_or(cost);
    // Whatever the response will cost: it is too late when nothing is left.
    Ask {
        need: reserve.max(1),
        cost: reserve,
    }
}

/// Makes of a claim on a count here a question to the service, and a claim on what is remembered of it.
fn ask_the_service<'s>(claimed: &mut Claimed<'s>, gate: &'s Quota, descriptor: Vec<u8>) {
    let claim = claimed.claim;
    let remembered = (claim.tag ^ REMEMBERED).max(1);
    claimed.claim = Claim {
        tag: remembered,
        quota: gate,
        ask: Ask {
            need: claimed.cost,
            cost: 0,
        },
        ..claim
    };
    claimed.fleet = Some(Ticket {
        limit: claimed.index,
        tier: claimed.tier,
        slot: claim.slot,
        before: claim.before,
        tags: (remembered, claim.tag),
        penalty: claim.penalty.map(|(tag, _)| tag),
        enforced: claim.enforced,
        cost: claimed.cost,
        descriptor,
    });
}

/// Whether this request is refused if it is too much.
fn enforced(host: &dyn Host, limit: &Limit) -> Answer<bool> {
    if limit.shadow || limit.enforce <= 0.0 {
        return Ok(false);
    }
    if limit.enforce >= 1.0 {
        return Ok(true);
    }
    let mut bytes = [0; 4];
    host.random(&mut bytes)?;
    let drawn = f64::from(u32::from_le_bytes(bytes)) / 4_294_967_296.0;
    Ok(drawn < limit.enforce)
}

/// The numbers for this request: those of the first override that is for it.
fn plan_for<'l>(
    limit: &'l Limit,
    values: &[Option<Vec<u8>>],
    facts: &Facts<'_>,
) -> Answer<(Option<usize>, &'l Plan)> {
    for (index, tier) in limit.overrides.iter().enumerate() {
        let same = tier.values.iter().enumerate().all(|(part, wanted)| {
            wanted.is_none() || values.get(part).is_some_and(|value| value == wanted)
        });
        if same && (tier.matches.is_empty() || one_matches(&tier.matches, facts)?) {
            return Ok((Some(index), &tier.plan));
        }
    }
    Ok((None, &limit.plan))
}

fn cost_of(limit: &Limit, facts: &Facts<'_>) -> Answer<u64> {
    match &limit.cost {
        Cost::Fixed(cost) => Ok(*cost),
        Cost::Header {
            name,
            default,
            min,
            max,
        } => {
            let value = facts.header(name)?;
            let text = value.as_deref().map(<[u8]>::trim_ascii).unwrap_or_default();
            if text.is_empty() || !text.iter().all(u8::is_ascii_digit) {
                return Ok(*default);
            }
            let said = std::str::from_utf8(text)
                .ok()
                .and_then(|text| text.parse().ok());
            // More digits than fit are more than fits.
            Ok(said.unwrap_or(u64::MAX).min(*max).max(*min))
        }
    }
}

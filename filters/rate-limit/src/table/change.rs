//! Changes of one slot outside of a decision: what is settled after the fact, noted of a refusal, or remembered.

use super::before::adopt;
use super::slot::Slot;
use super::transaction::{read, write, Claim};
use super::Table;
use crate::quota::{Ask, Quota, Remembered, State};
use seawall_core::host::Host;
use seawall_core::shared::UpdateError;
use seawall_core::time::{Span, Timestamp};

/// What is left of a limit, and the time until more is.
pub type Left = (u64, Option<Span>);

/// A charge after the fact.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Settlement {
    /// Takes back what was charged at that time.
    Refund(Timestamp, u64),
    /// Charges more, up to so many times the whole quota.
    Add(u64, u64),
}

/// Writes the state of a claim that was refused, where the clock was set back or it came over from the table before.
pub(super) fn keep(
    host: &dyn Host,
    table: &Table,
    now: Timestamp,
    claim: &Claim<'_>,
) -> Result<(), UpdateError> {
    change(
        host,
        table,
        claim.slot,
        Some((claim, now)),
        |held, came_over| {
            let nothing = Ask { need: 0, cost: 0 };
            let verdict = claim.quota.check(held.get(claim.tag), now, nothing);
            if verdict.moved {
                held.put(claim.tag, verdict.charged, now, &[]);
            }
            verdict.moved || came_over
        },
    )
}

/// Changes one entry until nobody interferes.
fn change(
    host: &dyn Host,
    table: &Table,
    slot: u32,
    of: Option<(&Claim<'_>, Timestamp)>,
    mut act: impl FnMut(&mut Slot, bool) -> bool,
) -> Result<(), UpdateError> {
    let name = super::name(slot);
    let name: &str = &name;
    for _ in 0..table.attempts {
        let mut held = read(host, name).map_err(UpdateError::Host)?;
        let came_over = match of {
            Some((claim, now)) => {
                let adopted = adopt(host, now, claim, &mut held.slot);
                adopted.map_err(UpdateError::Host)?.some
            }
            None => false,
        };
        if !act(&mut held.slot, came_over) || write(host, name, &held).map_err(UpdateError::Host)? {
            return Ok(());
        }
    }
    Err(UpdateError::Contended)
}

/// Holds what a service said under a tag, unless what is there says as much. True when a live entry had to go for it.
///
/// # Errors
/// When the host fails, or other workers were faster too often.
pub fn hold(
    host: &dyn Host,
    table: &Table,
    now: Timestamp,
    (slot, tag): (u32, u64),
    state: State,
) -> Result<bool, UpdateError> {
    let mut evicted = false;
    change(host, table, slot, None, |held, _| {
        let known = held.get(tag);
        let known = known.filter(|known| known.expires > now.as_nanos());
        if state.expires <= now.as_nanos()
            || known.is_some_and(|known| !Remembered::says_more(&state, &known))
        {
            return false;
        }
        evicted = held.put(tag, state, now, &[]);
        true
    })?;
    Ok(evicted)
}

/// Settles a charge after the fact. What is left then, and the time until more is, where something changed.
///
/// # Errors
/// When the host fails, or other workers were faster too often.
pub fn settle(
    host: &dyn Host,
    table: &Table,
    now: Timestamp,
    (slot, tag): (u32, u64),
    quota: &Quota,
    settlement: Settlement,
) -> Result<Option<Left>, UpdateError> {
    let mut left = None;
    change(host, table, slot, None, |held, _| {
        let state = held.get(tag);
        let next = match (settlement, state) {
            (Settlement::Refund(at, cost), Some(state)) => quota.refund(state, at, cost),
            (Settlement::Refund(..), None) => return false,
            (Settlement::Add(cost, debt), state) => quota.add(state, now, cost, debt),
        };
        let after = quota.check(Some(next), now, Ask { need: 0, cost: 0 });
        left = Some((after.remaining, after.more));
        held.put(tag, next, now, &[]);
        true
    })?;
    Ok(left)
}

/// What noting a refusal came to.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Noted {
    /// How much longer the wait is by what was charged for the refusal: the whole wait, or zero.
    pub wait: Span,
    /// The ban that is in force now.
    pub banned: Option<Span>,
    /// What is left after it, and when more is, where that is not what the limit said before.
    pub left: Option<Left>,
}

/// Notes that a claim was refused: for its penalty, and as a charge where refused requests `count`.
///
/// # Errors
/// When the host fails, or other workers were faster too often.
pub fn now_refused(
    host: &dyn Host,
    table: &Table,
    now: Timestamp,
    claim: &Claim<'_>,
    count: bool,
) -> Result<Noted, UpdateError> {
    let mut noted = Noted::default();
    change(
        host,
        table,
        claim.slot,
        Some((claim, now)),
        |held, came_over| {
            noted = Noted::default();
            let mut changed = came_over;
            let banned = claim
                .penalty
                .and_then(|(tag, penalty)| penalty.banned(held.get(tag), now));
            if count {
                let state = claim.quota.add(held.get(claim.tag), now, claim.ask.cost, 1);
                let again = claim.quota.check(Some(state), now, claim.ask);
                noted.wait = again.wait.unwrap_or_default();
                noted.left = Some((again.remaining, again.more));
                held.put(claim.tag, state, now, &[]);
                changed = true;
            }
            match (claim.penalty, banned) {
                (Some((tag, penalty)), None) => {
                    let (state, brings) = penalty.refused(held.get(tag), now);
                    noted.banned = brings;
                    held.put(tag, state, now, &[claim.tag]);
                    changed = true;
                }
                (_, banned) => noted.banned = banned,
            }
            if let Some(ban) = noted.banned {
                noted.left = Some(claim.left_while_banned(held, now, ban));
            }
            changed
        },
    )?;
    Ok(noted)
}

//! A request that one limit is asked about: one read and one write, and nothing else to hold together.

use super::before::{adopt, Adopted};
use super::change::keep;
use super::slot::Slot;
use super::transaction::Claim;
use super::Table;
use crate::quota::Verdict;
use seawall_core::host::{Answer, Expect, Host, Swap};
use seawall_core::shared::UpdateError;
use seawall_core::time::Timestamp;

/// What became of a claim that stands alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct One {
    /// What the limit said.
    pub verdict: Verdict,
    /// How often somebody else was faster.
    pub conflicts: u32,
    /// A live entry had to go for it.
    pub evicted: bool,
    /// It was refused while a charge that may still be taken back stood against it, and patience ran out.
    pub impatient: bool,
}

/// Decides about a request that one limit is asked about, and charges it where it is admitted.
///
/// # Errors
/// When the host fails, or other workers were faster too often. Nothing is charged then.
pub fn decide_one(
    host: &dyn Host,
    table: &Table,
    now: Timestamp,
    claim: &Claim<'_>,
) -> Result<One, UpdateError> {
    let name = super::name(claim.slot);
    // Once, for a name is checked each time that it is taken for a text.
    let name: &str = &name;
    for conflicts in 0..table.attempts {
        let (mut slot, expect, came_over, mut one) =
            look(host, table, name, now, claim).map_err(UpdateError::Host)?;
        let verdict = one.verdict;
        one.conflicts = conflicts;
        if !verdict.admitted {
            if verdict.moved || came_over {
                keep(host, table, now, claim)?;
            }
            return Ok(one);
        }
        if claim.ask.cost == 0 {
            return Ok(one);
        }
        one.evicted |= slot.put(claim.tag, verdict.charged, now, &[]);
        let swap = host
            .shared_set(name, slot.bytes(), expect)
            .map_err(UpdateError::Host)?;
        if swap == Swap::Done {
            return Ok(one);
        }
    }
    Err(UpdateError::Contended)
}

/// Reads the slot and asks the limit. Looks again while an unfinished charge stands against the request. True when something
/// came over from the table before, which is not written yet.
fn look(
    host: &dyn Host,
    table: &Table,
    name: &str,
    now: Timestamp,
    claim: &Claim<'_>,
) -> Answer<(Slot, Expect, bool, One)> {
    let mut patience = table.patience;
    loop {
        let (value, expect) = match host.shared_get(name)? {
            Some((value, version)) => (Some(value), Expect::Version(version)),
            None => (None, Expect::Absent),
        };
        let mut slot = Slot::read(value);
        let adopted = match claim.before {
            Some(_) => adopt(host, now, claim, &mut slot)?,
            None => Adopted::default(),
        };
        let verdict = claim.look(&slot, now);
        let blocked = claim.enforced && !verdict.admitted && slot.is_unfinished(now);
        if !blocked || patience == 0 {
            let one = One {
                verdict,
                conflicts: 0,
                evicted: adopted.evicted,
                impatient: blocked,
            };
            return Ok((slot, expect, adopted.some, one));
        }
        patience = patience.saturating_sub(1);
    }
}

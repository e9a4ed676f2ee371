//! Another `max_keys` is a table of another size, in which keys have other slots. What the table before it held counts on:
//! a key is looked for in the slot that it had, too, as long as the limit can remember.
//!
//! Which sizes follow each other is in shared data, for all workers, and written with the first request of a configuration:
//! one that is only tried changes nothing. Little-endian: the slots of this table and of the one before (four bytes each),
//! and the time of the change (eight).

use super::slot::Slot;
use super::transaction::Claim;
use super::Table;
use crate::quota::State;
use seawall_core::hash::Fingerprint;
use seawall_core::host::{Answer, Expect, Failure, Host, Swap};
use seawall_core::time::{Span, Timestamp};

const KEY: &str = "seawall.rl.table";

/// The workers meet at this key once in a configuration's life.
const ATTEMPTS: u32 = 32;

/// The table before this one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Before {
    /// How many slots it had.
    pub slots: u32,
    /// When it was left.
    pub left: Timestamp,
}

fn bytes(slots: u32, before: Before) -> [u8; 16] {
    let words = u64::from(slots) | u64::from(before.slots) << 32;
    (u128::from(words) | u128::from(before.left.as_nanos()) << 64).to_le_bytes()
}

fn read(value: &[u8]) -> Option<(u32, Before)> {
    let all = u128::from_le_bytes(value.try_into().ok()?);
    let before = Before {
        slots: (all >> 32) as u32,
        left: Timestamp((all >> 64) as u64),
    };
    Some((all as u32, before))
}

/// The table before the one of so many slots, if there was another.
///
/// # Errors
/// When the host fails.
pub fn before(host: &dyn Host, slots: u32) -> Answer<Option<Before>> {
    for _ in 0..ATTEMPTS {
        let found = host.shared_get(KEY)?;
        let known = found.as_ref().and_then(|(value, _)| read(value));
        let expect = found.map_or(Expect::Absent, |(_, version)| Expect::Version(version));
        let before = match known {
            Some((present, before)) if present == slots => {
                return Ok(Some(before).filter(|before| before.slots > 0));
            }
            Some((other, _)) => other,
            None => 0,
        };
        let before = Before {
            slots: before,
            left: host.now()?,
        };
        if host.shared_set(KEY, &bytes(slots, before), expect)? == Swap::Done {
            return Ok(Some(before).filter(|before| before.slots > 0));
        }
    }
    // The ABI's number for a write that lost.
    Err(Failure::Status(8))
}

impl Table {
    /// The slot that a key had in the table before, if what is there may still count: for a limit that remembers no longer
    /// than `longest`.
    pub fn slot_before(
        &self,
        key: Fingerprint,
        now: Timestamp,
        longest: impl FnOnce() -> Span,
    ) -> Option<u32> {
        let before = self.before?;
        let until = before.left.saturating_add(longest());
        (now < until).then(|| key.slot(before.slots))
    }
}

/// What came over from the table before.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Adopted {
    /// Something did.
    pub(super) some: bool,
    /// A live entry had to go for it.
    pub(super) evicted: bool,
}

/// Takes what the table before holds of a claim's key into its slot, unless what is there is newer.
pub(super) fn adopt(
    host: &dyn Host,
    now: Timestamp,
    claim: &Claim<'_>,
    slot: &mut Slot,
) -> Answer<Adopted> {
    let mut adopted = Adopted::default();
    let Some(before) = claim.before.filter(|before| *before != claim.slot) else {
        return Ok(adopted);
    };
    let tags = [claim.tag, claim.penalty.map_or(claim.tag, |(tag, _)| tag)];
    let Some((value, _)) = host.shared_get(&super::name(before))? else {
        return Ok(adopted);
    };
    let held = Slot::read(Some(value));
    for tag in tags {
        let state = held
            .get(tag)
            .filter(|state| state.expires >= now.as_nanos());
        // What was charged later ends later, or has counted more; an older one is there where sizes went to and fro.
        let order = |state: Option<State>| state.map(|state| (state.expires, state.a));
        if let Some(state) = state.filter(|state| order(Some(*state)) > order(slot.get(tag))) {
            adopted.some = true;
            adopted.evicted |= slot.put(tag, state, now, &tags);
        }
    }
    Ok(adopted)
}

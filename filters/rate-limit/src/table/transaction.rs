//! All limits of a request at once: everything is charged, or nothing.
//!
//! One slot is decided by one compare-and-swap. With several slots, all are looked at first, and a refusal ends it without a
//! write. Else they are charged in the order of their numbers, and all but the last are marked as unfinished: if a later one
//! refuses after all, the charges before are taken back. Whoever would be refused while a charge is unfinished looks again,
//! so it is not refused on account of a charge that is taken back. The order makes waiting for each other impossible.

use super::before::adopt;
use super::change::keep;
use super::one::decide_one;
use super::slot::Slot;
use super::{Left, Table};
use crate::quota::{Ask, Penalty, Quota, State, Verdict};
use seawall_core::host::{Answer, Expect, Host, Swap};
use seawall_core::name::Name;
use seawall_core::shared::UpdateError;
use seawall_core::time::{Span, Timestamp};

/// What a request asks of one limit.
#[derive(Debug, Clone, Copy)]
pub struct Claim<'a> {
    /// The slot of the key.
    pub slot: u32,
    /// The entry in that slot.
    pub tag: u64,
    /// The limit.
    pub quota: &'a Quota,
    /// How much.
    pub ask: Ask,
    /// Whether a refusal refuses the request.
    pub enforced: bool,
    /// The entry of the penalty, where the limit has one.
    pub penalty: Option<(u64, &'a Penalty)>,
    /// The slot that the key had in the table before, see [`Table::slot_before`].
    pub before: Option<u32>,
}

impl Claim<'_> {
    pub(super) fn look(&self, slot: &Slot, now: Timestamp) -> Verdict {
        let mut verdict = self.quota.check(slot.get(self.tag), now, self.ask);
        if let Some((tag, penalty)) = self.penalty {
            if let Some(left) = penalty.banned(slot.get(tag), now) {
                // What could never be admitted is not after a ban either.
                verdict.wait = if verdict.admitted {
                    Some(left)
                } else {
                    verdict.wait.map(|wait| wait.max(left))
                };
                verdict.admitted = false;
                (verdict.remaining, verdict.more) = self.left_while_banned(slot, now, left);
            }
        }
        verdict
    }

    /// What is told of a banned key: nothing is left until the ban ends, or for longer where the limit itself has nothing by
    /// then. What it does have is there once the ban ends, however long one more would take.
    #[inline(never)]
    pub(super) fn left_while_banned(&self, slot: &Slot, now: Timestamp, ban: Span) -> Left {
        let as_it_is = Ask {
            cost: 0,
            ..self.ask
        };
        let own = self.quota.check(slot.get(self.tag), now, as_it_is);
        let more = own.more.filter(|_| own.remaining == 0);
        (0, Some(more.map_or(ban, |more| more.max(ban))))
    }
}

/// What became of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decision {
    /// Every enforced limit admitted it, and all that admitted it are charged.
    pub admitted: bool,
    /// What each limit said, in the order of the claims.
    pub verdicts: Vec<Verdict>,
    /// How often somebody else was faster.
    pub conflicts: u32,
    /// The claims for which a live entry had to go.
    pub evicted: Vec<usize>,
    /// It was refused while a charge that may still be taken back stood against it, and patience ran out.
    pub impatient: bool,
}

pub(super) struct Held {
    pub(super) slot: Slot,
    /// The claims for which a live entry had to go when they came over from the table before.
    evicted: Vec<usize>,
    expect: Expect,
}

pub(super) fn read(host: &dyn Host, name: &str) -> Answer<Held> {
    let found = host.shared_get(name)?;
    let (value, expect) = match found {
        Some((value, version)) => (Some(value), Expect::Version(version)),
        None => (None, Expect::Absent),
    };
    Ok(Held {
        slot: Slot::read(value),
        evicted: Vec::new(),
        expect,
    })
}

pub(super) fn write(host: &dyn Host, name: &str, held: &Held) -> Answer<bool> {
    let swap = host.shared_set(name, held.slot.bytes(), held.expect)?;
    Ok(swap == Swap::Done)
}

/// The claims on one slot, in order of the slots.
struct Groups<'c, 'q>(Vec<(usize, &'c Claim<'q>)>);

impl<'c, 'q> Groups<'c, 'q> {
    fn of(claims: &'c [Claim<'q>]) -> Self {
        let mut sorted: Vec<_> = claims.iter().enumerate().collect();
        sorted.sort_by_key(|(_, claim)| claim.slot);
        Groups(sorted)
    }

    fn iter(&self) -> impl Iterator<Item = &[(usize, &'c Claim<'q>)]> {
        self.0
            .chunk_by(|(_, one), (_, other)| one.slot == other.slot)
    }
}

/// The claims on one slot, and its name: made once, for a name is checked each time that it is taken for a text.
#[derive(Clone, Copy)]
struct Group<'g, 'c, 'q> {
    name: &'g str,
    claims: &'g [(usize, &'c Claim<'q>)],
}

fn name_of(claims: &[(usize, &Claim<'_>)]) -> Name {
    let slot = claims.first().map(|(_, claim)| claim.slot);
    super::name(slot.unwrap_or_default())
}

struct Run<'h> {
    host: &'h dyn Host,
    table: &'h Table,
    now: Timestamp,
    /// Something came over from the table before.
    came_over: bool,
    decision: Decision,
}

/// Decides about a request, and charges it where it is admitted.
///
/// # Errors
/// When the host fails, or other workers were faster too often. What was charged until then is taken back if possible.
pub fn decide(
    host: &dyn Host,
    table: &Table,
    now: Timestamp,
    claims: &[Claim<'_>],
) -> Result<Decision, UpdateError> {
    if let [claim] = claims {
        let one = decide_one(host, table, now, claim)?;
        return Ok(Decision {
            admitted: one.verdict.admitted || !claim.enforced,
            verdicts: vec![one.verdict],
            conflicts: one.conflicts,
            evicted: if one.evicted { vec![0] } else { Vec::new() },
            impatient: one.impatient,
        });
    }
    let blank = Verdict {
        admitted: true,
        charged: State::default(),
        moved: false,
        remaining: 0,
        more: None,
        wait: None,
    };
    let mut run = Run {
        host,
        table,
        now,
        came_over: false,
        decision: Decision {
            admitted: true,
            verdicts: vec![blank; claims.len()],
            conflicts: 0,
            evicted: Vec::new(),
            impatient: false,
        },
    };
    match claims {
        [] => {}
        [first, rest @ ..] if rest.iter().all(|claim| claim.slot == first.slot) => {
            let claims: Vec<_> = claims.iter().enumerate().collect();
            let group = Group {
                name: &name_of(&claims),
                claims: &claims,
            };
            let held = run.look(group)?;
            if run.decision.admitted {
                run.charge(group, held, false)?;
            }
        }
        _ => run.several(&Groups::of(claims))?,
    }
    let spoken = claims.iter().zip(&run.decision.verdicts);
    for (claim, verdict) in spoken {
        let moved = verdict.moved || run.came_over;
        if moved && !(verdict.admitted && run.decision.admitted) {
            keep(host, table, now, claim)?;
        }
    }
    Ok(run.decision)
}

impl Run<'_> {
    /// Reads a slot and notes what its limits say. Looks again while an unfinished charge stands against the request.
    fn look(&mut self, group: Group<'_, '_, '_>) -> Result<Held, UpdateError> {
        let mut patience = self.table.patience;
        loop {
            let mut held = read(self.host, group.name).map_err(UpdateError::Host)?;
            let mut blocked = false;
            for (index, claim) in group.claims {
                let adopted =
                    adopt(self.host, self.now, claim, &mut held.slot).map_err(UpdateError::Host)?;
                self.came_over |= adopted.some;
                if adopted.evicted {
                    held.evicted.push(*index);
                }
                let verdict = claim.look(&held.slot, self.now);
                blocked |= claim.enforced && !verdict.admitted;
                if let Some(place) = self.decision.verdicts.get_mut(*index) {
                    *place = verdict;
                }
            }
            if blocked && held.slot.is_unfinished(self.now) {
                if patience > 0 {
                    patience = patience.saturating_sub(1);
                    continue;
                }
                self.decision.impatient = true;
            }
            self.decision.admitted &= !blocked;
            return Ok(held);
        }
    }

    /// Writes the charges of one slot as it was looked at; looks again when somebody was faster.
    fn charge(
        &mut self,
        group: Group<'_, '_, '_>,
        mut held: Held,
        unfinished: bool,
    ) -> Result<(), UpdateError> {
        let keep: Vec<u64> = group.claims.iter().map(|(_, claim)| claim.tag).collect();
        for _ in 0..self.table.attempts {
            let mut evicted = std::mem::take(&mut held.evicted);
            let mut charged = false;
            for (index, claim) in group.claims {
                let verdict = self.decision.verdicts.get(*index);
                if let Some(verdict) = verdict.filter(|verdict| verdict.admitted) {
                    if claim.ask.cost > 0 {
                        charged = true;
                        if held.slot.put(claim.tag, verdict.charged, self.now, &keep) {
                            evicted.push(*index);
                        }
                    }
                }
            }
            if !charged {
                return Ok(());
            }
            if unfinished {
                held.slot.begin(self.now);
            }
            if write(self.host, group.name, &held).map_err(UpdateError::Host)? {
                self.decision.evicted.extend(evicted);
                return Ok(());
            }
            self.decision.conflicts = self.decision.conflicts.saturating_add(1);
            held = self.look(group)?;
            if !self.decision.admitted {
                return Ok(());
            }
        }
        Err(UpdateError::Contended)
    }

    fn several(&mut self, groups: &Groups<'_, '_>) -> Result<(), UpdateError> {
        let mut names = Vec::with_capacity(groups.0.len());
        names.extend(groups.iter().map(name_of));
        let mut looked = Vec::with_capacity(names.len());
        for (name, claims) in names.iter().zip(groups.iter()) {
            let group = Group { name, claims };
            looked.push((group, self.look(group)?));
        }
        if !self.decision.admitted {
            return Ok(());
        }
        let last = looked.len().saturating_sub(1);
        let mut done: Vec<Group<'_, '_, '_>> = Vec::with_capacity(last);
        for (number, (group, held)) in looked.into_iter().enumerate() {
            let ended = self.charge(group, held, number < last);
            if ended.is_err() || !self.decision.admitted {
                let undone = done
                    .iter()
                    .map(|group| self.finish(*group, true))
                    .fold(Ok(()), Result::and);
                return ended.and(undone);
            }
            if number < last {
                done.push(group);
            }
        }
        // A mark that cannot be removed ends by itself; the request is admitted.
        for group in done {
            let _ = self.finish(group, false);
        }
        Ok(())
    }

    /// Removes the mark of an unfinished charge, and the charge too where it is taken back.
    fn finish(&self, group: Group<'_, '_, '_>, undo: bool) -> Result<(), UpdateError> {
        let charged = |(index, claim): &&(usize, &Claim<'_>)| {
            let verdict = self.decision.verdicts.get(*index);
            claim.ask.cost > 0 && verdict.is_some_and(|verdict| verdict.admitted)
        };
        if !group.claims.iter().any(|claim| charged(&claim)) {
            return Ok(());
        }
        for _ in 0..self.table.attempts {
            let mut held = read(self.host, group.name).map_err(UpdateError::Host)?;
            if undo {
                for (index, claim) in group.claims.iter().filter(charged) {
                    let verdict = self.decision.verdicts.get(*index);
                    if let Some((state, verdict)) = held.slot.get(claim.tag).zip(verdict) {
                        let booked = claim.quota.booked(verdict.charged, self.now);
                        let state = claim.quota.refund(state, booked, claim.ask.cost);
                        held.slot.put(claim.tag, state, self.now, &[]);
                    }
                }
            }
            held.slot.end();
            if write(self.host, group.name, &held).map_err(UpdateError::Host)? {
                return Ok(());
            }
        }
        Err(UpdateError::Contended)
    }
}

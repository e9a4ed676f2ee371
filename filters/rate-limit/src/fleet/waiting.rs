//! The requests of a worker that wait for the service. Never more than a fixed number.

use crate::config::{Plan, Settings};
use crate::exchange::{Open, Shared};
use crate::quota::Ask;
use crate::table::Claim;
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;

/// What the service is asked about one limit.
#[derive(Debug, Clone)]
pub(crate) struct Ticket {
    pub(crate) limit: usize,
    pub(crate) tier: Option<usize>,
    pub(crate) slot: u32,
    /// The slot that it had in the table before.
    pub(crate) before: Option<u32>,
    /// The entry that remembers answers, and the one that counts where the service fails.
    pub(crate) tags: (u64, u64),
    pub(crate) penalty: Option<u64>,
    pub(crate) enforced: bool,
    pub(crate) cost: u64,
    pub(crate) descriptor: Vec<u8>,
}

impl Ticket {
    pub(crate) fn plan<'s>(&self, settings: &'s Settings) -> Option<&'s Plan> {
        let limit = settings.limits.get(self.limit)?;
        match self.tier {
            Some(tier) => limit.overrides.get(tier).map(|tier| &tier.plan),
            None => Some(&limit.plan),
        }
    }

    /// What the limit asks of the table: of what is remembered, or of the count that is kept while the service fails.
    pub(crate) fn claim<'s>(&self, settings: &'s Settings, fallback: bool) -> Option<Claim<'s>> {
        let limit = settings.limits.get(self.limit)?;
        let plan = self.plan(settings)?;
        let (tag, quota, ask) = if fallback {
            (self.tags.1, plan.quota.as_ref()?, Ask::of(self.cost))
        } else {
            let ask = Ask {
                need: self.cost,
                cost: 0,
            };
            (self.tags.0, &plan.fleet.as_ref()?.gate, ask)
        };
        Some(Claim {
            slot: self.slot,
            tag,
            quota,
            ask,
            enforced: self.enforced,
            penalty: self.penalty.zip(limit.penalty.as_ref()),
            before: self.before,
        })
    }
}

/// A question to the service, and what its answer decides.
#[derive(Debug)]
pub(crate) struct Asked {
    /// The request that waits; none for limits that refuse nothing.
    pub(crate) waits: Option<(u32, Shared)>,
    pub(crate) settings: Rc<Settings>,
    pub(crate) tickets: Vec<Ticket>,
    /// What is charged here, to be taken back when the service refuses.
    pub(crate) paid: Vec<Open>,
    /// The limits here that have admitted it.
    pub(crate) admitted: Vec<usize>,
    /// One of them would not have, but only watches.
    pub(crate) shadowed: bool,
}

/// The questions that are open, by the token of the call. Those that nobody waits for have places of their own: a limit that only
/// watches takes none from one that refuses.
#[derive(Debug, Default)]
pub(crate) struct Waiting {
    waited_for: RefCell<BTreeMap<u32, Asked>>,
    apart: RefCell<BTreeMap<u32, Asked>>,
}

impl Waiting {
    fn of(&self, waited_for: bool) -> &RefCell<BTreeMap<u32, Asked>> {
        if waited_for {
            &self.waited_for
        } else {
            &self.apart
        }
    }

    /// True when there is room for one more.
    pub(crate) fn has_room(&self, most: u32, waited_for: bool) -> bool {
        let open = self.of(waited_for).try_borrow();
        open.is_ok_and(|open| open.len() < most as usize)
    }

    pub(crate) fn add(&self, token: u32, asked: Asked) {
        if let Ok(mut open) = self.of(asked.waits.is_some()).try_borrow_mut() {
            open.insert(token, asked);
        }
    }

    pub(crate) fn take(&self, token: u32) -> Option<Asked> {
        let taken = |of: &RefCell<BTreeMap<u32, Asked>>| of.try_borrow_mut().ok()?.remove(&token);
        taken(&self.waited_for).or_else(|| taken(&self.apart))
    }
}

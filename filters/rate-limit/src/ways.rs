//! How many counters one key may have: those of the limits of all routes. A slot that held fewer would lose live ones while the
//! table is nearly empty.

use crate::config::{Limit, Settings};
use crate::table::MOST;
use seawall_core::hash::{KeyHasher, Secret};
use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet};

/// With more counters than this, nobody counts what they have in common.
const MOST_KNOWN: usize = 4_096;

/// The counters of all settings that requests came with.
#[derive(Debug, Default)]
pub(crate) struct Ways {
    most: Cell<usize>,
    known: RefCell<Known>,
}

#[derive(Debug, Default)]
struct Known {
    counters: BTreeSet<u64>,
    /// How many entries the counters of a key have, by a hash of what the key is made of.
    entries: BTreeMap<u64, usize>,
}

impl Ways {
    /// How many entries a slot is to hold, those of these settings included.
    pub(crate) fn with(&self, settings: &Settings) -> usize {
        if settings.met.set(()).is_ok() {
            self.meet(settings);
        }
        self.most.get()
    }

    #[cold]
    #[inline(never)]
    fn meet(&self, settings: &Settings) {
        let mut most = self.most.get().max(settings.entries);
        if let Ok(mut known) = self.known.try_borrow_mut() {
            for limit in &settings.limits {
                most = most.max(known.add(settings, limit));
            }
        }
        self.most.set(most.min(MOST));
    }
}

impl Known {
    /// How many entries a key of this limit may have now.
    fn add(&mut self, settings: &Settings, limit: &Limit) -> usize {
        let parts = settings.keys.get(limit.key).map_or(&[][..], Vec::as_slice);
        // Each counter of a limit without a key has a slot of its own.
        if parts.is_empty() {
            return 0;
        }
        let mut hasher = KeyHasher::new(&Secret([0; 16]));
        let key = hasher.part(format!("{parts:?}").as_bytes()).finish().tag();
        let entries = self.entries.entry(key).or_default();
        // One that is for certain values is the only one that these have.
        let for_any = limit
            .overrides
            .iter()
            .filter(|tier| tier.values.iter().all(Option::is_none));
        for plan in for_any
            .map(|tier| &tier.plan)
            .chain(std::iter::once(&limit.plan))
        {
            if self.counters.len() >= MOST_KNOWN {
                return MOST;
            }
            if self.counters.insert(plan.identity) {
                let penalty = usize::from(limit.penalty.is_some());
                let fleet = usize::from(plan.fleet.is_some());
                *entries = entries.saturating_add(1).saturating_add(penalty);
                *entries = entries.saturating_add(fleet).min(MOST);
            }
        }
        *entries
    }
}

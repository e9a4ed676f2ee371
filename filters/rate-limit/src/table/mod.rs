//! The counters of all keys, in shared data, exact over all workers and never more than a fixed number.
//!
//! A key belongs to one of a fixed number of slots by its keyed fingerprint; a slot is one shared value, a small table of
//! entries. All limits on the same key of a request are in the same slot, so they are decided by one compare-and-swap.

mod before;
mod change;
mod one;
mod slot;
mod transaction;

pub use before::{before, Before};
pub use change::{hold, now_refused, settle, Left, Noted, Settlement};
pub use one::{decide_one, One};
pub use slot::{within_key, MOST};
pub use transaction::{decide, Claim, Decision};

use seawall_core::name::Name;

/// The shared-data key of a slot.
fn name(slot: u32) -> Name {
    Name::of("seawall.rl.", slot)
}

/// How the table is cut, and how patient its users are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Table {
    /// How many slots there are.
    pub slots: u32,
    /// How often a lost race is run again before the storage counts as failing.
    pub attempts: u32,
    /// How often a request that somebody's unfinished charge stands against looks again before it is refused.
    pub patience: u32,
    /// The table before it, if it had another size.
    pub before: Option<Before>,
}

impl Table {
    /// A table for about so many keys.
    pub fn for_keys(max_keys: u32) -> Self {
        Table {
            slots: max_keys.div_ceil(slot::WAYS as u32).max(1),
            attempts: 1_000,
            patience: 200,
            before: None,
        }
    }
}

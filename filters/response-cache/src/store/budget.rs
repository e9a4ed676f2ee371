//! The bytes that all entries together may take: one number in shared data, changed by compare-and-swap, that is raised
//! only where it stays within its limit.
//!
//! A worker takes a little more than it needs, and what its entries give up it keeps for the next ones, so that few of them
//! need a look at the number. What a worker holds so counts as used. It gives all of it back when it stores nothing for a
//! while, and when it ends.

use seawall_core::host::{Answer, Host};
use seawall_core::shared::{update, Step, UpdateError};
use std::cell::Cell;

const KEY: &str = "seawall.rc.bytes";

/// Losing this often means that something is wrong; the answer is then not stored.
const ATTEMPTS: u32 = 64;

/// What a worker takes at a time is this part of the whole, and what it holds at most twice that.
const PARTS: u64 = 4096;

/// As many workers may hold something of which [`Budget::correct`] does not know.
const MOST_HOLDERS: u64 = 128;

fn read(value: Option<&[u8]>) -> u64 {
    value
        .and_then(|bytes| Some(u64::from_le_bytes(bytes.try_into().ok()?)))
        .unwrap_or(0)
}

/// Gives bytes back to all.
///
/// # Errors
/// When the host fails; the bytes are then lost to the budget until [`Budget::correct`] corrects it.
pub fn release(host: &dyn Host, bytes: u64) -> Result<(), UpdateError> {
    if bytes == 0 {
        return Ok(());
    }
    update(host, KEY, ATTEMPTS, |value| {
        Step::Write(read(value).saturating_sub(bytes).to_le_bytes().to_vec(), ())
    })
    .map(|_| ())
}

/// The budget, as one worker sees it.
#[derive(Debug)]
pub struct Budget {
    most: u64,
    /// What is taken at a time, besides what an entry needs.
    part: Cell<u64>,
    /// Taken of the whole, and no entry's yet.
    held: Cell<u64>,
    /// Whether that was needed since [`Budget::settle`] looked last.
    needed: Cell<bool>,
}

impl Budget {
    /// Of so many bytes over all workers.
    pub fn new(most: u64) -> Self {
        Budget {
            most,
            part: Cell::new(most / PARTS),
            held: Cell::default(),
            needed: Cell::default(),
        }
    }

    /// Takes `bytes` for an entry; false when they do not fit.
    ///
    /// # Errors
    /// When the host fails: then making room would not help.
    pub fn reserve(&self, host: &dyn Host, bytes: u64) -> Result<bool, UpdateError> {
        self.needed.set(true);
        if let Some(left) = self.held.get().checked_sub(bytes) {
            self.held.set(left);
            return Ok(true);
        }
        let part = self.part.get();
        let lacking = bytes.saturating_sub(self.held.get());
        let updated = update(host, KEY, ATTEMPTS, |value| {
            let total = read(value).saturating_add(lacking);
            let more = total.saturating_add(part);
            let (total, rest) = if more <= self.most {
                (more, part)
            } else {
                (total, 0)
            };
            if total > self.most {
                Step::Keep(None)
            } else {
                Step::Write(total.to_le_bytes().to_vec(), Some(rest))
            }
        })?;
        if let Some(rest) = updated.result {
            self.held.set(rest);
        }
        Ok(updated.result.is_some())
    }

    /// Gives back what an entry has had.
    pub fn release(&self, host: &dyn Host, bytes: u64) {
        let held = self.held.get().saturating_add(bytes);
        self.held.set(held);
        let part = self.part.get();
        if held > part.saturating_mul(2) {
            self.give(host, held.saturating_sub(part));
        }
    }

    fn give(&self, host: &dyn Host, bytes: u64) {
        // What cannot be given back is held on to.
        if release(host, bytes).is_ok() {
            self.held.set(self.held.get().saturating_sub(bytes));
        }
    }

    /// Gives back what nothing was stored for since this was asked last.
    pub fn settle(&self, host: &dyn Host) {
        if !self.needed.replace(false) {
            self.give(host, self.held.get());
        }
    }

    /// Gives back everything, and holds nothing from now on: requests that are still under way may store, and nobody looks after it.
    pub fn end(&self, host: &dyn Host) {
        self.part.set(0);
        self.give(host, self.held.get());
    }

    /// The bytes of entries, and what other workers hold.
    ///
    /// # Errors
    /// When the host fails.
    pub fn used(&self, host: &dyn Host) -> Answer<u64> {
        let total = host.shared_get(KEY)?;
        let total = total.map_or(0, |(value, _)| read(Some(&value)));
        Ok(total.saturating_sub(self.held.get()))
    }

    /// Corrects the number to the bytes that all entries have together and what workers may hold besides, where it was more
    /// and nobody has changed it since it was `used`.
    pub fn correct(&self, host: &dyn Host, used: u64, counted: u64) {
        let elsewhere = (self.most / PARTS)
            .saturating_mul(2)
            .saturating_mul(MOST_HOLDERS);
        let from = used.saturating_add(self.held.get());
        let to = counted
            .saturating_add(self.held.get())
            .saturating_add(elsewhere);
        let _ = update(host, KEY, 1, |value| {
            if read(value) == from && to < from {
                Step::Write(to.to_le_bytes().to_vec(), ())
            } else {
                Step::Keep(())
            }
        });
    }
}

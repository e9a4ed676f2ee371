//! The time as the timer saw it last.
//!
//! The time in a request id need not be finer than [`STEP`], and asking the host for it is a call in every request. So,
//! as long as requests keep coming, the timer asks. A worker without traffic has a slow timer, and its next request asks.

use seawall_core::host::Host;
use seawall_core::time::{Span, Timestamp};
use std::cell::Cell;

/// The period of the timer while requests come: how much the time may be behind.
pub const STEP: Span = Span::from_millis(10);

/// The clock of one worker.
#[derive(Debug, Default)]
pub struct Clock {
    /// What the timer keeps up to date; nothing while it is slow.
    seen: Cell<Option<Timestamp>>,
    /// Whether somebody has asked since the timer's last call.
    asked: Cell<bool>,
}

impl Clock {
    /// The time, at most a step old. `None` where the host has no clock.
    pub fn now(&self, host: &dyn Host) -> Option<Timestamp> {
        self.asked.set(true);
        if let Some(seen) = self.seen.get() {
            return Some(seen);
        }
        let now = host.now().ok()?;
        // Without a fast timer the time would stand still: then every request asks.
        if host.set_tick(STEP).is_ok() {
            self.seen.set(Some(now));
        }
        Some(now)
    }

    /// The timer's call; the time it is called at. `idle` is the period of the timer while there is nothing to do.
    pub fn tick(&self, host: &dyn Host, idle: Span) -> Option<Timestamp> {
        let now = host.now().ok();
        if self.seen.get().is_some() {
            let busy = self.asked.take();
            self.seen.set(now.filter(|_| busy));
            if self.seen.get().is_none() {
                // A timer that stays fast is called more often than need be, and that is all.
                let _ = host.set_tick(idle);
            }
        }
        now
    }
}

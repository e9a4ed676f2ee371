//! What the streams of a VM share besides their filters: requests that one filter holds, and each filter's timer.

use crate::config::BLOCKS;
use crate::stages::Stages;
use seawall_core::host::{Answer, Host};
use seawall_core::time::{Span, Timestamp};
use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::rc::Rc;

/// A request that a stage holds.
#[derive(Clone)]
pub(crate) struct Held {
    pub(crate) stage: usize,
    pub(crate) stages: Rc<RefCell<Stages>>,
}

/// The timer of one filter.
#[derive(Debug, Default, Clone, Copy)]
struct Timer {
    period: Span,
    last: Timestamp,
}

/// Shared by the streams of a VM.
#[derive(Default)]
pub(crate) struct Chain {
    /// By context. No more than there are requests that wait.
    held: RefCell<BTreeMap<u32, Held>>,
    timers: [Cell<Timer>; BLOCKS.len()],
}

impl Chain {
    pub(crate) fn hold(&self, context: u32, held: Held) {
        if let Ok(mut all) = self.held.try_borrow_mut() {
            all.insert(context, held);
        }
    }

    pub(crate) fn take(&self, context: u32) -> Option<Held> {
        self.held.try_borrow_mut().ok()?.remove(&context)
    }

    /// A filter asks for a timer of its own; the host has one for all.
    pub(crate) fn set_timer(&self, host: &dyn Host, stage: usize, period: Span) -> Answer<()> {
        if let Some(timer) = self.timers.get(stage) {
            let last = timer.get().last;
            timer.set(Timer { period, last });
        }
        let periods = self.timers.iter().map(|timer| timer.get().period);
        let shortest = periods.filter(|period| *period > Span::ZERO).min();
        host.set_tick(shortest.unwrap_or(Span::ZERO))
    }

    /// Whether a filter's timer is due. The host's may come a little early.
    pub(crate) fn due(&self, stage: usize, now: Timestamp) -> bool {
        let Some(cell) = self.timers.get(stage) else {
            return false;
        };
        let timer = cell.get();
        let early = Span::from_nanos(timer.period.as_nanos() / 8);
        let due = timer.period > Span::ZERO
            && (now < timer.last || now.since(timer.last).saturating_add(early) >= timer.period);
        if due {
            cell.set(Timer { last: now, ..timer });
        }
        due
    }
}

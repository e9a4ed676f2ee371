//! What a worker has counted and not told yet.
//!
//! While nothing fails, what works is counted in the worker alone, and shared data is left alone. Once something fails, the
//! workers tell: shares are then judged over all of them. The table is bounded; when it is full, a key that nobody asks about
//! goes, and its calls are missing in the shares of the window.

use crate::breaker::window::{Tally, Window};
use crate::filter::Ticket;
use crate::settings::Settings;
use seawall_core::hash::Fingerprint;
use seawall_core::time::{Span, Timestamp};
use std::collections::BTreeMap;
use std::rc::Rc;

/// Keys that a worker counts for.
pub const MOST: usize = 1024;

/// One key's.
#[derive(Debug)]
struct Held {
    ticket: Rc<Ticket>,
    settings: Rc<Settings>,
    epoch: u32,
    window: Window,
    asked: bool,
    passed: Timestamp,
}

/// A key to tell about.
#[derive(Debug)]
pub(crate) struct Asked {
    pub(crate) settings: Rc<Settings>,
    pub(crate) ticket: Rc<Ticket>,
    pub(crate) epoch: u32,
}

/// All keys of a worker.
#[derive(Debug, Default)]
pub(crate) struct Tallies(BTreeMap<u128, Held>);

impl Tallies {
    /// Counts a call. What was counted in another epoch is forgotten.
    pub(crate) fn count(
        &mut self,
        settings: &Rc<Settings>,
        ticket: &Rc<Ticket>,
        epoch: u32,
        now: Timestamp,
        tally: Tally,
    ) {
        let length = settings.policy.window;
        self.hold(settings, ticket, epoch)
            .window
            .add(length, now, tally);
    }

    fn hold(&mut self, settings: &Rc<Settings>, ticket: &Rc<Ticket>, epoch: u32) -> &mut Held {
        if self.0.len() >= MOST && !self.0.contains_key(&ticket.key.0) {
            let idle = self.0.iter().find(|(_, held)| !held.asked);
            if let Some(key) = idle.or(self.0.first_key_value()).map(|(key, _)| *key) {
                self.0.remove(&key);
            }
        }
        let held = self.0.entry(ticket.key.0).or_insert_with(|| Held {
            ticket: Rc::clone(ticket),
            settings: Rc::clone(settings),
            epoch,
            window: Window::default(),
            asked: false,
            passed: Timestamp::EPOCH,
        });
        if held.epoch != epoch {
            held.window = Window::default();
            held.epoch = epoch;
            held.settings = Rc::clone(settings);
        }
        held
    }

    /// What is not told yet of a key, in this epoch.
    pub(crate) fn pending(&self, key: Fingerprint, epoch: u32) -> Window {
        match self.0.get(&key.0) {
            Some(held) if held.epoch == epoch => held.window,
            _ => Window::default(),
        }
    }

    /// What was pending has been told.
    pub(crate) fn told(&mut self, key: Fingerprint) {
        if let Some(held) = self.0.get_mut(&key.0) {
            held.window = Window::default();
        }
    }

    /// The same; and as calls fail, what follows is to be told with every tick.
    pub(crate) fn told_and_asked(
        &mut self,
        settings: &Rc<Settings>,
        ticket: &Rc<Ticket>,
        epoch: u32,
    ) {
        let held = self.hold(settings, ticket, epoch);
        held.window = Window::default();
        held.asked = true;
    }

    /// From now on what is counted for this key is told with every tick, or no longer.
    pub(crate) fn ask(&mut self, key: Fingerprint, asked: bool) {
        if let Some(held) = self.0.get_mut(&key.0) {
            held.asked = asked;
        }
    }

    /// The same for all keys.
    pub(crate) fn ask_all(&mut self) {
        self.0.values_mut().for_each(|held| held.asked = true);
    }

    /// The keys to tell about.
    pub(crate) fn asked(&self) -> Vec<Asked> {
        let asked = self.0.values().filter(|held| held.asked);
        asked
            .map(|held| Asked {
                settings: Rc::clone(&held.settings),
                ticket: Rc::clone(&held.ticket),
                epoch: held.epoch,
            })
            .collect()
    }

    /// Whether this worker has let no call of this key through for so long. If so, it is taken to let one through now.
    pub(crate) fn is_due(
        &mut self,
        settings: &Rc<Settings>,
        ticket: &Rc<Ticket>,
        epoch: u32,
        every: Span,
        now: Timestamp,
    ) -> bool {
        let held = self.hold(settings, ticket, epoch);
        let due = now.since(held.passed) >= every || held.passed > now;
        if due {
            held.passed = now;
        }
        due
    }

    /// True when nothing is counted.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use seawall_core::config::load;
    use serde_json::json;

    const NOW: Timestamp = Timestamp::from_secs(1_000_000);

    fn ticket(key: u128) -> Rc<Ticket> {
        Rc::new(Ticket {
            key: Fingerprint(key),
            values: Vec::new(),
        })
    }

    #[test]
    fn another_epoch_begins_anew_and_the_table_is_bounded() {
        let settings = Rc::new(load::<Settings>(&json!({})).unwrap());
        let mut tallies = Tallies::default();
        tallies.count(&settings, &ticket(1), 0, NOW, Tally::SUCCESS);
        let length = settings.policy.window;
        assert_eq!(tallies.pending(Fingerprint(1), 0).sum(length, NOW).calls, 1);
        assert!(tallies.pending(Fingerprint(1), 1).is_empty());
        tallies.count(&settings, &ticket(1), 1, NOW, Tally::SUCCESS);
        assert_eq!(tallies.pending(Fingerprint(1), 1).sum(length, NOW).calls, 1);
        tallies.ask(Fingerprint(1), true);
        for key in 0..5_000 {
            tallies.count(&settings, &ticket(key), 0, NOW, Tally::SUCCESS);
        }
        assert_eq!(tallies.0.len(), MOST);
        assert_eq!(tallies.asked().len(), 1);
    }
}

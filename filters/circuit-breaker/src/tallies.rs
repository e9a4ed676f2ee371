//! What a worker has counted and not told yet.
//!
//! While nothing fails, what works is counted in the worker alone, and shared data is left alone. Once something fails, the
//! workers tell: shares are then judged over all of them. The table is bounded; when it is full, a key that nobody asks about
//! and that has not been counted for of late goes, and its calls are missing in the shares of the window.

use crate::breaker::window::{Tally, Window};
use crate::filter::Ticket;
use crate::settings::Settings;
use seawall_core::hash::Fingerprint;
use seawall_core::time::{Span, Timestamp};
use std::collections::BTreeMap;
use std::ops::Bound;
use std::rc::Rc;

/// Keys that a worker counts for.
pub const MOST: usize = 1024;

/// Keys that are looked at to make room: the last of them goes in any case.
const MOST_LOOKS: u32 = 32;

/// One key's.
#[derive(Debug)]
struct Held {
    ticket: Rc<Ticket>,
    settings: Rc<Settings>,
    epoch: u32,
    /// As which of this worker's calls the first of this epoch was counted, or later. What was let through before and belongs
    /// to another epoch is of an earlier one.
    since: u64,
    window: Window,
    asked: bool,
    /// Whether it has been counted for since the hand came by.
    used: bool,
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
pub(crate) struct Tallies {
    keys: BTreeMap<u128, Held>,
    /// The key that has made room last: the next one is looked for behind it.
    hand: u128,
}

impl Tallies {
    /// Counts a call, the worker's `order`th. What was counted in an earlier epoch is forgotten.
    pub(crate) fn count(
        &mut self,
        settings: &Rc<Settings>,
        ticket: &Rc<Ticket>,
        epoch: u32,
        order: u64,
        now: Timestamp,
        tally: Tally,
    ) {
        let length = settings.policy.window;
        if let Some(held) = self.hold(settings, ticket, epoch, order) {
            held.window.add(length, now, tally);
        }
    }

    /// `None` for a call of an earlier epoch than that which is counted for.
    fn hold(
        &mut self,
        settings: &Rc<Settings>,
        ticket: &Rc<Ticket>,
        epoch: u32,
        order: u64,
    ) -> Option<&mut Held> {
        // Who is counted for once is not spared for it.
        let known = self.keys.contains_key(&ticket.key.0);
        if !known && self.keys.len() >= MOST {
            self.make_room();
        }
        let held = self.keys.entry(ticket.key.0).or_insert_with(|| Held {
            ticket: Rc::clone(ticket),
            settings: Rc::clone(settings),
            epoch,
            since: order,
            window: Window::default(),
            asked: false,
            used: false,
            passed: Timestamp::EPOCH,
        });
        held.used = known;
        if held.epoch != epoch {
            if order < held.since {
                return None;
            }
            held.window = Window::default();
            held.epoch = epoch;
            held.since = order;
            held.settings = Rc::clone(settings);
        }
        Some(held)
    }

    /// Forgets a key, by a clock with one hand: who is asked about, or has been counted for since it came by, is spared this time.
    /// Keys are hashes, so their order says nothing about whose they are.
    fn make_room(&mut self) {
        for looked in 0..MOST_LOOKS {
            let behind = (Bound::Excluded(self.hand), Bound::Unbounded);
            let next = match self.keys.range_mut(behind).next() {
                Some(next) => Some(next),
                None => self.keys.iter_mut().next(),
            };
            let Some((&key, held)) = next else { return };
            self.hand = key;
            let spared = held.asked || std::mem::take(&mut held.used);
            if !spared || looked.saturating_add(1) == MOST_LOOKS {
                self.keys.remove(&key);
                return;
            }
        }
    }

    /// What is not told yet of a key, in this epoch.
    pub(crate) fn pending(&self, key: Fingerprint, epoch: u32) -> Window {
        match self.keys.get(&key.0) {
            Some(held) if held.epoch == epoch => held.window,
            _ => Window::default(),
        }
    }

    /// What was pending has been told.
    pub(crate) fn told(&mut self, key: Fingerprint) {
        if let Some(held) = self.keys.get_mut(&key.0) {
            held.window = Window::default();
        }
    }

    /// The same; and as calls fail, what follows is to be told with every tick.
    pub(crate) fn told_and_asked(
        &mut self,
        settings: &Rc<Settings>,
        ticket: &Rc<Ticket>,
        epoch: u32,
        order: u64,
    ) {
        if let Some(held) = self.hold(settings, ticket, epoch, order) {
            held.window = Window::default();
            held.asked = true;
        }
    }

    /// From now on what is counted for this key is told with every tick, or no longer.
    pub(crate) fn ask(&mut self, key: Fingerprint, asked: bool) {
        if let Some(held) = self.keys.get_mut(&key.0) {
            held.asked = asked;
        }
    }

    /// The same for all keys.
    pub(crate) fn ask_all(&mut self) {
        self.keys.values_mut().for_each(|held| held.asked = true);
    }

    /// The keys to tell about.
    pub(crate) fn asked(&self) -> Vec<Asked> {
        let asked = self.keys.values().filter(|held| held.asked);
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
        order: u64,
        every: Span,
        now: Timestamp,
    ) -> bool {
        let Some(held) = self.hold(settings, ticket, epoch, order) else {
            return true;
        };
        let due = now.since(held.passed) >= every || held.passed > now;
        if due {
            held.passed = now;
        }
        due
    }

    /// True when nothing is counted.
    pub(crate) fn is_empty(&self) -> bool {
        self.keys.is_empty()
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
        tallies.count(&settings, &ticket(1), 0, 0, NOW, Tally::SUCCESS);
        let length = settings.policy.window;
        assert_eq!(tallies.pending(Fingerprint(1), 0).sum(length, NOW).calls, 1);
        assert!(tallies.pending(Fingerprint(1), 1).is_empty());
        tallies.count(&settings, &ticket(1), 1, 0, NOW, Tally::SUCCESS);
        assert_eq!(tallies.pending(Fingerprint(1), 1).sum(length, NOW).calls, 1);
        tallies.ask(Fingerprint(1), true);
        for key in 0..5_000 {
            tallies.count(&settings, &ticket(key), 0, 0, NOW, Tally::SUCCESS);
        }
        // The other way round, the hand comes by more than once.
        for key in (5_000..15_000).rev() {
            tallies.count(&settings, &ticket(key), 0, 0, NOW, Tally::SUCCESS);
        }
        assert_eq!(tallies.keys.len(), MOST);
        assert_eq!(tallies.asked().len(), 1);
    }

    #[test]
    fn one_call_in_a_while_is_due_and_a_clock_that_is_set_back_changes_nothing_about_it() {
        let settings = Rc::new(load::<Settings>(&json!({})).unwrap());
        let mut tallies = Tallies::default();
        let second = Span::from_secs(1);
        let mut due = |now| tallies.is_due(&settings, &ticket(1), 0, 0, second, now);
        assert!(due(NOW));
        assert!(!due(NOW.saturating_add(Span::from_millis(999))));
        assert!(due(NOW.saturating_add(second)));
        assert!(due(NOW.saturating_sub(Span::from_secs(3_600))));
        assert!(!due(NOW.saturating_sub(Span::from_secs(3_600))));
    }

    /// Also when its hash is the smallest or the greatest of all.
    #[test]
    fn a_key_that_is_counted_for_again_and_again_stays() {
        let settings = Rc::new(load::<Settings>(&json!({})).unwrap());
        for busy in [1, u128::MAX] {
            let mut tallies = Tallies::default();
            for key in 2..10_000 {
                tallies.count(&settings, &ticket(key), 0, 0, NOW, Tally::SUCCESS);
                if key % 500 == 0 {
                    tallies.count(&settings, &ticket(busy), 0, 0, NOW, Tally::SUCCESS);
                }
            }
            let pending = tallies.pending(Fingerprint(busy), 0);
            assert_eq!(pending.sum(settings.policy.window, NOW).calls, 19);
            assert_eq!(tallies.keys.len(), MOST);
        }
    }

    #[test]
    fn there_is_room_though_all_are_asked_about() {
        let settings = Rc::new(load::<Settings>(&json!({})).unwrap());
        let mut tallies = Tallies::default();
        for key in 1..3_000 {
            tallies.count(&settings, &ticket(key), 0, 0, NOW, Tally::SUCCESS);
            tallies.ask(Fingerprint(key), true);
        }
        assert_eq!(tallies.keys.len(), MOST);
        assert!(!tallies.pending(Fingerprint(2_999), 0).is_empty());
    }
}

//! The worker's own copies of entries that are in demand, so that a hot body is not copied out of shared data for every
//! hit. A copy counts only while the slot names its generation.

use crate::entry::Entry;
use crate::refresh::Random;
use seawall_core::generation::Seen;
use seawall_core::hash::Fingerprint;
use seawall_core::time::Timestamp;
use std::collections::BTreeMap;
use std::rc::{Rc, Weak};

/// How many are looked at to find the one used longest ago.
const SAMPLE: usize = 8;

/// Entries that are known while requests hold them.
const MOST_LENT: usize = 16;

/// What shared data said of an entry when it was last read.
#[derive(Debug, Clone, Copy)]
pub struct View {
    /// When that was.
    pub seen: Seen,
    /// The slot's time of last use.
    pub touched: Timestamp,
    /// The slot's demand.
    pub demand: u8,
    /// When it was purged softly.
    pub purged: Option<Timestamp>,
}

#[derive(Debug)]
struct Copy {
    fingerprint: Fingerprint,
    entry: Rc<Entry>,
    used: u64,
    view: Option<View>,
}

/// The copies, within a budget of bytes.
#[derive(Debug, Default)]
pub struct Hot {
    copies: Vec<Copy>,
    places: BTreeMap<Fingerprint, usize>,
    /// Those that are too large to be kept: one for all requests that hold them.
    lent: Vec<(Fingerprint, Weak<Entry>)>,
    bytes: usize,
    most: usize,
    clock: u64,
    random: Random,
}

impl Hot {
    /// Copies of at most so many bytes; zero keeps none.
    pub fn new(most: usize) -> Self {
        Hot {
            most,
            ..Hot::default()
        }
    }

    /// The copy of this generation. One of another generation stays until it is replaced: it may be asked for while the
    /// next one is being written.
    pub fn get(&mut self, fingerprint: Fingerprint, generation: u64) -> Option<Rc<Entry>> {
        let Some(place) = self.places.get(&fingerprint).copied() else {
            let mut lent = self.lent.iter().filter(|(key, _)| *key == fingerprint);
            return lent.find_map(|(_, entry)| {
                let entry = entry.upgrade()?;
                (entry.generation() == generation).then_some(entry)
            });
        };
        if self.copies.get(place)?.entry.generation() != generation {
            return None;
        }
        self.clock = self.clock.saturating_add(1);
        let copy = self.copies.get_mut(place)?;
        copy.used = self.clock;
        Some(Rc::clone(&copy.entry))
    }

    /// The copy and what was last read of it.
    pub fn viewed(&mut self, fingerprint: Fingerprint) -> Option<(&Rc<Entry>, &mut View)> {
        let place = *self.places.get(&fingerprint)?;
        self.clock = self.clock.saturating_add(1);
        let copy = self.copies.get_mut(place)?;
        copy.used = self.clock;
        Some((&copy.entry, copy.view.as_mut()?))
    }

    /// Remembers what was read of the copy of this generation.
    pub fn view(&mut self, fingerprint: Fingerprint, generation: u64, view: Option<View>) {
        let place = self.places.get(&fingerprint);
        if let Some(copy) = place.and_then(|place| self.copies.get_mut(*place)) {
            if copy.entry.generation() == generation {
                copy.view = view;
            }
        }
    }

    /// Keeps a copy, giving up others where needed.
    pub fn put(&mut self, fingerprint: Fingerprint, entry: Rc<Entry>) {
        if let Some(place) = self.places.get(&fingerprint).copied() {
            self.remove(place);
        }
        // One entry must not take everything.
        let weight = entry.weight();
        if weight > self.most / 4 {
            return self.lend(fingerprint, &entry);
        }
        while self.bytes.saturating_add(weight) > self.most {
            let Some(place) = self.oldest() else {
                return;
            };
            self.remove(place);
        }
        self.clock = self.clock.saturating_add(1);
        self.bytes = self.bytes.saturating_add(weight);
        self.places.insert(fingerprint, self.copies.len());
        self.copies.push(Copy {
            fingerprint,
            entry,
            used: self.clock,
            view: None,
        });
    }

    #[cold]
    #[inline(never)]
    fn lend(&mut self, fingerprint: Fingerprint, entry: &Rc<Entry>) {
        let lent = (fingerprint, Rc::downgrade(entry));
        let mut places = self.lent.iter_mut();
        if let Some(place) = places.find(|(_, held)| held.strong_count() == 0) {
            *place = lent;
        } else if self.lent.len() < MOST_LENT {
            self.lent.push(lent);
        }
    }

    /// The bytes in use.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    fn oldest(&mut self) -> Option<usize> {
        let count = self.copies.len();
        (0..SAMPLE)
            .filter_map(|_| {
                let place = (self.random.bits() as usize).checked_rem(count)?;
                Some((self.copies.get(place)?.used, place))
            })
            .min()
            .map(|(_, place)| place)
    }

    fn remove(&mut self, place: usize) {
        if place >= self.copies.len() {
            return;
        }
        let gone = self.copies.swap_remove(place);
        self.places.remove(&gone.fingerprint);
        self.bytes = self.bytes.saturating_sub(gone.entry.weight());
        if let Some(moved) = self.copies.get(place) {
            self.places.insert(moved.fingerprint, place);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::entry::{Content, Meta};
    use proptest::prelude::*;
    use seawall_core::headers::Headers;

    fn entry(generation: u64, size: usize) -> Rc<Entry> {
        Rc::new(Entry {
            key: Vec::new(),
            content: Content::Response {
                meta: Meta {
                    generation,
                    ..Meta::default()
                },
                headers: Headers::default(),
                body: Rc::new(vec![0; size]),
            },
        })
    }

    #[test]
    fn a_copy_of_another_generation_is_none() {
        let mut hot = Hot::new(100_000);
        hot.put(Fingerprint(1), entry(1, 10));
        assert!(hot.get(Fingerprint(1), 1).is_some());
        assert!(hot.get(Fingerprint(1), 2).is_none());
        hot.put(Fingerprint(1), entry(2, 10));
        assert!(hot.get(Fingerprint(1), 1).is_none());
        assert!(hot.get(Fingerprint(1), 2).is_some());
    }

    proptest! {
        #[test]
        fn never_more_than_allowed_and_never_the_wrong_one(steps in proptest::collection::vec((0u128..30, 0u64..3, 0usize..3000), 0..200)) {
            let mut hot = Hot::new(20_000);
            for (key, generation, size) in steps {
                hot.put(Fingerprint(key), entry(generation, size));
                prop_assert!(hot.bytes() <= 20_000);
                prop_assert_eq!(hot.bytes(), hot.copies.iter().map(|copy| copy.entry.weight()).sum::<usize>());
                prop_assert_eq!(hot.places.len(), hot.copies.len());
                if let Some(found) = hot.get(Fingerprint(key), generation) {
                    prop_assert_eq!(found.generation(), generation);
                }
            }
        }
    }
}

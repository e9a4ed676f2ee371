//! The settings that were made of route metadata, by what was said there: bounded by what they weigh, and what is asked for
//! again stays.
//!
//! A hash table with linear probing (Knuth, volume 3, section 6.4), at most half full; it knows how far from its own place
//! anything was ever put, so nothing needs to move when something goes. Where something has to go, a hand moves
//! over the places and takes the first that nobody has asked for since it was there last (a second chance). Places are in the
//! order of hashes, so of routes that come in turns and are more than fit some stay, where the oldest would go just before its
//! turn.

use crate::bytes::same;
use std::any::Any;
use std::rc::Rc;

/// So many settings are kept whatever they weigh.
pub(super) const FEWEST: usize = 1024;

/// Beyond those, settings are kept up to this weight in all: about as many bytes, for each filter in each worker.
pub(super) const MOST_BYTES: usize = 32 * 1024 * 1024;

/// As many second chances are given for one that has to go: beyond, what is next goes, so that no request pays for many.
const CHANCES: usize = 16;

#[derive(Debug)]
struct Entry {
    hash: usize,
    /// Somebody asked for it since the hand passed by.
    asked: bool,
    weight: usize,
    /// What they were made of.
    key: Vec<u8>,
    settings: Rc<dyn Any>,
}

/// What is kept: of any type, so that this is compiled once, as small code.
#[derive(Debug, Default)]
pub(super) struct Kept {
    /// None, or a power of two.
    places: Vec<Option<Box<Entry>>>,
    held: usize,
    weight: usize,
    /// As far from its own place something may be.
    farthest: usize,
    /// Where to look next for what can go.
    hand: usize,
}

/// FNV-1a. Nobody but an operator writes metadata, so it needs no secret.
fn hash(key: &[u8]) -> usize {
    let mix = |hash: u32, byte: &u8| (hash ^ u32::from(*byte)).wrapping_mul(0x0100_0193);
    key.iter().fold(0x811c_9dc5, mix) as usize
}

impl Kept {
    fn at(&mut self, place: usize) -> Option<&mut Option<Box<Entry>>> {
        let mask = self.places.len().wrapping_sub(1);
        self.places.get_mut(place & mask)
    }

    /// The settings that were made of this.
    pub(super) fn get(&mut self, key: &[u8]) -> Option<Rc<dyn Any>> {
        let hash = hash(key);
        for distance in 0..=self.farthest {
            if let Some(entry) = self.at(hash.wrapping_add(distance))? {
                if entry.hash == hash && same(&entry.key, key) {
                    entry.asked = true;
                    return Some(Rc::clone(&entry.settings));
                }
            }
        }
        None
    }

    /// Keeps settings that are not there yet.
    #[cold]
    pub(super) fn put(&mut self, key: Vec<u8>, weight: usize, settings: Rc<dyn Any>) {
        while self.held >= FEWEST && self.weight.saturating_add(weight) > MOST_BYTES {
            self.forget();
        }
        self.held = self.held.saturating_add(1);
        self.weight = self.weight.saturating_add(weight);
        if self.held.saturating_mul(2) > self.places.len() {
            self.grow();
        }
        self.settle(Box::new(Entry {
            hash: hash(&key),
            asked: false,
            weight,
            key,
            settings,
        }));
    }

    fn settle(&mut self, entry: Box<Entry>) {
        let mut distance = 0;
        while let Some(place) = self.at(entry.hash.wrapping_add(distance)) {
            if place.is_none() {
                *place = Some(entry);
                break;
            }
            distance = distance.wrapping_add(1);
        }
        self.farthest = self.farthest.max(distance);
    }

    fn grow(&mut self) {
        let size = self.places.len().saturating_mul(2).max(16);
        let all = std::mem::take(&mut self.places);
        self.places.resize_with(size, || None);
        self.farthest = 0;
        for entry in all.into_iter().flatten() {
            self.settle(entry);
        }
    }

    /// Drops one that nobody has asked for lately; those that the hand passes by on its way have had their second chance.
    fn forget(&mut self) {
        let mut chances = CHANCES;
        for _ in 0..self.places.len() {
            let hand = self.hand;
            self.hand = hand.wrapping_add(1);
            let Some(place) = self.at(hand) else {
                return;
            };
            let Some(entry) = place else {
                continue;
            };
            if entry.asked && chances > 0 {
                entry.asked = false;
                chances = chances.saturating_sub(1);
                continue;
            }
            let weight = entry.weight;
            *place = None;
            self.held = self.held.saturating_sub(1);
            self.weight = self.weight.saturating_sub(weight);
            return;
        }
    }
}

#[cfg(all(test, feature = "testing"))]
mod tests;

//! The settings that were made of route metadata, by what was said there: bounded by what they weigh, and what is asked for
//! again stays.
//!
//! A list in the order of hashes, which a hand goes round where something has to go: it takes the first that nobody has asked
//! for since it was there last (a second chance). In that order, of routes that come in turns and are more than fit some stay,
//! where the oldest would go just before its turn.

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
    /// By the hashes of their keys, then by these.
    entries: Vec<(u32, Box<Entry>)>,
    weight: usize,
    /// Where to look next for what can go.
    hand: usize,
}

/// FNV-1a. Nobody but an operator writes metadata, so it needs no secret.
fn hash(key: &[u8]) -> u32 {
    let mix = |hash: u32, byte: &u8| (hash ^ u32::from(*byte)).wrapping_mul(0x0100_0193);
    key.iter().fold(0x811c_9dc5, mix)
}

impl Kept {
    fn place(&self, hash: u32, key: &[u8]) -> Result<usize, usize> {
        self.entries.binary_search_by(|(other, entry)| {
            let order = other.cmp(&hash);
            order.then_with(|| entry.key.as_slice().cmp(key))
        })
    }

    /// The settings that were made of this.
    pub(super) fn get(&mut self, key: &[u8]) -> Option<Rc<dyn Any>> {
        let place = self.place(hash(key), key).ok()?;
        let (_, entry) = self.entries.get_mut(place)?;
        entry.asked = true;
        Some(Rc::clone(&entry.settings))
    }

    /// Keeps settings that are not there yet.
    #[cold]
    pub(super) fn put(&mut self, key: Vec<u8>, weight: usize, settings: Rc<dyn Any>) {
        while self.entries.len() >= FEWEST && self.weight.saturating_add(weight) > MOST_BYTES {
            self.forget();
        }
        let hash = hash(&key);
        if let Err(place) = self.place(hash, &key) {
            self.weight = self.weight.saturating_add(weight);
            let entry = Entry {
                asked: false,
                weight,
                key,
                settings,
            };
            self.entries.insert(place, (hash, Box::new(entry)));
            // Where it was: what it has passed is not looked at again.
            if place < self.hand {
                self.hand = self.hand.saturating_add(1);
            }
        }
    }

    /// Drops one that nobody has asked for lately; those that the hand passes by on its way have had their second chance.
    fn forget(&mut self) {
        let mut chances = CHANCES;
        loop {
            if self.hand >= self.entries.len() {
                self.hand = 0;
            }
            let Some((_, entry)) = self.entries.get_mut(self.hand) else {
                return;
            };
            if !entry.asked || chances == 0 {
                break;
            }
            entry.asked = false;
            chances = chances.saturating_sub(1);
            self.hand = self.hand.saturating_add(1);
        }
        let (_, gone) = self.entries.remove(self.hand);
        self.weight = self.weight.saturating_sub(gone.weight);
    }
}

#[cfg(all(test, feature = "testing"))]
mod tests;

//! The settings that were made of route metadata, by what was said there: bounded by what they weigh, and what is asked for
//! again stays.
//!
//! A list in the order of hashes, which a hand goes round where something has to go: it takes the first that nobody has asked
//! for since it was there last (a second chance). In that order, of routes that come in turns and are more than fit some stay,
//! where the oldest would go just before its turn.

use super::Said;
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
    said: [Option<Box<[u8]>>; 2],
    settings: Rc<dyn Any>,
}

/// What is kept: of any type, so that this is compiled once, as small code.
#[derive(Debug, Default)]
pub(super) struct Kept {
    /// By the hashes of what was said.
    entries: Vec<(u64, Box<Entry>)>,
    weight: usize,
    /// Where to look next for what can go.
    hand: usize,
}

/// FxHash, of Firefox and rustc: eight bytes at a time, for a request of another route than the one before needs it. Nobody but
/// an operator writes metadata, so it needs no secret.
fn hash(said: &Said<'_>) -> u64 {
    let mix = |hash: u64, word: u64| {
        let mixed = hash.rotate_left(5) ^ word;
        mixed.wrapping_mul(0x517c_c1b7_2722_0a95)
    };
    said.iter().flatten().fold(0, |hash, level| {
        let (words, rest) = level.as_chunks::<8>();
        let words = words.iter().map(|word| u64::from_le_bytes(*word));
        let all = words.chain(rest.iter().map(|byte| u64::from(*byte)));
        all.fold(mix(hash, level.len() as u64), mix)
    })
}

impl Kept {
    /// The settings that were made of this.
    pub(super) fn get(&mut self, said: &Said<'_>) -> Option<Rc<dyn Any>> {
        let hash = hash(said);
        let first = self.entries.partition_point(|(other, _)| *other < hash);
        let same = self.entries.get_mut(first..)?.iter_mut();
        let mut same = same.take_while(|(other, _)| *other == hash);
        let (_, entry) = same.find(|(_, entry)| {
            let known = entry.said.iter().map(Option::as_deref);
            known.eq(said.iter().copied())
        })?;
        entry.asked = true;
        Some(Rc::clone(&entry.settings))
    }

    /// Keeps settings that are not there yet.
    #[cold]
    pub(super) fn put(&mut self, said: &Said<'_>, weight: usize, settings: Rc<dyn Any>) {
        while self.entries.len() >= FEWEST && self.weight.saturating_add(weight) > MOST_BYTES {
            self.forget();
        }
        let hash = hash(said);
        let place = self.entries.partition_point(|(other, _)| *other < hash);
        self.weight = self.weight.saturating_add(weight);
        let entry = Entry {
            asked: false,
            weight,
            said: said.map(|level| level.map(Box::from)),
            settings,
        };
        self.entries.insert(place, (hash, Box::new(entry)));
        // Where it was: what it has passed is not looked at again.
        if place < self.hand {
            self.hand = self.hand.saturating_add(1);
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

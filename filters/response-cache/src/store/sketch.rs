//! How often keys were asked for lately: a count-min sketch that ages (TinyLFU: Einziger, Friedman, Manes, 2017).
//!
//! Each worker counts what it sees itself; what it finds to be in demand it writes into the entry's slot, for the others.

use seawall_core::hash::Fingerprint;

/// Counters per row; a power of two.
const WIDTH: usize = 16_384;
const ROWS: usize = 4;
/// A count cannot say more than "often".
pub(super) const MOST: u8 = 15;
/// After this many counts all are halved, so that what was once hot can be given up.
const SAMPLE: u32 = 10 * 16_384;

/// The sketch: 64 KiB.
#[derive(Debug, Clone)]
pub struct Sketch {
    counters: Vec<u8>,
    counted: u32,
}

impl Default for Sketch {
    fn default() -> Self {
        Sketch {
            counters: vec![0; WIDTH.saturating_mul(ROWS)],
            counted: 0,
        }
    }
}

fn places(fingerprint: Fingerprint) -> [usize; ROWS] {
    // The fingerprint is a keyed hash: its parts are independent, and nobody can aim at a counter.
    let mut bits = fingerprint.0;
    let mut row = 0usize;
    [(); ROWS].map(|()| {
        let at = (bits as usize) & WIDTH.saturating_sub(1);
        bits >>= 32;
        let place = row.saturating_mul(WIDTH).saturating_add(at);
        row = row.saturating_add(1);
        place
    })
}

impl Sketch {
    /// Counts a request for a key.
    pub fn count(&mut self, fingerprint: Fingerprint) {
        for place in places(fingerprint) {
            if let Some(counter) = self.counters.get_mut(place) {
                *counter = counter.saturating_add(1).min(MOST);
            }
        }
        self.counted = self.counted.saturating_add(1);
        if self.counted >= SAMPLE {
            self.counted /= 2;
            self.counters.iter_mut().for_each(|counter| *counter /= 2);
        }
    }

    /// About how often; never less than counted since the last ageing.
    pub fn estimate(&self, fingerprint: Fingerprint) -> u8 {
        places(fingerprint)
            .iter()
            .filter_map(|place| self.counters.get(*place).copied())
            .min()
            .unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::refresh::Random;

    #[test]
    fn tells_often_from_once() {
        let mut random = Random::new(3);
        let mut next = || Fingerprint(u128::from(random.bits()) << 64 | u128::from(random.bits()));
        let mut sketch = Sketch::default();
        let hot = next();
        for _ in 0..10 {
            sketch.count(hot);
        }
        let once = next();
        sketch.count(once);
        assert!(sketch.estimate(hot) >= 10 && sketch.estimate(once) < 10);
    }

    #[test]
    fn what_was_never_asked_for_is_hardly_ever_taken_for_something_else() {
        let mut random = Random::new(4);
        let mut next = || Fingerprint(u128::from(random.bits()) << 64 | u128::from(random.bits()));
        let mut sketch = Sketch::default();
        for _ in 0..4_000 {
            sketch.count(next());
        }
        // Of a thousand about two find their places in all four rows taken, where the rows are independent.
        let unlucky = (0..1_000).filter(|_| sketch.estimate(next()) > 0).count();
        assert!(unlucky < 20, "{unlucky} of 1000");
    }

    /// A flood of keys that are asked for once ages what is not asked for any more.
    #[test]
    fn counts_are_halved_when_they_age() {
        let mut random = Random::new(5);
        let mut next = || Fingerprint(u128::from(random.bits()) << 64 | u128::from(random.bits()));
        let mut sketch = Sketch::default();
        let hot = next();
        for _ in 0..MOST {
            sketch.count(hot);
        }
        let before = SAMPLE - u32::from(MOST) - 1;
        (0..before).for_each(|_| sketch.count(next()));
        assert_eq!(sketch.estimate(hot), MOST);
        sketch.count(next());
        assert_eq!(sketch.estimate(hot), MOST / 2);
        // The next time comes after half as many.
        let before = SAMPLE / 2 - 1;
        (0..before).for_each(|_| sketch.count(next()));
        assert!(sketch.estimate(hot) >= MOST / 2);
        sketch.count(hot);
        assert!(sketch.estimate(hot) <= MOST / 2);
    }
}

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
    fn tells_often_from_once_and_forgets() {
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
        for _ in 0..6 * SAMPLE {
            // A flood of keys that are asked for once ages what is not asked for any more.
            sketch.count(next());
        }
        assert!(sketch.estimate(hot) < 15);
        assert!(sketch.counted < SAMPLE);
    }
}

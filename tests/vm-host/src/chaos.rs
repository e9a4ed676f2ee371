//! A host that is wrong at random: many faults in one life, where [`crate::explore`] tries each of them by itself.

use crate::state::CallAnswer;

/// The most bytes that are made up.
const MADE_UP: u64 = 300;

/// Faults by chance, the same ones for the same seed.
#[derive(Debug, Clone)]
pub struct Chaos {
    state: u64,
    one_in: u64,
}

impl Chaos {
    /// Of `one_in` host calls one goes wrong; of none, where it is zero.
    pub fn new(seed: u64, one_in: u64) -> Self {
        Chaos {
            state: seed,
            one_in,
        }
    }

    /// A number below `bound`, or zero; by SplitMix64 (Steele, Lea and Flood 2014).
    pub fn below(&mut self, bound: u64) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.state;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)).checked_rem(bound).unwrap_or(0)
    }

    /// One of them.
    ///
    /// # Panics
    /// When there is none.
    pub fn pick<'a, T>(&mut self, some: &'a [T]) -> &'a T {
        &some[self.below(some.len() as u64) as usize]
    }

    /// Bytes without a meaning.
    pub fn noise(&mut self) -> Vec<u8> {
        let size = self.below(MADE_UP);
        (0..size).map(|_| self.below(256) as u8).collect()
    }

    fn strikes(&mut self) -> bool {
        self.one_in > 0 && self.below(self.one_in) == 0
    }

    /// What a host call answers instead of doing its work: any status, success among them, for a host may also forget what it
    /// was to do.
    pub(crate) fn answer(&mut self) -> Option<CallAnswer> {
        if !self.strikes() {
            return None;
        }
        Some(match self.below(20) {
            status @ 0..=12 => CallAnswer::Status(status as u32),
            13 => CallAnswer::Status(u32::MAX),
            _ => CallAnswer::Bytes(self.noise()),
        })
    }

    /// What is given away, or something like it: cut, grown, or with other bits.
    pub fn bend(&mut self, bytes: &[u8]) -> Vec<u8> {
        let mut bent = bytes.to_vec();
        if !self.strikes() {
            return bent;
        }
        let at = self.below(bytes.len() as u64) as usize;
        match self.below(3) {
            0 => bent.truncate(at),
            1 => bent.extend(self.noise()),
            _ => {
                if let Some(byte) = bent.get_mut(at) {
                    *byte ^= 1 << self.below(8);
                }
            }
        }
        bent
    }
}

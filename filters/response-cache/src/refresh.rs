//! When a fresh entry is refreshed early, so that it never expires for everybody at once.
//!
//! XFetch (Vattani, Chierichetti, Lowenstein: Optimal Probabilistic Cache Stampede Prevention, VLDB 2015): a read refreshes
//! when `now - delta * beta * ln(random) >= expiry`, `delta` being the time that the last regeneration took. The window
//! rule: when less than `window` of life remains, a read refreshes with a fixed probability.

use seawall_core::time::{Span, Timestamp};

/// How.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Algorithm {
    /// Never early.
    Off,
    /// XFetch; above 1 earlier, below 1 later.
    Xfetch {
        /// The factor `beta`.
        beta: f64,
    },
    /// The classic rule.
    Window {
        /// Remaining life below which it may happen.
        window: Span,
        /// With this probability per read.
        probability: f64,
    },
}

/// `-ln` of the smallest number that [`Random::unit`] gives is less.
const MOST_LOGARITHM: f64 = 37.0;

/// Decides for one read; `random` is uniform in (0, 1].
pub fn due(
    algorithm: Algorithm,
    now: Timestamp,
    expiry: Timestamp,
    delta: Span,
    random: f64,
) -> bool {
    match algorithm {
        Algorithm::Off => false,
        Algorithm::Xfetch { beta } => {
            if now.saturating_add(delta.scale(MOST_LOGARITHM * beta)) < expiry {
                // Nearly every read: no logarithm is large enough.
                return false;
            }
            let ahead = delta.scale(-random.clamp(f64::MIN_POSITIVE, 1.0).ln() * beta);
            now.saturating_add(ahead) >= expiry
        }
        Algorithm::Window {
            window,
            probability,
        } => expiry.since(now) < window && random <= probability,
    }
}

/// A fast random number generator (SplitMix64) for decisions that an attacker gains nothing by predicting.
#[derive(Debug, Clone, Copy, Default)]
pub struct Random(u64);

impl Random {
    /// Starts at a seed.
    pub fn new(seed: u64) -> Self {
        Random(seed)
    }

    /// 64 random bits.
    pub fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut bits = self.0;
        bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        bits ^ (bits >> 31)
    }

    /// A number in (0, 1], so that its logarithm is finite.
    pub fn unit(&mut self) -> f64 {
        // 53 bits are what a double holds.
        ((self.bits() >> 11) as f64 + 1.0) / 9_007_199_254_740_992.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const NOW: Timestamp = Timestamp::from_secs(1_000);

    fn share(algorithm: Algorithm, remaining: Span, delta: Span) -> f64 {
        let mut random = Random::new(1);
        let expiry = NOW.saturating_add(remaining);
        let hits = (0..100_000)
            .filter(|_| due(algorithm, NOW, expiry, delta, random.unit()))
            .count();
        hits as f64 / 100_000.0
    }

    #[test]
    fn xfetch_follows_its_closed_form() {
        // P(-delta * beta * ln(U) >= remaining) = exp(-remaining / (delta * beta))
        for (remaining, delta, beta) in [
            (100, 100, 1.0),
            (200, 100, 1.0),
            (50, 100, 2.0),
            (500, 100, 1.0),
        ] {
            let expected = (-f64::from(remaining) / (f64::from(delta) * beta)).exp();
            let found = share(
                Algorithm::Xfetch { beta },
                Span::from_millis(u64::from(remaining as u32)),
                Span::from_millis(u64::from(delta as u32)),
            );
            assert!(
                (found - expected).abs() < 0.01,
                "{remaining} {delta} {beta}: {found} against {expected}"
            );
        }
    }

    #[test]
    fn the_window_rule_is_flat_within_its_window() {
        let rule = Algorithm::Window {
            window: Span::from_secs(30),
            probability: 0.1,
        };
        assert!((share(rule, Span::from_secs(29), Span::ZERO) - 0.1).abs() < 0.01);
        assert!((share(rule, Span::from_secs(1), Span::ZERO) - 0.1).abs() < 0.01);
        assert_eq!(share(rule, Span::from_secs(30), Span::ZERO), 0.0);
        assert_eq!(
            share(Algorithm::Off, Span::from_millis(1), Span::from_secs(9)),
            0.0
        );
    }

    proptest! {
        #[test]
        fn nothing_panics(now in any::<u64>(), expiry in any::<u64>(), delta in any::<u64>(), random in any::<f64>(), beta in any::<f64>()) {
            let _ = due(Algorithm::Xfetch { beta }, Timestamp(now), Timestamp(expiry), Span(delta), random);
        }

        #[test]
        fn units_are_above_zero_and_at_most_one(seed in any::<u64>()) {
            let unit = Random::new(seed).unit();
            prop_assert!(unit > 0.0 && unit <= 1.0);
        }
    }
}

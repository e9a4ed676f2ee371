//! Whether a trace is recorded.

use crate::ids::TraceId;
use crate::interop::Decision;

seawall_core::words! {
    /// How the `sampled` flag is decided.
    #[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
    pub enum Mode {
        /// As the caller decided; by ratio where it did not.
        #[default]
        Follow = "follow",
        /// By ratio, whatever the caller decided.
        Ratio = "ratio",
        /// Every trace.
        Always = "always",
        /// No trace.
        Never = "never",
    }
}

/// Which share of the traces, decided by the right-most 56 bits of the trace id: every hop with the same ratio decides
/// alike, and a hop with a higher one keeps all that a lower one keeps (the consistent probability sampling of
/// OpenTelemetry).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Ratio {
    /// Traces whose bits are below are dropped.
    threshold: u64,
}

/// 2^56.
const ALL: u64 = 1 << 56;

impl Ratio {
    /// A ratio from 0 to 1; `None` beyond.
    pub fn new(ratio: f64) -> Option<Self> {
        if !(0.0..=1.0).contains(&ratio) {
            return None;
        }
        let kept = (ratio * ALL as f64) as u64;
        Some(Ratio {
            threshold: ALL.saturating_sub(kept),
        })
    }

    /// True for a trace that is kept.
    pub fn keeps(self, trace_id: &TraceId) -> bool {
        self.threshold == 0 || trace_id.random_bits() >= self.threshold
    }
}

/// The `sampled` flag of a trace.
pub fn decide(mode: Mode, ratio: Ratio, caller: Decision, trace_id: &TraceId) -> bool {
    match mode {
        Mode::Always => true,
        Mode::Never => false,
        Mode::Ratio => ratio.keeps(trace_id),
        Mode::Follow => caller.sampled().unwrap_or_else(|| ratio.keeps(trace_id)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn trace(bits: u64) -> TraceId {
        TraceId::from_halves(1, bits).unwrap()
    }

    #[test]
    fn the_ratio_is_over_the_random_bits_only() {
        let half = Ratio::new(0.5).unwrap();
        assert!(!half.keeps(&trace((1 << 55) - 1)));
        assert!(half.keeps(&trace(1 << 55)));
        // The byte left of the random ones does not count.
        assert!(!half.keeps(&trace(0xff << 56)));
    }

    #[test]
    fn ends_of_the_range() {
        assert!(Ratio::new(1.0).unwrap().keeps(&trace(0)));
        assert!(!Ratio::new(0.0).unwrap().keeps(&trace(u64::MAX)));
        assert_eq!(Ratio::new(1.1), None);
        assert_eq!(Ratio::new(-0.1), None);
        assert_eq!(Ratio::new(f64::NAN), None);
    }

    #[test]
    fn a_higher_ratio_keeps_all_that_a_lower_one_keeps() {
        for at in 0..1000u64 {
            let id = trace(at.wrapping_mul(0x9e37_79b9_7f4a_7c15));
            let kept: Vec<bool> = [0.01, 0.1, 0.5, 0.9]
                .iter()
                .map(|ratio| Ratio::new(*ratio).unwrap().keeps(&id))
                .collect();
            assert!(kept.is_sorted(), "{kept:?}");
        }
    }

    #[test]
    fn modes() {
        let (none, all) = (Ratio::new(0.0).unwrap(), Ratio::new(1.0).unwrap());
        let id = trace(7);
        for (mode, ratio, caller, expected) in [
            (Mode::Follow, none, Decision::Keep, true),
            (Mode::Follow, none, Decision::Debug, true),
            (Mode::Follow, all, Decision::Drop, false),
            (Mode::Follow, all, Decision::Defer, true),
            (Mode::Follow, none, Decision::Defer, false),
            (Mode::Ratio, none, Decision::Keep, false),
            (Mode::Ratio, all, Decision::Drop, true),
            (Mode::Always, none, Decision::Drop, true),
            (Mode::Never, all, Decision::Keep, false),
        ] {
            assert_eq!(
                decide(mode, ratio, caller, &id),
                expected,
                "{mode:?} {caller:?}"
            );
        }
    }
}

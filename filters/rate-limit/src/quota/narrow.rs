//! The same as [`super::gcra`] in 64 bits, for the numbers of nearly every limit: a module has no 128-bit arithmetic, and
//! imitating it costs several times as much as everything else about a decision.

use super::gcra::JITTER;
use super::{Ask, State, Verdict};
use seawall_core::time::Span;

/// A limit whose numbers fit.
#[derive(Debug, Clone, Copy)]
pub(super) struct Narrow {
    pub(super) requests: u64,
    pub(super) per: u64,
    pub(super) burst: u64,
    pub(super) capacity: u64,
}

impl Narrow {
    /// Decides about an ask; `None` where a number does not fit, or the clock was set back.
    pub(super) fn check(&self, state: Option<State>, now: u64, ask: Ask) -> Option<Verdict> {
        let (mut used, mut at, mut ahead, mut since) = (0, now, 0, now);
        if let Some(state) = state {
            ahead = state.a.saturating_sub(now);
            if ahead > JITTER {
                return None;
            }
            at = now.max(state.a);
            since = at;
            if let Some(whole) = state.expires.checked_sub(at) {
                used = whole.checked_mul(self.requests)?;
                used = used.checked_add(state.b & u64::from(u32::MAX))?;
                let used_for = (state.b >> 32).saturating_mul(1_000_000);
                since = state.a.saturating_sub(used_for).min(at);
            }
        }
        let wanted = used.checked_add(self.per.checked_mul(ask.need)?)?;
        let admitted = wanted <= self.capacity;
        let units = if admitted && ask.cost != ask.need {
            used.checked_add(self.per.checked_mul(ask.cost)?)?
        } else if admitted {
            wanted
        } else {
            used
        };
        let left = self.capacity.saturating_sub(units);
        let remaining = left.checked_div(self.per)?;
        let more = if remaining < self.burst {
            let one_more = self.per.checked_mul(remaining.checked_add(1)?)?;
            let over = units.checked_add(one_more)?.saturating_sub(self.capacity);
            Some(self.drained(over, ahead))
        } else {
            None
        };
        let wait = if !admitted && ask.need <= self.burst {
            Some(self.drained(wanted.saturating_sub(self.capacity), ahead))
        } else {
            None
        };
        let whole = units.checked_div(self.requests)?;
        let fraction = units.checked_rem(self.requests)?;
        let used_for = at.saturating_sub(since).div_ceil(1_000_000);
        Some(Verdict {
            admitted,
            charged: State {
                expires: at.saturating_add(whole),
                a: at,
                b: fraction | used_for.min(u64::from(u32::MAX)) << 32,
            },
            moved: false,
            remaining,
            more,
            wait,
        })
    }

    /// The time until `units` have drained.
    fn drained(&self, units: u64, ahead: u64) -> Span {
        let whole = units.div_ceil(self.requests.max(1));
        Span(whole.saturating_add(ahead))
    }
}

#[cfg(all(test, not(target_arch = "wasm32")))]
mod tests {
    use super::super::gcra::Gcra;
    use super::*;
    use proptest::prelude::*;

    /// Small numbers, large ones and those about powers of two.
    fn number() -> impl Strategy<Value = u64> {
        (0u32..64, any::<u64>()).prop_map(|(bits, number)| number >> bits)
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(20_000))]

        #[test]
        fn says_what_128_bits_say(
            (requests, per, burst) in (1u32.., number(), number()),
            held in proptest::option::of((number(), number(), number(), any::<u32>(), 0u32..1_000_000)),
            (now, need, cost) in (number(), number(), number()),
        ) {
            let limit = Gcra::new(requests, Span(per), burst, 1);
            // What was taken back may have ended before the last charge.
            let state = held.map(|(ahead, ago, back, used_for, fraction)| State {
                expires: now.saturating_sub(ago).saturating_add(ahead).saturating_sub(back),
                a: now.saturating_sub(ago).saturating_add(ahead % (2 * JITTER)),
                b: u64::from(fraction.checked_rem(requests).unwrap_or_default()) | u64::from(used_for) << 32,
            });
            let ask = Ask { need, cost };
            if let Some(narrow) = limit.narrow() {
                if let Some(verdict) = narrow.check(state, now, ask) {
                    prop_assert_eq!(verdict, limit.check_wide(state, now, ask));
                }
            }
        }
    }

    #[test]
    fn ordinary_numbers_fit() {
        let now = 1_800_000_000_000_000_000;
        let state = State {
            expires: now + 1_000,
            a: now,
            b: 0,
        };
        for (requests, per) in [(100, 60), (1_000_000, 1), (10_000, 86_400), (5, 31_536_000)] {
            let limit = Gcra::new(requests, Span::from_secs(per), u64::from(requests), 1);
            let verdict = limit
                .narrow()
                .and_then(|narrow| narrow.check(Some(state), now, Ask::of(1)));
            assert!(verdict.is_some(), "{requests} per {per} s");
        }
    }
}

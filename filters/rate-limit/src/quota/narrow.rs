//! The same as [`super::gcra`] in 64 bits, for the numbers of nearly every limit: a module has no 128-bit arithmetic, and
//! imitating it costs several times as much as everything else about a decision.

use super::gcra::JITTER;
use super::{Ask, State, Verdict};
use seawall_core::time::Span;

/// A limit whose numbers fit. Its units are `1 / requests` of a nanosecond as well, but of the least numbers that have this rate:
/// a million a day is one in 86.4 milliseconds, and every charge a multiple of `common` units of the larger ones.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Narrow {
    requests: u64,
    per: u64,
    burst: u64,
    capacity: u64,
    /// By this the numbers were divided.
    common: u64,
}

/// The product, where it fits. Checking for that takes a 128-bit product, which a module has not.
fn times(one: u64, other: u64) -> Option<u64> {
    if one.leading_zeros().wrapping_add(other.leading_zeros()) >= u64::BITS {
        return Some(one.wrapping_mul(other));
    }
    one.checked_mul(other)
}

impl Narrow {
    /// `requests` per `per` nanoseconds, of which `burst` may come at once.
    pub(super) fn of(requests: u32, per: u128, burst: u64) -> Option<Self> {
        let (per, requests) = (u64::try_from(per).ok()?, u64::from(requests));
        let (mut common, mut rest) = (per, requests);
        while rest > 0 {
            (common, rest) = (rest, common.checked_rem(rest)?);
        }
        let (per, requests) = (per.checked_div(common)?, requests.checked_div(common)?);
        let slack = requests.checked_sub(1)?;
        Some(Narrow {
            requests,
            per,
            burst,
            capacity: per.checked_mul(burst)?.checked_add(slack)?,
            common,
        })
    }

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
                let fraction = state.b & u64::from(u32::MAX);
                if fraction.checked_rem(self.common)? != 0 {
                    return None;
                }
                let fraction = fraction.checked_div(self.common)?;
                used = times(whole, self.requests)?.checked_add(fraction)?;
                let used_for = (state.b >> 32).saturating_mul(1_000_000);
                since = state.a.saturating_sub(used_for).min(at);
            }
        }
        let wanted = used.checked_add(times(self.per, ask.need)?)?;
        let admitted = wanted <= self.capacity;
        let units = if admitted && ask.cost != ask.need {
            used.checked_add(times(self.per, ask.cost)?)?
        } else if admitted {
            wanted
        } else {
            used
        };
        let left = self.capacity.saturating_sub(units);
        let remaining = left.checked_div(self.per)?;
        let more = if remaining < self.burst {
            let one_more = times(self.per, remaining.checked_add(1)?)?;
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
        let fraction = times(units.checked_rem(self.requests)?, self.common)?;
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

    /// Requests, per and burst: any, and such with a large common divisor.
    fn numbers() -> impl Strategy<Value = (u32, u64, u64)> {
        let round = (1u32..4_000, 1u32..1_000_000, 1u64..100_000, number());
        prop_oneof![
            (1u32.., number(), number()),
            round.prop_map(|(times, common, per, burst)| {
                let requests = times.saturating_mul(common);
                (requests, per.saturating_mul(u64::from(common)), burst)
            }),
        ]
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(20_000))]

        #[test]
        fn says_what_128_bits_say(
            (requests, per, burst) in numbers(),
            any_fraction in any::<bool>(),
            held in proptest::option::of((number(), number(), number(), any::<u32>(), 0u32..1_000_000)),
            (now, need, cost) in (number(), number(), number()),
        ) {
            let limit = Gcra::new(requests, Span(per), burst, 1);
            let common = limit.narrow().map_or(1, |narrow| narrow.common as u32);
            let fraction = |fraction: u32| {
                let fraction = fraction.checked_rem(requests).unwrap_or_default();
                // Those that there are, and others.
                let rest = fraction.checked_rem(common).unwrap_or_default();
                fraction.saturating_sub(if any_fraction { 0 } else { rest })
            };
            // What was taken back may have ended before the last charge.
            let state = held.map(|(ahead, ago, back, used_for, drawn)| State {
                expires: now.saturating_sub(ago).saturating_add(ahead).saturating_sub(back),
                a: now.saturating_sub(ago).saturating_add(ahead % (2 * JITTER)),
                b: u64::from(fraction(drawn)) | u64::from(used_for) << 32,
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
        for (requests, per) in [
            (100, 60),
            (1_000_000, 1),
            (10_000, 86_400),
            (1_000_000, 86_400),
            (1_000_000_000, 86_400),
            (5, 31_536_000),
        ] {
            let limit = Gcra::new(requests, Span::from_secs(per), u64::from(requests), 1);
            let verdict = limit
                .narrow()
                .and_then(|narrow| narrow.check(Some(state), now, Ask::of(1)));
            assert!(verdict.is_some(), "{requests} per {per} s");
        }
    }

    /// Counters are known by it: another text for the same limit would begin them anew with an update of the filter.
    #[test]
    fn a_limit_is_written_without_what_follows_from_its_numbers() {
        let limit = Gcra::new(100, Span::from_secs(60), 20, 1);
        assert_eq!(
            format!("{limit:?}"),
            "Gcra { requests: 100, per: 60000000000, burst: 20, capacity: 1200000000099 }"
        );
    }
}

//! Adaptive mode: a part of the calls is refused, so that an overloaded dependency gets what it can take.
//!
//! Client-side throttling of Beyer et al., *Site Reliability Engineering* (O'Reilly 2016), chapter 21: with the requests and
//! the accepts of the window, `max(0, (requests - k * accepts) / (requests + 1))` of the calls are refused. The dependency is
//! offered about `k` times of what it accepts. A floor always goes through: with nothing accepted nobody would notice that
//! the dependency is back.

use super::window::Tally;
use crate::policy::Adaptive;

/// The share of calls to refuse.
pub fn refusal_share(adaptive: &Adaptive, minimum_calls: u32, sum: Tally) -> f64 {
    let requests = sum.calls.saturating_add(sum.refused);
    if requests < minimum_calls {
        return 0.0;
    }
    let accepts = sum
        .calls
        .saturating_sub(sum.failures)
        .saturating_sub(sum.slow);
    let excess = f64::from(requests) - adaptive.k * f64::from(accepts);
    (excess / (f64::from(requests) + 1.0)).clamp(0.0, 1.0 - adaptive.floor)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ADAPTIVE: Adaptive = Adaptive {
        k: 2.0,
        floor: 0.01,
    };

    fn share(calls: u32, failures: u32, refused: u32) -> f64 {
        let sum = Tally {
            calls,
            failures,
            slow: 0,
            refused,
        };
        refusal_share(&ADAPTIVE, 20, sum)
    }

    #[test]
    fn follows_the_formula_between_nothing_and_the_floor() {
        assert_eq!(share(100, 0, 0), 0.0);
        assert_eq!(share(100, 50, 0), 0.0);
        // (300 - 2 * 100) / 301
        assert!((share(200, 100, 100) - 100.0 / 301.0).abs() < 1e-9);
        assert_eq!(share(1000, 1000, 0), 0.99);
        assert_eq!(share(10, 10, 0), 0.0);
    }

    #[test]
    fn an_overdue_call_has_not_been_accepted() {
        let sum = Tally {
            calls: 100,
            failures: 30,
            slow: 40,
            refused: 0,
        };
        // (100 - 2 * 30) / 101
        assert!((refusal_share(&ADAPTIVE, 20, sum) - 40.0 / 101.0).abs() < 1e-9);
    }
}

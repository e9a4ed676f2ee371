//! When it opens, and how it recovers.

use super::check::{between, lasting, within};
use super::raw::{Raw, RawAdaptive};
use crate::breaker::MOST_PROBES;
use crate::filter::TICK;
use crate::policy::{Adaptive, Policy};
use seawall_core::config::ConfigErrors;
use seawall_core::time::Span;

const DAY: Span = Span::from_secs(86_400);

/// A percentage that is never reached.
const NEVER: f64 = f64::INFINITY;

pub(super) fn validate(raw: &Raw, errors: &mut ConfigErrors) -> Policy {
    let millis = Span::from_millis;
    let (open_for, max_open_for) = open_times(raw, errors);
    let slow_after = raw
        .slow_after
        .map(|span| lasting(errors, "slow_after", span, millis(1), DAY));
    let percentage = |errors: &mut ConfigErrors, path: &str, value: Option<f64>| match between(
        errors,
        path,
        value.unwrap_or(50.0),
        0.0,
        100.0,
    ) {
        0.0 => NEVER,
        value => value,
    };
    // What follows from another field is checked there.
    let probe_timeout = match raw.probe_timeout {
        Some(span) => lasting(errors, "probe_timeout", span, millis(1), DAY),
        // A call that hangs is noticed by the timer a little after `slow_after`, and no other probe is to go meanwhile.
        None => slow_after.map_or(Span::from_secs(10), |slow| {
            slow.saturating_add(TICK.saturating_mul(2))
        }),
    };
    let asked = raw.retry_after.as_ref().and_then(|retry| retry.max);
    let retry_after_max = match asked {
        Some(span) => lasting(errors, "retry_after.max", span, Span::ZERO, DAY),
        None => max_open_for,
    };
    let probes = raw.probes.unwrap_or(1);
    Policy {
        failure_threshold: within(
            errors,
            "failure_threshold",
            raw.failure_threshold.unwrap_or(5),
            0,
            1_000_000,
        ),
        failure_percentage: percentage(errors, "failure_percentage", raw.failure_percentage),
        slow_percentage: percentage(errors, "slow_percentage", raw.slow_percentage),
        minimum_calls: within(
            errors,
            "minimum_calls",
            raw.minimum_calls.unwrap_or(20),
            1,
            1_000_000,
        ),
        window: lasting(
            errors,
            "window",
            raw.window.unwrap_or(Span::from_secs(30)),
            Span::from_secs(1),
            DAY,
        ),
        slow_after,
        open_for,
        max_open_for,
        jitter: between(errors, "jitter", raw.jitter.unwrap_or(0.2), 0.0, 0.5),
        retry_after_max,
        probes: within(errors, "probes", probes, 1, MOST_PROBES as u32) as usize,
        successes: within(errors, "successes", raw.successes.unwrap_or(2), 1, 1000),
        probe_timeout,
        ramp: lasting(
            errors,
            "ramp",
            raw.ramp.unwrap_or(Span::from_secs(10)),
            Span::ZERO,
            DAY,
        ),
        ramp_from: between(
            errors,
            "ramp_from",
            raw.ramp_from.unwrap_or(10.0),
            1.0,
            100.0,
        ) / 100.0,
        adaptive: raw.adaptive.as_ref().map(|raw| adaptive(raw, errors)),
    }
}

/// `timeout` is what textbooks call `open_for`.
fn open_times(raw: &Raw, errors: &mut ConfigErrors) -> (Span, Span) {
    let path = match (raw.open_for, raw.timeout) {
        (Some(_), Some(_)) => {
            errors.add(
                "timeout",
                "is another name of open_for: only one of them can be set",
            );
            "open_for"
        }
        (None, Some(_)) => "timeout",
        _ => "open_for",
    };
    let open_for = raw.open_for.or(raw.timeout).unwrap_or(Span::from_secs(5));
    let open_for = lasting(errors, path, open_for, Span::from_millis(1), DAY);
    let most = Span(Span::from_secs(60).0.max(open_for.0));
    let max_open_for = match raw.max_open_for {
        Some(span) => lasting(errors, "max_open_for", span, Span::ZERO, DAY),
        None => most,
    };
    if max_open_for < open_for {
        errors.add(
            "max_open_for",
            format!("must be at least {path} ({open_for}), got {max_open_for}"),
        );
    }
    (open_for, max_open_for)
}

fn adaptive(raw: &RawAdaptive, errors: &mut ConfigErrors) -> Adaptive {
    Adaptive {
        k: between(errors, "adaptive.k", raw.k.unwrap_or(2.0), 1.1, 10.0),
        floor: between(
            errors,
            "adaptive.floor",
            raw.floor.unwrap_or(1.0),
            0.1,
            100.0,
        ) / 100.0,
    }
}

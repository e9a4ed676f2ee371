//! A plan: the numbers of a limit or of an override, checked, and what is made of them.

use super::check::within;
use super::limits::Frame;
use super::raw::{Algorithm, Period, Scope};
use super::{FleetPlan, Plan};
use crate::fleet::wire::Unit;
use crate::key::Part;
use crate::quota::{Concurrency, Fixed, Gcra, Quota, Remembered, Sliding, Window};
use crate::table::within_key;
use seawall_core::config::ConfigErrors;
use seawall_core::hash::{KeyHasher, Secret};
use seawall_core::time::Span;

/// The largest number there is in a configuration.
pub(super) const MOST: u64 = 1_000_000_000;
pub(super) const DAY: Span = Span::from_secs(86_400);
/// A full burst must be earned back within this time, a hundred years.
const LONGEST: u128 = 100 * 366 * 86_400 * 1_000_000_000;

/// What a plan is made of.
#[derive(Clone, Copy)]
pub(super) struct Numbers {
    pub(super) algorithm: Algorithm,
    pub(super) requests: Option<u64>,
    pub(super) per: Option<Period>,
    pub(super) burst: Option<u64>,
    pub(super) concurrent: Option<u64>,
    pub(super) lease: Span,
    pub(super) scope: Scope,
}

/// What is made of checked numbers.
pub(super) fn plan(
    name: &str,
    parts: &[Part],
    quota: Option<Quota>,
    numbers: &Numbers,
    frame: &Frame,
) -> Plan {
    let mut hasher = KeyHasher::new(&Secret([0; 16]));
    let text = format!("{parts:?} {quota:?}");
    hasher.part(name.as_bytes()).part(text.as_bytes());
    Plan {
        quota,
        identity: within_key(hasher.finish().tag()),
        policy: quota.map_or_else(String::new, |quota| policy(name, &quota, numbers, frame)),
        fleet: quota.and_then(|_| fleet(numbers, frame)),
    }
}

/// What belongs to a limit that a service keeps.
fn fleet(numbers: &Numbers, frame: &Frame) -> Option<FleetPlan> {
    if numbers.scope == Scope::Local {
        return None;
    }
    let (requests, per) = (numbers.requests?, numbers.per?);
    let (unit, per) = match per {
        Period::Week => (None, DAY.saturating_mul(7)),
        Period::Month => (Some(Unit::Month), DAY.saturating_mul(31)),
        Period::Year => (Some(Unit::Year), DAY.saturating_mul(366)),
        Period::Lasting(span) => {
            let unit = match span.as_nanos() {
                1_000_000_000 => Some(Unit::Second),
                60_000_000_000 => Some(Unit::Minute),
                3_600_000_000_000 => Some(Unit::Hour),
                86_400_000_000_000 => Some(Unit::Day),
                _ => None,
            };
            (unit, span)
        }
    };
    let numbers = u32::try_from(requests)
        .ok()
        .zip(unit.filter(|_| frame.send_numbers));
    // Where the service has numbers of its own, these say nothing.
    let most = if numbers.is_some() {
        requests
    } else {
        u64::MAX
    };
    Some(FleetPlan {
        gate: Quota::Remembered(Remembered { requests, most }),
        numbers,
        per,
    })
}

/// The item of `RateLimit-Policy`.
fn policy(name: &str, quota: &Quota, numbers: &Numbers, frame: &Frame) -> String {
    let window = match numbers.per {
        Some(Period::Lasting(per)) if Span::from_secs(per.as_secs()) == per => per.as_secs(),
        Some(Period::Week) => 604_800,
        _ => 0,
    };
    let window = match window {
        0 => String::new(),
        seconds => format!(";w={seconds}"),
    };
    if numbers.scope == Scope::Fleet {
        // Counted for all Envoys together, by an algorithm of the service's own: nothing is divided, and there is no burst.
        let requests = numbers.requests.unwrap_or_default();
        return format!("\"{name}\";q={requests}{window}");
    }
    match quota {
        Quota::Gcra(_) => {
            let (rate, burst) = (numbers.requests.unwrap_or_default(), quota.most());
            if numbers.burst.is_some_and(|own| own != rate) {
                let rate = frame.share(rate);
                format!("\"{name}\";q={rate}{window};seawall-burst={burst}")
            } else {
                format!("\"{name}\";q={burst}{window}")
            }
        }
        Quota::Sliding(_) | Quota::Fixed(_) => {
            format!("\"{name}\";q={}{window}", quota.most())
        }
        Quota::Remembered(_) => String::new(),
        Quota::Concurrency(_) => {
            format!("\"{name}\";q={};qu=\"concurrent-requests\"", quota.most())
        }
    }
}

/// Checks numbers, and makes the algorithm of them.
pub(super) fn quota(
    numbers: Numbers,
    path: &str,
    frame: &Frame,
    errors: &mut ConfigErrors,
) -> Option<Quota> {
    let at = |field: &str| format!("{path}.{field}");
    let share = |number: u64| frame.share(number);
    if let Some(concurrent) = numbers.concurrent {
        for (given, field) in [
            (numbers.requests.is_some(), "requests"),
            (numbers.per.is_some(), "per"),
            (numbers.burst.is_some(), "burst"),
        ] {
            if given {
                errors.add(at(field), "cannot be combined with `concurrent`");
            }
        }
        let max = within(Some(concurrent), 1, 1, MOST, &at("concurrent"), errors);
        return Some(Quota::Concurrency(Concurrency {
            max: share(max),
            lease: numbers.lease.as_nanos(),
        }));
    }
    for (missing, field) in [
        (numbers.requests.is_none(), "requests"),
        (numbers.per.is_none(), "per"),
    ] {
        if missing {
            errors.add(
                at(field),
                "is missing; a limit needs `requests` and `per`, or `concurrent`",
            );
        }
    }
    // Checked although `per` may be wrong as well: all that is wrong is to be said at once.
    let requests = numbers.requests;
    let requests = requests.map(|own| within(Some(own), 1, 1, MOST, &at("requests"), errors));
    let (requests, per) = (requests?, numbers.per?);
    if let Period::Lasting(span) = per {
        let least = Span::from_millis(1);
        within(
            Some(span),
            least,
            least,
            DAY.saturating_mul(366),
            &at("per"),
            errors,
        );
    }
    if numbers.burst.is_some() && numbers.algorithm != Algorithm::Gcra {
        errors.add(at("burst"), "is for `algorithm: gcra` only");
    }
    let length = match per {
        Period::Lasting(span) => Some(span),
        Period::Week => Some(DAY.saturating_mul(7)),
        Period::Month | Period::Year => None,
    };
    if length.is_none() && numbers.algorithm != Algorithm::FixedWindow {
        errors.add(
            at("per"),
            "months and years are for `algorithm: fixed_window` only",
        );
    }
    match numbers.algorithm {
        Algorithm::Gcra => {
            let per = length?;
            let burst = within(numbers.burst, requests, 1, MOST, &at("burst"), errors);
            if u128::from(requests) > u128::from(per.as_nanos()) {
                errors.add(
                    at("requests"),
                    format!("must be at most one per nanosecond, got {requests} per {per}"),
                );
            }
            let full = u128::from(per.as_nanos())
                .saturating_mul(u128::from(burst))
                .saturating_mul(u128::from(frame.replicas))
                .checked_div(u128::from(requests));
            if full.is_some_and(|full| full > LONGEST) {
                errors.add(
                    at("burst"),
                    format!("must be earned back within 100 years, got {burst}"),
                );
            }
            let requests = u32::try_from(requests).unwrap_or(u32::MAX);
            Some(Quota::Gcra(Gcra::new(
                requests,
                per,
                share(burst),
                frame.replicas,
            )))
        }
        Algorithm::SlidingWindow => Some(Quota::Sliding(Sliding {
            requests: share(requests),
            per: length?.as_nanos().max(1),
        })),
        Algorithm::FixedWindow => Some(Quota::Fixed(Fixed {
            requests: share(requests),
            window: match per {
                Period::Lasting(span) => Window::Every(span.as_nanos().max(1)),
                Period::Week => Window::Week,
                Period::Month => Window::Month,
                Period::Year => Window::Year,
            },
        })),
    }
}

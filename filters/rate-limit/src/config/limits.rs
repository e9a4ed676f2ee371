//! A limit's numbers: what is allowed, what they make together, and what tells them from others.

use super::check::{header_name, part, rules, within};
use super::raw::{
    Algorithm, Many, Period, RawCharge, RawCost, RawLimit, RawOverride, RawPenalty, Scope,
};
use super::{Charge, Cost, FleetPlan, Limit, Override, Plan};
use crate::fleet::wire::Unit;
use crate::key::address::{self, Prefixes};
use crate::key::Part;
use crate::quota::{Concurrency, Fixed, Gcra, Penalty, Quota, Remembered, Sliding, Window};
use seawall_core::config::ConfigErrors;
use seawall_core::hash::{KeyHasher, Secret};
use seawall_core::metrics::is_name;
use seawall_core::time::Span;
use std::cell::OnceCell;

const MOST: u64 = 1_000_000_000;
const DAY: Span = Span::from_secs(86_400);
/// A full burst must be earned back within this time, a hundred years.
const LONGEST: u128 = 100 * 366 * 86_400 * 1_000_000_000;

/// What the limits of one level have in common.
pub(super) struct Frame {
    pub(super) replicas: u32,
    pub(super) trusted_hops: u32,
    pub(super) prefixes: Prefixes,
    pub(super) jwt_payload: String,
    /// A service keeps limits for the fleet.
    pub(super) fleet: bool,
    /// It is sent the numbers of a limit.
    pub(super) send_numbers: bool,
}

/// What a plan is made of.
#[derive(Clone, Copy)]
struct Numbers {
    algorithm: Algorithm,
    requests: Option<u64>,
    per: Option<Period>,
    burst: Option<u64>,
    concurrent: Option<u64>,
    lease: Span,
    scope: Scope,
}

/// Checks a limit and makes its settings. Its key is added to `keys` where it is a new one.
pub(super) fn limit(
    raw: RawLimit,
    path: &str,
    frame: &Frame,
    keys: &mut Vec<Vec<Part>>,
    errors: &mut ConfigErrors,
) -> Limit {
    let name = raw.name.unwrap_or_default();
    if !is_name(&name) {
        let problem = format!("must be 1 to 64 letters, digits, `_` or `-`, got {name:?}");
        errors.add(format!("{path}.name"), problem);
    }
    let mut parts = Vec::new();
    for (index, raw) in raw.key.unwrap_or_default().into_iter().enumerate() {
        parts.push(part(raw, &format!("{path}.key[{index}]"), frame, errors));
    }
    let lease_path = format!("{path}.lease");
    let second = Span::from_secs(1);
    let lease = within(
        raw.lease,
        Span::from_secs(600),
        second,
        DAY,
        &lease_path,
        errors,
    );
    if raw.lease.is_some() && raw.concurrent.is_none() {
        errors.add(lease_path, "is for limits with `concurrent` only");
    }
    let numbers = Numbers {
        algorithm: raw.algorithm.unwrap_or(Algorithm::Gcra),
        requests: raw.requests,
        per: raw.per,
        burst: raw.burst,
        concurrent: raw.concurrent,
        lease,
        scope: raw.scope.unwrap_or(Scope::Local),
    };
    if numbers.scope == Scope::Fleet {
        if !frame.fleet {
            errors.add(
                format!("{path}.scope"),
                "needs `fleet`, which says where the rate limit service is, got \"fleet\"",
            );
        }
        for (given, field) in [
            (raw.concurrent.is_some(), "concurrent"),
            (raw.charge.is_some(), "charge"),
            (raw.count_refused == Some(true), "count_refused"),
        ] {
            if given {
                errors.add(
                    format!("{path}.{field}"),
                    "is not for limits with `scope: fleet`",
                );
            }
        }
    }
    if raw.concurrent.is_some() {
        for (given, field) in [
            (raw.algorithm.is_some(), "algorithm"),
            (raw.charge.is_some(), "charge"),
            (raw.count_refused == Some(true), "count_refused"),
        ] {
            if given {
                errors.add(
                    format!("{path}.{field}"),
                    "is not for limits with `concurrent`",
                );
            }
        }
    }
    let quota = quota(numbers, path, frame, errors);
    let plan = plan(&name, &parts, quota, &numbers, frame);
    let mut overrides = Vec::new();
    for (index, tier) in raw.overrides.unwrap_or_default().into_iter().enumerate() {
        let path = format!("{path}.overrides[{index}]");
        overrides.push(tier_of(tier, &path, &name, numbers, &parts, frame, errors));
    }
    let percent = within(
        raw.enforce_percent,
        100.0,
        0.0,
        100.0,
        &format!("{path}.enforce_percent"),
        errors,
    );
    let key = match keys.iter().position(|known| *known == parts) {
        Some(index) => index,
        None => {
            keys.push(parts);
            keys.len().saturating_sub(1)
        }
    };
    Limit {
        key,
        plan,
        overrides,
        missing: raw.missing.unwrap_or_default(),
        matches: rules(raw.matches, &format!("{path}.match"), frame, errors),
        exempt: rules(raw.exempt, &format!("{path}.exempt"), frame, errors),
        cost: cost(raw.cost, &format!("{path}.cost"), errors),
        shadow: raw.shadow.unwrap_or(false),
        enforce: percent / 100.0,
        charge: raw
            .charge
            .map(|raw| charge(raw, &format!("{path}.charge"), errors)),
        penalty: raw
            .penalty
            .map(|raw| penalty(raw, &format!("{path}.penalty"), errors)),
        count_refused: raw.count_refused.unwrap_or(false),
        metrics: OnceCell::new(),
        name,
    }
}

fn tier_of(
    raw: RawOverride,
    path: &str,
    name: &str,
    base: Numbers,
    parts: &[Part],
    frame: &Frame,
    errors: &mut ConfigErrors,
) -> Override {
    let numbers = Numbers {
        requests: raw.requests.or(base.requests),
        per: raw.per.or(base.per),
        // A tier with its own rate has its own burst, unless it is said.
        burst: raw.burst.or(if raw.requests.is_some() {
            None
        } else {
            base.burst
        }),
        concurrent: raw.concurrent.or(base.concurrent),
        ..base
    };
    let unlimited = raw.unlimited.unwrap_or(false);
    let numbered = raw.requests.is_some()
        || raw.per.is_some()
        || raw.burst.is_some()
        || raw.concurrent.is_some();
    if unlimited == numbered {
        errors.add(
            path,
            "must have either `unlimited: true` or numbers of its own",
        );
    }
    let quota = (!unlimited).then(|| quota(numbers, path, frame, errors));
    let matches = rules(raw.matches, &format!("{path}.match"), frame, errors);
    let Many(values) = raw.key.unwrap_or_default();
    if values.is_empty() && matches.is_empty() {
        errors.add(path, "must say for whom it is: `key` or `match`");
    }
    if values.len() > parts.len() {
        let problem = format!(
            "must have at most one value for each of the {} parts of the key, got {}",
            parts.len(),
            values.len()
        );
        errors.add(format!("{path}.key"), problem);
    }
    let values = values.into_iter().zip(parts).map(|(value, part)| {
        if value == "*" {
            return None;
        }
        match part {
            Part::ClientAddress { prefixes, .. } => {
                let address = address::read(value.as_bytes());
                if address.is_none() {
                    let problem = format!("must be an address here, got {value:?}");
                    errors.add(format!("{path}.key"), problem);
                }
                address.map(|address| prefixes.cut(address))
            }
            _ => Some(value.into_bytes()),
        }
    });
    let values = values.collect();
    Override {
        values,
        matches,
        plan: plan(name, parts, quota.flatten(), &numbers, frame),
    }
}

fn plan(
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
        identity: hasher.finish().tag(),
        policy: quota.map_or_else(String::new, |quota| policy(name, &quota, numbers)),
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
    Some(FleetPlan {
        gate: Quota::Remembered(Remembered { requests }),
        numbers: u32::try_from(requests)
            .ok()
            .zip(unit.filter(|_| frame.send_numbers)),
        per,
    })
}

/// The item of `RateLimit-Policy`.
fn policy(name: &str, quota: &Quota, numbers: &Numbers) -> String {
    let window = match numbers.per {
        Some(Period::Lasting(per)) if Span::from_secs(per.as_secs()) == per => per.as_secs(),
        Some(Period::Week) => 604_800,
        _ => 0,
    };
    let window = match window {
        0 => String::new(),
        seconds => format!(";w={seconds}"),
    };
    match quota {
        Quota::Gcra(_) => {
            let (rate, burst) = (numbers.requests.unwrap_or_default(), quota.most());
            if numbers.burst.is_some_and(|own| own != rate) {
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

fn quota(numbers: Numbers, path: &str, frame: &Frame, errors: &mut ConfigErrors) -> Option<Quota> {
    let at = |field: &str| format!("{path}.{field}");
    let replicas = u64::from(frame.replicas);
    let share = |number: u64| number.checked_div(replicas).unwrap_or(number).max(1);
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
    let (requests, per) = (numbers.requests?, numbers.per?);
    let requests = within(Some(requests), 1, 1, MOST, &at("requests"), errors);
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

fn cost(raw: Option<RawCost>, path: &str, errors: &mut ConfigErrors) -> Cost {
    match raw {
        None => Cost::Fixed(1),
        Some(RawCost::Fixed(cost)) => Cost::Fixed(within(Some(cost), 1, 0, MOST, path, errors)),
        Some(RawCost::Header(raw)) => {
            let path = format!("{path}.header");
            if raw.header.is_none() {
                errors.add(&path, "is missing");
            }
            Cost::Header {
                name: header_name(raw.header.unwrap_or_else(|| "x".to_owned()), &path, errors),
                default: raw.default.unwrap_or(1),
                max: raw.max.unwrap_or(u64::MAX),
            }
        }
    }
}

fn charge(raw: RawCharge, path: &str, errors: &mut ConfigErrors) -> Charge {
    let statuses = raw.status.map_or_else(Vec::new, |Many(statuses)| statuses);
    if statuses.is_empty() && raw.header.is_none() {
        errors.add(path, "must have `status`, `header` or both");
    }
    Charge {
        statuses,
        header: raw
            .header
            .map(|name| header_name(name, &format!("{path}.header"), errors)),
        reserve: raw.reserve.map(|reserve| {
            within(
                Some(reserve),
                1,
                0,
                MOST,
                &format!("{path}.reserve"),
                errors,
            )
        }),
    }
}

fn penalty(raw: RawPenalty, path: &str, errors: &mut ConfigErrors) -> Penalty {
    let month = DAY.saturating_mul(30);
    let mut span = |value: Option<Span>, field: &str| {
        let path = format!("{path}.{field}");
        if value.is_none() {
            errors.add(
                &path,
                "is missing; a penalty needs `refusals`, `within` and `block_for`",
            );
        }
        let second = Span::from_secs(1);
        within(value, second, second, month, &path, errors)
    };
    let (within_span, block_for) = (span(raw.within, "within"), span(raw.block_for, "block_for"));
    let path = format!("{path}.refusals");
    if raw.refusals.is_none() {
        errors.add(
            &path,
            "is missing; a penalty needs `refusals`, `within` and `block_for`",
        );
    }
    Penalty {
        refusals: within(raw.refusals, 1, 1, MOST, &path, errors),
        within: within_span,
        block_for,
    }
}

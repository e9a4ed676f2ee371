//! A limit's numbers: what is allowed, what they make together, and what tells them from others.

use super::check::{header_name, part, rules, within};
use super::plan::{plan, quota, Numbers, DAY, MOST};
use super::raw::{Algorithm, Many, RawCharge, RawCost, RawLimit, RawOverride, RawPenalty, Scope};
use super::{within_reach, Charge, Cost, Limit, Override};
use crate::key::address::{self, Prefixes};
use crate::key::Part;
use crate::quota::Penalty;
use seawall_core::config::ConfigErrors;
use seawall_core::metrics::is_name;
use seawall_core::time::Span;
use std::cell::OnceCell;

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

impl Frame {
    /// What one of the replicas keeps of a number; at least 1.
    pub(super) fn share(&self, number: u64) -> u64 {
        let replicas = u64::from(self.replicas);
        number.checked_div(replicas).unwrap_or(number).max(1)
    }
}

/// Checks a limit and makes its settings. Its key is added to `keys` where it is a new one.
pub(super) fn limit(
    raw: RawLimit,
    path: &str,
    frame: &Frame,
    keys: &mut Vec<Vec<Part>>,
    errors: &mut ConfigErrors,
) -> Limit {
    excluded(&raw, path, frame, errors);
    let name = raw.name.unwrap_or_default();
    if !is_name(&name) {
        let allowed = "must be 1 to 64 letters, digits, `_` or `-`";
        let problem = match name.as_str() {
            "" => format!("is missing; it {allowed}"),
            name => format!("{allowed}, got {name:?}"),
        };
        errors.add(format!("{path}.name"), problem);
    }
    let raw_parts = raw.key.unwrap_or_default();
    let mut parts = Vec::with_capacity(raw_parts.len());
    for (index, raw) in raw_parts.into_iter().enumerate() {
        parts.push(part(raw, &format!("{path}.key[{index}]"), frame, errors));
    }
    let second = Span::from_secs(1);
    let lease = within(
        raw.lease,
        Span::from_secs(600),
        second,
        DAY,
        &format!("{path}.lease"),
        errors,
    );
    let numbers = Numbers {
        algorithm: raw.algorithm.unwrap_or(Algorithm::Gcra),
        requests: raw.requests,
        per: raw.per,
        burst: raw.burst,
        concurrent: raw.concurrent,
        lease,
        scope: raw.scope.unwrap_or(Scope::Local),
    };
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
    let limit = Limit {
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
    };
    within_reach::check(&limit, path, errors);
    limit
}

/// Finds settings that do not go together.
fn excluded(raw: &RawLimit, path: &str, frame: &Frame, errors: &mut ConfigErrors) {
    let fleet = raw.scope == Some(Scope::Fleet);
    if raw.lease.is_some() && raw.concurrent.is_none() {
        errors.add(
            format!("{path}.lease"),
            "is for limits with `concurrent` only",
        );
    }
    if fleet && !frame.fleet {
        errors.add(
            format!("{path}.scope"),
            "needs `fleet`, which says where the rate limit service is, got \"fleet\"",
        );
    }
    let (concurrent, charge) = (raw.concurrent.is_some(), raw.charge.is_some());
    let count_refused = raw.count_refused == Some(true);
    for (is_one, kind, given) in [
        (
            fleet,
            "`scope: fleet`",
            [
                (concurrent, "concurrent"),
                (charge, "charge"),
                (count_refused, "count_refused"),
            ],
        ),
        (
            concurrent,
            "`concurrent`",
            [
                (raw.algorithm.is_some(), "algorithm"),
                (charge, "charge"),
                (count_refused, "count_refused"),
            ],
        ),
    ] {
        for (_, field) in given.into_iter().filter(|(given, _)| is_one && *given) {
            errors.add(
                format!("{path}.{field}"),
                format!("is not for limits with {kind}"),
            );
        }
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
                address.map(|address| prefixes.cut(address).as_ref().to_vec())
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

fn cost(raw: Option<RawCost>, path: &str, errors: &mut ConfigErrors) -> Cost {
    match raw {
        None => Cost::Fixed(1),
        Some(RawCost::Fixed(cost)) => Cost::Fixed(within(Some(cost), 1, 0, MOST, path, errors)),
        Some(RawCost::Header(raw)) => {
            let cost_path = path;
            let path = format!("{path}.header");
            if raw.header.is_none() {
                errors.add(&path, "is missing");
            }
            for (number, field) in [(raw.default, "default"), (raw.min, "min"), (raw.max, "max")] {
                within(number, 0, 0, MOST, &format!("{cost_path}.{field}"), errors);
            }
            let (min, max) = (raw.min.unwrap_or(1), raw.max.unwrap_or(u64::MAX));
            if min > max {
                let problem = format!("must be at least `min`, {min}, got {max}");
                errors.add(format!("{cost_path}.max"), problem);
            }
            Cost::Header {
                name: header_name(raw.header.unwrap_or_else(|| "x".to_owned()), &path, errors),
                default: raw.default.unwrap_or(1),
                min,
                max,
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

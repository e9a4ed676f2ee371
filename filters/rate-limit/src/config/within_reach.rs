//! Finds what no request could ever pay: such a limit would refuse everybody, or all who do not say their cost, for good.

use super::{Cost, Limit, Plan};
use crate::quota::Quota;
use seawall_core::config::ConfigErrors;

/// Refuses costs that neither the limit nor one of its overrides can admit. With a reserve, that alone is asked for on the way
/// in, and what a request costs may be owed.
pub(super) fn check(limit: &Limit, path: &str, errors: &mut ConfigErrors) {
    let overrides = limit.overrides.iter().map(|tier| &tier.plan);
    let plans = std::iter::once(&limit.plan).chain(overrides);
    let most = plans.map(most).max().unwrap_or(u64::MAX);
    let mut check = |cost: u64, field: &str| {
        if cost > most {
            let problem = format!("must be at most {most}, or nobody is admitted, got {cost}");
            errors.add(format!("{path}.{field}"), problem);
        }
    };
    let reserve = limit.charge.as_ref().and_then(|charge| charge.reserve);
    match (reserve, &limit.cost) {
        (Some(reserve), _) => check(reserve, "charge.reserve"),
        (None, Cost::Fixed(cost)) => check(*cost, "cost"),
        (None, Cost::Header { default, min, .. }) => {
            check(*default, "cost.default");
            check(*min, "cost.min");
        }
    }
}

/// The most that can be admitted at once. Without numbers there is no limit, or they are wrong and said to be. Where a service
/// has numbers of its own, only it knows.
fn most(plan: &Plan) -> u64 {
    match (&plan.quota, plan.fleet.as_ref().map(|fleet| &fleet.gate)) {
        (_, Some(Quota::Remembered(gate))) => gate.most,
        (Some(quota), _) => quota.most(),
        (None, _) => u64::MAX,
    }
}

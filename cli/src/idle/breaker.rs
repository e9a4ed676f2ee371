//! Settings of circuit-breaker that open nothing.

use super::{at, Found};
use seawall_circuit_breaker::Settings;
use seawall_core::config::load;
use serde_json::Value;

pub(super) fn idle(settings: &Value, found: &mut Found) {
    let Ok(valid) = load::<Settings>(settings) else {
        return;
    };
    let policy = &valid.policy;
    let ignored = policy.retry_after_max.is_zero();
    let opens = |status: u32| !ignored && valid.rules.is_failure(status);
    for (index, status) in valid.opening_statuses.iter().enumerate() {
        let why = if ignored {
            "retry_after.max is 0s".to_owned()
        } else if !opens(*status) {
            format!("{status} is not among failures.statuses")
        } else {
            continue;
        };
        let path = format!("retry_after.opens[{index}]");
        found.insert(path, format!("has no effect while {why}"));
    }
    let slow = policy.slow_after.is_some();
    let share = at(settings, "slow_percentage").is_some_and(|share| !share.is_null());
    if share && !slow && policy.slow_percentage.is_finite() {
        let problem = "has no effect without slow_after, which says what is slow";
        found.insert("slow_percentage".to_owned(), problem.to_owned());
    }
    let mode = at(settings, "mode").and_then(Value::as_str);
    let is_at_work = valid.enabled && !mode.is_some_and(|mode| mode.starts_with("forced"));
    let counts = policy.failure_threshold > 0 || policy.counts_calls();
    if is_at_work && !counts && !valid.opening_statuses.iter().any(|status| opens(*status)) {
        let problem = "is 0 as failure_threshold is, and nothing else opens the breaker: it never refuses anything";
        found.insert("failure_percentage".to_owned(), problem.to_owned());
    }
}

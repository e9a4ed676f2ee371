//! The filter against a model of what its README says: what passes, what is left, when more is, and how long to wait, to the
//! second, neither more nor less; for several limits at once with everything that may come together.
#![cfg(not(target_arch = "wasm32"))]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    dead_code,
    reason = "test code"
)]

mod common;

use common::filter::{all, answered, begin, rig, Rig};
use common::model::{Algorithm, Numbers, Used, SECOND};
use proptest::option::weighted;
use proptest::prelude::*;
use seawall_core::testing::Ended;
use seawall_core::time::Span;
use serde_json::{json, Value};
use std::collections::BTreeMap;

#[derive(Debug, Clone)]
struct Limit {
    numbers: Numbers,
    by_user: bool,
    /// None: the header says it.
    cost: Option<i128>,
    /// Refusals, within and for so many seconds.
    penalty: Option<(i128, i128, i128)>,
    count_refused: bool,
    /// Only 401 costs; a header says how much; the reserve.
    charge: Option<(bool, bool, Option<i128>)>,
    shadow: bool,
}

#[derive(Debug, Clone)]
struct Step {
    later: u64,
    user: usize,
    cost: i128,
    status: &'static str,
    used: Option<i128>,
}

fn limit() -> impl Strategy<Value = Limit> {
    let algorithm = prop_oneof![
        2 => Just(Algorithm::Gcra),
        1 => Just(Algorithm::Sliding),
        1 => Just(Algorithm::Fixed)
    ];
    let per = prop_oneof![
        Just(500),
        Just(1_000),
        Just(7_000),
        Just(60_000),
        Just(3_600_000)
    ];
    let penalty = weighted(0.3, (1..4i128, 1..20i128, 1..20i128));
    let charge = weighted(0.3, (any::<bool>(), any::<bool>(), weighted(0.5, 0..3i128)));
    (
        (algorithm, 1..9i128, per, weighted(0.3, 1..9i128)),
        any::<bool>(),
        weighted(0.6, prop_oneof![3 => Just(1i128), 1 => 0..12i128]),
        penalty,
        weighted(0.2, Just(())),
        charge,
        weighted(0.15, Just(())),
    )
        .prop_map(
            |(
                (algorithm, requests, per, burst),
                by_user,
                cost,
                penalty,
                counted,
                charge,
                shadow,
            )| {
                let own = burst.filter(|_| algorithm == Algorithm::Gcra);
                let most = own.unwrap_or(requests);
                Limit {
                    numbers: Numbers {
                        algorithm,
                        requests,
                        per: per * SECOND / 1_000,
                        burst: most,
                    },
                    by_user,
                    // What nobody could pay is refused at load.
                    cost: cost.map(|cost| cost.min(most)),
                    penalty,
                    count_refused: counted.is_some(),
                    charge: charge.map(|(by_status, by_header, reserve)| {
                        (by_status, by_header, reserve.map(|own| own.min(most)))
                    }),
                    shadow: shadow.is_some(),
                }
            },
        )
}

fn step() -> impl Strategy<Value = Step> {
    let later = prop_oneof![
        4 => Just(0u64),
        2 => prop_oneof![Just(1u64), Just(333_333_333), Just(1_000_000_000)],
        2 => 0..5_000_000_000u64,
        1 => 0..5_000_000_000_000u64
    ];
    let status = prop_oneof![Just("200"), Just("401"), Just("304")];
    (
        later,
        0..2usize,
        0..9i128,
        status,
        weighted(0.5, 0..200i128),
    )
        .prop_map(|(later, user, cost, status, used)| Step {
            later,
            user,
            cost,
            status,
            used,
        })
}

fn configuration(limits: &[Limit]) -> Value {
    let one = |(number, limit): (usize, &Limit)| {
        let of = &limit.numbers;
        let mut json = json!({
            "name": format!("l{number}"), "requests": of.requests as u64, "per": format!("{}ms", of.per * 1_000 / SECOND),
            "count_refused": limit.count_refused, "shadow": limit.shadow,
            "cost": limit.cost.map_or(json!({"header": "x-cost", "min": 0}), |cost| json!(cost as u64)),
        });
        match of.algorithm {
            Algorithm::Gcra => json["burst"] = json!(of.burst as u64),
            Algorithm::Sliding => json["algorithm"] = json!("sliding_window"),
            Algorithm::Fixed => json["algorithm"] = json!("fixed_window"),
        }
        if limit.by_user {
            json["key"] = json!([{"header": "x-user"}]);
        }
        if let Some((refusals, within, block)) = limit.penalty {
            let (within, block) = (format!("{within}s"), format!("{block}s"));
            json["penalty"] =
                json!({"refusals": refusals as u64, "within": within, "block_for": block});
        }
        if let Some((by_status, by_header, reserve)) = limit.charge {
            json["charge"] = json!({});
            if by_status || !by_header {
                json["charge"]["status"] = json!(401);
            }
            if by_header {
                json["charge"]["header"] = json!("x-used");
            }
            if let Some(reserve) = reserve {
                json["charge"]["reserve"] = json!(reserve as u64);
            }
        }
        json
    };
    json!({"limits": limits.iter().enumerate().map(one).collect::<Vec<_>>()})
}

/// Status, `Retry-After` and `RateLimit`.
type Answer = (u16, Option<i128>, Option<String>);

fn seconds(span: i128) -> i128 {
    (span + SECOND - 1) / SECOND
}

#[derive(Default)]
struct Model {
    used: BTreeMap<(usize, usize), Used>,
}

impl Model {
    fn ask(&mut self, limits: &[Limit], now: i128, step: &Step) -> Answer {
        let place = |number: usize| (number, if limits[number].by_user { step.user } else { 0 });
        let cost = |limit: &Limit| limit.cost.unwrap_or(step.cost);
        let reserved = |limit: &Limit| match limit.charge {
            Some((_, _, reserve)) => reserve.unwrap_or(cost(limit)),
            None => cost(limit),
        };
        let need = |limit: &Limit| reserved(limit).max(i128::from(limit.charge.is_some()));
        let admits: Vec<bool> = limits
            .iter()
            .enumerate()
            .map(|(number, limit)| {
                let used = self.used.entry(place(number)).or_default();
                used.ban_end <= now && limit.numbers.fits(used, now, need(limit))
            })
            .collect();
        let passes = limits
            .iter()
            .zip(&admits)
            .all(|(limit, admits)| *admits || limit.shadow);
        let (mut shown, mut wait) = (Vec::new(), Some(0));
        for (number, limit) in limits.iter().enumerate() {
            let of = &limit.numbers;
            let used = self.used.entry(place(number)).or_default();
            if !admits[number] {
                refuse(limit, used, now, reserved(limit));
            } else if passes {
                of.charge(used, now, reserved(limit));
                settle(limit, used, now, (reserved(limit), cost(limit)), step);
            }
            let (mut left, mut more) = (of.left(used, now), of.more(used, now));
            if !admits[number] {
                let ban = (used.ban_end - now).max(0);
                if ban > 0 {
                    let own = more.filter(|_| left == 0);
                    (left, more) = (0, Some(own.unwrap_or_default().max(ban)));
                }
                let possible = need(limit) <= of.most();
                let own = possible.then(|| of.until(used, now, need(limit)).max(ban));
                if !limit.shadow {
                    wait = wait.zip(own).map(|(wait, own)| wait.max(own));
                }
            }
            if !limit.shadow {
                let more = more.map_or(String::new(), |more| format!(";t={}", seconds(more)));
                shown.push(format!("\"l{number}\";r={left}{more}"));
            }
        }
        let shown = Some(shown.join(", ")).filter(|shown| !shown.is_empty());
        if passes {
            (step.status.parse().unwrap(), None, shown)
        } else {
            (429, wait.map(|wait| seconds(wait).max(1)), shown)
        }
    }
}

fn refuse(limit: &Limit, used: &mut Used, now: i128, cost: i128) {
    if limit.count_refused {
        limit.numbers.owe(used, now, cost, 1);
    }
    let Some((refusals, within, block)) = limit.penalty else {
        return;
    };
    if used.ban_end > now {
        return;
    }
    if used.refusals_end <= now {
        (used.refusals, used.refusals_end) = (0, now + within * SECOND);
    }
    used.refusals += 1;
    if used.refusals >= refusals {
        (used.ban_end, used.refusals_end) = (now + block * SECOND, 0);
    }
}

fn settle(limit: &Limit, used: &mut Used, now: i128, (reserved, cost): (i128, i128), step: &Step) {
    let Some((by_status, by_header, _)) = limit.charge else {
        return;
    };
    let free = (by_status || !by_header) && step.status != "401";
    let said = step.used.filter(|_| by_header).unwrap_or(cost);
    let last = if free { 0 } else { said };
    if last < reserved {
        limit.numbers.charge(used, now, last - reserved);
    } else {
        limit.numbers.owe(used, now, last - reserved, 10);
    }
}

fn ask(rig: &mut Rig, step: &Step) -> Answer {
    let cost = step.cost.to_string();
    let headers = [("x-user", ["ada", "bob"][step.user]), ("x-cost", &cost)];
    let (exchange, ended) = begin(rig, &[], &headers);
    match ended {
        Ended::Forwarded(_) => {
            let used = step.used.map(|used| used.to_string());
            let mut response = vec![(":status", step.status)];
            response.extend(used.as_deref().map(|used| ("x-used", used)));
            let fields = answered(rig, exchange, &response);
            let shown = all(&fields, "ratelimit")
                .first()
                .map(|line| (*line).to_owned());
            (step.status.parse().unwrap(), None, shown)
        }
        Ended::Replied(reply) => {
            rig.finish(exchange);
            let wait = reply
                .header("retry-after")
                .map(|wait| wait.parse().unwrap());
            (
                reply.status as u16,
                wait,
                reply.header("ratelimit").map(str::to_owned),
            )
        }
        Ended::Paused => panic!("never paused without a reply"),
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn every_answer_is_what_the_readme_says(
        limits in proptest::collection::vec(limit(), 1..4),
        steps in proptest::collection::vec(step(), 1..40),
    ) {
        let mut rig = rig(configuration(&limits));
        let mut model = Model::default();
        for (number, step) in steps.iter().enumerate() {
            rig.host.world().advance(Span(step.later));
            let now = i128::from(rig.host.world().now().as_nanos());
            let wanted = model.ask(&limits, now, step);
            prop_assert_eq!(ask(&mut rig, step), wanted, "step {}", number);
        }
    }
}

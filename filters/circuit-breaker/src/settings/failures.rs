//! What counts as a failure.

use super::raw::{Failures, Number};
use crate::outcome::Rules;
use seawall_core::config::ConfigErrors;
use seawall_core::grpc::STATUSES;

pub(super) fn validate(raw: Failures, errors: &mut ConfigErrors) -> Rules {
    let mut rules = Rules::default();
    if let Some(statuses) = raw.statuses {
        rules.statuses = [0; 10];
        for (at, status) in statuses.iter().enumerate() {
            match http_range(status) {
                Some((least, most)) => (least..=most).for_each(|s| rules.add_status(s)),
                None => errors.add(
                    format!("failures.statuses[{at}]"),
                    format!(
                        "must be a status of 200 to 599, a class such as 5xx or a range such as 502-504, got {}",
                        text(status)
                    ),
                ),
            }
        }
    }
    if let Some(statuses) = raw.grpc_statuses {
        rules.grpc = 0;
        for (at, status) in statuses.iter().enumerate() {
            match grpc_status(status) {
                Some(status) => rules.add_grpc(status),
                None => errors.add(
                    format!("failures.grpc_statuses[{at}]"),
                    format!(
                        "must be a gRPC status of 1 to 16 or its name such as UNAVAILABLE, got {}",
                        text(status)
                    ),
                ),
            }
        }
    }
    if let Some(kinds) = raw.kinds {
        rules.kinds = kinds;
    }
    rules
}

fn text(number: &Number) -> String {
    match number {
        Number::Number(number) => number.to_string(),
        Number::Word(word) => format!("{word:?}"),
    }
}

fn http_range(status: &Number) -> Option<(u32, u32)> {
    let (least, most) = match status {
        Number::Number(status) => (*status, *status),
        Number::Word(word) => match word.split_once('-') {
            Some((least, most)) => (least.parse().ok()?, most.parse().ok()?),
            None => match word.strip_suffix("xx") {
                Some(class) => {
                    let least: u32 = class.parse::<u32>().ok()?.checked_mul(100)?;
                    (least, least.checked_add(99)?)
                }
                None => {
                    let status = word.parse().ok()?;
                    (status, status)
                }
            },
        },
    };
    (least <= most && least >= 200 && most <= 599).then_some((least, most))
}

fn grpc_status(status: &Number) -> Option<u32> {
    let number = match status {
        Number::Number(number) => *number,
        Number::Word(word) => {
            let name = word.to_ascii_uppercase();
            u32::try_from(STATUSES.iter().position(|known| *known == name)?).ok()?
        }
    };
    (1..=16).contains(&number).then_some(number)
}

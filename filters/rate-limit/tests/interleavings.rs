//! All orders in which the accesses of several workers can follow one another: what they admit is always what some order of
//! whole requests would have admitted, and what is left afterwards is exact.
#![cfg(not(target_arch = "wasm32"))]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "test code"
)]

mod common;

use common::Store;
use seawall_core::testing::schedules;
use seawall_core::time::{Span, Timestamp};
use seawall_rate_limit::quota::{Ask, Concurrency, Fixed, Gcra, Quota, Sliding, Window};
use seawall_rate_limit::table::{decide, Claim, Table};
use std::cell::Cell;
use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};

const NOW: Timestamp = Timestamp(1_750_000_000_000_000_000);
const DAY: u64 = 86_400_000_000_000;
const TABLE: Table = Table {
    slots: 8,
    attempts: 20,
    patience: 2,
    before: None,
};

/// A limit in a scenario: where it is and what it admits.
#[derive(Clone, Copy)]
struct Place {
    slot: u32,
    tag: u64,
    quota: Quota,
}

/// A request of a scenario: places by number, with the cost there.
type Request = &'static [(usize, u64)];

fn claims<'p>(places: &'p [Place], request: Request) -> Vec<Claim<'p>> {
    let claim = |(place, cost): &(usize, u64)| Claim {
        slot: places[*place].slot,
        tag: places[*place].tag,
        quota: &places[*place].quota,
        ask: Ask::of(*cost),
        enforced: true,
        penalty: None,
        before: None,
    };
    request.iter().map(claim).collect()
}

/// What every order of whole requests admits.
fn serial(places: &[Place], requests: &[Request]) -> BTreeSet<Vec<bool>> {
    let mut orders = vec![vec![]];
    for _ in requests {
        orders = orders
            .into_iter()
            .flat_map(|order: Vec<usize>| {
                let rest = (0..requests.len())
                    .filter(|next| !order.contains(next))
                    .collect::<Vec<_>>();
                rest.into_iter()
                    .map(move |next| [order.clone(), vec![next]].concat())
            })
            .collect();
    }
    let run = |order: Vec<usize>| {
        let store = Store::default();
        let mut admitted = vec![false; requests.len()];
        for request in order {
            let claims = claims(places, requests[request]);
            admitted[request] = decide(&store.quiet(), &TABLE, NOW, &claims)
                .unwrap()
                .admitted;
        }
        admitted
    };
    orders.into_iter().map(run).collect()
}

/// Runs requests, one per worker, in all orders of their accesses. Returns the number of orders, and in how many of them
/// nobody ran out of patience.
fn all_orders(places: &[Place], requests: &[Request]) -> (usize, usize) {
    let possible = serial(places, requests);
    let patient_runs = Cell::new(0);
    let runs = schedules(
        |steps| {
            let store = Store::default();
            let outcomes = Arc::new(Mutex::new(vec![None; requests.len()]));
            let mut threads: Vec<Box<dyn FnOnce() + Send>> = Vec::new();
            for (number, request) in requests.iter().enumerate() {
                let worker = store.worker(steps, number);
                let (places, request, outcomes) =
                    (places.to_vec(), *request, Arc::clone(&outcomes));
                threads.push(Box::new(move || {
                    let claims = claims(&places, request);
                    let decision = decide(&worker, &TABLE, NOW, &claims).unwrap();
                    outcomes.lock().unwrap()[number] = Some(decision);
                }));
            }
            let (possible, patient_runs) = (&possible, &patient_runs);
            let check = move || {
                let outcomes: Vec<_> = outcomes
                    .lock()
                    .unwrap()
                    .iter()
                    .cloned()
                    .map(Option::unwrap)
                    .collect();
                let admitted: Vec<bool> =
                    outcomes.iter().map(|decision| decision.admitted).collect();
                let impatient = outcomes.iter().any(|decision| decision.impatient);
                if impatient {
                    let fits = |outcome: &Vec<bool>| {
                        outcome.iter().zip(&admitted).all(|(may, has)| *may || !has)
                    };
                    assert!(
                        possible.iter().any(fits),
                        "too much: {admitted:?} of {possible:?}"
                    );
                } else {
                    patient_runs.set(patient_runs.get() + 1);
                    assert!(
                        possible.contains(&admitted),
                        "{admitted:?} is not one of {possible:?}"
                    );
                }
                for (number, place) in places.iter().enumerate() {
                    let used: u64 = requests
                        .iter()
                        .zip(&admitted)
                        .filter(|(_, admitted)| **admitted)
                        .flat_map(|(request, _)| request.iter())
                        .filter(|(place, _)| *place == number)
                        .map(|(_, cost)| cost)
                        .sum();
                    let look = Claim {
                        slot: place.slot,
                        tag: place.tag,
                        quota: &place.quota,
                        ask: Ask::of(0),
                        enforced: true,
                        penalty: None,
                        before: None,
                    };
                    let left = decide(&store.quiet(), &TABLE, NOW, &[look])
                        .unwrap()
                        .verdicts[0]
                        .remaining;
                    assert_eq!(
                        left,
                        place.quota.most() - used,
                        "place {number} after {admitted:?}"
                    );
                }
            };
            (threads, check)
        },
        requests.len(),
    );
    (runs, patient_runs.get())
}

fn quotas(most: u64) -> [Quota; 4] {
    [
        Quota::Gcra(Gcra::new(most as u32, Span(DAY), most, 1)),
        Quota::Sliding(Sliding {
            requests: most,
            per: DAY,
        }),
        Quota::Fixed(Fixed {
            requests: most,
            window: Window::Every(DAY),
        }),
        Quota::Concurrency(Concurrency {
            max: most,
            lease: DAY,
        }),
    ]
}

fn gcra(slot: u32, most: u32) -> Place {
    Place {
        slot,
        tag: u64::from(slot) + 1,
        quota: Quota::Gcra(Gcra::new(most, Span(DAY), u64::from(most), 1)),
    }
}

#[test]
fn three_workers_one_limit_from_the_first_request_on() {
    for quota in quotas(2) {
        let place = Place {
            slot: 0,
            tag: 1,
            quota,
        };
        let (runs, _) = all_orders(&[place], &[&[(0, 1)], &[(0, 1)], &[(0, 1)]]);
        assert!(runs > 90, "{runs}");
    }
}

#[test]
fn three_workers_with_costs() {
    let place = gcra(0, 5);
    all_orders(&[place], &[&[(0, 3)], &[(0, 2)], &[(0, 4)]]);
}

#[test]
fn limits_on_the_same_key_are_one_decision() {
    let second = Place {
        tag: 77,
        ..gcra(0, 1)
    };
    all_orders(
        &[gcra(0, 3), second],
        &[&[(0, 1), (1, 1)], &[(0, 1), (1, 1)], &[(0, 1)]],
    );
}

#[test]
fn two_workers_that_want_the_same_two_keys() {
    let (runs, patient) = all_orders(
        &[gcra(0, 2), gcra(1, 1)],
        &[&[(0, 1), (1, 1)], &[(1, 1), (0, 1)]],
    );
    assert!(patient * 2 > runs, "{patient} of {runs}");
}

#[test]
fn nobody_is_refused_for_a_charge_that_is_taken_back() {
    // The first wants both; the others one each. Whoever loses the second key must not have cost anybody the first.
    let (runs, patient) = all_orders(
        &[gcra(0, 1), gcra(1, 1)],
        &[&[(0, 1), (1, 1)], &[(1, 1)], &[(0, 1)]],
    );
    assert!(runs > 1_000 && patient * 2 > runs, "{patient} of {runs}");
}

#[test]
fn what_the_table_before_holds_is_taken_over_once() {
    let places = [Place {
        slot: 0,
        tag: 7,
        quota: Quota::Gcra(Gcra::new(3, Span(DAY), 3, 1)),
    }];
    let orders = schedules(
        |steps| {
            let store = Store::default();
            let mut left = claims(&places, &[(0, 2)]);
            left[0].slot = 5;
            assert!(decide(&store.quiet(), &TABLE, NOW, &left).unwrap().admitted);
            let admitted = Arc::new(Mutex::new(0));
            let mut threads: Vec<Box<dyn FnOnce() + Send>> = Vec::new();
            for number in 0..2 {
                let (worker, admitted) = (store.worker(steps, number), Arc::clone(&admitted));
                threads.push(Box::new(move || {
                    let mut claims = claims(&places, &[(0, 1)]);
                    claims[0].before = Some(5);
                    let decision = decide(&worker, &TABLE, NOW, &claims).unwrap();
                    *admitted.lock().unwrap() += usize::from(decision.admitted);
                }));
            }
            let check = move || assert_eq!(*admitted.lock().unwrap(), 1);
            (threads, check)
        },
        2,
    );
    assert!(orders > 10, "{orders}");
}

//! The budget of bytes over several workers, which take some of it ahead.
#![cfg(not(target_arch = "wasm32"))]
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "test code"
)]

use proptest::prelude::*;
use seawall_core::host::Failure;
use seawall_core::testing::{FakeHost, World};
use seawall_response_cache::store::budget::Budget;

const WORKERS: usize = 3;

fn taken(world: &World) -> u64 {
    let value = world.shared_get("seawall.rc.bytes");
    value.map_or(0, |(bytes, _)| {
        u64::from_le_bytes(bytes.try_into().unwrap())
    })
}

#[derive(Debug, Clone)]
enum Act {
    Reserve(u64),
    /// The one of this number among those it has, if it has any.
    Release(usize),
    Settle,
}

fn acts() -> impl Strategy<Value = Vec<(usize, Act)>> {
    let act = prop_oneof![
        4 => (0u64..3_000).prop_map(Act::Reserve),
        2 => any::<usize>().prop_map(Act::Release),
        1 => Just(Act::Settle),
    ];
    proptest::collection::vec((0..WORKERS, act), 1..200)
}

proptest! {
    #[test]
    fn what_is_taken_is_what_entries_have_and_little_more(most in 0u64..2_000_000, acts in acts()) {
        let world = World::new();
        let hosts: Vec<FakeHost> = (1..).take(WORKERS).map(|n| FakeHost::new(&world, n)).collect();
        let budgets: Vec<Budget> = hosts.iter().map(|_| Budget::new(most)).collect();
        let mut entries: Vec<Vec<u64>> = vec![Vec::new(); WORKERS];
        let held = most / 4096 * 2 * WORKERS as u64;
        for (worker, act) in acts {
            let (host, budget) = (&hosts[worker], &budgets[worker]);
            let used: u64 = entries.iter().flatten().sum();
            match act {
                Act::Reserve(bytes) => {
                    let fits = budget.reserve(host, bytes).unwrap();
                    if fits {
                        entries[worker].push(bytes);
                    } else {
                        prop_assert!(used + held + bytes > most);
                    }
                }
                Act::Release(which) if !entries[worker].is_empty() => {
                    let at = which % entries[worker].len();
                    budget.release(host, entries[worker].swap_remove(at));
                }
                Act::Release(_) => {}
                Act::Settle => budget.settle(host),
            }
            let used: u64 = entries.iter().flatten().sum();
            prop_assert!(used <= taken(&world) && taken(&world) <= used + held);
            prop_assert!(taken(&world) <= most);
        }
        // At rest nothing is held, and at the end neither.
        let used: u64 = entries.iter().flatten().sum();
        for (at, (host, budget)) in hosts.iter().zip(&budgets).enumerate() {
            if at == 0 {
                budget.end(host);
            } else {
                budget.settle(host);
                budget.settle(host);
            }
        }
        prop_assert_eq!(taken(&world), used);
    }
}

#[test]
fn a_part_lasts_for_several_entries_and_what_they_give_up_for_the_next_ones() {
    let host = FakeHost::new(&World::new(), 1);
    let budget = Budget::new(4096 * 1_000);
    assert!(budget.reserve(&host, 300).unwrap());
    host.forget_calls();
    for _ in 0..3 {
        assert!(budget.reserve(&host, 300).unwrap());
    }
    budget.release(&host, 900);
    for _ in 0..3 {
        assert!(budget.reserve(&host, 300).unwrap());
    }
    assert!(host.calls().is_empty(), "{:?}", host.calls());
    assert_eq!(taken(host.world()), 1_300);
    assert_eq!(budget.used(&host), Ok(1_200));
}

#[test]
fn what_cannot_be_given_back_is_held_on_to() {
    let host = FakeHost::new(&World::new(), 1);
    let budget = Budget::new(4096 * 1_000);
    assert!(budget.reserve(&host, 10_000).unwrap());
    host.fail("shared_set", Failure::Status(10));
    budget.release(&host, 10_000);
    budget.end(&host);
    assert_eq!(taken(host.world()), 11_000);
    host.heal();
    budget.end(&host);
    assert_eq!(taken(host.world()), 0);
    // What is stored after that is all that is taken.
    assert!(budget.reserve(&host, 300).unwrap());
    assert_eq!(taken(host.world()), 300);
    budget.release(&host, 300);
    assert_eq!(taken(host.world()), 0);
}

//! A charge that may still be taken back refuses nobody for good: who would be refused on its account looks again, but not for
//! ever.
#![cfg(not(target_arch = "wasm32"))]
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "test code"
)]

use seawall_core::host::Expect;
use seawall_core::testing::{FakeHost, World};
use seawall_core::time::Span;
use seawall_rate_limit::quota::{Ask, Gcra, Quota};
use seawall_rate_limit::table::{decide, Claim, Table};

const DAY: Span = Span::from_secs(86_400);
const SLOT: &str = "seawall.rl.00000003";

fn claim(quota: &Quota, tag: u64) -> Claim<'_> {
    Claim {
        slot: 3,
        tag,
        quota,
        ask: Ask::of(1),
        enforced: true,
        penalty: None,
        before: None,
    }
}

/// Asks for the last unit of a limit while another worker's charge of it is unfinished, and taken back after so many accesses of
/// ours. Whether we were admitted, and how often we have looked.
fn asking(beside_another: bool, taken_back_after: usize) -> (bool, usize) {
    let world = World::new();
    let host = FakeHost::new(&world, 1);
    let table = Table::for_keys(1_000);
    let tight = Quota::Gcra(Gcra::new(1, DAY, 1, 1));
    let wide = Quota::Gcra(Gcra::new(1_000, DAY, 1_000, 1));
    let mut claims = vec![claim(&tight, 7)];
    assert!(
        decide(&host, &table, world.now(), &claims)
            .unwrap()
            .admitted
    );
    // The head of a slot: when the last such charge was made, in milliseconds, and how many there are.
    let mark = |count: u64| (world.now().as_millis() << 16 | count).to_le_bytes();
    let (mut charged, _) = world.shared_get(SLOT).unwrap();
    charged[..8].copy_from_slice(&mark(1));
    world.shared_set(SLOT, &charged, Expect::Anything);
    if beside_another {
        claims.push(claim(&wide, 8));
    }
    let looks = std::rc::Rc::new(std::cell::Cell::new(0));
    let (rival, counted, empty) = (world.clone(), looks.clone(), mark(0));
    host.before_shared(move || {
        counted.set(counted.get() + 1);
        if counted.get() == taken_back_after {
            rival.shared_set(SLOT, &empty, Expect::Anything);
        }
    });
    let decision = decide(&host, &table, world.now(), &claims).unwrap();
    assert_eq!(decision.impatient, !decision.admitted);
    (decision.admitted, looks.get())
}

#[test]
fn who_looks_again_is_admitted_once_it_is_taken_back() {
    for beside_another in [false, true] {
        let (admitted, _) = asking(beside_another, 50);
        assert!(admitted);
    }
}

#[test]
fn nobody_looks_for_ever() {
    for beside_another in [false, true] {
        let (admitted, looks) = asking(beside_another, usize::MAX);
        assert!(!admitted);
        assert!((100..1_000).contains(&looks), "{looks}");
    }
}

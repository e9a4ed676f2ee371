//! Updates of shared data are exact, whatever the order of the workers' accesses.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "test code"
)]

use seawall_core::host::{Expect, Host, Swap, Version};
use seawall_core::shared::{create, secret, update, update_from, Step};
use seawall_core::testing::{FakeHost, World};
use std::cell::Cell;
use std::rc::Rc;

fn count(value: Option<&[u8]>) -> u8 {
    value.and_then(|bytes| bytes.first().copied()).unwrap_or(0)
}

fn increment(host: &FakeHost) -> u32 {
    update(host, "n", 10, |value| {
        Step::Write(vec![count(value) + 1], ())
    })
    .unwrap()
    .conflicts
}

#[test]
fn a_rival_before_every_access_costs_a_retry_and_loses_nothing() {
    for at in 0..6 {
        let world = World::new();
        let mine = FakeHost::new(&world, 1);
        let rival = Rc::new(FakeHost::new(&world, 2));
        let seen = Rc::new(Cell::new(0));
        let (rival_too, seen_too) = (Rc::clone(&rival), Rc::clone(&seen));
        mine.before_shared(move || {
            if seen_too.replace(seen_too.get() + 1) == at {
                increment(&rival_too);
            }
        });
        increment(&mine);
        increment(&mine);
        let rivals = u8::from(seen.get() > at);
        assert_eq!(
            count(world.shared_get("n").as_ref().map(|(v, _)| v.as_slice())),
            2 + rivals
        );
    }
}

/// What is known begins an update only where it still is the present; and what it would not write is asked again.
#[test]
fn what_is_known_saves_a_read_and_nothing_is_decided_by_it_alone() {
    let world = World::new();
    let host = FakeHost::new(&world, 1);
    let next = |known| {
        host.forget_calls();
        let updated = update_from(&host, "n", 10, Some(known), |value| match count(value) {
            9 => Step::Keep(9),
            n => Step::Write(vec![n + 1], n + 1),
        });
        let reads = host.calls().get("shared_get").copied();
        (updated.unwrap().result, reads.unwrap_or(0))
    };
    assert_eq!(next(None), (1, 0), "absent, as it was known");
    assert_eq!(next(None), (2, 1), "absent no more");
    let known = world.shared_get("n");
    assert_eq!(next(known.clone()), (3, 0));
    assert_eq!(next(known), (4, 1), "changed since");
    world.shared_set("n", &[9], Expect::Anything);
    let nine = world.shared_get("n");
    assert_eq!(next(nine.clone()), (9, 1), "kept, and still so");
    world.shared_set("n", &[5], Expect::Anything);
    assert_eq!(next(nine), (6, 1), "kept once, and not so any more");
}

#[test]
fn an_absent_value_is_created_once() {
    let world = World::new();
    let (a, b) = (FakeHost::new(&world, 1), FakeHost::new(&world, 2));
    assert!(create(&a, "k", b"1").unwrap());
    assert!(!create(&b, "k", b"2").unwrap());
    assert_eq!(world.shared_get("k").unwrap().0, b"1");
}

#[test]
fn the_fake_host_compares_versions_as_the_real_one_does() {
    let host = FakeHost::new(&World::new(), 1);
    // On a missing key any version is taken.
    assert_eq!(
        host.shared_set("k", b"1", Expect::Version(Version(77))),
        Ok(Swap::Done)
    );
    assert_eq!(
        host.shared_set("k", b"2", Expect::Version(Version(77))),
        Ok(Swap::Conflict)
    );
    assert_eq!(host.shared_set("k", b"3", Expect::Anything), Ok(Swap::Done));
    let (value, version) = host.shared_get("k").unwrap().unwrap();
    assert_eq!(value, b"3");
    assert_eq!(
        host.shared_set("k", b"4", Expect::Version(version)),
        Ok(Swap::Done)
    );
}

#[test]
fn all_workers_have_the_same_secret() {
    let world = World::new();
    let first = secret(&FakeHost::new(&world, 1), "s").unwrap();
    assert_eq!(secret(&FakeHost::new(&world, 2), "s").unwrap(), first);
    assert_ne!(secret(&FakeHost::new(&world, 2), "t").unwrap(), first);
}

#[test]
fn gives_up_after_the_attempts_it_was_given() {
    let world = World::new();
    let host = FakeHost::new(&world, 1);
    let rival = world.clone();
    host.before_shared(move || {
        rival.shared_set("n", b"x", Expect::Anything);
    });
    let ended = update(&host, "n", 3, |_| Step::Write(vec![1], ()));
    assert_eq!(ended, Err(seawall_core::shared::UpdateError::Contended));
}

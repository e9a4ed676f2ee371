//! Request ids: form, order, uniqueness, and bytes that are used once.
#![cfg(not(target_arch = "wasm32"))]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "test code"
)]

use seawall_core::host::Answer;
use seawall_core::testing::{FakeHost, World};
use seawall_core::time::{Span, Timestamp};
use seawall_trace_headers::ids::random::Pool;
use seawall_trace_headers::ids::request_id::{bytes_of, hyphenated, is_safe, Generator, Kind};

fn version_7(generator: &mut Generator, host: &FakeHost, pool: &mut Pool) -> Answer<[u8; 16]> {
    generator.version_7(host, pool, Some(host.world().now()))
}

#[test]
fn version_7_increases_within_a_millisecond_and_when_the_clock_steps_back() {
    let world = World::new();
    let host = FakeHost::new(&world, 1);
    let (mut generator, mut pool) = (Generator::default(), Pool::default());
    let mut last = [0; 16];
    let start = world.now();
    for step in 0..100_000u64 {
        match step {
            // 60,000 in one millisecond: the counter runs over many times.
            60_000 => world.set_clock(Timestamp(start.as_nanos() - 3_600_000_000_000)),
            80_000 => world.set_clock(Timestamp(0)),
            90_000.. => world.advance(Span::from_millis(3)),
            _ => {}
        }
        let id = version_7(&mut generator, &host, &mut pool).unwrap();
        assert!(id > last, "step {step}: {id:?} after {last:?}");
        assert_eq!(id[6] >> 4, 7);
        assert_eq!(id[8] >> 6, 0b10);
        last = id;
    }
}

#[test]
fn version_7_carries_the_time() {
    let world = World::new();
    let host = FakeHost::new(&world, 1);
    let (mut generator, mut pool) = (Generator::default(), Pool::default());
    for _ in 0..10 {
        world.advance(Span::from_millis(7));
        let id = version_7(&mut generator, &host, &mut pool).unwrap();
        let millis = id[..6]
            .iter()
            .fold(0u64, |sum, byte| sum << 8 | u64::from(*byte));
        assert_eq!(millis, world.now().as_millis());
    }
}

/// A trace id made of it may carry the random flag: the counter stays out of the right-most 7 bytes.
#[test]
fn the_right_most_seven_bytes_of_version_7_do_not_depend_on_counter_or_clock() {
    let tail = |clock: u64, before: u32| {
        let world = World::new();
        let host = FakeHost::new(&world, 1);
        let mut generator = Generator::default();
        world.set_clock(Timestamp::from_millis(clock));
        for _ in 0..before {
            world.seed(1);
            version_7(&mut generator, &host, &mut Pool::default()).unwrap();
        }
        world.seed(42);
        version_7(&mut generator, &host, &mut Pool::default()).unwrap()[9..].to_vec()
    };
    assert_eq!(tail(1_700_000_000_000, 0), tail(1_800_000_000_000, 5000));
}

#[test]
fn every_random_bit_of_an_id_varies() {
    let world = World::new();
    let host = FakeHost::new(&world, 1);
    let (mut generator, mut pool) = (Generator::default(), Pool::default());
    // All but version and variant, and in version 7 but for time and counter.
    let (version, variant) = (0xf << 76, 0b11 << 62);
    for (kind, random) in [
        (Kind::Uuidv7, u128::from(u64::MAX >> 2)),
        (Kind::Uuidv4, !(version | variant)),
        (Kind::Hex32, u128::MAX),
    ] {
        let (mut ones, mut zeros) = (0u128, 0u128);
        for _ in 0..200 {
            let id = generator.text(&host, &mut pool, kind, Some(world.now()));
            let id = u128::from_be_bytes(bytes_of(id.unwrap().as_bytes()).unwrap());
            ones |= id;
            zeros |= !id;
        }
        let varies = (ones & random, zeros & random);
        assert_eq!(varies, (random, random), "{kind:?}");
    }
}

/// The counter begins in its lower half, at random: there is room for half of it before an id borrows from the next millisecond.
#[test]
fn two_thousand_ids_of_a_millisecond_carry_it() {
    let world = World::new();
    let host = FakeHost::new(&world, 1);
    let (mut generator, mut pool) = (Generator::default(), Pool::default());
    let mut begins = std::collections::BTreeSet::new();
    for _ in 0..20 {
        world.advance(Span::from_millis(1));
        for at in 0..2049 {
            let id = version_7(&mut generator, &host, &mut pool).unwrap();
            let id = u128::from_be_bytes(id);
            assert_eq!(id >> 80, u128::from(world.now().as_millis()), "{at}");
            if at == 0 {
                begins.insert(id >> 64 & 0xfff);
            }
        }
    }
    assert!(begins.len() > 10, "{begins:?}");
}

#[test]
fn forms() {
    let world = World::new();
    let host = FakeHost::new(&world, 1);
    let (mut generator, mut pool) = (Generator::default(), Pool::default());
    let mut text = |kind| {
        String::from_utf8(
            generator
                .text(&host, &mut pool, kind, Some(world.now()))
                .unwrap()
                .as_bytes()
                .to_vec(),
        )
        .unwrap()
    };
    for (kind, version) in [(Kind::Uuidv7, '7'), (Kind::Uuidv4, '4')] {
        let id = text(kind);
        assert_eq!(id.chars().nth(14), Some(version), "{id}");
        assert!("89ab".contains(id.chars().nth(19).unwrap()), "{id}");
        let hyphens: Vec<_> = id.match_indices('-').map(|(at, _)| at).collect();
        assert_eq!(hyphens, [8, 13, 18, 23]);
        assert_eq!(hyphenated(&bytes_of(id.as_bytes()).unwrap()), id.as_bytes());
    }
    let hex = text(Kind::Hex32);
    assert!(
        hex.len() == 32 && hex.bytes().all(|b| b.is_ascii_hexdigit()),
        "{hex}"
    );
}

#[test]
fn randomness_is_fetched_once_and_used_once() {
    let world = World::new();
    let host = FakeHost::new(&world, 1);
    let mut pool = Pool::default();
    let mut seen = std::collections::BTreeSet::new();
    for _ in 0..256 {
        assert!(seen.insert(pool.take::<16>(&host).unwrap()));
    }
    assert_eq!(host.calls()["random"], 1);
    // The pool's memory holds nothing that was given out.
    let memory = format!("{pool:?}");
    assert!(memory.matches(", 0").count() >= 4095, "{memory}");
}

#[test]
fn safe_ids() {
    assert!(is_safe(b"aZ0._-"));
    for bad in [
        &b""[..],
        b"a b",
        b"a/b",
        b"\xc3\xa4",
        b"a\r\nb",
        b"<>",
        &[b'a'; 129],
    ] {
        assert!(!is_safe(bad));
    }
}

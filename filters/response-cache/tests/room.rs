//! Bytes that are all taken: who gives up its room to whom, in the table and among the copies of a worker.
#![cfg(not(target_arch = "wasm32"))]
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "test code"
)]

use seawall_core::hash::Secret;
use seawall_core::headers::Headers;
use seawall_core::host::Expect;
use seawall_core::testing::{FakeHost, World};
use seawall_core::time::Span;
use seawall_response_cache::entry::{Content, Entry, Meta};
use seawall_response_cache::http::storable::Refusal;
use seawall_response_cache::store::{Changes, Insert, Layout, Table};
use std::rc::Rc;

const BYTES: &str = "seawall.rc.bytes";

struct Store {
    world: World,
    host: FakeHost,
    table: Table,
}

fn entry(key: u32, size: usize) -> Entry {
    let meta = Meta {
        generation: u64::from(key) + 1,
        lifetime: Span::from_secs(600),
        ..Meta::default()
    };
    let content = Content::Response {
        meta,
        headers: Headers::default(),
        body: Rc::new(vec![0; size]),
    };
    Entry {
        key: key.to_le_bytes().to_vec(),
        content,
    }
}

impl Store {
    /// A store for so many bytes, each bucket of which has room for far more.
    fn new(most_bytes: u64, admission: bool) -> Self {
        let world = World::new();
        let host = FakeHost::new(&world, 1);
        let layout = Layout {
            buckets: 32,
            most_bytes,
            worker_bytes: 1 << 16,
            admission,
        };
        let table = Table::new(layout, Secret([1; 16]), 7, Changes::default());
        Store { world, host, table }
    }

    fn put(&self, key: u32, size: usize, lasting: u64) -> Result<(), Refusal> {
        let now = self.world.now();
        let insert = Insert {
            until: now.saturating_add(Span::from_secs(lasting)),
            asked: now,
            updates: None,
            now,
            ..Insert::default()
        };
        let put = self.table.insert(&self.host, entry(key, size), insert);
        self.world.advance(Span::from_secs(1));
        put
    }

    fn has(&self, key: u32) -> bool {
        let found = self
            .table
            .find(&self.host, &key.to_le_bytes(), self.world.now());
        found.unwrap().is_some()
    }

    fn kept(&self, keys: std::ops::Range<u32>) -> Vec<u32> {
        keys.filter(|key| self.has(*key)).collect()
    }

    fn bytes(&self) -> u64 {
        self.table.budget().used(&self.host).unwrap()
    }
}

/// What an entry with 100 bytes in its body takes.
fn one() -> u64 {
    let store = Store::new(1 << 20, false);
    store.put(0, 100, 600).unwrap();
    store.bytes()
}

#[test]
fn the_expired_give_up_their_room_first_then_the_least_recently_used() {
    let store = Store::new(8 * one(), false);
    for key in 0..8 {
        // The last but one is the first to expire.
        let lasting = if key == 6 { 5 } else { 600 };
        store.put(key, 100, lasting).unwrap();
    }
    assert_eq!(store.bytes(), 8 * one(), "all is taken, to the last byte");
    assert_eq!(store.table.take_evicted(), 0);
    store.world.advance(Span::from_secs(60));
    // The oldest is in use.
    assert!(store.has(0));
    let mut gone = vec![6, 1, 2, 3];
    for (new, gives) in (8..12).zip(gone.clone()) {
        store.put(new, 100, 600).unwrap();
        assert_eq!(store.table.take_evicted(), 1);
        assert!(!store.has(gives), "{gives} for {new}");
        assert_eq!(store.bytes(), 8 * one());
    }
    gone.sort_unstable();
    let left: Vec<u32> = (0..12).filter(|key| !gone.contains(key)).collect();
    assert_eq!(store.kept(0..12), left);
}

#[test]
fn a_large_entry_takes_the_room_of_as_many_small_ones_as_it_needs() {
    let store = Store::new(8 * one(), false);
    for key in 0..8 {
        store.put(key, 100, 600).unwrap();
    }
    // As large as three, less one byte.
    let size = usize::try_from(2 * one()).unwrap() + 99;
    store.put(8, size, 600).unwrap();
    assert_eq!(store.table.take_evicted(), 3);
    assert_eq!(store.kept(0..9), [3, 4, 5, 6, 7, 8]);
    assert_eq!(store.bytes(), 8 * one() - 1);
    // Nothing but all of them makes room for what fits exactly; what does not fit costs nobody anything.
    let whole = usize::try_from(7 * one()).unwrap() + 100;
    assert_eq!(store.put(9, whole + 1, 600), Err(Refusal::TooLarge));
    assert_eq!(store.table.take_evicted(), 0);
    store.put(9, whole, 600).unwrap();
    assert_eq!(store.kept(0..10), [9]);
}

#[test]
fn with_admission_only_what_is_asked_for_more_often_gets_the_room_of_another() {
    let store = Store::new(4 * one(), true);
    let ask = |key: u32, times: usize| {
        let fingerprint = store.table.fingerprint(&key.to_le_bytes());
        (0..times).for_each(|_| store.table.count(fingerprint));
    };
    for key in 0..4 {
        ask(key, 3);
        store
            .put(key, 100, if key == 3 { 10 } else { 600 })
            .unwrap();
    }
    for asked in 1..=4 {
        ask(4, 1);
        // As often is not more often.
        let expected = if asked > 3 {
            Ok(())
        } else {
            Err(Refusal::Admission)
        };
        assert_eq!(store.put(4, 100, 600), expected, "{asked}");
    }
    assert_eq!(store.kept(0..5), [1, 2, 3, 4]);
    // What has expired is worth nothing to anybody.
    store.world.advance(Span::from_secs(10));
    store.put(5, 100, 600).unwrap();
    assert_eq!(store.kept(0..6), [1, 2, 4, 5]);
}

/// A worker that ends between two writes leaves bytes in the budget that nobody has.
#[test]
fn bytes_that_nobody_has_are_found_once_a_minute() {
    let store = Store::new(4 * one(), false);
    let taken = (4 * one()).to_le_bytes();
    let lose = || store.world.shared_set(BYTES, &taken, Expect::Anything);
    lose();
    store.put(0, 100, 600).unwrap();
    assert_eq!(store.bytes(), one());
    store
        .table
        .invalidate(&store.host, &0u32.to_le_bytes(), store.world.now())
        .unwrap();
    assert_eq!(store.bytes(), 0);
    store.world.advance(Span::from_secs(1));
    lose();
    assert_eq!(store.put(1, 100, 600), Err(Refusal::Admission));
    store.world.advance(Span::from_secs(60));
    store.put(1, 100, 600).unwrap();
    assert_eq!(store.bytes(), one());
}

#[test]
fn the_copies_of_a_worker_are_those_of_what_it_is_asked_for() {
    let store = Store::new(1 << 20, false);
    let copied = |key: u32| {
        store.host.forget_calls();
        assert!(store.has(key));
        store.host.bytes_copied()
    };
    store.put(0, 4_000, 600).unwrap();
    for key in 1..100 {
        assert!(copied(0) < 4_000, "its copy has gone at {key}");
        store.put(key, 4_000, 600).unwrap();
    }
    let first = copied(1);
    assert!(first >= 4_000, "a worker keeps 64 KiB: {first}");
    assert!(copied(1) < 4_000);
    // More than a quarter of all copies is read anew each time.
    for (key, size, kept) in [(100, 16_000, true), (101, 17_000, false)] {
        store.put(key, size, 600).unwrap();
        copied(key);
        assert_eq!(copied(key) < 10_000, kept, "{size}");
    }
}

/// What is stored has its room already.
#[test]
fn what_is_stored_is_replaced_in_a_full_cache_however_much_it_is_asked_for() {
    for asked in [3, 15] {
        let store = Store::new(4 * one(), true);
        for key in 0..4u32 {
            let fingerprint = store.table.fingerprint(&key.to_le_bytes());
            (0..asked).for_each(|_| store.table.count(fingerprint));
            store.put(key, 100, 600).unwrap();
        }
        for key in 0..4 {
            assert_eq!(store.put(key, 100, 600), Ok(()), "{key} of {asked}");
            assert_eq!(store.put(key, 99, 600), Ok(()), "{key} of {asked}, smaller");
            assert_eq!(store.put(key, 100, 600), Ok(()), "{key} of {asked}, larger");
        }
        assert_eq!(store.table.take_evicted(), 0);
        assert_eq!(store.kept(0..4), [0, 1, 2, 3]);
        assert_eq!(store.bytes(), 4 * one());
    }
}

/// What it has grown by it takes from another, never from itself.
#[test]
fn what_is_replaced_by_more_takes_the_room_of_another_for_what_is_more() {
    let store = Store::new(4 * one(), false);
    for key in 0..4 {
        store.put(key, 100, 600).unwrap();
    }
    // The least recently used.
    store.put(0, 101, 600).unwrap();
    assert_eq!(store.table.take_evicted(), 1);
    assert_eq!(store.kept(0..4), [0, 2, 3]);
    assert_eq!(store.bytes(), 3 * one() + 1);
}

/// Whoever takes the slot away between the look and the claim has taken its room with it.
#[test]
fn what_lost_its_slot_while_it_is_replaced_pays_for_all_of_its_room() {
    for at in 0..8 {
        let store = Store::new(4 * one(), false);
        for key in 0..4 {
            store.put(key, 100, 600).unwrap();
        }
        let rival = FakeHost::new(&store.world, 2);
        let layout = Layout {
            buckets: 32,
            most_bytes: 4 * one(),
            worker_bytes: 1 << 16,
            admission: false,
        };
        let theirs = Table::new(layout, Secret([1; 16]), 7, Changes::default());
        let step = std::cell::Cell::new(0);
        let now = store.world.now();
        store.host.before_shared(move || {
            if step.replace(step.get() + 1) == at {
                let insert = Insert {
                    until: now.saturating_add(Span::from_secs(600)),
                    now,
                    ..Insert::default()
                };
                theirs.insert(&rival, entry(9, 100), insert).unwrap();
                // What it still holds is no entry's.
                theirs.budget().end(&rival);
            }
        });
        let _ = store.put(0, 200, 600);
        store.host.before_shared(|| {});
        let weights: u64 = (0..10)
            .filter(|key| store.has(*key))
            .map(|key| if key == 0 { one() + 100 } else { one() })
            .sum();
        assert_eq!(store.bytes(), weights, "at {at}");
    }
}

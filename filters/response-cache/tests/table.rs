//! The table of entries on the fake host: bounds, eviction, admission, races.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::disallowed_methods,
    reason = "test code"
)]

mod common;

use common::{ok, Cache, Origin};
use proptest::prelude::*;
use seawall_core::hash::Secret;
use seawall_core::headers::Headers;
use seawall_core::host::Expect;
use seawall_core::testing::{FakeHost, World};
use seawall_core::time::{Span, Timestamp};
use seawall_response_cache::entry::{Content, Entry, Meta};
use seawall_response_cache::refresh::Random;
use seawall_response_cache::store::bucket::Bucket;
use seawall_response_cache::store::{Changes, Insert, Layout, Table};
use serde_json::json;
use std::rc::Rc;

fn layout(buckets: u32, most_bytes: u64, admission: bool) -> Layout {
    Layout {
        buckets,
        most_bytes,
        worker_bytes: 1 << 16,
        admission,
    }
}

fn table(layout: Layout) -> Table {
    Table::new(layout, Secret([1; 16]), 7, Changes::default())
}

fn entry(key: u32, generation: u64, size: usize) -> Entry {
    let meta = Meta {
        generation,
        lifetime: Span::from_secs(60),
        ..Meta::default()
    };
    let content = Content::Response {
        meta,
        headers: Headers::default(),
        body: Rc::new(vec![generation as u8; size]),
    };
    Entry {
        key: key.to_le_bytes().to_vec(),
        content,
    }
}

fn put(table: &Table, host: &FakeHost, entry: Entry) -> bool {
    let now = host.world().now();
    let insert = Insert {
        until: now.saturating_add(Span::from_secs(60)),
        asked: now,
        updates: None,
        now,
        ..Insert::default()
    };
    table.insert(host, entry, insert).is_ok()
}

fn stored(world: &World) -> usize {
    let values = world
        .shared_names()
        .into_iter()
        .filter(|name| name.contains(".e."));
    values
        .map(|name| world.shared_get(&name).unwrap().0.len())
        .sum()
}

#[test]
fn keys_and_bytes_are_bounded_whatever_arrives() {
    let world = World::new();
    let host = FakeHost::new(&world, 1);
    let table = table(layout(32, 100_000, false));
    for n in 0..20_000u32 {
        put(
            &table,
            &host,
            entry(n, u64::from(n) + 1, (n as usize * 37) % 3000),
        );
        assert!(table.budget().used(&host).unwrap() <= 100_000);
    }
    assert!(stored(&world) <= 100_000);
    assert!(
        world.shared_keys() <= 32 + 32 * 8 + 1,
        "{}",
        world.shared_keys()
    );
    assert!(
        !put(&table, &host, entry(1, 1, 200_000)),
        "larger than everything"
    );
}

#[test]
fn the_expired_go_first_then_the_least_recently_used() {
    let world = World::new();
    let host = FakeHost::new(&world, 1);
    let table = table(layout(1, 1 << 20, false));
    for n in 0..8 {
        put(&table, &host, entry(n, u64::from(n) + 1, 10));
        world.advance(Span::from_secs(1));
    }
    world.advance(Span::from_secs(10));
    // Key 0 is the oldest, but in use.
    assert!(table
        .find(&host, &0u32.to_le_bytes(), world.now())
        .unwrap()
        .is_some());
    put(&table, &host, entry(8, 9, 10));
    let has = |key: u32| {
        table
            .find(&host, &key.to_le_bytes(), world.now())
            .unwrap()
            .is_some()
    };
    assert!(has(0) && !has(1) && has(2) && has(8));
    assert_eq!(table.take_evicted(), 1);
}

/// How many of a hot set survive a flood of keys that are asked for once.
fn survivors(admission: bool) -> usize {
    let world = World::new();
    let host = FakeHost::new(&world, 1);
    let table = table(layout(64, 1 << 20, admission));
    let now = || world.now();
    let ask = |key: u32, generation: u64| {
        let bytes = key.to_le_bytes();
        table.count(table.fingerprint(&bytes));
        if table.find(&host, &bytes, now()).unwrap().is_none() {
            put(&table, &host, entry(key, generation, 100));
        }
    };
    let mut random = Random::new(5);
    for step in 0..40_000u64 {
        ask((random.bits() % 200) as u32, step);
        ask(1_000 + step as u32, step);
        world.advance(Span::from_millis(1));
    }
    for flood in 0..5_000u32 {
        ask(1_000_000 + flood, u64::from(flood));
        world.advance(Span::from_millis(1));
    }
    (0..200u32)
        .filter(|key| {
            table
                .find(&host, &key.to_le_bytes(), now())
                .unwrap()
                .is_some()
        })
        .count()
}

#[test]
fn admission_by_frequency_keeps_the_hot_set_through_a_flood() {
    let (with, without) = (survivors(true), survivors(false));
    assert!(with >= 190, "{with} of 200 with admission");
    assert!(with > without, "{with} with, {without} without");
}

#[test]
fn a_worker_that_is_flooded_leaves_what_is_hot_at_another_one() {
    let world = World::new();
    let hosts = [FakeHost::new(&world, 1), FakeHost::new(&world, 2)];
    let shape = layout(8, 1 << 20, true);
    let (calm, flooded) = (table(shape), table(shape));
    let find = |table: &Table, host: &FakeHost, key: u32| {
        let bytes = key.to_le_bytes();
        table.count(table.fingerprint(&bytes));
        table.find(host, &bytes, world.now()).unwrap().is_some()
    };
    for key in 0..10 {
        find(&calm, &hosts[0], key);
        put(&calm, &hosts[0], entry(key, u64::from(key) + 1, 10));
    }
    let mut lost = 0;
    for flood in 0..10_000u32 {
        let key = 1_000 + flood;
        if !find(&flooded, &hosts[1], key) {
            put(&flooded, &hosts[1], entry(key, u64::from(key), 10));
        }
        if flood % 10 == 0 {
            lost += u32::from(!find(&calm, &hosts[0], flood / 10 % 10));
        }
        world.advance(Span::from_millis(5));
    }
    assert_eq!(lost, 0);
}

#[test]
fn variants_are_admitted_by_their_own_demand() {
    let mut cache = Cache::alone(&json!({"max_entries": 8, "refresh": {"algorithm": "off"}}));
    for n in 0..40 {
        cache.get(&format!("/once/{n}"), &ok("max-age=600", "x"));
        cache.advance(1);
    }
    let language = [("accept-language", "de")];
    let origin = ok("max-age=600", "de").with("vary", "accept-language");
    for _ in 0..6 {
        cache.get_with("/", &language, &origin);
        cache.advance(1);
    }
    assert!(cache.get_with("/", &language, &Origin::default()).is_hit());
}

#[test]
fn a_table_of_another_size_frees_the_one_before() {
    let world = World::new();
    let mut old = Cache::new(&world, 1, &json!({"max_entries": 1000}));
    for n in 0..50 {
        old.get(&format!("/{n}"), &ok("max-age=60", "body"));
    }
    assert!(stored(&world) > 0);
    let mut new = Cache::new(&world, 2, &json!({"max_entries": 100}));
    assert!(!new.get("/", &ok("no-store", "x")).is_hit());
    assert_eq!(stored(&world), 0);
    old.vm.end();
    let bytes = world.shared_get("seawall.rc.bytes").unwrap().0;
    assert_eq!(bytes, 0u64.to_le_bytes());
    new.get("/1", &ok("max-age=60", "new"));
    assert_eq!(new.get("/1", &Origin::default()).body, b"new");
}

/// Whether a value is an entry, whole, of its bucket's slot; empty ones are nobody's.
fn is_of_its_slot(world: &World, name: &str) -> bool {
    let value = world.shared_get(name).unwrap().0;
    if value.is_empty() {
        return true;
    }
    let (bucket, way) = name
        .trim_start_matches("seawall.rc.e.")
        .split_at_checked(8)
        .expect("a bucket and a way");
    let bucket = world.shared_get(&format!("seawall.rc.i.{bucket}"));
    let bucket = Bucket::decode(&bucket.unwrap().0);
    let way = usize::from_str_radix(way, 16).unwrap();
    let slot = bucket.slots[way].expect("a value without a slot");
    let Content::Response { meta, body, .. } = Entry::decode(&value).unwrap().content else {
        panic!("a response")
    };
    slot.generation == meta.generation && body.iter().all(|byte| *byte == meta.generation as u8)
}

fn assert_values_are_of_their_slots(world: &World, when: &str) {
    let values = world.shared_names();
    for name in values.iter().filter(|name| name.contains(".e.")) {
        assert!(is_of_its_slot(world, name), "{name} {when}");
    }
}

/// Somebody else acts before the read or write of shared data of this number.
fn before_step(host: &FakeHost, at: u32, act: impl Fn() + 'static) {
    let seen = std::cell::Cell::new(0);
    host.before_shared(move || {
        if seen.replace(seen.get() + 1) == at {
            act();
        }
    });
}

/// A worker with gauges learns from them that another one was in between, and one without looks.
#[test]
fn a_rival_between_any_two_steps_leaves_no_value_that_is_not_its_slots() {
    for (at, gauges) in (0..14).flat_map(|at| [(at, false), (at, true)]) {
        let world = World::new();
        let mine = FakeHost::new(&world, 1);
        let rival_host = Rc::new(FakeHost::new(&world, 2));
        let shape = layout(1, 1 << 20, false);
        let table = |host: &FakeHost| {
            let changes = if gauges {
                Changes::define(host)
            } else {
                Changes::default()
            };
            Table::new(shape, Secret([1; 16]), 7, changes)
        };
        let (table_mine, rival) = (table(&mine), table(&rival_host));
        // A full bucket, so that both claim the same slot.
        for n in 0..8 {
            put(&table_mine, &mine, entry(n, u64::from(n) + 1, 10));
            world.advance(Span::from_secs(1));
        }
        let host_too = Rc::clone(&rival_host);
        before_step(&mine, at, move || {
            put(&rival, &host_too, entry(100, 200, 20));
            put(&rival, &host_too, entry(9, 201, 20));
        });
        put(&table_mine, &mine, entry(9, 99, 10));
        mine.before_shared(|| {});
        assert_values_are_of_their_slots(&world, &format!("at {at}, {gauges}"));
        let fresh = table(&rival_host);
        for key in (0..10u32).chain([100]) {
            let found = fresh.find(&*rival_host, &key.to_le_bytes(), world.now());
            if let Some(found) = found.unwrap() {
                assert_eq!(found.entry.key, key.to_le_bytes());
            }
        }
    }
}

/// Who takes a free slot says nothing, for whoever had it before has lost it to somebody who did.
#[test]
fn a_rival_that_frees_slots_and_fills_them_leaves_no_value_that_is_not_its_slots() {
    let mut taken = 0;
    for at in 0..14 {
        let world = World::new();
        let mine = FakeHost::new(&world, 1);
        let rival_host = Rc::new(FakeHost::new(&world, 2));
        let table = |host: &FakeHost, most: u64| {
            let shape = layout(1, most, false);
            Table::new(shape, Secret([1; 16]), 7, Changes::define(host))
        };
        let table_mine = table(&mine, 1 << 20);
        // One takes everything away for want of room, and the other all places that are free then.
        let (tight, wide) = (table(&rival_host, 600), table(&rival_host, 1 << 20));
        for n in 0..5 {
            put(&table_mine, &mine, entry(n, u64::from(n) + 1, 10));
        }
        world.advance(Span::from_secs(1));
        let host_too = Rc::clone(&rival_host);
        before_step(&mine, at, move || {
            put(&tight, &host_too, entry(50, 100, 20));
            for n in 0..8 {
                put(&wide, &host_too, entry(100 + n, 200 + u64::from(n), 20));
            }
        });
        taken += u32::from(!put(&table_mine, &mine, entry(9, 99, 10)));
        mine.before_shared(|| {});
        assert_values_are_of_their_slots(&world, &format!("at {at}"));
    }
    assert!(taken > 0, "it never lost its slot before it had written");
}

/// Who takes a slot from another says so before: then whoever is about to write a value there learns of it in time.
#[test]
fn a_slot_is_announced_before_it_is_taken_from_another_who_takes_its_value_back() {
    let world = World::new();
    let host = FakeHost::new(&world, 1);
    let changes = Changes::define(&host);
    let table = Table::new(layout(1, 1 << 24, false), Secret([1; 16]), 7, changes);
    let gauge = |world: &World| world.metric("seawall.response_cache.generation.0");
    let begun = gauge(&world);
    let seen = Rc::new(std::cell::RefCell::new(Vec::new()));
    let (log, hooked) = (Rc::clone(&seen), world.clone());
    host.before_shared(move || log.borrow_mut().push(gauge(&hooked) - begun));
    let steps = || std::mem::take(&mut *seen.borrow_mut());
    assert!(put(&table, &host, entry(1, 10, 10)));
    // The budget, the bucket, the value; the place was free.
    assert_eq!(steps(), [0, 0, 0, 0, 0]);
    assert!(put(&table, &host, entry(1, 12, 10)));
    // The bucket and the value; the bytes are there.
    assert_eq!(steps(), [1, 2, 2]);
    table
        .invalidate(&host, &1u32.to_le_bytes(), world.now())
        .unwrap();
    // The bucket and the value; the bytes are kept for the next entry.
    assert_eq!(steps(), [3, 4, 5]);
    // Another worker takes the slot, and comes no further.
    let (at, hooked) = (std::cell::Cell::new(0), world.clone());
    let rival = FakeHost::new(&world, 2);
    let theirs = Changes::define(&rival);
    host.before_shared(move || {
        if at.replace(at.get() + 1) == 2 {
            theirs.advance(&rival, 0, 1);
            hooked.shared_set("seawall.rc.i.00000000", b"", Expect::Anything);
        }
    });
    assert!(!put(&table, &host, entry(1, 11, 10)));
    host.before_shared(|| {});
    assert_eq!(stored(&world), 0);
}

#[test]
fn what_was_stored_since_the_lookup_stays_beside_what_that_led_to() {
    let world = World::new();
    let host = FakeHost::new(&world, 1);
    let table = table(layout(1, 1 << 20, false));
    let find = |key: u32| table.find(&host, &key.to_le_bytes(), world.now()).unwrap();
    assert!(find(1).is_none());
    let known = table.take_lacking();
    assert!(known.is_some());
    assert!(put(&table, &host, entry(2, 20, 10)));
    let until = world.now().saturating_add(Span::from_secs(60));
    let insert = Insert {
        until,
        known,
        ..Insert::default()
    };
    table.insert(&host, entry(1, 10, 10), insert).unwrap();
    assert!(find(1).is_some() && find(2).is_some());
    assert!(table.take_lacking().is_none(), "both were found");
}

#[test]
fn while_a_value_is_replaced_readers_use_the_one_before_from_their_copies() {
    let world = World::new();
    let shape = layout(1, 1 << 20, true);
    let (mine, rival_host) = (FakeHost::new(&world, 1), Rc::new(FakeHost::new(&world, 2)));
    let (writer, reader) = (table(shape), Rc::new(table(shape)));
    put(&writer, &mine, entry(1, 10, 10));
    let key = 1u32.to_le_bytes();
    let generation = |table: &Table, host: &FakeHost| {
        let found = table.find(host, &key, world.now()).unwrap();
        found.map(|found| found.entry.generation())
    };
    assert_eq!(generation(&reader, &rival_host), Some(10));
    // A reader at every step of the write finds one or the other, never nothing.
    let seen = Rc::new(std::cell::RefCell::new(Vec::new()));
    let (log, looks, host, at) = (
        Rc::clone(&seen),
        Rc::clone(&reader),
        Rc::clone(&rival_host),
        world.now(),
    );
    mine.before_shared(move || {
        let found = looks.find(&*host, &1u32.to_le_bytes(), at).unwrap();
        log.borrow_mut()
            .push(found.map(|found| found.entry.generation()));
    });
    put(&writer, &mine, entry(1, 11, 10));
    mine.before_shared(|| {});
    assert_eq!(generation(&reader, &rival_host), Some(11));
    let seen = seen.borrow();
    assert!(
        seen.iter().all(|found| matches!(found, Some(10 | 11))),
        "{seen:?}"
    );
    assert!(seen.contains(&Some(10)));
    // What was invalidated is not brought back by that.
    let soon = world.now();
    world.advance(Span::from_secs(1));
    writer.invalidate(&mine, &key, soon).unwrap();
    put(&writer, &mine, entry(1, 12, 10));
    world.shared_set("seawall.rc.e.000000000", b"", Expect::Anything);
    assert_eq!(generation(&reader, &rival_host), None);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn what_is_found_is_what_was_stored_last(steps in proptest::collection::vec((0u32..40, 0usize..2000, any::<bool>()), 1..300)) {
        let world = World::new();
        let hosts = [FakeHost::new(&world, 1), FakeHost::new(&world, 2)];
        let shape = layout(4, 20_000, false);
        let tables = [table(shape), table(shape)];
        let mut last = std::collections::BTreeMap::new();
        for (at, (key, size, second)) in steps.into_iter().enumerate() {
            let (host, table) = (&hosts[usize::from(second)], &tables[usize::from(second)]);
            let generation = at as u64 + 1;
            if put(table, host, entry(key, generation, size)) {
                last.insert(key, generation);
            }
            prop_assert!(table.budget().used(host).unwrap() <= 20_000);
            for (table, host) in tables.iter().zip(&hosts) {
                if let Some(found) = table.find(host, &key.to_le_bytes(), Timestamp(1)).unwrap() {
                    prop_assert_eq!(Some(&found.entry.generation()), last.get(&key));
                }
            }
        }
        prop_assert!(stored(&world) <= 20_000);
    }
}

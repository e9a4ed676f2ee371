//! Two workers that change the same place of shared data at once: what one of them has stored, the other leaves alone.
#![cfg(not(target_arch = "wasm32"))]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "test code"
)]

use seawall_core::hash::Secret;
use seawall_core::headers::Headers;
use seawall_core::testing::{FakeHost, World};
use seawall_core::time::Span;
use seawall_response_cache::entry::{Content, Entry, Meta};
use seawall_response_cache::store::{Changes, Insert, Layout, Table};
use std::cell::Cell;
use std::rc::Rc;

const KEY: [u8; 1] = [9];

fn table(host: &FakeHost, gauges: bool) -> Table {
    let layout = Layout {
        buckets: 1,
        most_bytes: 1 << 20,
        worker_bytes: 1 << 16,
        admission: false,
    };
    let changes = if gauges {
        Changes::define(host)
    } else {
        Changes::default()
    };
    Table::new(layout, Secret([1; 16]), 7, changes)
}

fn put(table: &Table, host: &FakeHost, generation: u64) -> bool {
    let now = host.world().now();
    let meta = Meta {
        generation,
        ..Meta::default()
    };
    let content = Content::Response {
        meta,
        headers: Headers::default(),
        body: vec![0; 10],
    };
    let entry = Entry {
        key: KEY.to_vec(),
        content,
    };
    let insert = Insert {
        until: now.saturating_add(Span::from_secs(60)),
        asked: now,
        now,
        ..Insert::default()
    };
    table.insert(host, entry, insert).is_ok()
}

/// Somebody else acts before the read or write of shared data of this number.
fn before_step(host: &FakeHost, at: u32, act: impl FnOnce() + 'static) {
    let (seen, act) = (Cell::new(0), Cell::new(Some(act)));
    host.before_shared(move || {
        if seen.replace(seen.get() + 1) == at {
            if let Some(act) = act.take() {
                act();
            }
        }
    });
}

/// The generations of all values that are there.
fn values(world: &World) -> Vec<u64> {
    let names = world.shared_names().into_iter();
    let values = names.filter_map(|name| world.shared_get(&name).filter(|_| name.contains(".e.")));
    let entries = values.filter_map(|(value, _)| Entry::decode(&value));
    entries.map(|entry| entry.generation()).collect()
}

#[test]
fn a_writer_that_learns_late_that_its_slot_is_anothers_leaves_the_value_there() {
    let mut late = 0;
    for (at, gauges) in (0..14).flat_map(|at| [(at, false), (at, true)]) {
        let world = World::new();
        let mine = FakeHost::new(&world, 1);
        let theirs = Rc::new(FakeHost::new(&world, 2));
        let (first, rival) = (table(&mine, gauges), table(&theirs, gauges));
        let written = Rc::new(Cell::new(false));
        let (seen, world_too, host) = (Rc::clone(&written), world.clone(), Rc::clone(&theirs));
        before_step(&mine, at, move || {
            seen.set(values(&world_too).contains(&1));
            assert!(put(&rival, &host, 2));
        });
        put(&first, &mine, 1);
        mine.before_shared(|| {});
        if written.get() {
            late += 1;
            assert_eq!(values(&world), [2], "at {at}, {gauges}");
        }
    }
    assert!(late > 0, "it never learnt of it late");
}

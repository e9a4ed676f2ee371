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

mod common;

use common::{ok, request, Cache, Origin};
use seawall_core::hash::Secret;
use seawall_core::headers::Headers;
use seawall_core::testing::{Ended, FakeHost, World};
use seawall_core::time::Span;
use seawall_response_cache::entry::{Content, Entry, Meta};
use seawall_response_cache::store::bucket::{Bucket, State};
use seawall_response_cache::store::{Changes, Insert, Layout, Table};
use serde_json::json;
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
        body: Rc::new(vec![0; 10]),
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

/// Whether a slot is taken whose value is still to be written. Who writes one then loses it, as values are written without a
/// look at what is there.
fn is_between_claim_and_value(world: &World) -> bool {
    world.shared_names().into_iter().any(|name| {
        let Some(number) = name.strip_prefix("seawall.rc.i.") else {
            return false;
        };
        let bucket = Bucket::decode(&world.shared_get(&name).unwrap().0);
        let mut ways = bucket.slots.iter().enumerate();
        ways.any(|(way, slot)| {
            let value = world.shared_get(&format!("seawall.rc.e.{number}{way:x}"));
            let entry = value.and_then(|(value, _)| Entry::decode(&value));
            slot.is_some_and(|slot| {
                slot.state == State::Full
                    && entry.is_none_or(|entry| entry.generation() != slot.generation)
            })
        })
    })
}

/// What the URL has before two workers bring variants of it.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Before {
    Nothing,
    Response,
    List,
    PurgedList,
    Invalidated,
}

#[test]
fn two_lists_of_variants_that_are_stored_at_once_become_one() {
    use Before::{Invalidated, List, Nothing, PurgedList, Response};
    let settings = json!({
        "coalesce": {"enabled": false}, "refresh": {"algorithm": "off"}, "purge": {"secret_header": "x-p", "secret": "0123456789"},
    });
    let (one, two, three) = ([("x-k", "1")], [("x-l", "2")], [("x-m", "3")]);
    let mut torn = 0;
    for before in [Nothing, Response, List, PurgedList, Invalidated] {
        for at in 0..30 {
            let world = World::new();
            let mut mine = Cache::new(&world, 1, &settings);
            let mut theirs = Cache::new(&world, 2, &settings);
            let plain = ok("max-age=60", "before");
            let varied = plain.clone().with("vary", "x-m");
            match before {
                Nothing => {}
                Response => drop(mine.get("/", &plain)),
                _ => drop(mine.get_with("/", &three, &varied)),
            }
            mine.advance(10);
            if before == PurgedList {
                let purge = request(
                    "PURGE",
                    "/",
                    &[("seawall-purge", "all"), ("x-p", "0123456789")],
                );
                let (_, ended) = mine.start(&purge);
                assert!(matches!(ended, Ended::Replied(reply) if reply.status == 200));
            }
            if before == Invalidated {
                mine.send(&request("POST", "/", &[]), &Origin::status("200"));
                mine.advance(10);
            }
            let ask = |cache: &mut Cache, more: &[(&'static str, &'static str)]| {
                let mut fields = request("GET", "/", more);
                fields.push(("cache-control", "no-cache"));
                cache.start(&fields).0
            };
            let my_own = ask(&mut mine, &one);
            let their_own = ask(&mut theirs, &two);
            mine.advance(10);
            let begun_at = Rc::new(Cell::new(None));
            let (begun, world_too) = (Rc::clone(&begun_at), world.clone());
            before_step(&mine.vm.host, at, move || {
                begun.set(Some(is_between_claim_and_value(&world_too)));
                theirs.answer(their_own, &ok("max-age=60", "two").with("vary", "x-l"));
            });
            mine.answer(my_own, &ok("max-age=60", "one").with("vary", "x-k"));
            mine.vm.host.before_shared(|| {});
            match begun_at.get() {
                Some(false) => {}
                Some(true) => {
                    torn += 1;
                    continue;
                }
                // It takes fewer steps.
                None => break,
            }
            let mut third = Cache::new(&world, 3, &settings);
            for (more, body) in [(&one, &b"one"[..]), (&two, b"two")] {
                let got = third.get_with("/", more, &ok("no-store", "origin"));
                assert!(got.is_hit(), "{more:?} is lost, {before:?}, at {at}");
                assert_eq!(got.body, body);
            }
            if before == List {
                let got = third.get_with("/", &three, &ok("no-store", "origin"));
                assert!(got.is_hit(), "the first is lost, at {at}");
            }
        }
    }
    // Of its list and of its variant each.
    assert!(torn <= 10, "{torn}");
}

#[test]
fn an_answer_from_before_a_purge_leaves_the_variants_that_came_after_it() {
    let mut cache = Cache::alone(&json!({
        "coalesce": {"enabled": false}, "refresh": {"algorithm": "off"}, "purge": {"secret_header": "x-p", "secret": "0123456789"},
    }));
    let (slow, _) = cache.start(&request("GET", "/", &[("x-k", "1")]));
    let purge = request(
        "PURGE",
        "/",
        &[("seawall-purge", "all"), ("x-p", "0123456789")],
    );
    assert!(matches!(cache.start(&purge).1, Ended::Replied(_)));
    cache.advance(10);
    let two = [("x-l", "2")];
    cache.get_with("/", &two, &ok("max-age=60", "two").with("vary", "x-l"));
    cache.answer(slow, &ok("max-age=60", "one").with("vary", "x-k"));
    assert!(cache.get_with("/", &two, &ok("no-store", "")).is_hit());
    let one = [("x-k", "1")];
    assert!(!cache.get_with("/", &one, &ok("no-store", "")).is_hit());
}

/// Slots and values that do not belong together: what a worker that ends between two writes leaves behind, and nobody else.
fn assert_whole(world: &World, when: &str) {
    assert!(!is_between_claim_and_value(world), "a lost value, {when}");
    for name in world.shared_names() {
        let Some((number, way)) = name
            .strip_prefix("seawall.rc.e.")
            .and_then(|place| place.split_at_checked(8))
        else {
            continue;
        };
        let bucket = world.shared_get(&format!("seawall.rc.i.{number}"));
        let slots = Bucket::decode(&bucket.unwrap().0).slots;
        let slot = slots[usize::from_str_radix(way, 16).unwrap()];
        let value = world.shared_get(&name).unwrap().0;
        assert!(
            slot.is_some() || value.is_empty(),
            "{name} is nobody's, {when}"
        );
    }
}

/// Whether the place that is taken next has a value still, which is erased then whoever's it is.
fn is_before_erasure(world: &World) -> bool {
    world.shared_names().into_iter().any(|name| {
        let number = name.strip_prefix("seawall.rc.i.");
        let free = number.and_then(|number| {
            let bucket = Bucket::decode(&world.shared_get(&name)?.0);
            world.shared_get(&format!("seawall.rc.e.{number}{:x}", bucket.free()?))
        });
        free.is_some_and(|(value, _)| !value.is_empty())
    })
}

fn sized(world: &World, number: u32, entries: u32) -> Cache {
    let settings =
        json!({"max_entries": entries, "refresh": {"algorithm": "off"}, "admission": false});
    Cache::new(world, number, &settings)
}

const SIZES: [(u32, u32); 4] = [(8, 16), (16, 8), (40, 16), (64, 200)];

#[test]
fn a_table_of_another_size_is_used_while_the_one_before_is_cleared() {
    let mut tried = 0;
    for (before, after) in SIZES {
        for at in 0..200 {
            let world = World::new();
            let mut old = sized(&world, 1, before);
            for n in 0..30 {
                old.get(&format!("/{n}"), &ok("max-age=60", "old"));
            }
            let mut mine = sized(&world, 2, after);
            let mut theirs = sized(&world, 3, after);
            let begun_at = Rc::new(Cell::new(None));
            let (begun, world_too) = (Rc::clone(&begun_at), world.clone());
            before_step(&mine.vm.host, at, move || {
                begun.set(Some(is_before_erasure(&world_too)));
                theirs.get("/new", &ok("max-age=60", "new"));
            });
            mine.get("/", &ok("no-store", ""));
            mine.vm.host.before_shared(|| {});
            match begun_at.get() {
                Some(false) => tried += 1,
                Some(true) => continue,
                None => break,
            }
            let when = format!("{before} to {after}, at {at}");
            let mut third = sized(&world, 4, after);
            assert!(third.get("/new", &ok("no-store", "")).is_hit(), "{when}");
            assert_whole(&world, &when);
        }
    }
    assert!(tried > 100, "{tried}");
}

#[test]
fn a_table_that_is_cleared_while_something_is_written_keeps_no_value_without_a_slot() {
    for (before, after) in SIZES {
        for at in 0..20 {
            let world = World::new();
            let mut old = sized(&world, 1, before);
            let mut new = sized(&world, 2, after);
            for n in 0..30 {
                old.get(&format!("/{n}"), &ok("max-age=60", "old"));
            }
            before_step(&old.vm.host, at, move || {
                new.get("/", &ok("no-store", ""));
            });
            old.get("/late", &ok("max-age=60", "late"));
            old.vm.host.before_shared(|| {});
            assert_whole(&world, &format!("{before} to {after}, at {at}"));
        }
    }
}

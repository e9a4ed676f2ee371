//! How often a large body is held at once: the memory of a VM is bounded, and running out of it ends every request in it.
#![cfg(not(target_arch = "wasm32"))]
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "test code"
)]

mod common;

use common::{ok, request, Cache, Origin};
use serde_json::json;
use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

const BODY: usize = 4 << 20;

thread_local! {
    /// Bytes of large pieces that are there, and the most there were. Tests have a thread each.
    static LARGE: Cell<(usize, usize)> = const { Cell::new((0, 0)) };
}

struct Counting;

fn count(size: usize, more: bool) {
    if size < BODY / 2 {
        return;
    }
    let _ = LARGE.try_with(|large| {
        let (present, most) = large.get();
        let present = if more {
            present + size
        } else {
            present.saturating_sub(size)
        };
        large.set((present, most.max(present)));
    });
}

// SAFETY: all of it is done by the system's own.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(layout.size(), true);
        // SAFETY: as the caller promises.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        count(layout.size(), false);
        // SAFETY: as the caller promises.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Bodies that are there.
fn present() -> usize {
    LARGE.get().0 / BODY
}

/// How many more there were at most while something was done.
fn most(act: impl FnOnce()) -> usize {
    let (before, _) = LARGE.get();
    LARGE.set((before, before));
    act();
    (LARGE.get().1 - before) / BODY
}

/// A cache with an entry that is too large for the copies of a worker.
fn filled(said: &str) -> Cache {
    let mut cache = Cache::alone(&json!({
        "max_entry_bytes": "8MiB", "worker_memory": "1MiB", "refresh": {"algorithm": "off"}
    }));
    let body = "x".repeat(BODY);
    cache.get("/", &ok(said, &body).with("etag", "\"a\""));
    cache
}

#[test]
fn requests_that_ask_the_origin_hold_one_copy_of_what_is_stored() {
    let mut cache = filled("max-age=60");
    let before = present();
    let asks = request("GET", "/", &[("cache-control", "no-cache")]);
    let asking: Vec<_> = (0..8).map(|_| cache.start(&asks).0).collect();
    assert_eq!(present() - before, 1);
    for exchange in asking {
        cache.vm.finish(exchange);
    }
    assert_eq!(present(), before);
}

#[test]
fn a_304_makes_no_copy_of_the_body_but_those_that_are_written() {
    let mut cache = filled("max-age=1");
    cache.advance(2_000);
    let (asking, _) = cache.start(&request("GET", "/", &[]));
    let fresh = Origin::status("304").with("cache-control", "max-age=60");
    let copies = most(|| {
        let got = cache.answer(asking, &fresh);
        assert_eq!((got.status, got.body.len()), (200, BODY));
    });
    // What is written, and the host's own two of it and of the answer.
    assert_eq!(copies, 2);
}

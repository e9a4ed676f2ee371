//! What a worker remembers of the breakers, so that a healthy call does not read shared data.
//!
//! What is kept is the record as it was read, or that there was none, never a decision: each call is judged by its own time
//! and settings, so that a ramp, a window or a share that changes with time alone is what it would be on the original. A
//! copy counts only while the generation says that no record has changed since, and for a second at most; who changes a
//! record reads it anew. Breakers that are not closed are not kept: refusals and probes rest on what shared data says now.

use crate::breaker::{Record, State};
use seawall_core::generation::{Generation, Seen};
use seawall_core::hash::Fingerprint;
use seawall_core::host::Host;
use seawall_core::time::Timestamp;
use std::cell::{Cell, RefCell};

/// Copies in a worker. Two keys with the same place take turns.
const PLACES: usize = 64;

/// The gauge that counts changes.
const GENERATION: &str = "seawall.circuit_breaker.generation";

#[derive(Debug, Clone)]
struct Kept {
    key: Fingerprint,
    seen: Seen,
    record: Option<Record>,
}

/// The copies of a worker.
#[derive(Debug)]
pub(crate) struct Copies {
    generation: Generation,
    latest: Cell<Option<u64>>,
    places: RefCell<Vec<Option<Kept>>>,
}

fn place(key: Fingerprint) -> usize {
    // A keyed hash: any bits of it will do.
    (key.0 as usize) % PLACES
}

impl Copies {
    /// None yet.
    pub(crate) fn define(host: &dyn Host) -> Self {
        Copies {
            generation: Generation::define(host, GENERATION),
            latest: Cell::new(None),
            places: RefCell::new(vec![None; PLACES]),
        }
    }

    /// The present, to be taken before a breaker is recalled or read; `None` where there is no generation.
    pub(crate) fn present(&self, host: &dyn Host, now: Timestamp) -> Option<Seen> {
        let present = self.generation.seen(host, now);
        self.latest.set(present.map(Seen::number));
        present
    }

    /// The generation as this worker has seen it last.
    pub(crate) fn latest(&self) -> Option<u64> {
        self.latest.get()
    }

    /// Judges the breaker of a key as shared data holds it at `present`, if this worker knows it; one that has never failed is
    /// `None`. `judge` must not come back here.
    pub(crate) fn recall<R>(
        &self,
        key: Fingerprint,
        present: Seen,
        judge: impl FnOnce(Option<&Record>) -> R,
    ) -> Option<R> {
        let places = self.places.try_borrow().ok()?;
        let kept = places.get(place(key))?.as_ref()?;
        (kept.key == key && kept.seen.holds_at(present)).then(|| judge(kept.record.as_ref()))
    }

    /// Remembers what was read after `seen`.
    pub(crate) fn keep(&self, key: Fingerprint, seen: Seen, record: Option<Record>) {
        if record.is_some_and(|record| record.state != State::Closed) {
            return;
        }
        if let Ok(mut places) = self.places.try_borrow_mut() {
            if let Some(kept) = places.get_mut(place(key)) {
                *kept = Some(Kept { key, seen, record });
            }
        }
    }

    /// A record has been changed, here.
    pub(crate) fn changed(&self, host: &dyn Host) {
        self.generation.advance(host);
        // It has moved on by one at least, by how much is known with the next call.
        self.latest.set(None);
    }
}

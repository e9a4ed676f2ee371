//! One Envoy process: what its workers share.

use crate::host::{Expect, Swap, Version};
use crate::time::{Span, Timestamp};
use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, VecDeque};
use std::rc::Rc;

/// The state that all VMs of a process share. Cheap to clone; clones are the same world.
#[derive(Debug, Clone, Default)]
pub struct World(pub(super) Rc<Inner>);

#[derive(Debug, Default)]
pub(super) struct Inner {
    pub(super) clock: Cell<u64>,
    pub(super) random: Cell<u64>,
    pub(super) shared: RefCell<BTreeMap<String, (Vec<u8>, u32)>>,
    pub(super) versions: Cell<u32>,
    pub(super) queues: RefCell<Vec<Queue>>,
    pub(super) metrics: RefCell<BTreeMap<String, i64>>,
    pub(super) log: RefCell<Vec<String>>,
}

#[derive(Debug, Default)]
pub(super) struct Queue {
    pub(super) name: String,
    pub(super) receiver: u32,
    pub(super) messages: VecDeque<Vec<u8>>,
}

impl World {
    /// A world at some time in 2025.
    pub fn new() -> Self {
        let world = World::default();
        world.0.clock.set(1_750_000_000_000_000_000);
        world
    }

    /// The time of the wall clock.
    pub fn now(&self) -> Timestamp {
        Timestamp(self.0.clock.get())
    }

    /// Moves the clock forward.
    pub fn advance(&self, span: Span) {
        self.0
            .clock
            .set(self.0.clock.get().saturating_add(span.as_nanos()));
    }

    /// Sets the clock, back as well.
    pub fn set_clock(&self, now: Timestamp) {
        self.0.clock.set(now.as_nanos());
    }

    /// Seeds the random source.
    pub fn seed(&self, seed: u64) {
        self.0.random.set(seed);
    }

    /// The next 64 random bits (SplitMix64).
    pub fn next_random(&self) -> u64 {
        let state = self.0.random.get().wrapping_add(0x9e37_79b9_7f4a_7c15);
        self.0.random.set(state);
        let mut bits = state;
        bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        bits ^ (bits >> 31)
    }

    /// Reads shared data.
    pub fn shared_get(&self, key: &str) -> Option<(Vec<u8>, Version)> {
        self.0
            .shared
            .borrow()
            .get(key)
            .map(|(value, cas)| (value.clone(), Version(*cas)))
    }

    /// Writes shared data by the rules of the real host.
    pub fn shared_set(&self, key: &str, value: &[u8], expect: Expect) -> Swap {
        let cas = match expect {
            Expect::Anything => 0,
            Expect::Absent => u32::MAX,
            Expect::Version(version) => version.0,
        };
        let mut shared = self.0.shared.borrow_mut();
        if let Some((_, present)) = shared.get(key) {
            if cas != 0 && cas != *present {
                return Swap::Conflict;
            }
        }
        let next = self.0.versions.get().wrapping_add(1).max(1);
        self.0.versions.set(next);
        shared.insert(key.to_owned(), (value.to_vec(), next));
        Swap::Done
    }

    /// Registers a queue for a VM, instead of whichever had it before; its number.
    pub(super) fn queue_register(&self, name: &str, vm: u32) -> u32 {
        let mut queues = self.0.queues.borrow_mut();
        let at = match queues.iter().position(|queue| queue.name == name) {
            Some(at) => at,
            None => {
                queues.push(Queue {
                    name: name.to_owned(),
                    ..Queue::default()
                });
                queues.len() - 1
            }
        };
        queues[at].receiver = vm;
        at as u32 + 1
    }

    /// Does something with the messages of a queue, if there is one of this number.
    pub(super) fn with_queue<R>(
        &self,
        queue: u32,
        act: impl FnOnce(&mut VecDeque<Vec<u8>>) -> R,
    ) -> Option<R> {
        let mut queues = self.0.queues.borrow_mut();
        let queue = queues.get_mut((queue as usize).checked_sub(1)?)?;
        Some(act(&mut queue.messages))
    }

    /// How many keys shared data holds. On the real host it never shrinks.
    pub fn shared_keys(&self) -> usize {
        self.0.shared.borrow().len()
    }

    /// How many bytes the shared values hold.
    pub fn shared_bytes(&self) -> usize {
        self.0
            .shared
            .borrow()
            .values()
            .map(|(value, _)| value.len())
            .sum()
    }

    /// The names of the keys in shared data.
    pub fn shared_names(&self) -> Vec<String> {
        self.0.shared.borrow().keys().cloned().collect()
    }

    /// The value of a metric by its name without the host's prefix; histograms count their records.
    pub fn metric(&self, name: &str) -> i64 {
        self.0
            .metrics
            .borrow()
            .get(name)
            .copied()
            .unwrap_or_default()
    }

    /// All metrics.
    pub fn metrics(&self) -> BTreeMap<String, i64> {
        self.0.metrics.borrow().clone()
    }

    /// The lines logged so far.
    pub fn log(&self) -> Vec<String> {
        self.0.log.borrow().clone()
    }
}

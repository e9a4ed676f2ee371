//! The state of one worker.

use super::background::Call;
use super::exchange::{Exchange, Phase, Shared};
use super::request::{proceed, Occasion};
use super::{Core, Cx};
use crate::flight::{self, Lease, Sharing};
use crate::purge::Purges;
use crate::refresh::Random;
use crate::store::{adopt, alone::Alone, BucketRead, Changes, Layout, Table};
use seawall_core::generation::Seen;
use seawall_core::hash::Fingerprint;
use seawall_core::host::{Answer, Host};
use seawall_core::shared::{secret, Present};
use seawall_core::time::{Span, Timestamp};
use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, VecDeque};
use std::ops::Bound;
use std::rc::Rc;

const SECRET_KEY: &str = "seawall.rc.secret";

/// How often the timer looks at what waits; waits are exact to this.
pub const TICK: Span = Span::from_millis(50);

/// Requests let go in one callback. Each answer runs inside the one before, for the host sends it as soon as a callback of this
/// VM returns, and its headers are a callback again; a few hundred exhaust the stack, and with it the VM.
const MOST_WOKEN: usize = 32;

/// Keys of which one timer looks whether somebody still leads.
const MOST_ASKED: usize = 64;

/// Requests that wait in this worker; more go to the origin at once.
const MOST_WAITING: usize = 8192;

/// What names a queue apart from all others.
type Name = [u64; 2];

thread_local! {
    /// Names of queues whose configurations have ended in this VM. The host forgets no queue, so the next one takes its place.
    static FREE: RefCell<Vec<Name>> = const { RefCell::new(Vec::new()) };
}

/// A flight that this worker leads.
#[derive(Debug)]
struct Leading {
    fingerprint: Fingerprint,
    renewed: Timestamp,
    lease: Span,
    /// The bucket of its key as it was when nothing was there.
    bucket: Option<BucketRead>,
    /// Its place among the flights, as it was read last.
    place: Option<Present>,
}

/// What the end of a flight tells those who wait for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Told {
    /// Go on by yourself.
    GoAlone = 0,
    /// What you wait for may be stored now, or one of you may fetch it.
    LookAgain = 1,
    /// The origin failed, and what is stored stands in for that.
    Failed = 2,
}

/// Set in a message that a worker sends itself: those whom the first one was for have not all been told yet.
const GOES_ON: u8 = 0x80;

impl Told {
    fn read(word: Option<&u8>) -> Self {
        match word.map(|word| word & !GOES_ON) {
            Some(1) => Told::LookAgain,
            Some(2) => Told::Failed,
            _ => Told::GoAlone,
        }
    }

    fn occasion(self) -> Occasion {
        match self {
            Told::GoAlone => Occasion::Alone,
            Told::LookAgain => Occasion::Woken,
            Told::Failed => Occasion::Failed,
        }
    }
}

/// Who waits for a key, in the order in which they came.
#[derive(Debug, Default)]
struct Parked {
    list: VecDeque<Shared>,
    /// So many from the front on waited for a flight that has ended, and are still to be told. Who waits again is behind them.
    due: usize,
}

/// The state.
#[derive(Debug)]
pub struct Worker {
    /// What is stored.
    pub table: Table,
    /// What was purged.
    pub purges: Purges,
    /// Keys of which nothing is stored, and for which nobody waits.
    alone: RefCell<Alone>,
    /// Requests to the origin without a client.
    pub calls: RefCell<BTreeMap<u32, Call>>,
    queue: Cell<Option<(u32, Name)>>,
    waiting: RefCell<BTreeMap<Fingerprint, Parked>>,
    parked: Cell<usize>,
    /// The key that was asked about last.
    asked: Cell<Fingerprint>,
    leading: RefCell<BTreeMap<u64, Leading>>,
    filling: Cell<usize>,
    reported: Cell<Timestamp>,
}

impl Worker {
    /// Starts from nothing.
    ///
    /// # Errors
    /// When the host fails.
    pub fn new(host: &dyn Host, layout: Layout, changes: Changes) -> Answer<Self> {
        let mut seed = [0; 8];
        host.random(&mut seed)?;
        adopt(host, layout.buckets, &changes)?;
        Ok(Worker {
            table: Table::new(
                layout,
                secret(host, SECRET_KEY)?,
                u64::from_le_bytes(seed),
                changes,
            ),
            purges: Purges::new(changes),
            alone: RefCell::default(),
            calls: RefCell::default(),
            queue: Cell::default(),
            waiting: RefCell::default(),
            parked: Cell::default(),
            asked: Cell::new(Fingerprint(0)),
            leading: RefCell::default(),
            filling: Cell::default(),
            reported: Cell::default(),
        })
    }

    /// The number of this worker's queue, registered under a random name when it is first needed.
    pub fn queue(&self, host: &dyn Host) -> Option<u32> {
        if let Some((queue, _)) = self.queue.get() {
            return Some(queue);
        }
        let name = FREE.with(|free| free.try_borrow_mut().ok()?.pop());
        let name = name.unwrap_or_else(|| {
            let mut random = Random::new(self.table.bits());
            [random.bits(), random.bits()]
        });
        let [a, b] = name;
        let queue = host
            .queue_register(&format!("seawall.response_cache.{a:016x}{b:016x}"))
            .ok()?;
        self.queue.set(Some((queue, name)));
        Some(queue)
    }

    /// Leaves the queue to another configuration.
    fn leave_queue(&self) {
        if let Some((_, name)) = self.queue.take() {
            FREE.with(|free| {
                if let Ok(mut free) = free.try_borrow_mut() {
                    free.push(name);
                }
            });
        }
    }

    /// Remembers a flight to renew. What it will store was looked for just now.
    pub fn lead(&self, leader: u64, fingerprint: Fingerprint, now: Timestamp, lease: Span) {
        let leading = Leading {
            fingerprint,
            renewed: now,
            lease,
            bucket: self.table.take_lacking(),
            place: None,
        };
        if let Ok(mut all) = self.leading.try_borrow_mut() {
            all.insert(leader, leading);
        }
    }

    /// Whether what a flight brings was invalidated meanwhile.
    pub fn is_outdated(&self, host: &dyn Host, fingerprint: Fingerprint, leader: u64) -> bool {
        let (outdated, place) = flight::is_outdated(host, fingerprint, leader);
        if let Ok(mut all) = self.leading.try_borrow_mut() {
            if let Some(leading) = all.get_mut(&leader) {
                leading.place = place;
            }
        }
        outdated
    }

    /// The bucket of a flight's key as it was when nothing was there.
    pub fn take_bucket(&self, leader: u64) -> Option<BucketRead> {
        let mut all = self.leading.try_borrow_mut().ok()?;
        all.get_mut(&leader)?.bucket.take()
    }

    /// Ends a flight and wakes who waits, here and in other workers.
    pub fn end_flight(
        &self,
        cx: Cx<'_>,
        fingerprint: Fingerprint,
        leader: u64,
        told: Told,
        sharing: Sharing,
    ) {
        let leading = self.leading.try_borrow_mut().ok();
        let leading = leading.and_then(|mut all| all.remove(&leader));
        let place = leading.and_then(|leading| leading.place);
        let queues = flight::end(cx.host, fingerprint, leader, cx.now, sharing, place);
        let mut message = fingerprint.0.to_le_bytes().to_vec();
        message.push(told as u8);
        for queue in queues {
            // A worker that is gone has nobody waiting.
            let _ = cx.host.queue_send(queue, &message);
        }
    }

    /// Whether nothing is stored under a key, as far as this worker knows, and nobody waits for it.
    pub fn goes_alone(&self, fingerprint: Fingerprint, present: Seen, now: Timestamp) -> bool {
        let alone = self.alone.try_borrow();
        alone.is_ok_and(|alone| alone.knows(fingerprint, present, now))
    }

    /// Remembers such a key.
    pub fn let_go_alone(&self, fingerprint: Fingerprint, seen: Seen, until: Timestamp) {
        if let Ok(mut alone) = self.alone.try_borrow_mut() {
            alone.remember(fingerprint, seen, until);
        }
    }

    /// Whether one more may wait.
    pub fn has_room(&self) -> bool {
        self.parked.get() < MOST_WAITING
    }

    /// Parks a request.
    pub fn park(&self, fingerprint: Fingerprint, exchange: &Shared) {
        let Ok(mut waiting) = self.waiting.try_borrow_mut() else {
            return;
        };
        let parked = waiting.entry(fingerprint).or_default();
        parked.list.push_back(Rc::clone(exchange));
        self.parked.set(self.parked.get().saturating_add(1));
    }

    /// Forgets a parked request.
    pub fn unpark(&self, fingerprint: Fingerprint, exchange: &Shared) {
        let Ok(mut waiting) = self.waiting.try_borrow_mut() else {
            return;
        };
        if let Some(parked) = waiting.get_mut(&fingerprint) {
            let place = parked.list.iter().position(|one| Rc::ptr_eq(one, exchange));
            if let Some(place) = place {
                parked.list.remove(place);
                if place < parked.due {
                    parked.due = parked.due.saturating_sub(1);
                }
                self.parked.set(self.parked.get().saturating_sub(1));
            }
            if parked.list.is_empty() {
                waiting.remove(&fingerprint);
            }
        }
    }

    /// The first of those who have waited long enough.
    fn overdue(&self, now: Timestamp) -> Vec<(Fingerprint, Shared)> {
        let Ok(waiting) = self.waiting.try_borrow() else {
            return Vec::new();
        };
        let all = waiting
            .iter()
            .flat_map(|(key, parked)| parked.list.iter().map(|one| (*key, Rc::clone(one))));
        let overdue = all.filter(|(_, shared)| {
            let exchange = shared.try_borrow();
            let deadline = exchange
                .ok()
                .and_then(|exchange| exchange.as_ref()?.deadline);
            deadline.is_some_and(|deadline| deadline <= now)
        });
        overdue.take(MOST_WOKEN).collect()
    }

    /// Some of the keys for which somebody waits, going round with every call.
    fn waited_for(&self) -> Vec<Fingerprint> {
        let Ok(waiting) = self.waiting.try_borrow() else {
            return Vec::new();
        };
        let after = (Bound::Excluded(self.asked.get()), Bound::Unbounded);
        let round = waiting.range(after).chain(waiting.iter());
        let some = round.map(|(key, _)| *key);
        let some: Vec<_> = some.take(MOST_ASKED.min(waiting.len())).collect();
        if let Some(last) = some.last() {
            self.asked.set(*last);
        }
        some
    }

    /// The flight of a key has ended: all who wait for it by now are to be told.
    fn all_due(&self, fingerprint: Fingerprint) {
        if let Ok(mut waiting) = self.waiting.try_borrow_mut() {
            if let Some(parked) = waiting.get_mut(&fingerprint) {
                parked.due = parked.list.len();
            }
        }
    }

    /// Takes out the first of those who are to be told, and says whether there are more.
    fn take_due(&self, fingerprint: Fingerprint, most: usize) -> (Vec<Shared>, bool) {
        let mut waiting = self.waiting.try_borrow_mut().ok();
        let Some(waiting) = waiting.as_deref_mut() else {
            return (Vec::new(), false);
        };
        let Some(parked) = waiting.get_mut(&fingerprint) else {
            return (Vec::new(), false);
        };
        let count = most.min(parked.due).min(parked.list.len());
        let first: Vec<Shared> = parked.list.drain(..count).collect();
        parked.due = parked.due.saturating_sub(count);
        let more = parked.due > 0;
        if parked.list.is_empty() {
            waiting.remove(&fingerprint);
        }
        self.parked
            .set(self.parked.get().saturating_sub(first.len()));
        (first, more)
    }

    /// Takes room for a part of a body that is being stored; all bodies on their way share it.
    pub fn reserve_filling(&self, bytes: usize, most: usize) -> bool {
        let total = self.filling.get().saturating_add(bytes);
        if total > most {
            return false;
        }
        self.filling.set(total);
        true
    }

    /// Gives it back.
    pub fn release_filling(&self, bytes: usize) {
        self.filling.set(self.filling.get().saturating_sub(bytes));
    }
}

/// Reads the messages of other workers and wakes whom they are for: a few now, and the rest when this worker has sent itself
/// the message again. What is left in the queue has its own call still to come.
pub fn drain(host: &dyn Host, core: &Core, worker: &Rc<Worker>, queue: u32) {
    let mut room = MOST_WOKEN;
    while room > 0 {
        let Ok(Some(message)) = host.queue_take(queue) else {
            return;
        };
        room = room.saturating_sub(1);
        let Some((key, rest)) = message.split_first_chunk::<16>() else {
            continue;
        };
        let fingerprint = Fingerprint(u128::from_le_bytes(*key));
        let word = rest.first();
        let told = Told::read(word);
        // Only the first message makes it the turn of those who wait: who does so again by the next one waits for another flight.
        if word.is_none_or(|word| word & GOES_ON == 0) {
            worker.all_due(fingerprint);
        }
        let (parked, more) = worker.take_due(fingerprint, room);
        room = room.saturating_sub(parked.len());
        for exchange in parked {
            wake(host, core, worker, &exchange, told.occasion());
        }
        if more {
            let mut message = key.to_vec();
            message.push(told as u8 | GOES_ON);
            // Who is not woken so is woken by the timer.
            let _ = host.queue_send(queue, &message);
        }
    }
}

/// Lets one request go on.
fn wake(host: &dyn Host, core: &Core, worker: &Rc<Worker>, shared: &Shared, occasion: Occasion) {
    let Some(mut exchange) = take(shared) else {
        return;
    };
    if matches!(exchange.phase, Phase::Waiting) && host.act_on(exchange.context).is_ok() {
        let cx = Cx {
            host,
            core,
            worker,
            now: host.now().unwrap_or_default(),
        };
        proceed(cx, shared, &mut exchange, occasion);
    }
    put(shared, exchange);
}

/// Takes a request's state out, so that nothing is borrowed while the host is called.
pub fn take(shared: &Shared) -> Option<Box<Exchange>> {
    shared.try_borrow_mut().ok()?.take()
}

/// Puts it back.
pub fn put(shared: &Shared, exchange: Box<Exchange>) {
    if let Ok(mut place) = shared.try_borrow_mut() {
        *place = Some(exchange);
    }
}

/// The configuration is no longer used. What it still asks for without a client has no answer any more, so those who wait for
/// that are told now, not when the leases end.
pub fn end(host: &dyn Host, core: &Core, worker: &Rc<Worker>) {
    if let Ok(mut calls) = worker.calls.try_borrow_mut() {
        calls.clear();
    }
    let leading = worker.leading.try_borrow_mut();
    let leading = leading.map(|mut all| std::mem::take(&mut *all));
    let now = host.now().unwrap_or_default();
    let cx = Cx {
        host,
        core,
        worker,
        now,
    };
    for (leader, leading) in leading.unwrap_or_default() {
        worker.end_flight(
            cx,
            leading.fingerprint,
            leader,
            Told::LookAgain,
            Sharing::Unknown,
        );
    }
    worker.table.budget().end(host);
    worker.leave_queue();
}

/// The timer: who has waited long enough goes on alone, and flights that are still going are renewed.
pub fn tick(host: &dyn Host, core: &Core, worker: &Rc<Worker>) {
    core.metrics.flush(host);
    let Ok(now) = host.now() else {
        return;
    };
    if now.since(worker.reported.get()) >= Span::from_secs(1) {
        worker.reported.set(now);
        worker.table.budget().settle(host);
        core.report(host, worker);
    }
    let overdue = worker.overdue(now);
    let mut room = MOST_WOKEN.saturating_sub(overdue.len());
    for (fingerprint, shared) in overdue {
        worker.unpark(fingerprint, &shared);
        core.metrics.waits_timed_out.increment(host);
        wake(host, core, worker, &shared, Occasion::Alone);
    }
    // Who waits for a worker that died hears nothing of it; its lease ends, and one of them goes in its place.
    if let Some((queue, _)) = worker.queue.get() {
        for fingerprint in worker.waited_for() {
            if flight::tells(host, fingerprint, queue, now) {
                continue;
            }
            worker.all_due(fingerprint);
            let (orphans, _) = worker.take_due(fingerprint, room);
            room = room.saturating_sub(orphans.len());
            for shared in orphans {
                wake(host, core, worker, &shared, Occasion::Woken);
            }
        }
    }
    let Ok(mut leading) = worker.leading.try_borrow_mut() else {
        return;
    };
    leading.retain(|leader, leading| {
        if now.since(leading.renewed).0 < leading.lease.0 / 3 {
            return true;
        }
        let lease = Lease {
            leader: *leader,
            until: now.saturating_add(leading.lease),
            now,
        };
        leading.renewed = now;
        // Else somebody else leads by now, for this worker was too late.
        flight::renew(host, leading.fingerprint, lease)
    });
}

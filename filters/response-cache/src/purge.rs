//! Purges of many keys at once: by prefix, by tag, of everything.
//!
//! Nothing is searched. Every purge raises one number, the epoch; an entry carries the epoch of the moment when its
//! request went out, and is checked against the purges since then whenever it is read. A purge makes every worker's copies, and
//! the epoch, be read again ([`Changes`]); the list of purges is read only when that has changed.
//!
//! Bounded: the latest [`MOST_PREFIXES`] prefixes and [`MOST_TAGS`] tags, URLs counting as tags; older tags go into
//! [`TAG_PLACES`] places that several share. What does not fit makes a purge hit more, never less.

use crate::key::{location_of, tags};
use crate::store::Changes;
use seawall_core::generation::Seen;
use seawall_core::hash::{KeyHasher, Secret};
use seawall_core::headers::Headers;
use seawall_core::host::{Answer, Failure, Host};
use seawall_core::shared::{update, Step};
use seawall_core::time::Timestamp;
use std::cell::{Cell, RefCell};
use std::rc::Rc;

const EPOCH_KEY: &str = "seawall.rc.epoch";
const LIST_KEY: &str = "seawall.rc.purges";

/// Prefixes that are remembered one by one; an older one counts as a purge of everything.
pub const MOST_PREFIXES: usize = 128;
/// Tags that are remembered one by one, by the upper half of a 64-bit hash.
pub const MOST_TAGS: usize = 2048;
/// Places for older tags. Numbers of tags begin above them, so that one list holds both.
pub const TAG_PLACES: u32 = 1 << PLACE_BITS;
const PLACE_BITS: u32 = 11;
/// Longer prefixes are cut, which purges more.
const MOST_PREFIX_BYTES: usize = 512;
const ATTEMPTS: u32 = 64;

/// When a purge was made and how.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
struct Mark {
    /// Entries of an earlier epoch are gone.
    hard: u64,
    /// Entries of an earlier epoch are stale...
    soft: u64,
    /// ...since then.
    since: u64,
}

/// What is purged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum What {
    /// Everything.
    All,
    /// Whose host and path begin so.
    Prefix(Vec<u8>),
    /// What has one of these tags.
    Tags(Vec<Vec<u8>>),
}

/// What is left of an entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// All of it.
    Good,
    /// It is stale since then.
    Stale(Timestamp),
    /// Nothing.
    Gone,
}

#[derive(Debug, Clone, PartialEq, Eq, Default)]
struct List {
    epoch: u64,
    all: Mark,
    prefixes: Vec<(Vec<u8>, Mark)>,
    /// Places and tags by their numbers, in order. Sparse: most places never see a purge.
    tags: Vec<(u32, Mark)>,
}

/// The purges, as a worker knows them.
#[derive(Debug, Default)]
pub struct Purges {
    epoch: Cell<u64>,
    /// When that was read.
    seen: Cell<Option<Seen>>,
    list: RefCell<Rc<List>>,
    changes: Changes,
}

/// The number of a tag: 32 bits of a secret hash.
fn number(secret: &Secret, tag: &[u8]) -> u32 {
    let hash = KeyHasher::new(secret).part(b"tag").part(tag).finish();
    hash.slot(u32::MAX).max(TAG_PLACES)
}

/// The place that a tag shares with others once it is forgotten.
fn place(number: u32) -> u32 {
    number >> (u32::BITS - PLACE_BITS)
}

/// The number of the URL that a response was asked for ([`crate::key::Recipe::url`]).
pub fn number_of_url(secret: &Secret, url: &[u8]) -> u32 {
    number(secret, &exact_tag(url))
}

/// The tag that every response has: the URL it was asked for.
pub fn exact_tag(url: &[u8]) -> Vec<u8> {
    // A zero byte is in no tag that a response can carry.
    let mut tag = Vec::with_capacity(url.len().saturating_add(1));
    tag.push(0);
    tag.extend_from_slice(url);
    tag
}

/// Whether a location begins so. One without a host is that of all hosts, and is compared from the path on.
fn begins(location: &[u8], prefix: &[u8]) -> bool {
    let slash = prefix.iter().position(|byte| *byte == b'/');
    let prefix = match (location.first(), slash) {
        (Some(b'/'), Some(at)) => prefix.get(at..).unwrap_or_default(),
        // A host alone, which was cut for its length.
        (Some(b'/'), None) => b"",
        _ => prefix,
    };
    location.starts_with(prefix)
}

impl Mark {
    fn raise(&mut self, epoch: u64, soft: bool, now: Timestamp) {
        if soft {
            self.soft = epoch;
            self.since = now.0;
        } else {
            self.hard = epoch;
        }
    }

    fn covers(&self, epoch: u64, verdict: Verdict) -> Verdict {
        if verdict == Verdict::Gone || epoch < self.hard {
            return Verdict::Gone;
        }
        if epoch < self.soft {
            let since = Timestamp(self.since);
            return match verdict {
                Verdict::Stale(earlier) => Verdict::Stale(earlier.min(since)),
                _ => Verdict::Stale(since),
            };
        }
        verdict
    }

    fn latest(&self) -> u64 {
        self.hard.max(self.soft)
    }

    fn merge(&mut self, other: Mark) {
        self.hard = self.hard.max(other.hard);
        if other.soft > self.soft {
            self.soft = other.soft;
            self.since = other.since;
        }
    }
}

impl Purges {
    /// Purges that make these changes.
    pub fn new(changes: Changes) -> Self {
        Purges {
            changes,
            ..Purges::default()
        }
    }

    /// The present epoch, and the list brought up to it.
    ///
    /// # Errors
    /// When the host fails; nothing stored may be used then, for it may have been purged.
    pub fn refresh(&self, host: &dyn Host, now: Timestamp) -> Answer<u64> {
        let present = self.changes.seen_purges(host, now);
        if let (Some(seen), Some(present)) = (self.seen.get(), present) {
            if seen.holds_at(present) {
                return Ok(self.epoch.get());
            }
        }
        let epoch = host
            .shared_get(EPOCH_KEY)?
            .and_then(|(value, _)| Some(u64::from_le_bytes(value.try_into().ok()?)))
            .unwrap_or(0);
        if epoch != self.epoch.get() {
            let value = host.shared_get(LIST_KEY)?.ok_or(Failure::NotFound)?.0;
            let list = decode(&value).ok_or(Failure::NotFound)?;
            let known = self.list.try_borrow_mut();
            *known.map_err(|_| Failure::NotFound)? = Rc::new(list);
            self.epoch.set(epoch);
        }
        self.seen.set(present);
        Ok(epoch)
    }

    /// The epoch that this worker knew last; there may have been purges since.
    pub fn known(&self) -> u64 {
        self.epoch.get()
    }

    /// What is left of an entry of this key, epoch and fields, after [`Purges::refresh`]; `url` is the
    /// [`number_of_url`] that it was stored for.
    pub fn check(
        &self,
        secret: &Secret,
        key: &[u8],
        epoch: u64,
        headers: Option<&Headers>,
        url: Option<u32>,
    ) -> Verdict {
        let Ok(list) = self.list.try_borrow().map(|list| Rc::clone(&list)) else {
            return Verdict::Gone;
        };
        if epoch >= list.epoch {
            return Verdict::Good;
        }
        let mut verdict = list.all.covers(epoch, Verdict::Good);
        if let Some(location) = location_of(key) {
            for (prefix, mark) in &list.prefixes {
                if begins(location, prefix) {
                    verdict = mark.covers(epoch, verdict);
                }
            }
        }
        if !list.tags.is_empty() {
            let tags = headers
                .into_iter()
                .flat_map(tags)
                .map(|tag| number(secret, tag));
            for number in url.into_iter().chain(tags) {
                for wanted in [number, place(number)] {
                    let found = list.tags.binary_search_by_key(&wanted, |(known, _)| *known);
                    if let Some((_, mark)) = found.ok().and_then(|at| list.tags.get(at)) {
                        verdict = mark.covers(epoch, verdict);
                    }
                }
            }
        }
        verdict
    }

    /// Purges; the new epoch.
    ///
    /// # Errors
    /// When the host fails, or everybody else was faster every time.
    pub fn purge(
        &self,
        host: &dyn Host,
        secret: &Secret,
        what: &What,
        soft: bool,
        now: Timestamp,
    ) -> Answer<u64> {
        let written = update(host, LIST_KEY, ATTEMPTS, |value| {
            let mut list = value.and_then(decode).unwrap_or_default();
            list.epoch = list.epoch.saturating_add(1);
            let mut mark = Mark::default();
            mark.raise(list.epoch, soft, now);
            add(&mut list, secret, what, mark);
            Step::Write(encode(&list), list.epoch)
        });
        let epoch = written.map_err(|_| Failure::BadArgument)?.result;
        // Last, so that whoever sees the epoch finds the list.
        let raised = update(host, EPOCH_KEY, ATTEMPTS, |value| {
            let present = value
                .and_then(|bytes| Some(u64::from_le_bytes(bytes.try_into().ok()?)))
                .unwrap_or(0);
            if present >= epoch {
                Step::Keep(())
            } else {
                Step::Write(epoch.to_le_bytes().to_vec(), ())
            }
        });
        // Also where it failed halfway: whoever looks again reads what there is.
        self.changes.advance_all(host);
        raised.map_err(|_| Failure::BadArgument)?;
        Ok(epoch)
    }
}

fn add(list: &mut List, secret: &Secret, what: &What, mark: Mark) {
    match what {
        What::All => {
            list.all.merge(mark);
            if mark.hard > 0 {
                // Nothing older is left to be purged.
                list.prefixes.clear();
                list.tags.clear();
            }
        }
        What::Prefix(prefix) => {
            let prefix = prefix.get(..MOST_PREFIX_BYTES).unwrap_or(prefix);
            let known = list.prefixes.iter().position(|(known, _)| known == prefix);
            let mut mark = mark;
            if let Some(at) = known {
                mark.merge(list.prefixes.remove(at).1);
            } else if list.prefixes.len() >= MOST_PREFIXES {
                let (_, oldest) = list.prefixes.remove(0);
                list.all.merge(oldest);
            }
            list.prefixes.push((prefix.to_vec(), mark));
        }
        What::Tags(names) => {
            for (at, name) in names.iter().enumerate() {
                let number = number(secret, name);
                let fits = at < MOST_TAGS;
                add_tag(
                    &mut list.tags,
                    if fits { number } else { place(number) },
                    mark,
                );
            }
            forget_oldest(&mut list.tags);
        }
    }
}

fn add_tag(tags: &mut Vec<(u32, Mark)>, number: u32, mark: Mark) {
    match tags.binary_search_by_key(&number, |(known, _)| *known) {
        Ok(at) => {
            if let Some((_, known)) = tags.get_mut(at) {
                known.merge(mark);
            }
        }
        Err(at) => tags.insert(at, (number, mark)),
    }
}

/// Puts the tags that were purged longest ago, beyond those that are remembered, into their places.
fn forget_oldest(tags: &mut Vec<(u32, Mark)>) {
    loop {
        // Places come first.
        let places = tags.partition_point(|(number, _)| *number < TAG_PLACES);
        if tags.len().saturating_sub(places) <= MOST_TAGS {
            return;
        }
        let single = tags.iter().enumerate().skip(places);
        let Some((at, _)) = single.min_by_key(|(_, (_, mark))| mark.latest()) else {
            return;
        };
        let (number, mark) = tags.remove(at);
        add_tag(tags, place(number), mark);
    }
}

fn put(out: &mut Vec<u8>, mark: &Mark) {
    for number in [mark.hard, mark.soft, mark.since] {
        out.extend_from_slice(&number.to_le_bytes());
    }
}

fn encode(list: &List) -> Vec<u8> {
    let mut out = Vec::with_capacity(64);
    out.extend_from_slice(&list.epoch.to_le_bytes());
    put(&mut out, &list.all);
    out.extend_from_slice(&(list.prefixes.len() as u32).to_le_bytes());
    for (prefix, mark) in &list.prefixes {
        out.extend_from_slice(&(prefix.len() as u32).to_le_bytes());
        out.extend_from_slice(prefix);
        put(&mut out, mark);
    }
    for (place, mark) in &list.tags {
        out.extend_from_slice(&place.to_le_bytes());
        put(&mut out, mark);
    }
    out
}

fn take_u64(input: &mut &[u8]) -> Option<u64> {
    let (number, rest) = input.split_first_chunk::<8>()?;
    *input = rest;
    Some(u64::from_le_bytes(*number))
}

fn take_u32(input: &mut &[u8]) -> Option<u32> {
    let (number, rest) = input.split_first_chunk::<4>()?;
    *input = rest;
    Some(u32::from_le_bytes(*number))
}

fn take_mark(input: &mut &[u8]) -> Option<Mark> {
    Some(Mark {
        hard: take_u64(input)?,
        soft: take_u64(input)?,
        since: take_u64(input)?,
    })
}

fn decode(value: &[u8]) -> Option<List> {
    let mut input = value;
    let mut list = List {
        epoch: take_u64(&mut input)?,
        all: take_mark(&mut input)?,
        ..List::default()
    };
    for _ in 0..take_u32(&mut input)? {
        let length = usize::try_from(take_u32(&mut input)?).ok()?;
        let (prefix, rest) = input.split_at_checked(length)?;
        input = rest;
        list.prefixes
            .push((prefix.to_vec(), take_mark(&mut input)?));
    }
    while !input.is_empty() {
        let (number, mark) = (take_u32(&mut input)?, take_mark(&mut input)?);
        add_tag(&mut list.tags, number, mark);
    }
    Some(list)
}

#[cfg(test)]
#[path = "purge_tests.rs"]
mod tests;

//! A stored response: whole or absent.
//!
//! An entry is one value of shared data, which the host writes and reads atomically. It carries the version of this
//! format, a checksum, the generation that its slot must name, and the whole cache key: an entry that is torn, of another
//! build, overwritten meanwhile, or of another key with the same fingerprint is no entry.

use crate::http::age::current;
use seawall_core::headers::Headers;
use seawall_core::time::{Span, Timestamp};
use std::rc::Rc;
use xxhash_rust::xxh64::xxh64;

/// The format; changes with every change of the fields below.
const VERSION: u8 = 5;

/// Bytes before the payload: version and checksum.
const PREFIX: usize = 9;

/// What is known of a response besides its fields and its body.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Meta {
    /// The slot's generation.
    pub generation: u64,
    /// The number of the last purge that this entry has outlived, as it was when its request went out.
    pub epoch: u64,
    /// The status.
    pub status: u16,
    /// When it was asked for.
    pub asked: Timestamp,
    /// When it arrived.
    pub arrived: Timestamp,
    /// `corrected_initial_age`
    pub initial_age: Span,
    /// The freshness lifetime.
    pub lifetime: Span,
    /// How long the origin took, for the early refresh.
    pub delta: Span,
    /// How long it may be used stale while it is being refreshed.
    pub while_revalidate: Span,
    /// How long it may be used stale when the origin fails.
    pub if_error: Span,
    /// It must be validated before every use.
    pub no_cache: bool,
    /// It must not be used stale at all.
    pub must_revalidate: bool,
    /// `max-stale` of clients does not count.
    pub no_max_stale: bool,
    /// It does not change while it is fresh (RFC 8246).
    pub immutable: bool,
    /// The number of its URL among the purges.
    pub url: u32,
}

impl Meta {
    /// `current_age`
    pub fn age(&self, now: Timestamp) -> Span {
        current(self.initial_age, self.arrived, now)
    }

    /// The point in time at which it becomes stale.
    pub fn fresh_until(&self) -> Timestamp {
        self.arrived
            .saturating_add(self.lifetime)
            .saturating_sub(self.initial_age)
    }

    /// The point in time after which it is of no use but for revalidation.
    pub fn usable_until(&self) -> Timestamp {
        self.fresh_until()
            .saturating_add(self.while_revalidate.max(self.if_error))
    }
}

/// What a key holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Content {
    /// A response.
    Response {
        /// Facts.
        meta: Meta,
        /// Its fields.
        headers: Headers,
        /// Its body, of which there may be one for several entries and requests.
        body: Rc<Vec<u8>>,
    },
    /// The URL has variants: the lists of field names seen in `Vary`, the latest first. `salt` makes the keys of the
    /// variants, so that those of a list that was removed are never found again.
    Variants {
        /// The slot's generation.
        generation: u64,
        /// The number of the last purge when it was made.
        epoch: u64,
        /// Part of the keys of the variants.
        salt: u64,
        /// Sorted names in lower case; none for a response without `Vary` that others may be more recent than.
        lists: Vec<Vec<String>>,
    },
}

/// An entry: its key and what it holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// The whole key, so that two keys with one fingerprint are told apart.
    pub key: Vec<u8>,
    /// What it holds.
    pub content: Content,
}

impl Entry {
    /// The generation that the slot must name.
    pub fn generation(&self) -> u64 {
        match &self.content {
            Content::Response { meta, .. } => meta.generation,
            Content::Variants { generation, .. } => *generation,
        }
    }

    /// The number of the last purge that it has outlived.
    pub fn epoch(&self) -> u64 {
        match &self.content {
            Content::Response { meta, .. } => meta.epoch,
            Content::Variants { epoch, .. } => *epoch,
        }
    }

    /// About how many bytes it takes in memory.
    pub fn weight(&self) -> usize {
        let content = match &self.content {
            Content::Response { headers, body, .. } => {
                headers.as_abi().len().saturating_add(body.len())
            }
            Content::Variants { lists, .. } => lists.iter().flatten().map(String::len).sum(),
        };
        content.saturating_add(self.key.len()).saturating_add(256)
    }

    /// Writes it; `None` where this VM has no room left for it.
    pub fn encode(&self) -> Option<Vec<u8>> {
        let mut out = Writer(with_room(self.weight())?);
        out.0.push(VERSION);
        out.u64(0);
        out.bytes(&self.key);
        match &self.content {
            Content::Response {
                meta,
                headers,
                body,
            } => {
                out.0.push(0);
                // In one piece, for each write looks whether there is room for it.
                let numbers = [
                    meta.generation,
                    meta.epoch,
                    u64::from(meta.url) << 16 | u64::from(meta.status),
                    meta.asked.0,
                    meta.arrived.0,
                    meta.initial_age.0,
                    meta.lifetime.0,
                    meta.delta.0,
                    meta.while_revalidate.0,
                    meta.if_error.0,
                ];
                let numbers = numbers.map(u64::to_le_bytes);
                out.0.extend_from_slice(numbers.as_flattened());
                out.0.push(
                    u8::from(meta.no_cache)
                        | u8::from(meta.must_revalidate) << 1
                        | u8::from(meta.no_max_stale) << 2
                        | u8::from(meta.immutable) << 3,
                );
                out.bytes(headers.as_abi());
                out.bytes(body);
            }
            Content::Variants {
                generation,
                epoch,
                salt,
                lists,
            } => {
                out.0.push(1);
                out.u64(*generation);
                out.u64(*epoch);
                out.u64(*salt);
                out.length(lists.len());
                for names in lists {
                    out.length(names.len());
                    names.iter().for_each(|name| out.bytes(name.as_bytes()));
                }
            }
        }
        let sum = checksum(out.0.get(PREFIX..).unwrap_or_default());
        if let Some(place) = out.0.get_mut(1..PREFIX) {
            place.copy_from_slice(&sum.to_le_bytes());
        }
        Some(out.0)
    }

    /// Reads it; `None` for everything that [`Entry::encode`] has not written as it is, and where there is no room left for it.
    pub fn decode(value: &[u8]) -> Option<Entry> {
        let (prefix, payload) = value.split_at_checked(PREFIX)?;
        let (version, sum) = prefix.split_first()?;
        if *version != VERSION || u64::from_le_bytes(sum.try_into().ok()?) != checksum(payload) {
            return None;
        }
        let mut input = Reader(payload);
        let key = input.bytes()?.to_vec();
        let content = match input.u8()? {
            0 => Content::Response {
                meta: read_meta(&mut input)?,
                headers: Headers::from_abi(input.bytes()?.to_vec())?,
                body: {
                    let body = input.bytes()?;
                    let mut copy = with_room(body.len())?;
                    copy.extend_from_slice(body);
                    Rc::new(copy)
                },
            },
            1 => {
                let (generation, epoch, salt) = (input.u64()?, input.u64()?, input.u64()?);
                let mut lists = Vec::new();
                for _ in 0..input.length()? {
                    let mut names = Vec::new();
                    for _ in 0..input.length()? {
                        names.push(std::str::from_utf8(input.bytes()?).ok()?.to_owned());
                    }
                    lists.push(names);
                }
                Content::Variants {
                    generation,
                    epoch,
                    salt,
                    lists,
                }
            }
            _ => return None,
        };
        input.0.is_empty().then_some(Entry { key, content })
    }
}

/// An empty list with room for so many bytes. A body may be a quarter of what a VM can have, and running out of that ends it.
fn with_room(bytes: usize) -> Option<Vec<u8>> {
    let mut list = Vec::new();
    list.try_reserve_exact(bytes).ok()?;
    Some(list)
}

fn read_meta(input: &mut Reader<'_>) -> Option<Meta> {
    let (generation, epoch) = (input.u64()?, input.u64()?);
    let packed = input.u64()?;
    let (status, url) = (packed as u16, u32::try_from(packed >> 16).ok()?);
    let asked = Timestamp(input.u64()?);
    let arrived = Timestamp(input.u64()?);
    let mut meta = Meta {
        generation,
        epoch,
        status,
        url,
        asked,
        arrived,
        initial_age: Span(input.u64()?),
        lifetime: Span(input.u64()?),
        delta: Span(input.u64()?),
        while_revalidate: Span(input.u64()?),
        if_error: Span(input.u64()?),
        ..Meta::default()
    };
    let flags = input.u8()?;
    meta.no_cache = flags & 1 != 0;
    meta.must_revalidate = flags & 2 != 0;
    meta.no_max_stale = flags & 4 != 0;
    meta.immutable = flags & 8 != 0;
    Some(meta)
}

/// Against accidents: nobody but the filter writes entries, so it need not be a keyed hash.
fn checksum(payload: &[u8]) -> u64 {
    xxh64(payload, 0)
}

struct Writer(Vec<u8>);

impl Writer {
    fn u64(&mut self, number: u64) {
        self.0.extend_from_slice(&number.to_le_bytes());
    }

    fn length(&mut self, length: usize) {
        self.0
            .extend_from_slice(&u32::try_from(length).unwrap_or(u32::MAX).to_le_bytes());
    }

    fn bytes(&mut self, bytes: &[u8]) {
        self.length(bytes.len());
        self.0.extend_from_slice(bytes);
    }
}

struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        Some(taken)
    }

    fn u8(&mut self) -> Option<u8> {
        self.take(1)?.first().copied()
    }

    fn u64(&mut self) -> Option<u64> {
        Some(u64::from_le_bytes(self.take(8)?.try_into().ok()?))
    }

    fn length(&mut self) -> Option<usize> {
        usize::try_from(u32::from_le_bytes(self.take(4)?.try_into().ok()?)).ok()
    }

    fn bytes(&mut self) -> Option<&'a [u8]> {
        let length = self.length()?;
        self.take(length)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn response(key: Vec<u8>, body: Vec<u8>, seed: u64) -> Entry {
        Entry {
            key,
            content: Content::Response {
                meta: Meta {
                    generation: seed,
                    epoch: seed.wrapping_mul(3),
                    status: 200,
                    asked: Timestamp(seed.wrapping_mul(4)),
                    arrived: Timestamp(seed.wrapping_mul(5)),
                    initial_age: Span(seed.wrapping_mul(7)),
                    lifetime: Span(seed.wrapping_mul(11)),
                    delta: Span(seed.wrapping_mul(13)),
                    while_revalidate: Span(seed),
                    if_error: Span(1),
                    no_cache: seed & 1 == 0,
                    must_revalidate: seed & 2 == 0,
                    no_max_stale: seed & 4 == 0,
                    immutable: seed & 8 == 0,
                    url: seed as u32,
                },
                headers: Headers::from_pairs(&[("a", "1"), ("b", "2")]),
                body: Rc::new(body),
            },
        }
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(key in proptest::collection::vec(any::<u8>(), 0..20),
                                   body in proptest::collection::vec(any::<u8>(), 0..200), seed in any::<u64>()) {
            let entry = response(key, body, seed);
            prop_assert_eq!(Entry::decode(&entry.encode().unwrap()), Some(entry));
        }

        #[test]
        fn variants_are_written_and_read(lists in proptest::collection::vec(proptest::collection::vec("[a-z]{1,8}", 0..4), 0..4)) {
            let entry = Entry { key: b"k".to_vec(), content: Content::Variants { generation: 1, epoch: 2, salt: 3, lists } };
            prop_assert_eq!(Entry::decode(&entry.encode().unwrap()), Some(entry));
        }

        #[test]
        fn any_bytes_are_read_or_refused(value in proptest::collection::vec(any::<u8>(), 0..200)) {
            prop_assert_eq!(Entry::decode(&value), None);
        }

        #[test]
        fn torn_and_mixed_entries_are_never_read(cut in 0usize..300, at in 0usize..300, flip in 1u8..) {
            let whole = response(b"key".to_vec(), vec![7; 100], 9).encode().unwrap();
            let other = response(b"key".to_vec(), vec![8; 100], 10).encode().unwrap();
            if let Some(torn) = whole.get(..cut.min(whole.len().saturating_sub(1))) {
                prop_assert_eq!(Entry::decode(torn), None);
                let mut mixed = torn.to_vec();
                mixed.extend_from_slice(&other[torn.len()..]);
                if mixed != other && mixed != whole {
                    prop_assert_eq!(Entry::decode(&mixed), None);
                }
            }
            let mut flipped = whole.clone();
            let at = at.checked_rem(flipped.len()).unwrap_or(0);
            flipped[at] ^= flip;
            prop_assert_eq!(Entry::decode(&flipped), None);
        }
    }
}

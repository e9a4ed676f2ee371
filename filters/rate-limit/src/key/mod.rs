//! Whose quota a request uses: the parts of a key, and their keyed fingerprint. Values are hashed, never stored.

pub mod address;
mod facts;
mod ipv4;
mod text;

pub use facts::Facts;

use address::Prefixes;
use seawall_core::hash::{Fingerprint, KeyHasher, Secret};
use seawall_core::host::Answer;
use std::borrow::Cow;

/// One part of a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Part {
    /// The first value of a request header.
    Header(String),
    /// A cookie.
    Cookie(String),
    /// A query parameter, decoded.
    Query(String),
    /// The client's address, cut to a prefix.
    ClientAddress {
        /// How many proxies in front are trusted to have written `x-forwarded-for`.
        trusted_hops: u32,
        /// How much of it counts.
        prefixes: Prefixes,
    },
    /// The path without the query.
    Path,
    /// The first segments of the path.
    PathPrefix(usize),
    /// One segment of the path, counted from 1.
    PathSegment(usize),
    /// The method.
    Method,
    /// The host in lower case, without a port.
    Host,
    /// The name of the route.
    Route,
    /// The name of the cluster.
    Cluster,
    /// A claim of a verified JSON web token: the path of its property.
    Claim(Vec<String>),
    /// A fixed text.
    Constant(String),
}

/// What tells one key specification from another; goes into the fingerprint.
fn kind(part: &Part) -> (u8, &[u8]) {
    match part {
        Part::Header(name) => (1, name.as_bytes()),
        Part::Cookie(name) => (2, name.as_bytes()),
        Part::Query(name) => (3, name.as_bytes()),
        Part::ClientAddress { .. } => (4, b""),
        Part::Path => (5, b""),
        Part::PathPrefix(_) => (6, b""),
        Part::PathSegment(_) => (7, b""),
        Part::Method => (8, b""),
        Part::Host => (9, b""),
        Part::Route => (10, b""),
        Part::Cluster => (11, b""),
        Part::Claim(_) => (12, b""),
        Part::Constant(_) => (13, b""),
    }
}

impl Part {
    /// The value in the request at hand; `None` when it has none.
    ///
    /// # Errors
    /// When the host fails.
    pub fn value<'f>(&'f self, facts: &'f Facts<'_>) -> Answer<Option<Cow<'f, [u8]>>> {
        match self {
            Part::Header(name) => facts.header(name),
            Part::Cookie(name) => Ok(facts.cookie(name)?.map(Cow::Owned)),
            Part::Query(name) => {
                let found = text::query(facts.target()?, name.as_bytes());
                Ok(found.map(Cow::Owned))
            }
            Part::ClientAddress {
                trusted_hops,
                prefixes,
            } => Ok(facts
                .client(*trusted_hops)?
                .map(|address| Cow::Owned(prefixes.cut(address).as_ref().to_vec()))),
            Part::Path => Ok(some(facts.path()?)),
            Part::PathPrefix(segments) => {
                Ok(text::first_segments(facts.path()?, *segments).map(Cow::Borrowed))
            }
            Part::PathSegment(number) => {
                Ok(text::segment(facts.path()?, *number).map(Cow::Borrowed))
            }
            Part::Method => facts.header(":method"),
            Part::Host => Ok(some(facts.host()?)),
            Part::Route => facts.property("xds\0route_name"),
            Part::Cluster => facts.property("xds\0cluster_name"),
            Part::Claim(path) => Ok(facts.claim(&path.join("\0"))?.map(Cow::Owned)),
            Part::Constant(text) => Ok(Some(Cow::Borrowed(text.as_bytes()))),
        }
    }
}

fn some(bytes: &[u8]) -> Option<Cow<'_, [u8]>> {
    (!bytes.is_empty()).then_some(Cow::Borrowed(bytes))
}

/// The key of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Key {
    /// Of all parts.
    pub fingerprint: Fingerprint,
    /// Every part had a value.
    pub complete: bool,
}

/// A hasher for keys of these parts: what they have in common is in it.
pub fn hasher_of(parts: &[Part], secret: &Secret) -> KeyHasher {
    let mut hasher = KeyHasher::new(secret);
    if let Some(first) = parts.first() {
        head(&mut hasher, first);
    }
    hasher
}

fn head(hasher: &mut KeyHasher, part: &Part) {
    let (number, name) = kind(part);
    hasher.part(&[number]).part(name);
}

/// The fingerprint of a request's key, with a hasher of [`hasher_of`]. `see` gets every value on the way.
///
/// # Errors
/// When the host fails.
pub fn key_of(
    parts: &[Part],
    facts: &Facts<'_>,
    mut hasher: KeyHasher,
    mut see: impl FnMut(usize, &[u8]),
) -> Answer<Key> {
    let mut complete = true;
    for (index, part) in parts.iter().enumerate() {
        if index > 0 {
            head(&mut hasher, part);
        }
        let mut take = |value: Option<&[u8]>| match value {
            Some(value) => {
                see(index, value);
                hasher.part(value);
            }
            None => {
                complete = false;
                hasher.missing();
            }
        };
        match part {
            // As `Part::value` has it, without an allocation.
            Part::ClientAddress {
                trusted_hops,
                prefixes,
            } => {
                let cut = facts.client(*trusted_hops)?;
                let cut = cut.map(|address| prefixes.cut(address));
                take(cut.as_ref().map(AsRef::as_ref));
            }
            _ => take(part.value(facts)?.as_deref()),
        }
    }
    Ok(Key {
        fingerprint: hasher.finish(),
        complete,
    })
}

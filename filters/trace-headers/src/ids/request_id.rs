//! Request ids: UUID version 7 and 4 (RFC 9562), or 32 hexadecimal digits; and which inbound ids are taken over.

use super::hex;
use super::random::Pool;
use crate::bytes::{all, ID};
use seawall_core::host::{Answer, Host};
use seawall_core::time::Timestamp;

/// The longest inbound id that is taken over.
pub const LONGEST: usize = 128;

seawall_core::words! {
    /// How a request id is made.
    #[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
    pub enum Kind {
        /// UUID version 7: sorts by time.
        #[default]
        Uuidv7 = "uuidv7",
        /// UUID version 4: says nothing about its time.
        Uuidv4 = "uuidv4",
        /// 32 hexadecimal digits without hyphens, 128 random bits.
        Hex32 = "hex32",
    }
}

/// True for an id that is safe in a header, in a log and in markup: 1 to 128 letters, digits, `.`, `_` or `-`.
pub fn is_safe(id: &[u8]) -> bool {
    (1..=LONGEST).contains(&id.len()) && all(ID, id)
}

/// A request id.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RequestId {
    /// A UUID.
    Uuid([u8; 36]),
    /// 32 digits.
    Digits([u8; 32]),
    /// A caller's.
    Kept(Vec<u8>),
}

impl RequestId {
    /// The text.
    pub fn as_bytes(&self) -> &[u8] {
        match self {
            RequestId::Uuid(text) => text,
            RequestId::Digits(text) => text,
            RequestId::Kept(text) => text,
        }
    }
}

fn quarters(bytes: &[u8; 16]) -> [[u8; 8]; 4] {
    let [a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p] = *bytes;
    [[a, b, c, d], [e, f, g, h], [i, j, k, l], [m, n, o, p]].map(hex::digits)
}

/// Puts a piece into a text. The compiler knows all of this, and leaves one or two stores.
#[inline(always)]
fn put<const N: usize>(text: &mut [u8], at: usize, piece: &[u8]) {
    let place = text.get_mut(at..).and_then(<[u8]>::first_chunk_mut::<N>);
    if let (Some(place), Some(piece)) = (place, piece.first_chunk::<N>()) {
        *place = *piece;
    }
}

/// 16 bytes in the form 8-4-4-4-12.
pub fn hyphenated(bytes: &[u8; 16]) -> [u8; 36] {
    let [time, middle, clock, node] = quarters(bytes);
    let mut text = *b"00000000-0000-0000-0000-000000000000";
    put::<8>(&mut text, 0, &time);
    put::<4>(&mut text, 9, &middle);
    put::<4>(&mut text, 14, middle.get(4..).unwrap_or_default());
    put::<4>(&mut text, 19, &clock);
    put::<4>(&mut text, 24, clock.get(4..).unwrap_or_default());
    put::<8>(&mut text, 28, &node);
    text
}

/// 16 bytes as 32 digits.
pub fn plain(bytes: &[u8; 16]) -> [u8; 32] {
    let mut text = [0; 32];
    hex::write(bytes, &mut text);
    text
}

/// The 16 bytes of an id that is a UUID or 32 digits, in either case.
pub fn bytes_of(id: &[u8]) -> Option<[u8; 16]> {
    match id.len() {
        32 => hex::decode_padded(id),
        36 => {
            let mut digits = Vec::with_capacity(32);
            for (at, byte) in id.iter().enumerate() {
                match (at, byte) {
                    (8 | 13 | 18 | 23, b'-') => {}
                    (8 | 13 | 18 | 23, _) => return None,
                    _ => digits.push(*byte),
                }
            }
            hex::decode_padded(&digits)
        }
        _ => None,
    }
}

/// Makes request ids of one worker.
#[derive(Debug, Default)]
pub struct Generator {
    last_ms: u64,
    counter: u16,
}

const COUNTER_MAX: u16 = 0x0fff;

impl Generator {
    /// A new id as text; `now` is the wall clock, where the host tells it.
    ///
    /// # Errors
    /// When the host has no randomness.
    pub fn text(
        &mut self,
        host: &dyn Host,
        pool: &mut Pool,
        kind: Kind,
        now: Option<Timestamp>,
    ) -> Answer<RequestId> {
        Ok(match kind {
            Kind::Uuidv7 => RequestId::Uuid(hyphenated(&self.version_7(host, pool, now)?)),
            Kind::Uuidv4 => RequestId::Uuid(hyphenated(&version_4(pool.take(host)?))),
            Kind::Hex32 => RequestId::Digits(plain(&pool.take(host)?)),
        })
    }

    /// A UUID version 7, greater than the one before: a counter in `rand_a`, started at random in its lower half each
    /// millisecond (RFC 9562, section 6.2, method 1). Time never goes back: while the clock is behind the last id, or
    /// the counter has run over, ids carry the last time, or the millisecond after it. `rand_b` stays random, so that
    /// the right-most 7 bytes do as random part of a trace id.
    ///
    /// # Errors
    /// When the host has no randomness.
    pub fn version_7(
        &mut self,
        host: &dyn Host,
        pool: &mut Pool,
        now: Option<Timestamp>,
    ) -> Answer<[u8; 16]> {
        // Without a clock the last time goes on: still unique and increasing.
        let now_ms = now.map_or(self.last_ms, |now| now.as_millis());
        let [a, b, random @ ..] = pool.take::<10>(host)?;
        let start = u16::from_be_bytes([a, b]) & (COUNTER_MAX >> 1);
        if now_ms > self.last_ms {
            self.last_ms = now_ms;
            self.counter = start;
        } else if self.counter < COUNTER_MAX {
            self.counter = self.counter.saturating_add(1);
        } else {
            self.last_ms = self.last_ms.saturating_add(1);
            self.counter = start;
        }
        let high = (self.last_ms << 16) | (7 << 12) | u64::from(self.counter & COUNTER_MAX);
        let low = (0b10 << 62) | (u64::from_be_bytes(random) & (u64::MAX >> 2));
        Ok(joined(high, low))
    }
}

fn joined(high: u64, low: u64) -> [u8; 16] {
    ((u128::from(high) << 64) | u128::from(low)).to_be_bytes()
}

/// A UUID version 4 of 16 random bytes.
pub fn version_4(random: [u8; 16]) -> [u8; 16] {
    let bits = u128::from_be_bytes(random) & !(0xf << 76) & !(0b11 << 62);
    (bits | (4 << 76) | (0b10 << 62)).to_be_bytes()
}

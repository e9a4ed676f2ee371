//! Request ids: UUID version 7 and 4 (RFC 9562), or 32 hexadecimal digits; and which inbound ids are taken over.

use super::hex;
use super::random::Pool;
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
    (1..=LONGEST).contains(&id.len())
        && id
            .iter()
            .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-'))
}

/// 16 bytes in the form 8-4-4-4-12.
pub fn hyphenated(bytes: &[u8; 16]) -> [u8; 36] {
    let mut text = *b"00000000-0000-0000-0000-000000000000";
    let [a, b, c, d, e, f, g, h, i, j, node @ ..] = bytes;
    hex::write(&[*a, *b, *c, *d], &mut text, 0);
    hex::write(&[*e, *f], &mut text, 9);
    hex::write(&[*g, *h], &mut text, 14);
    hex::write(&[*i, *j], &mut text, 19);
    hex::write(node, &mut text, 24);
    text
}

/// 16 bytes as 32 digits.
pub fn plain(bytes: &[u8; 16]) -> [u8; 32] {
    let mut text = [0; 32];
    hex::write(bytes, &mut text, 0);
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
    ) -> Answer<Vec<u8>> {
        Ok(match kind {
            Kind::Uuidv7 => hyphenated(&self.version_7(host, pool, now)?).to_vec(),
            Kind::Uuidv4 => hyphenated(&version_4(pool.take(host)?)).to_vec(),
            Kind::Hex32 => plain(&pool.take(host)?).to_vec(),
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
        let time = (u128::from(self.last_ms) & 0xffff_ffff_ffff) << 80;
        let counter = u128::from(self.counter & COUNTER_MAX) << 64;
        let random = u128::from(u64::from_be_bytes(random) & (u64::MAX >> 2));
        Ok((time | (7 << 76) | counter | (0b10 << 62) | random).to_be_bytes())
    }
}

/// A UUID version 4 of 16 random bytes.
fn version_4(random: [u8; 16]) -> [u8; 16] {
    let bits = u128::from_be_bytes(random) & !(0xf << 76) & !(0b11 << 62);
    (bits | (4 << 76) | (0b10 << 62)).to_be_bytes()
}

//! The ids of a trace and of a span in it. Neither is ever all zeros.

use super::hex;

/// The id of a whole trace (W3C Trace Context, section 3.2.2.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TraceId([u8; 16]);

impl TraceId {
    /// `None` for all zeros, which the specification forbids.
    pub fn new(bytes: [u8; 16]) -> Option<Self> {
        (bytes != [0; 16]).then_some(TraceId(bytes))
    }

    /// From random bytes; the one value that is forbidden becomes another.
    pub fn from_random(bytes: [u8; 16]) -> Self {
        TraceId::new(bytes).unwrap_or(TraceId(1u128.to_be_bytes()))
    }

    /// From its upper and lower half.
    pub fn from_halves(high: u64, low: u64) -> Option<Self> {
        TraceId::new(((u128::from(high) << 64) | u128::from(low)).to_be_bytes())
    }

    /// The bytes.
    pub fn bytes(&self) -> &[u8; 16] {
        &self.0
    }

    /// The upper 64 bits; zero for an id of a system that knows only 64.
    pub fn high(&self) -> u64 {
        (u128::from_be_bytes(self.0) >> 64) as u64
    }

    /// The lower 64 bits.
    pub fn low(&self) -> u64 {
        u128::from_be_bytes(self.0) as u64
    }

    /// The right-most 56 bits, which are random where the random flag is set.
    pub fn random_bits(&self) -> u64 {
        self.low() & 0x00ff_ffff_ffff_ffff
    }

    /// 32 lower-case digits.
    pub fn digits(&self) -> [u8; 32] {
        let mut text = [0; 32];
        hex::write(&self.0, &mut text);
        text
    }
}

/// The id of a span: what one participant calls its part of a trace; the next hop's `parent-id`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SpanId([u8; 8]);

impl SpanId {
    /// `None` for all zeros, which the specification forbids.
    pub fn new(bytes: [u8; 8]) -> Option<Self> {
        (bytes != [0; 8]).then_some(SpanId(bytes))
    }

    /// From random bytes; the one value that is forbidden becomes another.
    pub fn from_random(bytes: [u8; 8]) -> Self {
        SpanId::new(bytes).unwrap_or(SpanId(1u64.to_be_bytes()))
    }

    /// The bytes.
    pub fn bytes(&self) -> &[u8; 8] {
        &self.0
    }

    /// As a number.
    pub fn number(&self) -> u64 {
        u64::from_be_bytes(self.0)
    }

    /// 16 lower-case digits.
    pub fn digits(&self) -> [u8; 16] {
        let mut text = [0; 16];
        hex::write(&self.0, &mut text);
        text
    }
}

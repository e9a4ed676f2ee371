//! Randomness from the host, fetched for many requests at once.
//!
//! There is no generator here: every byte comes from the host's cryptographic source and is used once. A used byte is
//! wiped, so that the memory of a VM never tells ids that were given out.

use seawall_core::host::{Answer, Failure, Host};

/// Bytes fetched at once. A new request id, trace id and span id take 34, so one fetch serves 120 requests.
pub const BATCH: usize = 4096;

/// Bytes that were fetched and not used yet, in front of those that were.
#[derive(Debug, Default)]
pub struct Pool {
    bytes: Vec<u8>,
    left: usize,
}

impl Pool {
    /// `N` bytes that nobody has seen before.
    ///
    /// # Errors
    /// When the host fails, or hands out nothing but zeros, as a host does that lacks the source.
    pub fn take<const N: usize>(&mut self, host: &dyn Host) -> Answer<[u8; N]> {
        if self.left < N {
            self.refill(host)?;
        }
        let rest = self.left.checked_sub(N).ok_or(Failure::BadArgument)?;
        let place = self.bytes.get_mut(rest..).and_then(<[u8]>::first_chunk_mut);
        let out = std::mem::replace(place.ok_or(Failure::BadArgument)?, [0; N]);
        self.left = rest;
        Ok(out)
    }

    #[cold]
    #[inline(never)]
    fn refill(&mut self, host: &dyn Host) -> Answer<()> {
        self.left = 0;
        self.bytes.resize(BATCH, 0);
        host.random(&mut self.bytes)?;
        if self.bytes.iter().all(|byte| *byte == 0) {
            return Err(Failure::NotFound);
        }
        self.left = BATCH;
        Ok(())
    }
}

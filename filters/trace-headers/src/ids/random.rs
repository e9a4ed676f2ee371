//! Randomness from the host, fetched for many requests at once.
//!
//! There is no generator here: every byte comes from the host's cryptographic source and is used once. A used byte is
//! wiped, so that the memory of a VM never tells ids that were given out.

use seawall_core::host::{Answer, Failure, Host};

/// Bytes fetched at once. A new request id, trace id and span id take 34, so one fetch serves 120 requests.
pub const BATCH: usize = 4096;

/// Bytes that were fetched and not used yet.
#[derive(Debug, Default)]
pub struct Pool {
    bytes: Vec<u8>,
}

impl Pool {
    /// `N` bytes that nobody has seen before.
    ///
    /// # Errors
    /// When the host fails, or hands out nothing but zeros, as a host does that lacks the source.
    pub fn take<const N: usize>(&mut self, host: &dyn Host) -> Answer<[u8; N]> {
        if self.bytes.len() < N {
            self.refill(host)?;
        }
        let at = self
            .bytes
            .len()
            .checked_sub(N)
            .ok_or(Failure::BadArgument)?;
        let mut out = [0; N];
        for (to, from) in out.iter_mut().zip(self.bytes.iter_mut().skip(at)) {
            *to = std::mem::take(from);
        }
        self.bytes.truncate(at);
        Ok(out)
    }

    fn refill(&mut self, host: &dyn Host) -> Answer<()> {
        self.bytes.resize(BATCH, 0);
        let filled = host.random(&mut self.bytes);
        let zeros = self.bytes.iter().all(|byte| *byte == 0);
        if filled.is_err() || zeros {
            self.bytes.clear();
        }
        filled?;
        if zeros {
            return Err(Failure::NotFound);
        }
        Ok(())
    }
}

//! Exact updates of data that all workers share.
//!
//! The host's shared data is a map behind one lock with compare-and-swap. A read, a computation and a conditional write
//! make an update exact, if creating is conditional as well ([`Expect::Absent`]) and a lost race is tried again.

use crate::hash::Secret;
use crate::host::{Answer, Expect, Failure, Host, Swap};

/// What an update decides about the value it was shown.
#[derive(Debug)]
pub enum Step<R> {
    /// Leave the value as it is.
    Keep(R),
    /// Write this value, if nobody has changed it meanwhile.
    Write(Vec<u8>, R),
}

/// An update that took effect.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Updated<R> {
    /// What the deciding function said last.
    pub result: R,
    /// How often somebody else was faster.
    pub conflicts: u32,
}

/// Why an update did not take effect.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UpdateError {
    /// Somebody else was faster every time.
    Contended,
    /// The host failed.
    Host(Failure),
}

/// Reads, decides and writes until nobody interferes, at most `attempts` times.
///
/// `decide` sees the present value, `None` when there is none or it is empty, and may be called more than once.
///
/// # Errors
/// [`UpdateError::Contended`] after `attempts` lost races, [`UpdateError::Host`] when the host fails.
pub fn update<R>(
    host: &dyn Host,
    key: &str,
    attempts: u32,
    mut decide: impl FnMut(Option<&[u8]>) -> Step<R>,
) -> Result<Updated<R>, UpdateError> {
    for conflicts in 0..attempts {
        let current = host.shared_get(key).map_err(UpdateError::Host)?;
        let (value, expect) = match &current {
            Some((value, version)) => (Some(value.as_slice()), Expect::Version(*version)),
            None => (None, Expect::Absent),
        };
        match decide(value.filter(|bytes| !bytes.is_empty())) {
            Step::Keep(result) => return Ok(Updated { result, conflicts }),
            Step::Write(bytes, result) => {
                match host
                    .shared_set(key, &bytes, expect)
                    .map_err(UpdateError::Host)?
                {
                    Swap::Done => return Ok(Updated { result, conflicts }),
                    Swap::Conflict => {}
                }
            }
        }
    }
    Err(UpdateError::Contended)
}

/// Creates a value if there is none; true when it was created here.
///
/// # Errors
/// When the host fails.
pub fn create(host: &dyn Host, key: &str, value: &[u8]) -> Answer<bool> {
    Ok(host.shared_set(key, value, Expect::Absent)? == Swap::Done)
}

/// The secret of this name, made by whoever asks first and the same for all workers after that.
///
/// # Errors
/// When the host fails, or holds something else under that key.
pub fn secret(host: &dyn Host, key: &str) -> Answer<Secret> {
    if host.shared_get(key)?.is_none() {
        let mut bytes = [0; 16];
        host.random(&mut bytes)?;
        create(host, key, &bytes)?;
    }
    let (value, _) = host.shared_get(key)?.ok_or(Failure::NotFound)?;
    value
        .try_into()
        .map(Secret)
        .map_err(|_| Failure::BadArgument)
}

//! Exact updates of data that all workers share.
//!
//! The host's shared data is a map behind one lock with compare-and-swap. A read, a computation and a conditional write
//! make an update exact, if creating is conditional as well ([`Expect::Absent`]) and a lost race is tried again.

use crate::hash::Secret;
use crate::host::{Answer, Expect, Failure, Host, Swap, Version};

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
        let (value, expect) = shown(&current);
        match decide(value) {
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

/// A value as it was read, and its version; `None` where there was none.
pub type Present = Option<(Vec<u8>, Version)>;

/// What a decision is shown of a value, and what its write expects.
fn shown(present: &Present) -> (Option<&[u8]>, Expect) {
    match present {
        Some((value, version)) => {
            let value = Some(value.as_slice()).filter(|bytes| !bytes.is_empty());
            (value, Expect::Version(*version))
        }
        None => (None, Expect::Absent),
    }
}

/// The same as [`update`], and without reading where nobody has changed the value since it was `known`.
///
/// `decide` sees that value first. What it does not write it decides again by the present one.
///
/// # Errors
/// As [`update`].
pub fn update_from<R>(
    host: &dyn Host,
    key: &str,
    attempts: u32,
    known: Option<Present>,
    mut decide: impl FnMut(Option<&[u8]>) -> Step<R>,
) -> Result<Updated<R>, UpdateError> {
    if let Some(known) = known {
        let (value, expect) = shown(&known);
        if let Step::Write(bytes, result) = decide(value) {
            let written = host.shared_set(key, &bytes, expect);
            if written.map_err(UpdateError::Host)? == Swap::Done {
                return Ok(Updated {
                    result,
                    conflicts: 0,
                });
            }
        }
    }
    update(host, key, attempts, decide)
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

//! The bytes that all entries together may take: one number in shared data, changed by compare-and-swap, that is raised
//! only where it stays within its limit.

use seawall_core::host::{Answer, Host};
use seawall_core::shared::{update, Step, UpdateError};

const KEY: &str = "seawall.response_cache.bytes";

/// Losing this often means that something is wrong; the answer is then not stored.
const ATTEMPTS: u32 = 64;

fn read(value: Option<&[u8]>) -> u64 {
    value
        .and_then(|bytes| Some(u64::from_le_bytes(bytes.try_into().ok()?)))
        .unwrap_or(0)
}

/// Takes `bytes` of the budget; false when they do not fit.
///
/// # Errors
/// When the host fails: then making room would not help.
pub fn reserve(host: &dyn Host, bytes: u64, most: u64) -> Result<bool, UpdateError> {
    let updated = update(host, KEY, ATTEMPTS, |value| {
        let total = read(value).saturating_add(bytes);
        if total > most {
            Step::Keep(false)
        } else {
            Step::Write(total.to_le_bytes().to_vec(), true)
        }
    });
    updated.map(|updated| updated.result)
}

/// Gives bytes back.
///
/// # Errors
/// When the host fails; the bytes are then lost to the budget until [`correct`] corrects it.
pub fn release(host: &dyn Host, bytes: u64) -> Result<(), UpdateError> {
    if bytes == 0 {
        return Ok(());
    }
    update(host, KEY, ATTEMPTS, |value| {
        Step::Write(read(value).saturating_sub(bytes).to_le_bytes().to_vec(), ())
    })
    .map(|_| ())
}

/// The bytes in use.
///
/// # Errors
/// When the host fails.
pub fn used(host: &dyn Host) -> Answer<u64> {
    Ok(host
        .shared_get(KEY)?
        .map_or(0, |(value, _)| read(Some(&value))))
}

/// Corrects the number to what was counted, if nobody has changed it meanwhile.
pub fn correct(host: &dyn Host, from: u64, to: u64) {
    let _ = update(host, KEY, 1, |value| {
        if read(value) == from {
            Step::Write(to.to_le_bytes().to_vec(), ())
        } else {
            Step::Keep(())
        }
    });
}

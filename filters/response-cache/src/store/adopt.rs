//! A table of another size takes the place of the one before.
//!
//! Shared data outlives a configuration. What an earlier one has stored lies under keys that a table of another size never
//! looks at again, so the first worker of the new size frees it.

use super::bucket::{Bucket, Slot, WAYS};
use super::budget;
use super::changes::Changes;
use super::table::{bucket_key, entry_key, ATTEMPTS};
use seawall_core::host::{Answer, Expect, Host, Swap};
use seawall_core::shared::{update, Step, UpdateError};

/// More than the largest table has.
const MOST_BUCKETS: u32 = 1 << 20;
const KEY: &str = "seawall.rc.buckets";

/// Makes this number of buckets the present one.
///
/// # Errors
/// When the host fails.
pub fn adopt(host: &dyn Host, buckets: u32, changes: &Changes) -> Answer<()> {
    let present = host.shared_get(KEY)?;
    let value = buckets.to_le_bytes();
    let (before, expect) = match &present {
        Some((known, version)) => {
            let known: Option<[u8; 4]> = known.as_slice().try_into().ok();
            // No configuration has ever had more: then it is damage, and what there is to free cannot be known.
            let known = known.map(u32::from_le_bytes).filter(|n| *n <= MOST_BUCKETS);
            (known.unwrap_or(buckets), Expect::Version(*version))
        }
        None => (buckets, Expect::Absent),
    };
    if present.is_some() && before == buckets {
        return Ok(());
    }
    // Whoever loses this race leaves the work to the winner.
    if host.shared_set(KEY, &value, expect)? == Swap::Done && before != buckets {
        for bucket in 0..before {
            clear(host, bucket, (before, buckets), changes)?;
        }
    }
    Ok(())
}

/// Frees what lies in a bucket of the table before. Other workers may use the bucket for the new one already: what that finds
/// there stays.
#[cold]
#[inline(never)]
fn clear(
    host: &dyn Host,
    bucket: u32,
    (before, buckets): (u32, u32),
    changes: &Changes,
) -> Answer<()> {
    let updated = update(host, &bucket_key(bucket), ATTEMPTS, |value| {
        let mut slots = Bucket::decode(value.unwrap_or_default());
        let mut gone = [false; WAYS];
        let mut weight = 0u64;
        for (place, gone) in slots.slots.iter_mut().zip(&mut gone) {
            if let Some(slot) = take_strange(place, bucket, buckets) {
                *gone = true;
                weight = weight.saturating_add(u64::from(slot));
            }
        }
        // One beyond the new table is nobody's, and goes though it be empty.
        let stays = bucket < buckets || value.is_none_or(<[u8]>::is_empty);
        if stays && !gone.contains(&true) {
            return Step::Keep((gone, weight));
        }
        // Who is about to write a value there by the table before learns that it is nobody's.
        changes.advance(host, bucket, before);
        let rest = if bucket < buckets {
            slots.encode()
        } else {
            Vec::new()
        };
        Step::Write(rest, (gone, weight))
    });
    let (gone, weight) = match updated {
        Ok(updated) => updated.result,
        Err(UpdateError::Host(failure)) => return Err(failure),
        // It is found when the budget is counted anew.
        Err(UpdateError::Contended) => return Ok(()),
    };
    // The first first, for that is taken first.
    for (way, _) in gone.iter().enumerate().filter(|(_, gone)| **gone) {
        host.shared_set(&entry_key(bucket, way), &[], Expect::Anything)?;
    }
    // What cannot be given back is found when the budget is counted anew.
    let _ = budget::release(host, weight);
    Ok(())
}

/// Takes away what a table of so many buckets would not look for in this one; its weight.
#[inline(never)]
fn take_strange(place: &mut Option<Slot>, bucket: u32, buckets: u32) -> Option<u32> {
    let strange = place.is_some_and(|slot| slot.fingerprint.slot(buckets) != bucket);
    let slot = if strange { place.take() } else { None };
    slot.map(|slot| slot.weight)
}

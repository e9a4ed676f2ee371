//! A table of another size takes the place of the one before.
//!
//! Shared data outlives a configuration. What an earlier one has stored lies under keys that a table of another size never
//! looks at again, so the first worker of the new size frees it.

use super::bucket::Bucket;
use super::budget;
use super::table::{bucket_key, entry_key};
use seawall_core::host::{Answer, Expect, Host, Swap};

/// More than the largest table has.
const MOST_BUCKETS: u32 = 1 << 20;
const KEY: &str = "seawall.rc.buckets";

/// Makes this number of buckets the present one.
///
/// # Errors
/// When the host fails.
pub fn adopt(host: &dyn Host, buckets: u32) -> Answer<()> {
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
        clear(host, before)?;
    }
    Ok(())
}

fn clear(host: &dyn Host, buckets: u32) -> Answer<()> {
    for bucket in 0..buckets {
        let key = bucket_key(bucket);
        let Some((value, _)) = host.shared_get(&key)? else {
            continue;
        };
        let present = Bucket::decode(&value);
        let mut weight = 0u64;
        for (way, slot) in present.slots.iter().enumerate() {
            if let Some(slot) = slot {
                host.shared_set(&entry_key(bucket, way), &[], Expect::Anything)?;
                weight = weight.saturating_add(u64::from(slot.weight));
            }
        }
        host.shared_set(&key, &[], Expect::Anything)?;
        // What cannot be given back is found when the budget is counted anew.
        let _ = budget::release(host, weight);
    }
    Ok(())
}

//! When URLs were invalidated whose answers lie under several keys: where request fields, cookies or a tenant are part of
//! the key, an unsafe request knows its own key only.
//!
//! A fixed number of places in shared data, each a point in time; several URLs share one. An answer that was asked for
//! before that is gone, so sharing a place makes an invalidation hit more, never less. Only routes with such keys read them.

use seawall_core::host::{Answer, Host};
use seawall_core::shared::{update, Step, UpdateError};
use seawall_core::time::Timestamp;

/// Places for URLs, as a power of two.
const PLACE_BITS: u32 = 16;
/// Places in one value of shared data.
const PER_VALUE: u32 = 128;
const BYTES: usize = 8;
const ATTEMPTS: u32 = 64;

/// The value of the place of a URL with this number ([`crate::purge::number_of_url`]), and the byte in it.
fn locate(url: u32) -> (String, usize) {
    let place = url >> (u32::BITS - PLACE_BITS);
    let value = place / PER_VALUE;
    let within = place.checked_rem(PER_VALUE).unwrap_or(0);
    let at = usize::try_from(within).unwrap_or(0).saturating_mul(BYTES);
    (format!("seawall.response_cache.u.{value}"), at)
}

fn read(value: &[u8], at: usize) -> Timestamp {
    let bytes = value
        .get(at..at.saturating_add(BYTES))
        .and_then(|bytes| bytes.try_into().ok());
    Timestamp(bytes.map_or(0, u64::from_le_bytes))
}

/// When a URL's place was last marked; the epoch where it never was.
///
/// # Errors
/// When the host fails.
pub fn marked(host: &dyn Host, url: u32) -> Answer<Timestamp> {
    let (key, at) = locate(url);
    let value = host.shared_get(&key)?;
    Ok(value.map_or(Timestamp::EPOCH, |(value, _)| read(&value, at)))
}

/// Marks the place of a URL.
///
/// # Errors
/// When the host fails, or everybody else was faster every time.
pub fn mark(host: &dyn Host, url: u32, now: Timestamp) -> Result<(), UpdateError> {
    let (key, at) = locate(url);
    let size = usize::try_from(PER_VALUE)
        .unwrap_or(0)
        .saturating_mul(BYTES);
    let updated = update(host, &key, ATTEMPTS, |value| {
        let mut value = value.unwrap_or_default().to_vec();
        value.resize(size, 0);
        if read(&value, at) >= now {
            return Step::Keep(());
        }
        if let Some(bytes) = value.get_mut(at..at.saturating_add(BYTES)) {
            bytes.copy_from_slice(&now.0.to_le_bytes());
        }
        Step::Write(value, ())
    });
    updated.map(|_| ())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use seawall_core::testing::{FakeHost, World};

    const PLACES: u32 = 1 << PLACE_BITS;

    /// A number in the place.
    fn url(place: u32) -> u32 {
        (place << (u32::BITS - PLACE_BITS)) | 77
    }

    proptest! {
        #[test]
        fn each_place_remembers_its_latest_mark(marks in proptest::collection::vec((0u32..PLACES, 1u64..1000), 1..60)) {
            let world = World::new();
            let host = FakeHost::new(&world, 1);
            let mut latest = std::collections::BTreeMap::new();
            for (place, time) in marks {
                mark(&host, url(place), Timestamp(time)).unwrap();
                let known: &mut u64 = latest.entry(place).or_default();
                *known = time.max(*known);
            }
            for (place, time) in &latest {
                prop_assert_eq!(marked(&host, url(*place)).unwrap(), Timestamp(*time));
                let other = place.saturating_add(1).checked_rem(PLACES).unwrap_or(0);
                if !latest.contains_key(&other) {
                    prop_assert_eq!(marked(&host, url(other)).unwrap(), Timestamp::EPOCH);
                }
            }
        }
    }

    #[test]
    fn the_number_of_values_is_fixed_and_damage_is_no_mark() {
        let world = World::new();
        let host = FakeHost::new(&world, 1);
        for place in (0..PLACES).step_by(7) {
            mark(&host, url(place), Timestamp(5)).unwrap();
        }
        assert!(world.shared_keys() <= 512, "{}", world.shared_keys());
        for name in world.shared_names() {
            world.shared_set(&name, &[1; 3], seawall_core::host::Expect::Anything);
        }
        assert_eq!(marked(&host, 0).unwrap(), Timestamp::EPOCH);
    }
}

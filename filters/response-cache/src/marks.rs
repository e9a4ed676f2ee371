//! When URLs were invalidated whose answers lie under several keys: where request fields, cookies or a tenant are part of
//! the key, an unsafe request knows its own key only.
//!
//! A fixed number of values in shared data. Each remembers the URLs that were marked last, and one point in time for all that
//! it had to forget. An answer that was asked for before that is gone, so what is forgotten makes an invalidation hit more,
//! never less. Nor does a clock that is set back bring back what it had marked. Only routes with such keys read them.

use crate::store::bucket::is_credible;
use seawall_core::host::{Answer, Host};
use seawall_core::name::Name;
use seawall_core::shared::{update, Step, UpdateError};
use seawall_core::time::Timestamp;

/// Values of shared data, as a power of two.
const VALUE_BITS: u32 = 9;
/// URLs that a value remembers one by one.
const MOST: usize = 128;
/// Since when what was forgotten is gone.
const HEAD: usize = 8;
/// A URL's number and its time.
const MARK: usize = 12;
const ATTEMPTS: u32 = 64;

/// The value in which a URL with this number ([`crate::purge::number_of_url`]) is marked.
fn name(url: u32) -> Name {
    Name::of("seawall.rc.u.", url >> (u32::BITS - VALUE_BITS))
}

fn time(bytes: &[u8]) -> Timestamp {
    let bytes = bytes.first_chunk::<8>();
    Timestamp(bytes.map_or(0, |bytes| u64::from_le_bytes(*bytes)))
}

/// The time of what was forgotten, and the marks. What is not such a value has none.
fn parts(value: &[u8]) -> (Timestamp, &[u8]) {
    match value.split_at_checked(HEAD) {
        Some((head, marks)) if marks.len() % MARK == 0 => (time(head), marks),
        _ => (Timestamp::EPOCH, &[]),
    }
}

fn each(marks: &[u8]) -> impl Iterator<Item = (u32, Timestamp)> + '_ {
    marks.chunks_exact(MARK).filter_map(|mark| {
        let (number, at) = mark.split_first_chunk::<4>()?;
        Some((u32::from_le_bytes(*number), time(at)))
    })
}

/// The time of a URL's own mark, and that of what was forgotten; the epoch where there is none.
fn find(value: &[u8], url: u32) -> [Timestamp; 2] {
    let (forgotten, marks) = parts(value);
    let own = each(marks).find(|(number, _)| *number == url);
    [own.map_or(Timestamp::EPOCH, |(_, at)| at), forgotten]
}

/// The value with this mark; the oldest one gives its place up where there is none.
fn with(value: &[u8], url: u32, now: Timestamp) -> Vec<u8> {
    let (forgotten, marks) = parts(value);
    // What a clock that was ahead has marked counts as of now, or marks of the present would be lost in it.
    let of_now = |at: Timestamp| if is_credible(at, now) { at } else { now };
    let mut forgotten = of_now(forgotten);
    let mut kept: Vec<_> = each(marks).filter(|(number, _)| *number != url).collect();
    while kept.len() >= MOST {
        let oldest = kept.iter().enumerate().min_by_key(|(_, (_, at))| *at);
        let Some((place, _)) = oldest else {
            break;
        };
        let (_, at) = kept.swap_remove(place);
        forgotten = forgotten.max(of_now(at));
    }
    kept.push((url, now));
    let mut value = Vec::with_capacity(kept.len().saturating_mul(MARK).saturating_add(HEAD));
    value.extend_from_slice(&forgotten.0.to_le_bytes());
    for (number, at) in kept {
        value.extend_from_slice(&number.to_le_bytes());
        value.extend_from_slice(&at.0.to_le_bytes());
    }
    value
}

/// Whether a URL was marked, or may have been, since an answer was asked for. A mark later than now, by a clock that was set
/// back since, hits only answers of that clock, and so does any other: which of them came first nobody knows.
///
/// # Errors
/// When the host fails.
pub fn hits(host: &dyn Host, url: u32, asked: Timestamp, now: Timestamp) -> Answer<bool> {
    let Some((value, _)) = host.shared_get(&name(url))? else {
        return Ok(false);
    };
    let mut times = find(&value, url).into_iter();
    Ok(times.any(|at| match is_credible(asked, now) {
        true => asked <= at && is_credible(at, now),
        false => at > Timestamp::EPOCH,
    }))
}

/// Marks a URL.
///
/// # Errors
/// When the host fails, or everybody else was faster every time.
pub fn mark(host: &dyn Host, url: u32, now: Timestamp) -> Result<(), UpdateError> {
    let updated = update(host, &name(url), ATTEMPTS, |value| {
        let value = value.unwrap_or_default();
        let mut times = find(value, url).into_iter();
        if times.any(|at| at >= now && is_credible(at, now)) {
            return Step::Keep(());
        }
        Step::Write(with(value, url, now), ())
    });
    updated.map(|_| ())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use seawall_core::testing::{FakeHost, World};

    /// When a URL was last marked, or may have been.
    fn marked(host: &FakeHost, url: u32) -> Answer<Timestamp> {
        let value = host.shared_get(&name(url))?;
        let times = value.map(|(value, _)| find(&value, url));
        Ok(times.into_iter().flatten().max().unwrap_or_default())
    }

    proptest! {
        #[test]
        fn each_url_remembers_its_latest_mark_and_no_other_is_hit(
            marks in proptest::collection::vec((any::<u32>(), 1u64..1000), 1..60),
            other in any::<u32>(),
        ) {
            let world = World::new();
            let host = FakeHost::new(&world, 1);
            let mut latest = std::collections::BTreeMap::new();
            // Few values, so that many URLs share one.
            let few = |url: u32| url & 0x81ff_ffff;
            for (url, time) in marks {
                mark(&host, few(url), Timestamp(time)).unwrap();
                let known: &mut u64 = latest.entry(few(url)).or_default();
                *known = time.max(*known);
            }
            for (url, time) in &latest {
                prop_assert_eq!(marked(&host, *url).unwrap(), Timestamp(*time));
            }
            if !latest.contains_key(&few(other)) {
                prop_assert_eq!(marked(&host, few(other)).unwrap(), Timestamp::EPOCH);
            }
        }

        #[test]
        fn what_is_forgotten_is_as_old_as_it_was_or_newer(marks in proptest::collection::vec((0u32..400, 1u64..1000), 300..600)) {
            let world = World::new();
            let host = FakeHost::new(&world, 1);
            let mut latest = std::collections::BTreeMap::new();
            for (url, time) in marks {
                mark(&host, url, Timestamp(time)).unwrap();
                let known: &mut u64 = latest.entry(url).or_default();
                *known = time.max(*known);
                prop_assert!(marked(&host, url).unwrap() >= Timestamp(time));
            }
            for (url, time) in &latest {
                prop_assert!(marked(&host, *url).unwrap() >= Timestamp(*time));
            }
        }
    }

    #[test]
    fn the_latest_of_a_value_are_remembered_and_older_ones_share_a_time() {
        let world = World::new();
        let host = FakeHost::new(&world, 1);
        let most = MOST as u32;
        for url in 0..most + 3 {
            mark(&host, url, Timestamp(u64::from(url) + 1)).unwrap();
        }
        assert_eq!(marked(&host, 0).unwrap(), Timestamp(3), "forgotten");
        assert_eq!(
            marked(&host, u32::MAX >> VALUE_BITS).unwrap(),
            Timestamp(3),
            "never marked"
        );
        assert_eq!(marked(&host, 3).unwrap(), Timestamp(4));
        assert_eq!(
            marked(&host, most + 2).unwrap(),
            Timestamp(u64::from(most) + 3)
        );
    }

    #[test]
    fn marks_of_a_clock_that_was_set_back_hit_what_that_asked_for_and_nothing_else() {
        let world = World::new();
        let host = FakeHost::new(&world, 1);
        let at = Timestamp::from_secs;
        let hits = |url, asked, now| hits(&host, url, at(asked), at(now)).unwrap();
        mark(&host, 1, at(5_000)).unwrap();
        assert!(hits(1, 4_999, 5_001) && !hits(1, 5_001, 5_001));
        // Set back.
        assert!(hits(1, 5_001, 100) && !hits(1, 99, 100) && !hits(2, 5_001, 100));
        mark(&host, 1, at(100)).unwrap();
        assert!(hits(1, 5_001, 101) && hits(1, 99, 101) && !hits(1, 101, 101));
        // What is forgotten of such a clock does not hide what is forgotten later.
        for url in 0..=MOST as u32 {
            mark(&host, url, at(5_000)).unwrap();
        }
        for url in 0..=MOST as u32 {
            mark(&host, url, at(200)).unwrap();
        }
        assert!(hits(9_999, 199, 201) && hits(9_999, 5_001, 201));
        assert!(!hits(9_999, 201, 201));
    }

    #[test]
    fn the_size_is_fixed_and_damage_is_no_mark() {
        let world = World::new();
        let host = FakeHost::new(&world, 1);
        for url in 0..100_000u32 {
            let scattered = url.wrapping_mul(0x9e37_79b9);
            mark(&host, scattered, Timestamp(u64::from(url))).unwrap();
        }
        assert!(world.shared_keys() <= 512, "{}", world.shared_keys());
        for name in world.shared_names() {
            let (value, _) = host.shared_get(&name).unwrap().unwrap();
            assert!(value.len() <= HEAD + MOST * MARK, "{}", value.len());
            world.shared_set(&name, &[1; 9], seawall_core::host::Expect::Anything);
        }
        assert_eq!(marked(&host, 0).unwrap(), Timestamp::EPOCH);
    }
}

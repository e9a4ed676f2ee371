//! Single flight: over all workers, one request per key is on its way to the origin.
//!
//! A table of flights in shared data, a fixed number of values. A flight is a lease: its leader renews it while it lives,
//! so a worker that died releases it by the clock. Who waits leaves the number of its worker's queue; whoever ends the
//! flight sends the key there. Keys whose answers could not be shared are remembered for a while, so that nobody waits
//! for them.

use seawall_core::hash::Fingerprint;
use seawall_core::host::Host;
use seawall_core::name::Name;
use seawall_core::shared::{update_from, Present, Step, UpdateError};
use seawall_core::time::Timestamp;

/// Values in shared data.
const PLACES: u32 = 1024;
/// Flights per value; more are not coalesced.
const MOST_FLIGHTS: usize = 16;
/// Remembered keys per value; the oldest are forgotten first.
const MOST_UNSHARED: usize = 16;
/// Queues per flight: one per worker that has somebody waiting.
const MOST_QUEUES: usize = 128;
const ATTEMPTS: u32 = 64;

#[derive(Debug, Clone, PartialEq, Eq, Default)]
struct Flight {
    fingerprint: u128,
    leader: u64,
    until: u64,
    /// Somebody invalidated the key meanwhile.
    outdated: bool,
    queues: Vec<u32>,
}

#[derive(Debug, Clone, PartialEq, Eq, Default)]
struct Place {
    flights: Vec<Flight>,
    unshared: Vec<(u128, u64)>,
}

/// What a request may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Joined {
    /// Go to the origin as the one for all.
    Leads,
    /// Wait for who went; this queue will hear of the end.
    Waits,
    /// Somebody else went, and this request does not wait.
    Taken,
    /// Go on by itself: there is no place for another flight, or nobody to wait for.
    Alone,
    /// The same, for until then answers of this key are not shared.
    Unshared(Timestamp),
}

/// How a request would join.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wish {
    /// Lead, or else wait; with the number of the worker's queue.
    LeadOrWait(u32),
    /// Lead or nothing.
    Lead,
    /// The same, even where answers of this key are not shared.
    LeadInAnyCase,
    /// Wait if somebody leads, else go alone.
    Wait(u32),
}

/// Who leads, and for how long.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lease {
    /// The leader's own number.
    pub leader: u64,
    /// Until when, unless renewed.
    pub until: Timestamp,
    /// The time.
    pub now: Timestamp,
}

/// What the end of a flight says of answers of its key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sharing {
    /// Nothing.
    Unknown,
    /// They can be shared, as this one.
    Possible,
    /// They are not to be waited for until then.
    NotUntil(Timestamp),
}

/// The flight of those who ask for a key with credentials: another one, in the same place.
pub fn of_credentials(Fingerprint(number): Fingerprint) -> Fingerprint {
    // Places are chosen by the upper half.
    Fingerprint(number ^ u128::from(u64::MAX))
}

fn place_key(fingerprint: Fingerprint) -> Name {
    Name::of("seawall.rc.f.", fingerprint.slot(PLACES))
}

/// Joins the flight of a key.
///
/// # Errors
/// When the host fails, or everybody else was faster every time.
pub fn join(
    host: &dyn Host,
    fingerprint: Fingerprint,
    wish: Wish,
    lease: Lease,
) -> Result<Joined, UpdateError> {
    change(host, fingerprint, lease.now, |place| {
        let now = lease.now.0;
        let unshared = place
            .unshared
            .iter()
            .find(|(key, until)| *key == fingerprint.0 && *until > now)
            .filter(|_| wish != Wish::LeadInAnyCase);
        if let Some((_, until)) = unshared {
            return (Joined::Unshared(Timestamp(*until)), false);
        }
        let full = place.flights.len() >= MOST_FLIGHTS;
        let running = place
            .flights
            .iter_mut()
            .find(|flight| flight.fingerprint == fingerprint.0);
        match (running, wish) {
            (Some(_), Wish::Lead | Wish::LeadInAnyCase) => (Joined::Taken, false),
            (Some(flight), Wish::LeadOrWait(queue) | Wish::Wait(queue)) => {
                if flight.queues.contains(&queue) {
                    (Joined::Waits, false)
                } else if flight.queues.len() < MOST_QUEUES {
                    flight.queues.push(queue);
                    (Joined::Waits, true)
                } else {
                    (Joined::Alone, false)
                }
            }
            (None, Wish::Wait(_)) => (Joined::Alone, false),
            (None, _) if full => (Joined::Alone, false),
            (None, Wish::Lead | Wish::LeadInAnyCase | Wish::LeadOrWait(_)) => {
                place.flights.push(Flight {
                    fingerprint: fingerprint.0,
                    leader: lease.leader,
                    until: lease.until.0,
                    ..Flight::default()
                });
                (Joined::Leads, true)
            }
        }
    })
}

/// Renews a lease. False when it is no longer this leader's.
pub fn renew(host: &dyn Host, fingerprint: Fingerprint, lease: Lease) -> bool {
    let renewed = change(host, fingerprint, lease.now, |place| {
        match find(place, fingerprint, lease.leader) {
            Some(flight) => {
                flight.until = lease.until.0;
                (true, true)
            }
            None => (false, false),
        }
    });
    renewed.unwrap_or(false)
}

/// True while a flight of this key is on its way that will tell this queue of its end.
pub fn tells(host: &dyn Host, fingerprint: Fingerprint, queue: u32, now: Timestamp) -> bool {
    let told = change(host, fingerprint, now, |place| {
        let flight = place
            .flights
            .iter()
            .find(|flight| flight.fingerprint == fingerprint.0);
        (
            flight.is_some_and(|flight| flight.queues.contains(&queue)),
            false,
        )
    });
    // Where the host fails, the clock ends the waiting.
    told.unwrap_or(true)
}

/// True when the key was invalidated since this flight began; and what was read to know that, for [`end`].
pub fn is_outdated(
    host: &dyn Host,
    fingerprint: Fingerprint,
    leader: u64,
) -> (bool, Option<Present>) {
    let Ok(read) = host.shared_get(&place_key(fingerprint)) else {
        return (true, None);
    };
    let mut place = read.as_ref().and_then(|(value, _)| decode(value));
    let flight = place
        .as_mut()
        .and_then(|place| find(place, fingerprint, leader));
    (flight.is_some_and(|flight| flight.outdated), Some(read))
}

/// Ends a flight, whose place may be `known`. The queues that wait.
pub fn end(
    host: &dyn Host,
    fingerprint: Fingerprint,
    leader: u64,
    now: Timestamp,
    sharing: Sharing,
    known: Option<Present>,
) -> Vec<u32> {
    let ended = change_from(host, fingerprint, now, known, |place| {
        let mut queues = Vec::new();
        let mut changed = false;
        place.flights.retain_mut(|flight| {
            let mine = flight.fingerprint == fingerprint.0 && flight.leader == leader;
            if mine {
                queues = std::mem::take(&mut flight.queues);
                changed = true;
            }
            !mine
        });
        if sharing == Sharing::Possible {
            changed |= forget(place, fingerprint);
        }
        if let Sharing::NotUntil(until) = sharing {
            forget(place, fingerprint);
            if place.unshared.len() >= MOST_UNSHARED {
                place.unshared.remove(0);
            }
            place.unshared.push((fingerprint.0, until.0));
            changed = true;
        }
        (queues, changed)
    });
    ended.unwrap_or_default()
}

/// Forgets that answers of a key are not shared, for one that is has come.
pub fn share(host: &dyn Host, fingerprint: Fingerprint, now: Timestamp) {
    // Where the host fails, the clock ends it.
    let _ = change(host, fingerprint, now, |place| {
        ((), forget(place, fingerprint))
    });
}

/// True when there was something to forget.
fn forget(place: &mut Place, fingerprint: Fingerprint) -> bool {
    let before = place.unshared.len();
    place.unshared.retain(|(key, _)| *key != fingerprint.0);
    place.unshared.len() != before
}

/// Marks the flights of a key that was invalidated, so that what they bring is not stored.
///
/// # Errors
/// When the host fails, or everybody else was faster every time.
pub fn outdate(
    host: &dyn Host,
    fingerprint: Fingerprint,
    now: Timestamp,
) -> Result<(), UpdateError> {
    change(host, fingerprint, now, |place| {
        let keys = [fingerprint.0, of_credentials(fingerprint).0];
        let mut marked = false;
        for flight in &mut place.flights {
            if keys.contains(&flight.fingerprint) {
                flight.outdated = true;
                marked = true;
            }
        }
        ((), marked)
    })
}

fn find(place: &mut Place, fingerprint: Fingerprint, leader: u64) -> Option<&mut Flight> {
    place
        .flights
        .iter_mut()
        .find(|flight| flight.fingerprint == fingerprint.0 && flight.leader == leader)
}

fn change<R>(
    host: &dyn Host,
    fingerprint: Fingerprint,
    now: Timestamp,
    act: impl Fn(&mut Place) -> (R, bool),
) -> Result<R, UpdateError> {
    change_from(host, fingerprint, now, None, act)
}

fn change_from<R>(
    host: &dyn Host,
    fingerprint: Fingerprint,
    now: Timestamp,
    known: Option<Present>,
    act: impl Fn(&mut Place) -> (R, bool),
) -> Result<R, UpdateError> {
    let key = place_key(fingerprint);
    let updated = update_from(host, &key, ATTEMPTS, known, |value| {
        let mut place = value.and_then(decode).unwrap_or_default();
        place.flights.retain(|flight| flight.until > now.0);
        place.unshared.retain(|(_, until)| *until > now.0);
        match act(&mut place) {
            (result, true) => Step::Write(encode(&place), result),
            (result, false) => Step::Keep(result),
        }
    });
    updated.map(|updated| updated.result)
}

fn encode(place: &Place) -> Vec<u8> {
    let mut out = Vec::with_capacity(128);
    out.push(place.flights.len() as u8);
    for flight in &place.flights {
        out.extend_from_slice(&flight.fingerprint.to_le_bytes());
        out.extend_from_slice(&flight.leader.to_le_bytes());
        out.extend_from_slice(&flight.until.to_le_bytes());
        out.push(u8::from(flight.outdated));
        out.push(flight.queues.len() as u8);
        for queue in &flight.queues {
            out.extend_from_slice(&queue.to_le_bytes());
        }
    }
    for (key, until) in &place.unshared {
        out.extend_from_slice(&key.to_le_bytes());
        out.extend_from_slice(&until.to_le_bytes());
    }
    out
}

fn decode(value: &[u8]) -> Option<Place> {
    let (count, mut rest) = value.split_first()?;
    let mut place = Place::default();
    for _ in 0..*count {
        let (fingerprint, after) = rest.split_first_chunk::<16>()?;
        let (leader, after) = after.split_first_chunk::<8>()?;
        let (until, after) = after.split_first_chunk::<8>()?;
        let (outdated, after) = after.split_first()?;
        let (queues, after) = after.split_first()?;
        let (list, after) = after.split_at_checked(usize::from(*queues).saturating_mul(4))?;
        rest = after;
        place.flights.push(Flight {
            fingerprint: u128::from_le_bytes(*fingerprint),
            leader: u64::from_le_bytes(*leader),
            until: u64::from_le_bytes(*until),
            outdated: *outdated != 0,
            queues: list
                .chunks_exact(4)
                .filter_map(|queue| Some(u32::from_le_bytes(queue.try_into().ok()?)))
                .collect(),
        });
    }
    for record in rest.chunks_exact(24) {
        let (key, until) = record.split_first_chunk::<16>()?;
        place.unshared.push((
            u128::from_le_bytes(*key),
            u64::from_le_bytes(until.try_into().ok()?),
        ));
    }
    Some(place)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use seawall_core::testing::{FakeHost, World};
    use seawall_core::time::Span;

    const KEY: Fingerprint = Fingerprint(77);

    fn lease(leader: u64, now: u64) -> Lease {
        Lease {
            leader,
            until: Timestamp::from_secs(now.saturating_add(3)),
            now: Timestamp::from_secs(now),
        }
    }

    fn at(now: u64) -> Timestamp {
        Timestamp::from_secs(now)
    }

    #[test]
    fn one_leads_and_the_rest_wait_until_it_ends() {
        let host = FakeHost::new(&World::new(), 1);
        let join = |leader, wish, now| join(&host, KEY, wish, lease(leader, now)).unwrap();
        assert_eq!(join(1, Wish::LeadOrWait(5), 10), Joined::Leads);
        assert_eq!(join(2, Wish::LeadOrWait(6), 10), Joined::Waits);
        assert_eq!(join(3, Wish::Wait(6), 10), Joined::Waits);
        assert_eq!(join(4, Wish::LeadOrWait(5), 10), Joined::Waits);
        assert_eq!(join(5, Wish::Lead, 10), Joined::Taken);
        assert_eq!(
            end(&host, KEY, 9, at(10), Sharing::Unknown, None),
            Vec::<u32>::new()
        );
        assert_eq!(
            end(&host, KEY, 1, at(10), Sharing::Unknown, None),
            vec![6, 5]
        );
        assert_eq!(join(2, Wish::Wait(6), 10), Joined::Alone);
        assert_eq!(join(2, Wish::Lead, 10), Joined::Leads);
    }

    #[test]
    fn a_dead_leader_is_released_by_its_lease_and_a_living_one_renews() {
        let host = FakeHost::new(&World::new(), 1);
        let join = |leader, now| join(&host, KEY, Wish::LeadOrWait(5), lease(leader, now)).unwrap();
        assert_eq!(join(1, 10), Joined::Leads);
        assert!(renew(&host, KEY, lease(1, 12)));
        assert_eq!(join(2, 14), Joined::Waits);
        assert_eq!(join(2, 15), Joined::Leads);
        assert!(!renew(&host, KEY, lease(1, 15)));
    }

    #[test]
    fn keys_that_are_not_shared_are_remembered_and_bounded() {
        let host = FakeHost::new(&World::new(), 1);
        for n in 0..100u128 {
            // All in one place.
            let key = Fingerprint(n);
            end(&host, key, 1, at(10), Sharing::NotUntil(at(20)), None);
        }
        let join =
            |key, now| join(&host, Fingerprint(key), Wish::LeadOrWait(5), lease(1, now)).unwrap();
        assert_eq!(join(99, 10), Joined::Unshared(at(20)));
        assert_eq!(join(0, 10), Joined::Leads);
        assert_eq!(join(99, 20), Joined::Leads);
        assert!(host.world().shared_bytes() < 1000);
    }

    #[test]
    fn an_answer_that_is_shared_ends_the_memory_of_its_key_and_of_no_other() {
        let host = FakeHost::new(&World::new(), 1);
        let join = |key| join(&host, Fingerprint(key), Wish::Wait(5), lease(1, 10)).unwrap();
        for key in 0..4 {
            let sharing = Sharing::NotUntil(at(20));
            end(&host, Fingerprint(key), 1, at(10), sharing, None);
        }
        share(&host, Fingerprint(1), at(10));
        end(&host, Fingerprint(2), 1, at(10), Sharing::Possible, None);
        end(&host, Fingerprint(3), 1, at(10), Sharing::Unknown, None);
        assert_eq!([join(1), join(2)], [Joined::Alone; 2]);
        assert_eq!([join(0), join(3)], [Joined::Unshared(at(20)); 2]);
    }

    #[test]
    fn an_invalidation_reaches_the_flight() {
        let host = FakeHost::new(&World::new(), 1);
        join(&host, KEY, Wish::Lead, lease(1, 10)).unwrap();
        assert!(!is_outdated(&host, KEY, 1).0);
        outdate(&host, KEY, at(10)).unwrap();
        assert!(is_outdated(&host, KEY, 1).0);
    }

    #[test]
    fn who_joins_between_the_last_look_and_the_end_is_told_of_the_end() {
        let host = FakeHost::new(&World::new(), 1);
        join(&host, KEY, Wish::Lead, lease(1, 10)).unwrap();
        let (_, known) = is_outdated(&host, KEY, 1);
        let waits = join(&host, KEY, Wish::Wait(5), lease(2, 10));
        assert_eq!(waits, Ok(Joined::Waits));
        assert_eq!(end(&host, KEY, 1, at(10), Sharing::Unknown, known), vec![5]);
    }

    #[test]
    fn who_has_credentials_flies_apart_and_is_outdated_with_the_key() {
        let host = FakeHost::new(&World::new(), 1);
        let other = of_credentials(KEY);
        for (flight, leader) in [(KEY, 1), (other, 2)] {
            assert_eq!(
                join(&host, flight, Wish::Lead, lease(leader, 100)),
                Ok(Joined::Leads)
            );
        }
        outdate(&host, KEY, at(10)).unwrap();
        assert!(is_outdated(&host, KEY, 1).0 && is_outdated(&host, other, 2).0);
    }

    #[test]
    fn a_full_place_takes_no_more() {
        let host = FakeHost::new(&World::new(), 1);
        for n in 0..MOST_FLIGHTS as u128 {
            assert_eq!(
                join(&host, Fingerprint(n), Wish::Lead, lease(1, 10)),
                Ok(Joined::Leads)
            );
        }
        assert_eq!(
            join(&host, Fingerprint(500), Wish::Lead, lease(1, 10)),
            Ok(Joined::Alone)
        );
        let _ = Span::ZERO;
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_or_refused(value in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = decode(&value);
        }
    }
}

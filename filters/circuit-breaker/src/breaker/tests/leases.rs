//! The places of probes.

use super::*;

#[test]
fn a_probe_that_never_ends_gives_its_place_back() {
    let policy = plain();
    let (half, _) = probe(tripped(&policy), &policy, at(10));
    assert!(refused(&half, &policy, at(10)).is_some());
    let (_, lease) = probe(half, &policy, at(11));
    assert_eq!(lease, at(12));
}

#[test]
fn a_probe_that_says_nothing_gives_its_place_back_at_once() {
    let policy = plain();
    let (half, lease) = probe(tripped(&policy), &policy, at(10));
    let (half, _) = end(half, &policy, Some(lease), Outcome::Ignored, at(10));
    probe(half, &policy, at(10));
}

#[test]
fn places_are_all_free_when_it_is_half_open_again() {
    let policy = Policy {
        probes: 2,
        probe_timeout: Span::from_secs(300),
        ..plain()
    };
    let (half, lease) = probe(tripped(&policy), &policy, at(10));
    let (half, _) = probe(half, &policy, at(11));
    assert!(refused(&half, &policy, at(11)).is_some());
    let open = end(half, &policy, Some(lease), Outcome::Failure, at(12)).0;
    let (half, _) = probe(open, &policy, at(32));
    probe(half, &policy, at(32));
}

#[test]
fn a_place_is_that_of_another_probe_only_when_its_lease_ended() {
    let policy = plain();
    let (half, admission, _) = tripped(&policy).admit(&policy, at(10), &half);
    assert!(matches!(
        admission,
        Admission::Probe {
            replaces: false,
            ..
        }
    ));
    let (_, admission, _) = half.admit(&policy, at(11), &|| 0.5);
    assert!(matches!(admission, Admission::Probe { replaces: true, .. }));
}

/// Who never sends the rest of a request is not to keep the breaker half-open for everybody.
#[test]
fn a_probe_that_is_still_being_sent_gives_way() {
    let policy = Policy {
        probe_timeout: Span::from_secs(10),
        ..plain()
    };
    let half = Record {
        state: State::HalfOpen,
        epoch: 3,
        ..Record::default()
    };
    let chance = || 0.0;
    let lease_of = |(record, admission, _): (Record, Admission, Option<Transition>)| match admission
    {
        Admission::Probe { lease, .. } => Some((record, lease)),
        _ => None,
    };
    let at = Timestamp::from_secs(1_750_000_000);
    let (sending, lease) = lease_of(half.admit_when(false, &policy, at, &chance)).unwrap();
    let soon = at.saturating_add(Span::from_millis(900));
    assert_eq!(
        lease_of(sending.admit_when(false, &policy, soon, &chance)),
        None
    );
    let (taken, _) = lease_of(sending.admit_when(true, &policy, soon, &chance)).unwrap();
    assert_eq!(
        lease_of(taken.admit_when(true, &policy, soon, &chance)),
        None
    );
    assert_eq!(
        taken.sent((3, lease), &policy, soon),
        None,
        "its place is gone"
    );
    let later = at.saturating_add(Span::from_secs(2));
    assert!(lease_of(sending.admit_when(false, &policy, later, &chance)).is_some());
    // Once it is whole, it has the place until its lease ends.
    assert_eq!(sending.sent((2, lease), &policy, soon), None);
    let (sent, held) = sending.sent((3, lease), &policy, soon).unwrap();
    for whole in [true, false] {
        assert_eq!(
            lease_of(sent.admit_when(whole, &policy, later, &chance)),
            None
        );
    }
    assert!(lease_of(sent.admit_when(true, &policy, held, &chance)).is_some());
}

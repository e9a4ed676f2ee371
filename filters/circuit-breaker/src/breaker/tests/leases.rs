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

//! Opening again, and for how long.

use super::*;

/// However long nobody called before: it has not worked in that time.
#[test]
fn a_probe_that_comes_late_and_fails_opens_for_longer_all_the_same() {
    let policy = plain();
    let (half_open, lease) = probe(tripped(&policy), &policy, at(1_000));
    let (_, transition) = end(half_open, &policy, Some(lease), Outcome::Failure, at(1_000));
    let opened = Transition::Opened {
        reason: Reason::ProbeFailed,
        open_for: Span::from_secs(20),
    };
    assert_eq!(transition, Some(opened));
}

#[test]
fn a_share_that_a_call_finds_opens_for_longer_as_well_unless_it_was_healthy() {
    let policy = shares();
    for (closed_since, open_for) in [(10, 10), (61, 5)] {
        let record = Record {
            trips: 1,
            at: START.saturating_sub(Span::from_secs(closed_since)),
            ..hundred(&policy, 51, Outcome::Failure)
        };
        let now = START.saturating_add(SETTLED);
        let (next, _, transition) = record.admit(&policy, now, &half);
        let opened = Transition::Opened {
            reason: Reason::FailurePercentage,
            open_for: Span::from_secs(open_for),
        };
        assert_eq!(transition, Some(opened));
        assert_eq!(u64::from(next.trips), open_for / 5);
    }
}

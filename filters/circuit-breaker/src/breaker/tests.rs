use super::*;
use crate::settings::Settings;
use seawall_core::config::load;
use serde_json::json;

fn policy(json: serde_json::Value) -> Policy {
    load::<Settings>(&json).unwrap().policy
}

fn plain() -> Policy {
    policy(
        json!({"failure_threshold": 3, "open_for": "10s", "max_open_for": "40s", "jitter": 0, "successes": 2, "probe_timeout": "1s"}),
    )
}

const START: Timestamp = Timestamp::from_secs(1_000_000);

fn at(seconds: u64) -> Timestamp {
    START.saturating_add(Span::from_secs(seconds))
}

fn fail(record: Record, policy: &Policy, now: Timestamp) -> Record {
    record
        .settle(policy, record.epoch, None, Outcome::Failure, now, 0.5)
        .0
}

fn tripped(policy: &Policy) -> Record {
    let mut record = Record::default();
    for _ in 0..policy.failure_threshold {
        record = fail(record, policy, START);
    }
    assert_eq!(record.state, State::Open);
    record
}

fn probe(record: Record, policy: &Policy, now: Timestamp) -> (Record, Timestamp) {
    let (next, admission, _) = record.admit(policy, now);
    match admission {
        Admission::Probe { lease, .. } => (next, lease),
        other => panic!("not a probe: {other:?}"),
    }
}

#[test]
fn opens_on_the_last_failure_in_a_row_and_not_before() {
    let policy = plain();
    let mut record = fail(fail(Record::default(), &policy, START), &policy, START);
    assert_eq!(record.state, State::Closed);
    // A success starts the count anew.
    record = record
        .settle(&policy, record.epoch, None, Outcome::Success, START, 0.5)
        .0;
    record = fail(fail(record, &policy, START), &policy, START);
    assert_eq!(record.state, State::Closed);
    record = fail(record, &policy, START);
    assert_eq!(record.state, State::Open);
    assert_eq!(
        record.admit(&policy, at(3)).1,
        Admission::Refuse {
            after: Span::from_secs(7)
        }
    );
}

#[test]
fn a_timeline_of_relapse_and_recovery() {
    let policy = plain();
    let open = tripped(&policy);
    // After the open time one probe goes through, the others wait for its verdict.
    let (half, lease) = probe(open, &policy, at(10));
    assert_eq!(
        half.admit(&policy, at(10)).1,
        Admission::Refuse {
            after: Span::from_secs(1)
        }
    );
    // It fails: open again, twice as long.
    let (again, transition) = half.settle(
        &policy,
        half.epoch,
        Some(lease),
        Outcome::Failure,
        at(10),
        0.5,
    );
    assert_eq!(
        transition,
        Some(Transition::Relapsed {
            open_for: Span::from_secs(20)
        })
    );
    assert_eq!(
        again.admit(&policy, at(29)).1,
        Admission::Refuse {
            after: Span::from_secs(1)
        }
    );
    // Two probes succeed: closed.
    let (half, lease) = probe(again, &policy, at(30));
    let (half, transition) = half.settle(
        &policy,
        half.epoch,
        Some(lease),
        Outcome::Success,
        at(30),
        0.5,
    );
    assert_eq!(transition, None);
    let (half, lease) = probe(half, &policy, at(30));
    let (closed, transition) = half.settle(
        &policy,
        half.epoch,
        Some(lease),
        Outcome::Success,
        at(30),
        0.5,
    );
    assert_eq!(transition, Some(Transition::Recovered));
    // A relapse soon after goes on where it was; after a healthy period it starts anew.
    let soon = (0..3).fold(closed, |record, _| fail(record, &policy, at(31)));
    assert_eq!(soon.at, at(31 + 40));
    let later = (0..3).fold(closed, |record, _| fail(record, &policy, at(30 + 40)));
    assert_eq!(later.at, at(70 + 10));
}

#[test]
fn results_of_another_epoch_are_dropped() {
    let policy = plain();
    let open = tripped(&policy);
    let late = open.settle(&policy, 0, None, Outcome::Success, at(1), 0.5);
    assert_eq!(late, (open, None));
    let (half, lease) = probe(open, &policy, at(10));
    assert_eq!(
        half.settle(&policy, 0, None, Outcome::Failure, at(10), 0.5),
        (half, None)
    );
    assert_eq!(
        half.settle(
            &policy,
            open.epoch,
            Some(lease),
            Outcome::Success,
            at(10),
            0.5
        ),
        (half, None)
    );
}

#[test]
fn a_probe_that_never_ends_gives_its_place_back() {
    let policy = plain();
    let (half, _) = probe(tripped(&policy), &policy, at(10));
    assert!(matches!(
        half.admit(&policy, at(10)).1,
        Admission::Refuse { .. }
    ));
    let (_, lease) = probe(half, &policy, at(11));
    assert_eq!(lease, at(12));
}

#[test]
fn a_probe_that_says_nothing_gives_its_place_back_at_once() {
    let policy = plain();
    let (half, lease) = probe(tripped(&policy), &policy, at(10));
    let (half, _) = half.settle(
        &policy,
        half.epoch,
        Some(lease),
        Outcome::Ignored,
        at(10),
        0.5,
    );
    probe(half, &policy, at(10));
}

#[test]
fn a_clock_that_steps_back_does_not_keep_it_open() {
    let policy = plain();
    let open = tripped(&policy);
    let long_ago = START.saturating_sub(Span::from_secs(3600));
    let (half, _) = probe(open, &policy, long_ago);
    // Nor a lease of the future.
    let (half, _) = probe(
        half,
        &policy,
        long_ago.saturating_sub(Span::from_secs(3600)),
    );
    assert_eq!(half.state, State::HalfOpen);
}

#[test]
fn jitter_stays_within_its_part() {
    let policy = policy(json!({"open_for": "10s", "max_open_for": "60s", "jitter": 0.2}));
    assert_eq!(policy.open_time(0, 0.0), Span::from_secs(8));
    assert_eq!(policy.open_time(0, 0.5), Span::from_secs(10));
    assert!(policy.open_time(9, 0.999) <= policy.longest_open());
    assert_eq!(policy.open_time(255, 0.5), Span::from_secs(60));
}

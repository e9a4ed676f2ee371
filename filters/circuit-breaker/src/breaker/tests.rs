use super::window::{Tally, Window};
use super::*;
use crate::outcome::Outcome;
use crate::settings::Settings;
use proptest::prelude::*;
use seawall_core::config::load;
use seawall_core::time::Timestamp;
use serde_json::json;

mod leases;
mod near;
mod relapses;

fn policy(json: serde_json::Value) -> Policy {
    load::<Settings>(&json).unwrap().policy
}

fn plain() -> Policy {
    policy(
        json!({"failure_threshold": 3, "open_for": "10s", "max_open_for": "40s", "jitter": 0, "successes": 2,
            "probe_timeout": "1s", "ramp": "0s"}),
    )
}

const START: Timestamp = Timestamp::from_secs(1_000_000);

fn at(seconds: u64) -> Timestamp {
    START.saturating_add(Span::from_secs(seconds))
}

fn half() -> f64 {
    0.5
}

fn end(
    record: Record,
    policy: &Policy,
    lease: Option<Timestamp>,
    outcome: Outcome,
    now: Timestamp,
) -> (Record, Option<Transition>) {
    let result = Result {
        epoch: record.epoch,
        lease,
        outcome,
        retry_after: None,
        opens: false,
    };
    record.settle(policy, &result, &Window::default(), now, &half)
}

fn fail(record: Record, policy: &Policy, now: Timestamp) -> Record {
    end(record, policy, None, Outcome::Failure, now).0
}

fn succeed(record: Record, policy: &Policy, now: Timestamp) -> Record {
    end(record, policy, None, Outcome::Success, now).0
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
    let (next, admission, _) = record.admit(policy, now, &half);
    match admission {
        Admission::Probe { lease, .. } => (next, lease),
        other => panic!("no probe but {other:?}"),
    }
}

/// How long a refused call is told to wait; `None` when it is let through.
fn refused(record: &Record, policy: &Policy, now: Timestamp) -> Option<Span> {
    match record.admit(policy, now, &half).1 {
        Admission::Refuse { after, .. } => Some(after),
        _ => None,
    }
}

#[test]
fn opens_on_the_last_failure_in_a_row_and_not_before() {
    let policy = plain();
    let mut record = fail(fail(Record::default(), &policy, START), &policy, START);
    assert_eq!(record.state, State::Closed);
    // A success starts the count anew; an answer that blames the request says nothing.
    record = end(record, &policy, None, Outcome::Neutral, START).0;
    assert_eq!(record.count, 2);
    record = succeed(record, &policy, START);
    record = fail(fail(record, &policy, START), &policy, START);
    assert_eq!(record.state, State::Closed);
    let (open, transition) = end(record, &policy, None, Outcome::Slow, START);
    assert_eq!(
        transition,
        Some(Transition::Opened {
            reason: Reason::ConsecutiveFailures,
            open_for: Span::from_secs(10)
        })
    );
    assert_eq!(open.reason, Reason::ConsecutiveFailures);
    assert_eq!(refused(&open, &policy, at(3)), Some(Span::from_secs(7)));
}

#[test]
fn a_timeline_of_relapse_and_recovery() {
    let policy = plain();
    let open = tripped(&policy);
    // After the open time one probe goes through, the others wait for its verdict.
    let (half, lease) = probe(open, &policy, at(10));
    assert_eq!(refused(&half, &policy, at(10)), Some(Span::from_secs(1)));
    // It fails: open again, twice as long.
    let (again, transition) = end(half, &policy, Some(lease), Outcome::Failure, at(10));
    assert_eq!(
        transition,
        Some(Transition::Opened {
            reason: Reason::ProbeFailed,
            open_for: Span::from_secs(20)
        })
    );
    assert_eq!(refused(&again, &policy, at(29)), Some(Span::from_secs(1)));
    // Two probes succeed: closed. A 404 is an answer.
    let (half, lease) = probe(again, &policy, at(30));
    let (half, transition) = end(half, &policy, Some(lease), Outcome::Neutral, at(30));
    assert_eq!(transition, None);
    let (half, lease) = probe(half, &policy, at(30));
    let (closed, transition) = end(half, &policy, Some(lease), Outcome::Success, at(30));
    assert_eq!(transition, Some(Transition::Closed));
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
    let late = |record: Record, epoch, lease, outcome| {
        let result = Result {
            epoch,
            lease,
            outcome,
            retry_after: None,
            opens: false,
        };
        record.settle(&policy, &result, &Window::default(), at(10), &half_chance)
    };
    assert_eq!(late(open, 0, None, Outcome::Success), (open, None));
    let (half, lease) = probe(open, &policy, at(10));
    assert_eq!(late(half, 0, None, Outcome::Failure), (half, None));
    let before = late(half, open.epoch, Some(lease), Outcome::Success);
    assert_eq!(before, (half, None));
}

fn half_chance() -> f64 {
    half()
}

#[test]
fn a_clock_that_steps_back_does_not_keep_it_open() {
    let policy = plain();
    let open = tripped(&policy);
    let long_ago = START.saturating_sub(Span::from_secs(3600));
    let (half, _) = probe(open, &policy, long_ago);
    // Nor a lease of the future.
    let earlier = long_ago.saturating_sub(Span::from_secs(3600));
    let (half, _) = probe(half, &policy, earlier);
    assert_eq!(half.state, State::HalfOpen);
}

/// The settings of two routes that share a breaker: what the one has done holds for the other, whose times are shorter.
#[test]
fn shorter_times_of_another_route_end_neither_an_open_time_nor_a_lease() {
    let long = policy(
        json!({"failure_threshold": 3, "open_for": "60s", "jitter": 0, "probe_timeout": "30s"}),
    );
    let short = policy(
        json!({"failure_threshold": 3, "open_for": "1s", "max_open_for": "2s",
        "jitter": 0, "probe_timeout": "1s", "window": "5s", "ramp": "0s"}),
    );
    let open = tripped(&long);
    assert_eq!(refused(&open, &short, at(1)), Some(Span::from_secs(59)));
    let (half, lease) = probe(open, &long, at(60));
    assert_eq!(refused(&half, &short, at(61)), Some(Span::from_secs(29)));
    // A lease taken by the other is as short as its settings say, and does not shorten this one.
    let two = Policy { probes: 2, ..short };
    let (half, _) = probe(half, &two, at(62));
    assert_eq!(refused(&half, &two, at(62)), Some(Span::from_secs(1)));
    let (half, _) = probe(half, &two, at(63));
    assert_eq!(refused(&half, &long, at(63)), Some(Span::from_secs(27)));
    // Nor is it forgotten sooner when the place is wanted by a key with the short ones.
    let half = end(half, &long, Some(lease), Outcome::Success, at(70)).0;
    let closed = end(half, &long, Some(lease), Outcome::Success, at(70)).0;
    assert_eq!(closed.state, State::Closed);
    assert!(!closed.is_default(&two, at(129)));
    assert!(closed.is_default(&two, at(130)));
    let rough = succeed(fail(Record::default(), &long, at(0)), &long, at(0));
    assert!(!rough.is_default(&two, at(20)));
    assert!(rough.is_default(&two, at(30)));
}

/// A worker whose look at the clock is older than the change that it reads.
#[test]
fn who_looked_at_the_clock_a_moment_too_soon_is_refused_as_well() {
    let policy =
        policy(json!({"failure_threshold": 3, "open_for": "60s", "jitter": 0, "minimum_calls": 2}));
    let sooner = |now: Timestamp| now.saturating_sub(Span::from_millis(1));
    let open = tripped(&policy);
    assert!(refused(&open, &policy, sooner(START)).is_some());
    let (half, _) = probe(open, &policy, at(60));
    assert!(refused(&half, &policy, sooner(at(60))).is_some());
    // Shares are judged once all have told.
    let failing = fail(Record::default(), &policy, START);
    let failing = fail(failing, &policy, sooner(START));
    assert_eq!(failing.state, State::Closed);
}

#[test]
fn what_is_left_of_a_time_is_never_more_than_it_was() {
    let policy = Policy {
        open_for: Span::from_secs(60),
        ramp: Span::from_secs(10),
        ..plain()
    };
    // A lease ends though its open time would have been long enough for what is left.
    let (half, _) = probe(tripped(&policy), &policy, at(60));
    let (half, lease) = probe(half, &policy, at(40));
    // A ramp in the future has not begun, and keeps nobody away until then.
    let half = end(half, &policy, Some(lease), Outcome::Success, at(41)).0;
    let (half, lease) = probe(half, &policy, at(41));
    let closed = end(half, &policy, Some(lease), Outcome::Success, at(41)).0;
    assert_eq!(closed.state, State::Closed);
    assert!(refused(&closed, &policy, at(41)).is_some_and(|left| left == Span::from_secs(10)));
    assert_eq!(refused(&closed, &policy, at(30)), None);
    // Failures that are in the future have been told.
    let policy = Policy {
        ramp: Span::ZERO,
        ..shares()
    };
    let late = (0..19).fold(Record::default(), |record, _| fail(record, &policy, at(20)));
    let late = fail(late, &policy, at(10));
    assert!(late.state == State::Open || refused(&late, &policy, at(10)).is_some());
}

/// Each failure soon after the one before: shares are judged after the first.
#[test]
fn failures_that_go_on_do_not_put_the_verdict_off() {
    let policy = shares();
    let mut record = Record::default();
    for n in 0..20 {
        assert_eq!(record.state, State::Closed, "{n}");
        let now = START.saturating_add(Span::from_millis(100 * n));
        record = fail(record, &policy, now);
    }
    assert_eq!(record.state, State::Open);
}

#[test]
fn jitter_stays_within_its_part() {
    let policy = policy(json!({"open_for": "10s", "max_open_for": "60s", "jitter": 0.2}));
    assert_eq!(policy.open_time(0, 0.0), Span::from_secs(8));
    assert_eq!(policy.open_time(0, 0.5), Span::from_secs(10));
    assert!(policy.open_time(9, 0.999) < Span::from_secs(72));
    assert_eq!(policy.open_time(255, 0.5), Span::from_secs(60));
}

fn shares() -> Policy {
    policy(
        json!({"failure_threshold": 0, "minimum_calls": 20, "window": "30s", "slow_after": "1s", "slow_percentage": 60,
        "jitter": 0, "ramp": "0s"}),
    )
}

/// So many calls of a hundred end so, mixed, within a second.
fn hundred(policy: &Policy, bad: u32, outcome: Outcome) -> Record {
    let mut record = Record::default();
    for n in 0..100 {
        // Spread evenly; at first the share is not above that of the whole.
        let is_bad = (n + 1) * bad / 100 > n * bad / 100;
        let outcome = if is_bad { outcome } else { Outcome::Success };
        record = end(record, policy, None, outcome, START).0;
    }
    record
}

#[test]
fn shares_open_at_their_percentage_and_not_below() {
    let policy = shares();
    let settled = START.saturating_add(SETTLED);
    for (bad, outcome, reason) in [
        (49, Outcome::Failure, None),
        (51, Outcome::Failure, Some(Reason::FailurePercentage)),
        (59, Outcome::Slow, None),
        (61, Outcome::Slow, Some(Reason::SlowPercentage)),
    ] {
        let record = hundred(&policy, bad, outcome);
        assert_eq!(record.state, State::Closed, "not before all have told");
        let (_, _, transition) = record.admit(&policy, settled, &half);
        let opened = transition.map(|t| match t {
            Transition::Opened { reason, .. } => reason,
            other => panic!("{other:?}"),
        });
        assert_eq!(opened, reason, "{bad} {outcome:?}");
    }
}

#[test]
fn few_calls_and_old_failures_do_not_open() {
    let policy = shares();
    let settled = START.saturating_add(SETTLED);
    let few = (0..19).fold(Record::default(), |record, _| fail(record, &policy, START));
    assert_eq!(refused(&few, &policy, settled), None);
    let enough = fail(few, &policy, START);
    assert!(refused(&enough, &policy, settled).is_some());
    // The same calls, but the window has moved on before the last.
    let old = fail(few, &policy, at(31));
    assert_eq!(refused(&old, &policy, at(32)), None);
    assert_eq!(old.window.sum(policy.window, at(32)).calls, 1);
}

#[test]
fn what_other_workers_have_counted_is_part_of_the_share() {
    let policy = shares();
    let mut elsewhere = Window::default();
    (0..80).for_each(|_| elsewhere.add(policy.window, START, Tally::SUCCESS));
    let failing = (0..20).fold(Record::default(), |record, _| fail(record, &policy, START));
    let settled = START.saturating_add(SETTLED);
    assert!(refused(&failing, &policy, settled).is_some(), "20 of 20");
    let (told, transition) = failing.report(&policy, 0, &elsewhere, START, &half);
    assert_eq!(transition, None);
    assert_eq!(refused(&told, &policy, settled), None, "20 of 100");
    let late = failing.report(&policy, 7, &elsewhere, START, &half);
    assert_eq!(late, (failing, None));
}

/// Of routes that share a breaker one may give up after the first failure: what a worker has counted for that one does not make it
/// so for the others, whose calls failed.
#[test]
fn a_report_of_calls_of_one_route_opens_nothing_for_failures_in_a_row_of_another() {
    let (hasty, patient) = (
        policy(json!({"failure_threshold": 1})),
        policy(json!({"failure_threshold": 5})),
    );
    let mut counted = Window::default();
    counted.add(hasty.window, START, Tally::SUCCESS);
    let failed = fail(Record::default(), &patient, START);
    let (told, transition) = failed.report(&hasty, 0, &counted, START, &half);
    assert_eq!((told.state, transition), (State::Closed, None));
    assert_eq!(told.window.sum(patient.window, START).calls, 2);
}

#[test]
fn an_upstream_that_says_when_is_left_alone_as_long() {
    let policy = policy(
        json!({"failure_threshold": 1, "open_for": "5s", "max_open_for": "60s", "jitter": 0.2,
        "retry_after": {"max": "30s"}}),
    );
    for (asked, least, most) in [(7, 7.0, 8.4), (3, 4.0, 6.0), (3600, 30.0, 36.0)] {
        for chance in [0.0, 0.5, 0.999] {
            let result = Result {
                epoch: 0,
                lease: None,
                outcome: Outcome::Failure,
                retry_after: Some(Span::from_secs(asked)),
                opens: false,
            };
            let fixed = move || chance;
            let record = Record::default();
            let (open, _) = record.settle(&policy, &result, &Window::default(), START, &fixed);
            let open_for = open.at.since(START).as_secs_f64();
            assert!(
                (least..=most).contains(&open_for),
                "asked for {asked} s, open for {open_for} s"
            );
            if chance > 0.9 && asked > 5 {
                assert!(open_for > most * 0.99, "all would come back together");
            }
        }
    }
    let patient = Policy {
        failure_threshold: 5,
        ..policy
    };
    let result = Result {
        epoch: 0,
        lease: None,
        outcome: Outcome::Failure,
        retry_after: Some(Span::from_secs(9)),
        opens: true,
    };
    let record = Record::default();
    let (open, _) = record.settle(&patient, &result, &Window::default(), START, &half);
    assert_eq!((open.state, open.reason), (State::Open, Reason::RetryAfter));
}

#[test]
fn after_closing_more_and_more_goes_through() {
    let policy = policy(
        json!({"failure_threshold": 3, "open_for": "10s", "jitter": 0, "successes": 1, "ramp": "10s"}),
    );
    let (half_open, lease) = probe(tripped(&policy), &policy, at(10));
    let (closed, _) = end(half_open, &policy, Some(lease), Outcome::Success, at(10));
    let share = |seconds: u64| {
        let passed = (0..1000).filter(|n| {
            let chance = f64::from(*n) / 1000.0;
            let admission = closed.admit(&policy, at(10 + seconds), &move || chance).1;
            matches!(admission, Admission::Pass { .. })
        });
        passed.count()
    };
    assert_eq!(
        [share(0), share(5), share(9), share(10)],
        [100, 550, 910, 1000]
    );
    let (_, admission, _) = closed.admit(&policy, at(14), &|| 0.99);
    assert_eq!(
        admission,
        Admission::Refuse {
            after: Span::from_secs(6),
            on: Refusal::Ramp
        }
    );
    // A relapse in the ramp opens for longer.
    let again = (0..3).fold(closed, |record, _| fail(record, &policy, at(12)));
    assert_eq!(again.at, at(12 + 20));
}

proptest! {
    /// Whatever happened to a record, it can be left: some time later a call goes through, and successes close it.
    #[test]
    fn every_record_has_an_exit(
        steps in proptest::collection::vec((0..6u8, 0..20_000u64, 0.0..1.0f64), 0..80),
        probes in 1..4u32, successes in 1..4u32, adaptive in any::<bool>(),
    ) {
        let mut settings = json!({"failure_threshold": 2, "open_for": "1s", "max_open_for": "8s", "probe_timeout": "2s",
            "probes": probes, "successes": successes, "minimum_calls": 3, "window": "10s", "ramp": "3s", "slow_after": "1s"});
        if adaptive {
            settings["adaptive"] = json!({});
        }
        let policy = policy(settings);
        let mut record = Record::default();
        let mut now = START;
        let mut leases = Vec::new();
        for (step, millis, chance) in steps {
            let fixed = move || chance;
            match step {
                0 | 1 => {
                    let (next, admission, _) = record.admit(&policy, now, &fixed);
                    record = next;
                    if let Admission::Probe { lease, .. } = admission {
                        leases.push((record.epoch, lease));
                    }
                }
                2 => now = now.saturating_add(Span::from_millis(millis)),
                3 => now = now.saturating_sub(Span::from_millis(millis)),
                _ => {
                    let outcome = [Outcome::Failure, Outcome::Slow, Outcome::Success, Outcome::Ignored]
                        [millis as usize % 4];
                    let (epoch, lease) = match leases.pop() {
                        Some((epoch, lease)) => (epoch, Some(lease)),
                        None => (record.epoch, None),
                    };
                    let result = Result { epoch, lease, outcome, retry_after: None, opens: false };
                    record = record.settle(&policy, &result, &Window::default(), now, &fixed).0;
                }
            }
        }
        // Calls keep coming. The longest open time and its jitter, and one lease of a probe that never ended, are over within
        // 25 of them, whenever they begin: a clock that was set back comes once more by what the record holds of later.
        let mut away = 0;
        for _ in 0..100 {
            now = now.saturating_add(Span::from_millis(500));
            loop {
                let (next, admission, _) = record.admit(&policy, now, &|| 0.0);
                record = next;
                let Admission::Probe { lease, .. } = admission else { break };
                record = end(record, &policy, Some(lease), Outcome::Success, now).0;
            }
            away = if record.state == State::Closed { 0 } else { away + 1 };
            prop_assert!(away < 25, "no way out of {:?}", record);
        }
    }
}

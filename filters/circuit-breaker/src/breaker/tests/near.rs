//! When a success is told at once.

use super::*;

fn tells(record: &Record, policy: &Policy) -> bool {
    match record.admit(policy, START, &half).1 {
        Admission::Pass { tell, .. } => tell,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_success_is_told_at_once_from_half_of_what_opens_on() {
    let policy = shares();
    for (bad, outcome, told) in [
        (24, Outcome::Failure, false),
        (25, Outcome::Failure, true),
        (29, Outcome::Slow, false),
        (30, Outcome::Slow, true),
    ] {
        let mut record = hundred(&policy, bad, outcome);
        record.count = 0;
        assert_eq!(tells(&record, &policy), told, "{bad} {outcome:?}");
    }
}

#[test]
fn a_success_is_told_at_once_while_failures_in_a_row_are_counted() {
    let policy = plain();
    let failed = fail(Record::default(), &policy, START);
    assert!(tells(&failed, &policy));
    assert!(!tells(&Record::default(), &policy));
}

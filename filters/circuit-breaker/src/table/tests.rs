use super::*;
use crate::settings::Settings;
use seawall_core::config::load;
use serde_json::json;

fn policy() -> Policy {
    load::<Settings>(&json!({})).unwrap().policy
}

const NOW: Timestamp = Timestamp::from_secs(1_000_000);

fn open() -> Record {
    Record {
        state: State::Open,
        epoch: 7,
        trips: 2,
        at: NOW.saturating_add(Span::from_secs(5)),
        ..Record::default()
    }
}

#[test]
fn what_is_written_is_read() {
    let mut slot = Slot::default();
    let mut record = open();
    record.leases[3] = Timestamp(99);
    record.limit = Span(98);
    assert_eq!(
        slot.put(Fingerprint(1), record, &policy(), NOW),
        Placed::Free
    );
    record.window.add(policy().window, NOW, Tally::SLOW);
    record.reason = Reason::RetryAfter;
    record.rough_since = NOW;
    assert_eq!(
        slot.put(Fingerprint(1), record, &policy(), NOW),
        Placed::Free
    );
    let read = Slot::decode(Some(&slot.encode()));
    assert_eq!(read.get(Fingerprint(1)), record);
    assert_eq!(find(Some(&slot.encode()), Fingerprint(1)), Some(record));
    assert_eq!(find(Some(&slot.encode()), Fingerprint(2)), None);
    assert_eq!(read.get(Fingerprint(2)), Record::default());
}

#[test]
fn keys_are_told_apart_by_their_whole_fingerprint() {
    let mut slot = Slot::default();
    slot.put(Fingerprint(1), open(), &policy(), NOW);
    assert_eq!(slot.get(Fingerprint(1 | 1 << 100)), Record::default());
}

fn open_at(now: Timestamp) -> Record {
    Record {
        at: now.saturating_add(Span::from_secs(5)),
        ..open()
    }
}

#[test]
fn a_full_slot_keeps_its_open_breakers() {
    let mut slot = Slot::default();
    for key in 0..4 {
        assert_eq!(
            slot.put(Fingerprint(key), open(), &policy(), NOW),
            Placed::Free
        );
    }
    assert_eq!(
        slot.put(Fingerprint(9), open(), &policy(), NOW),
        Placed::Nowhere
    );
    assert_eq!(slot.get(Fingerprint(0)), open());
    assert_eq!(slot.encode().len(), 1 + 4 * ENTRY);
}

#[test]
fn who_left_while_open_gives_the_place_up_once_the_time_is_over() {
    let mut slot = Slot::default();
    for key in 0..4 {
        slot.put(Fingerprint(key), open(), &policy(), NOW);
    }
    let later = NOW.saturating_add(Span::from_secs(6));
    let mut record = open();
    record.at = later.saturating_add(Span::from_secs(5));
    slot.put(Fingerprint(0), record, &policy(), later);
    record.state = State::HalfOpen;
    record.at = NOW;
    record.leases[1] = later.saturating_add(Span(1));
    slot.put(Fingerprint(2), record, &policy(), later);
    let healthy = Record::default();
    assert_eq!(
        slot.put(Fingerprint(9), healthy, &policy(), later),
        Placed::Nowhere
    );
    // Of the other two.
    for key in [9, 10] {
        assert_eq!(
            slot.put(Fingerprint(key), open_at(later), &policy(), later),
            Placed::InsteadOf(State::Open)
        );
    }
    assert_eq!(
        slot.put(Fingerprint(11), open_at(later), &policy(), later),
        Placed::Nowhere
    );
    let later = later.saturating_add(Span(1));
    assert_eq!(
        slot.put(Fingerprint(11), open_at(later), &policy(), later),
        Placed::InsteadOf(State::HalfOpen)
    );
}

#[test]
fn who_left_the_longest_ago_gives_the_place_up_first() {
    let seconds = |count| NOW.saturating_add(Span::from_secs(count));
    let mut slot = Slot::default();
    for (key, over) in [(0, 3), (1, 1), (2, 4), (3, 2)] {
        let mut record = open();
        record.at = seconds(over);
        slot.put(Fingerprint(key), record, &policy(), NOW);
    }
    // A probe came after its open time.
    let mut record = slot.get(Fingerprint(1));
    record.state = State::HalfOpen;
    record.leases[0] = seconds(5);
    slot.put(Fingerprint(1), record, &policy(), NOW);
    let later = seconds(10);
    for (key, gone) in [(10, 3), (11, 0), (12, 2), (13, 1)] {
        assert_ne!(slot.get(Fingerprint(gone)), Record::default());
        slot.put(Fingerprint(key), open_at(later), &policy(), later);
        assert_eq!(slot.get(Fingerprint(gone)), Record::default(), "{gone}");
    }
}

#[test]
fn among_breakers_that_fail_who_is_closed_makes_room() {
    let failing = Record {
        count: 1,
        at: NOW,
        ..Record::default()
    };
    let mut slot = Slot::default();
    for key in 0..4 {
        slot.put(Fingerprint(key), failing, &policy(), NOW);
    }
    let gone = Placed::InsteadOf(State::Closed);
    assert_eq!(slot.put(Fingerprint(9), failing, &policy(), NOW), gone);
    // Before one that is open, though its time has been over for long.
    let mut slot = Slot::default();
    slot.put(Fingerprint(0), open_at(Timestamp::EPOCH), &policy(), NOW);
    for key in 1..4 {
        slot.put(Fingerprint(key), failing, &policy(), NOW);
    }
    assert_eq!(slot.put(Fingerprint(9), open(), &policy(), NOW), gone);
}

#[test]
fn healthy_breakers_give_their_place_up() {
    let mut slot = Slot::default();
    for key in 0..4 {
        slot.put(Fingerprint(key), Record::default(), &policy(), NOW);
    }
    assert_eq!(
        slot.put(Fingerprint(9), open(), &policy(), NOW),
        Placed::Free
    );
    assert_eq!(slot.get(Fingerprint(9)), open());
}

/// Failures in a row are counted however much time is between them.
#[test]
fn a_row_of_failures_stays_where_there_is_room() {
    let mut slot = Slot::default();
    let failing = Record {
        count: 4,
        ..Record::default()
    };
    slot.put(Fingerprint(1), failing, &policy(), NOW);
    slot.put(Fingerprint(2), open(), &policy(), NOW);
    assert_eq!(slot.get(Fingerprint(1)), failing);
}

#[test]
fn bytes_that_are_no_slot_are_an_empty_one() {
    for bytes in [&b""[..], b"\x01", b"\x03abc", &[0xff; 500], &[3; 200]] {
        assert_eq!(Slot::decode(Some(bytes)), Slot::default(), "{bytes:?}");
    }
    assert_eq!(Slot::decode(None), Slot::default());
}

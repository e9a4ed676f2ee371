#![allow(
    clippy::unwrap_used,
    clippy::arithmetic_side_effects,
    reason = "test code"
)]

use super::*;
use proptest::prelude::*;
use std::collections::BTreeSet;

/// A route of this number, as it might be written.
fn name(number: usize) -> String {
    format!("settings of route {number}")
}

fn said(name: &str) -> Said<'_> {
    [None, Some(name.as_bytes())]
}

fn number_in(settings: &Rc<dyn Any>) -> usize {
    *settings.downcast_ref().unwrap()
}

/// Asks for the settings of a route, which are its number; true where they are made anew.
fn ask(kept: &mut Kept, number: usize, weight: usize) -> bool {
    let name = name(number);
    if let Some(settings) = kept.get(&said(&name)) {
        assert_eq!(number_in(&settings), number);
        return false;
    }
    kept.put(&said(&name), weight, Rc::new(number));
    true
}

fn numbers(kept: &Kept) -> BTreeSet<usize> {
    let entries = kept.entries.iter();
    entries
        .map(|(_, entry)| number_in(&entry.settings))
        .collect()
}

/// Everything is where it is looked for, and counted.
fn check(kept: &mut Kept) {
    let weights = kept.entries.iter().map(|(_, entry)| entry.weight);
    assert_eq!(weights.sum::<usize>(), kept.weight);
    for number in numbers(kept) {
        let name = name(number);
        assert!(kept.get(&said(&name)).is_some(), "{number}");
    }
}

/// Some of them have one hash.
#[test]
fn what_one_level_says_is_not_what_the_other_says() {
    let all: [Said<'_>; 7] = [
        [Some(b"ab"), Some(b"c")],
        [Some(b"a"), Some(b"bc")],
        [None, Some(b"abc")],
        [Some(b"abc"), None],
        [Some(b""), Some(b"abc")],
        [Some(b"abc"), Some(b"")],
        [Some(b""), None],
    ];
    assert_eq!(hash(&all[2]), hash(&all[3]));
    let mut kept = Kept::default();
    for (number, said) in all.iter().enumerate() {
        assert!(kept.get(said).is_none(), "{said:?}");
        kept.put(said, 1, Rc::new(number));
    }
    for (number, said) in all.iter().enumerate() {
        assert_eq!(number_in(&kept.get(said).unwrap()), number);
    }
}

#[test]
fn nothing_is_made_anew_as_long_as_all_fit() {
    let mut kept = Kept::default();
    for round in 0..3 {
        for number in 0..20_000 {
            assert_eq!(ask(&mut kept, number, 1_000), round == 0, "{number}");
        }
    }
    check(&mut kept);
}

#[test]
fn the_fewest_are_kept_whatever_they_weigh_and_the_rest_within_the_most() {
    let mut kept = Kept::default();
    for round in 0..2 {
        for number in 0..FEWEST {
            assert_eq!(ask(&mut kept, number, MOST_BYTES), round == 0, "{number}");
        }
    }
    for number in 0..3 * FEWEST {
        ask(&mut kept, number, MOST_BYTES);
        assert_eq!(kept.entries.len(), FEWEST);
    }
    check(&mut kept);
    let (mut kept, weight) = (Kept::default(), MOST_BYTES / FEWEST / 4);
    for number in 0..10 * FEWEST {
        ask(&mut kept, number, weight);
        assert!(kept.weight <= MOST_BYTES);
    }
    assert_eq!(kept.entries.len(), 4 * FEWEST);
    check(&mut kept);
}

#[test]
fn what_is_asked_for_stays_while_others_come_and_go() {
    let (mut kept, weight) = (Kept::default(), MOST_BYTES / FEWEST / 2);
    let busy = FEWEST;
    (0..busy).for_each(|number| {
        ask(&mut kept, number, weight);
    });
    let mut anew = 0;
    for visitor in 0..20 * FEWEST {
        // Each of the busy ones once for every hundred strangers.
        for near in 0..busy.div_ceil(100) {
            anew += usize::from(ask(&mut kept, (visitor * 11 + near) % busy, weight));
        }
        ask(&mut kept, busy + visitor, weight);
    }
    let asked = 20 * FEWEST * busy.div_ceil(100);
    assert!(anew * 100 < asked, "{anew} of {asked} were made anew");
    check(&mut kept);
}

/// First in, first out would have lost each one just before its turn.
#[test]
fn in_turns_more_than_fit_are_not_all_made_anew() {
    let (mut kept, weight) = (Kept::default(), MOST_BYTES / FEWEST / 2);
    let mut anew = 0;
    for _ in 0..20 {
        for number in 0..3 * FEWEST {
            anew += usize::from(ask(&mut kept, number, weight));
        }
    }
    let asked = 20 * 3 * FEWEST;
    assert!(
        anew * 100 < asked * 85,
        "{anew} of {asked} were made anew; the oldest first would be all"
    );
    check(&mut kept);
}

proptest! {
    #[test]
    fn whatever_is_forgotten_the_rest_is_found(
        steps in proptest::collection::vec((0usize..24, any::<bool>()), 0..300),
    ) {
        let mut kept = Kept::default();
        let mut held = BTreeSet::new();
        for (number, forget) in steps {
            if forget {
                kept.hand = number;
                kept.forget();
                let left = numbers(&kept);
                prop_assert!(held.is_superset(&left));
                prop_assert_eq!(left.len(), held.len().saturating_sub(1));
                held = left;
            } else if held.insert(number) {
                kept.put(&said(&name(number)), 1, Rc::new(number));
            }
            for number in 0..24 {
                let found = kept.get(&said(&name(number)));
                prop_assert_eq!(found.is_some(), held.contains(&number));
            }
        }
    }
}

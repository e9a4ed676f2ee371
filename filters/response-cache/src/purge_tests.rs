use super::*;
use crate::http::request::Request;
use crate::key::Recipe;
use proptest::prelude::*;
use seawall_core::testing::{FakeHost, World};
use seawall_core::time::Span;

const SECRET: Secret = Secret([5; 16]);
const NOW: Timestamp = Timestamp::from_secs(100);

fn key(path: &str) -> Vec<u8> {
    let headers = Headers::from_pairs(&[(":authority", "example.com"), (":path", path)]);
    Recipe::default().key(&Request::read(headers)).unwrap()
}

fn tagged(tags: &str) -> Headers {
    Headers::from_pairs(&[("surrogate-key", tags)])
}

#[test]
fn every_worker_sees_a_purge_at_once() {
    let world = World::new();
    let (here, there) = (FakeHost::new(&world, 1), FakeHost::new(&world, 2));
    let purges = |host| Purges::new(Changes::define(host));
    let (a, b) = (purges(&here), purges(&there));
    let before = b.refresh(&there, NOW).unwrap();
    a.purge(
        &here,
        &SECRET,
        &What::Prefix(b"example.com/a/".to_vec()),
        false,
        NOW,
    )
    .unwrap();
    let after = b.refresh(&there, NOW).unwrap();
    assert_eq!(
        b.check(&SECRET, &key("/a/x"), before, None, None),
        Verdict::Gone
    );
    assert_eq!(
        b.check(&SECRET, &key("/a/x"), after, None, None),
        Verdict::Good
    );
    assert_eq!(
        b.check(&SECRET, &key("/ab"), before, None, None),
        Verdict::Good
    );
}

#[test]
fn shared_data_is_read_after_a_purge_and_once_a_second() {
    let world = World::new();
    let (here, there) = (FakeHost::new(&world, 1), FakeHost::new(&world, 2));
    let purges = |host| Purges::new(Changes::define(host));
    let (a, b) = (purges(&here), purges(&there));
    let reads = |now| {
        there.forget_calls();
        b.refresh(&there, now).unwrap();
        there.calls().get("shared_get").copied().unwrap_or(0)
    };
    let later = NOW.saturating_add(Span::from_millis(900));
    assert_eq!((reads(NOW), reads(NOW), reads(later)), (1, 0, 0));
    a.purge(&here, &SECRET, &What::All, false, NOW).unwrap();
    // The epoch, and the list of purges.
    assert_eq!((reads(later), reads(later)), (2, 0));
    let much_later = NOW.saturating_add(Span::from_secs(2));
    assert_eq!(reads(much_later), 1);
    // Without gauges nobody can tell.
    let c = Purges::default();
    there.forget_calls();
    for _ in 0..2 {
        c.refresh(&there, NOW).unwrap();
    }
    assert_eq!(there.calls().get("shared_get"), Some(&3));
}

#[test]
fn tags_and_everything_hard_and_soft() {
    let host = FakeHost::new(&World::new(), 1);
    let purges = Purges::default();
    let first = purges.refresh(&host, NOW).unwrap();
    let purge = |what: &What, soft| {
        purges.purge(&host, &SECRET, what, soft, NOW).unwrap();
        purges.refresh(&host, NOW).unwrap()
    };
    let second = purge(&What::Tags(vec![b"news".to_vec()]), true);
    let check =
        |epoch, tags: &str| purges.check(&SECRET, &key("/"), epoch, Some(&tagged(tags)), None);
    assert_eq!(check(first, "sport news"), Verdict::Stale(NOW));
    assert_eq!(check(second, "sport news"), Verdict::Good);
    assert_eq!(check(first, "sport"), Verdict::Good);
    let third = purge(&What::All, true);
    assert_eq!(check(second, "x"), Verdict::Stale(NOW));
    purge(&What::All, false);
    assert_eq!(check(third, "x"), Verdict::Gone);
}

#[test]
fn of_soft_purges_by_other_names_the_earlier_one_says_since_when() {
    let host = FakeHost::new(&World::new(), 1);
    let later = NOW.saturating_add(Span::from_secs(9));
    let tag = |name: &[u8]| What::Tags(vec![name.to_vec()]);
    for (first, second) in [
        (tag(b"news"), tag(b"sport")),
        (tag(b"sport"), What::All),
        (What::All, tag(b"news")),
        (What::Prefix(b"example.com/".to_vec()), tag(b"news")),
    ] {
        let purges = Purges::default();
        let before = purges.refresh(&host, NOW).unwrap();
        for (what, at) in [(first, NOW), (second, later)] {
            purges.purge(&host, &SECRET, &what, true, at).unwrap();
        }
        purges.refresh(&host, later).unwrap();
        let headers = tagged("sport news");
        let verdict = purges.check(&SECRET, &key("/"), before, Some(&headers), None);
        assert_eq!(verdict, Verdict::Stale(NOW));
    }
}

#[test]
fn what_does_not_fit_hits_more() {
    let host = FakeHost::new(&World::new(), 1);
    let purges = Purges::default();
    for n in 0..MOST_PREFIXES + 1 {
        let prefix = format!("example.com/{n}/").into_bytes();
        purges
            .purge(&host, &SECRET, &What::Prefix(prefix), false, NOW)
            .unwrap();
    }
    purges.refresh(&host, NOW).unwrap();
    assert_eq!(
        purges.check(&SECRET, &key("/0/x"), 0, None, None),
        Verdict::Gone
    );
    assert_eq!(
        purges.check(&SECRET, &key("/other"), 0, None, None),
        Verdict::Gone
    );
    assert_eq!(
        purges.check(&SECRET, &key("/other"), 1, None, None),
        Verdict::Good
    );
    let tags = (0..20_000).map(|n| format!("t{n}").into_bytes()).collect();
    purges
        .purge(&host, &SECRET, &What::Tags(tags), false, NOW)
        .unwrap();
    assert!(host.world().shared_bytes() < 128 * 1024);
}

#[test]
fn the_latest_urls_and_tags_hit_nothing_else_and_older_ones_what_shares_their_place() {
    let host = FakeHost::new(&World::new(), 1);
    let purges = Purges::default();
    let url = |n: usize| format!("example.com/{n}").into_bytes();
    let purge = |n| {
        let what = What::Tags(vec![exact_tag(&url(n))]);
        purges.purge(&host, &SECRET, &what, false, NOW).unwrap();
        purges.refresh(&host, NOW).unwrap()
    };
    let gone = |epoch, of: std::ops::Range<usize>| {
        let check = |n: &usize| {
            let number = number_of_url(&SECRET, &url(*n));
            purges.check(&SECRET, &key("/"), epoch, None, Some(number)) == Verdict::Gone
        };
        of.filter(check).count()
    };
    for n in 0..MOST_TAGS {
        purge(n);
    }
    let others = MOST_TAGS..12 * MOST_TAGS;
    assert_eq!(
        (gone(0, 0..MOST_TAGS), gone(0, others.clone())),
        (MOST_TAGS, 0)
    );
    // Purged again, it is one of the latest.
    let mut epoch = purge(0);
    for n in 0..4 {
        epoch = purge(MOST_TAGS + n);
    }
    let others = MOST_TAGS + 4..12 * MOST_TAGS;
    assert_eq!(gone(0, 0..MOST_TAGS + 4), MOST_TAGS + 4);
    let shared = gone(0, others.clone());
    assert!((1..200).contains(&shared), "{shared} of about 44");
    // What came after those that are forgotten is not hit.
    let after = u64::try_from(MOST_TAGS).unwrap();
    assert_eq!(gone(after, others), 0);
    assert_eq!(gone(after, 0..1), 1);
    assert_eq!(gone(epoch, 0..MOST_TAGS + 4), 0);
}

#[test]
fn a_prefix_that_is_purged_again_is_not_forgotten_first() {
    let host = FakeHost::new(&World::new(), 1);
    let purges = Purges::default();
    let purge = |n: usize| {
        let prefix = format!("example.com/{n}/").into_bytes();
        purges
            .purge(&host, &SECRET, &What::Prefix(prefix), false, NOW)
            .unwrap();
        purges.refresh(&host, NOW).unwrap()
    };
    for n in (0..MOST_PREFIXES).chain([0]) {
        purge(n);
    }
    let between = purges.known() - 1;
    purge(MOST_PREFIXES);
    let check = |path, epoch| purges.check(&SECRET, &key(path), epoch, None, None);
    assert_eq!(check("/other", 0), Verdict::Gone);
    assert_eq!(check("/other", between), Verdict::Good);
    assert_eq!(check("/0/x", between), Verdict::Gone);
}

#[test]
fn no_list_means_no_stored_answer() {
    let host = FakeHost::new(&World::new(), 1);
    let purges = Purges::default();
    purges
        .purge(&host, &SECRET, &What::All, false, NOW)
        .unwrap();
    host.world()
        .shared_set(LIST_KEY, b"broken", seawall_core::host::Expect::Anything);
    assert!(purges.refresh(&host, NOW).is_err());
}

proptest! {
    #[test]
    fn any_bytes_are_read_or_refused(value in proptest::collection::vec(any::<u8>(), 0..200)) {
        let _ = decode(&value);
    }
}

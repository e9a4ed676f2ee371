use super::*;
use crate::http::request::Request;
use crate::key::Recipe;
use proptest::prelude::*;
use seawall_core::testing::{FakeHost, World};

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
    let (a, b) = (Purges::default(), Purges::default());
    let before = b.refresh(&there).unwrap();
    a.purge(
        &here,
        &SECRET,
        &What::Prefix(b"example.com/a/".to_vec()),
        false,
        NOW,
    )
    .unwrap();
    let after = b.refresh(&there).unwrap();
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
fn tags_and_everything_hard_and_soft() {
    let host = FakeHost::new(&World::new(), 1);
    let purges = Purges::default();
    let first = purges.refresh(&host).unwrap();
    let purge = |what: &What, soft| {
        purges.purge(&host, &SECRET, what, soft, NOW).unwrap();
        purges.refresh(&host).unwrap()
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
fn what_does_not_fit_hits_more() {
    let host = FakeHost::new(&World::new(), 1);
    let purges = Purges::default();
    for n in 0..MOST_PREFIXES + 1 {
        let prefix = format!("example.com/{n}/").into_bytes();
        purges
            .purge(&host, &SECRET, &What::Prefix(prefix), false, NOW)
            .unwrap();
    }
    purges.refresh(&host).unwrap();
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
    assert!(host.world().shared_bytes() < 64 * 1024);
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
    assert!(purges.refresh(&host).is_err());
}

proptest! {
    #[test]
    fn any_bytes_are_read_or_refused(value in proptest::collection::vec(any::<u8>(), 0..200)) {
        let _ = decode(&value);
    }
}

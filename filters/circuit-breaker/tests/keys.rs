//! Whose breaker a call has, and what is shown of its key.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "test code"
)]

mod common;
use common::*;

fn fail(worker: &mut Worker, headers: &[(&str, &str)]) {
    let (call, ended) = begin(worker, "payments", headers);
    assert!(matches!(ended, Ended::Forwarded(_)), "{ended:?}");
    end(worker, call, "500");
}

/// Whether a call goes through; it ends without a verdict.
fn passes(worker: &mut Worker, headers: &[(&str, &str)]) -> bool {
    let (call, ended) = begin(worker, "payments", headers);
    break_off(worker, call, LEFT);
    matches!(ended, Ended::Forwarded(_))
}

#[test]
fn all_spellings_of_a_host_share_a_breaker() {
    let world = World::new();
    let mut worker = sensitive(&world, &json!({"key": ["host"]}));
    fail(&mut worker, &[(":authority", "shop.example")]);
    for (authority, open) in [
        ("Shop.Example:8080", true),
        ("shop.example", true),
        ("shop.example.org", false),
    ] {
        assert_eq!(
            passes(&mut worker, &[(":authority", authority)]),
            !open,
            "{authority}"
        );
    }
    // Without a host there is no breaker.
    for _ in 0..2 {
        fail(&mut worker, &[]);
    }
    assert_eq!(metric(&world, "no_key"), 2);
}

/// Of long values little is kept, but the whole value decides.
#[test]
fn long_values_are_told_apart_by_their_ends_and_shown_by_their_beginnings() {
    let world = World::new();
    let key = json!({"key": [{"header": "x-tenant"}], "response_header": "full"});
    let mut worker = sensitive(&world, &key);
    for length in [60, 64, 65, 250, 256, 257, 2_000] {
        let same = "t".repeat(length - 1);
        let (bad, good) = (format!("{same}b"), format!("{same}g"));
        fail(&mut worker, &[("x-tenant", &bad)]);
        assert!(passes(&mut worker, &[("x-tenant", &good)]), "{length}");
        let refusal = refusal(&mut worker, "payments", &[("x-tenant", &bad)]);
        let shown = if length > 64 {
            format!("key=\"x-tenant={}...\"", &bad[..64])
        } else {
            format!("key=\"x-tenant={bad}\"")
        };
        let text = refusal.header("x-seawall-breaker").unwrap().to_owned();
        assert!(text.contains(&shown), "{length}: {text}");
    }
}

#[test]
fn each_part_of_a_key_is_shown_by_name() {
    let world = World::new();
    let key = json!({"key": ["cluster", {"header": "x-tenant"}], "response_header": "full"});
    let mut worker = sensitive(&world, &key);
    fail(&mut worker, &[("x-tenant", "acme")]);
    let refused = refusal(&mut worker, "payments", &[("x-tenant", "acme")]);
    assert_eq!(
        refused.header("x-seawall-breaker"),
        Some("open; reason=consecutive_failures; key=\"cluster=payments x-tenant=acme\"; retry=10")
    );
    // Who has no tenant shares a breaker with those who have none either.
    assert!(passes(&mut worker, &[]));
    fail(&mut worker, &[]);
    assert!(!passes(&mut worker, &[("x-tenant", "")]));
    assert!(passes(&mut worker, &[("x-tenant", "other")]));
}

/// Clients that make up keys do not fill the log; how many lines they would have had is in the first one after that.
#[test]
fn lines_that_were_withheld_are_counted_in_the_next_one() {
    let world = World::new();
    let mut worker = sensitive(&world, &json!({"key": [{"header": "x-tenant"}]}));
    for tenant in 0..70 {
        fail(&mut worker, &[("x-tenant", &tenant.to_string())]);
    }
    let lines = |world: &World| {
        let log = world.log();
        log.iter().filter(|line| line.contains("open for")).count()
    };
    assert_eq!(lines(&world), 60);
    assert!(!world.log().iter().any(|line| line.contains("withheld")));
    world.advance(Span::from_secs(60));
    fail(&mut worker, &[("x-tenant", "later")]);
    let log = world.log();
    let last = log.last().unwrap();
    assert!(last.contains("(10 more lines withheld)"), "{last}");
}

//! rate-limit in a real Envoy with four workers: exact under concurrency, from the first request on.

use seawall_tests::client::burst;
use seawall_tests::prelude::*;

const RUNS: usize = 20;

fn admitted(answers: &[Answer]) -> usize {
    for answer in answers {
        assert!([200, 429].contains(&answer.status), "{}", answer.status);
    }
    answers.iter().filter(|answer| answer.status == 200).count()
}

/// The classic of the README: 100 requests, no refill within the run.
fn hundred() -> Value {
    json!({"limits": [
        {"name": "tenant", "key": [{"header": "x-tenant-id"}], "requests": 100, "per": "1d"}
    ]})
}

#[tokio::test(flavor = "multi_thread")]
async fn two_thousand_concurrent_requests_admit_exactly_a_hundred_from_the_first_on() {
    let upstream = Upstream::start().await;
    for run in 0..RUNS {
        // A new process each time: the very first requests race for a key that nobody has seen.
        let envoy = Envoy::to(&upstream)
            .filter("rate-limit", hundred())
            .start()
            .await;
        let answers = burst(envoy.address, 2_000, 32, |_| {
            (
                "/".to_owned(),
                vec![("x-tenant-id".to_owned(), "acme".to_owned())],
            )
        })
        .await;
        assert_eq!(answers.len(), 2_000);
        assert_eq!(admitted(&answers), 100, "run {run}");
        assert_eq!(upstream.hits(), 100 * (run + 1));
        for refused in answers.iter().filter(|answer| answer.status == 429) {
            let wait: u64 = refused.header("retry-after").unwrap().parse().unwrap();
            assert!((1..=864).contains(&wait), "{wait}");
            assert!(refused
                .header("ratelimit")
                .unwrap()
                .starts_with("\"tenant\";r=0;t="));
        }
        let allowed = "wasmcustom.seawall.rate_limit.limit.tenant.allowed";
        assert_eq!(envoy.stat(allowed).await, 100);
        let refused = "wasmcustom.seawall.rate_limit.limit.tenant.refused";
        assert_eq!(envoy.stat(refused).await, 1_900);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn several_limits_charge_all_or_nothing() {
    let upstream = Upstream::start().await;
    let envoy = Envoy::to(&upstream)
        .filter(
            "rate-limit",
            json!({"limits": [
                {"name": "user", "key": [{"header": "x-user"}], "requests": 7, "per": "1d"},
                {"name": "tenant", "key": [{"header": "x-tenant"}], "requests": 50, "per": "1d"},
                {"name": "all", "requests": 90, "per": "1d"},
            ]}),
        )
        .start()
        .await;
    // Ten users of each of three tenants. Seven each would be 70 a tenant; the tenants would have 150 together.
    let answers = burst(envoy.address, 3_000, 32, |number| {
        let user = format!("u{}", number % 30);
        let tenant = format!("t{}", number % 3);
        (
            "/".to_owned(),
            vec![("x-user".to_owned(), user), ("x-tenant".to_owned(), tenant)],
        )
    })
    .await;
    assert_eq!(admitted(&answers), 90);
    assert_eq!(upstream.hits(), 90);
    for (name, most) in [("x-user", 7), ("x-tenant", 50)] {
        let mut counts = std::collections::BTreeMap::new();
        for seen in upstream.seen() {
            *counts
                .entry(seen.header(name).unwrap().to_owned())
                .or_insert(0) += 1;
        }
        assert!(counts.values().all(|count| *count <= most), "{counts:?}");
    }
    for limit in ["user", "tenant", "all"] {
        let name = format!("wasmcustom.seawall.rate_limit.limit.{limit}.allowed");
        assert_eq!(envoy.stat(&name).await, 90, "{limit}");
    }
}

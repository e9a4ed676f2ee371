//! rate-limit in a real Envoy: what clients are told, read by another implementation of structured fields, and true.

use futures_util::future::join_all;
use seawall_tests::prelude::*;
use sfv::{BareItem, Item, List, ListEntry, Parser};

/// The items of a list, which may have several lines.
fn list(answer: &Answer, field: &str) -> Vec<Item> {
    let value = answer.all(field).join(", ");
    let list: List = Parser::new(&value)
        .parse()
        .unwrap_or_else(|error| panic!("{field}: {value:?}: {error}"));
    let items = list.into_iter().map(|entry| match entry {
        ListEntry::Item(item) => item,
        ListEntry::InnerList(_) => panic!("an inner list in {value:?}"),
    });
    items.collect()
}

fn name(item: &Item) -> &str {
    match &item.bare_item {
        BareItem::String(name) => name.as_str(),
        other => panic!("a string is needed, not {other:?}"),
    }
}

fn integer(item: &Item, parameter: &str) -> Option<i64> {
    item.params.get(parameter).map(|value| match value {
        BareItem::Integer(number) => i64::from(*number),
        other => panic!("{parameter} is {other:?}"),
    })
}

/// Both fields are what the draft wants; returns what is left of each policy.
fn checked(answer: &Answer) -> Vec<(String, i64)> {
    let policies = list(answer, "ratelimit-policy");
    for policy in &policies {
        assert!(integer(policy, "q").unwrap() >= 0);
        assert!(integer(policy, "w").is_none_or(|window| window > 0));
    }
    let limits = list(answer, "ratelimit");
    let names: Vec<&str> = policies.iter().map(name).collect();
    limits
        .iter()
        .map(|limit| {
            assert!(names.contains(&name(limit)), "no policy for {limit:?}");
            let remaining = integer(limit, "r").unwrap();
            assert!(remaining >= 0);
            assert!(integer(limit, "t").is_none_or(|reset| reset >= 0));
            (name(limit).to_owned(), remaining)
        })
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn fields_are_structured_fields_on_every_answer() {
    let upstream = Upstream::start().await;
    upstream.always(
        Reply::ok("hi")
            .header("ratelimit", "\"origin\";r=0;t=9;pk=:YQ==:")
            .header("ratelimit-policy", "\"origin\";q=1;w=9"),
    );
    let envoy = Envoy::to(&upstream)
        .filter(
            "rate-limit",
            json!({
                "headers": "both",
                "limits": [
                    {"name": "burst", "requests": 10, "per": "1s", "burst": 1_000_000_000, "algorithm": "gcra"},
                    {"name": "year", "requests": 3, "per": "year", "algorithm": "fixed_window"},
                    {"name": "slide", "requests": 1_000_000_000, "per": "1500ms", "algorithm": "sliding_window"},
                    {"name": "week", "requests": 9, "per": "week", "algorithm": "fixed_window"},
                    {"name": "places", "concurrent": 5},
                ],
            }),
        )
        .start()
        .await;
    for round in 0..6 {
        let answer = envoy.get("/").await;
        let mut left = checked(&answer);
        if answer.status == 200 {
            // What the upstream said is still there, as it was.
            assert_eq!(left.remove(0), ("origin".to_owned(), 0));
        }
        assert_eq!(answer.status, if round < 3 { 200 } else { 429 });
        let names: Vec<&str> = left.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names, ["burst", "year", "slide", "week", "places"]);
        assert_eq!(left[1].1, i64::max(2 - round, 0));
        assert_eq!(
            left[3].1,
            i64::max(8 - round, 6),
            "a refusal charges nothing"
        );
        let policy = list(&answer, "ratelimit-policy");
        let places = policy.iter().find(|policy| name(policy) == "places");
        let unit = places.unwrap().params.get("qu").unwrap();
        assert_eq!(unit.as_string().unwrap().as_str(), "concurrent-requests");
        let remaining: i64 = answer
            .header("x-ratelimit-remaining")
            .unwrap()
            .parse()
            .unwrap();
        assert_eq!(remaining, left.iter().map(|(_, left)| *left).min().unwrap());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn stricter_fields_of_the_upstream_are_never_loosened() {
    let upstream = Upstream::start().await;
    let envoy = Envoy::to(&upstream)
        .filter(
            "rate-limit",
            json!({"headers": "both", "limits": [{"name": "a", "requests": 50, "per": "1h"}]}),
        )
        .start()
        .await;
    for (theirs, stays) in [
        ("0", true),
        ("40", true),
        ("1000, 0", true),
        ("0.5", true),
        ("1000", false),
        ("many", false),
    ] {
        upstream.always(
            Reply::ok("hi")
                .header("x-ratelimit-limit", "60")
                .header("x-ratelimit-remaining", theirs)
                .header("x-ratelimit-reset", "77"),
        );
        let answer = envoy.get("/").await;
        let fields = ["limit", "remaining", "reset"].map(|field| {
            let lines = answer.all(&format!("x-ratelimit-{field}"));
            assert_eq!(lines.len(), 1, "{field}: {lines:?}");
            lines[0].to_owned()
        });
        let kept = fields == ["60", theirs, "77"];
        assert_eq!(kept, stays, "{theirs}: {fields:?}");
    }
    // A refusal of the upstream's own keeps its word about when to come back.
    upstream.always(Reply::status(429).header("retry-after", "3600"));
    let answer = envoy.get("/").await;
    assert_eq!(
        (answer.status, answer.all("retry-after")),
        (429, vec!["3600"])
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_head_request_is_refused_without_a_body() {
    let upstream = Upstream::start().await;
    let envoy = Envoy::to(&upstream)
        .filter(
            "rate-limit",
            json!({"limits": [{"name": "a", "requests": 1, "per": "1d"}]}),
        )
        .start()
        .await;
    assert_eq!(envoy.send("HEAD", "/", &[], b"").await.status, 200);
    for accept in ["*/*", "application/problem+json"] {
        let refused = envoy.send("HEAD", "/", &[("accept", accept)], b"").await;
        assert_eq!((refused.status, refused.body.len()), (429, 0));
        assert!(refused.header("retry-after").is_some());
        assert_eq!(checked(&refused), [("a".to_owned(), 0)]);
        // The connection is still in step.
        assert_eq!(envoy.get("/").await.text().trim(), "rate limit exceeded");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn while_a_client_is_banned_nothing_is_left() {
    let upstream = Upstream::start().await;
    let envoy = Envoy::to(&upstream)
        .filter(
            "rate-limit",
            json!({"headers": "both", "limits": [{
                "name": "a", "requests": 1000, "per": "1s", "burst": 1,
                "penalty": {"refusals": 1, "within": "1m", "block_for": "1h"}
            }]}),
        )
        .start()
        .await;
    // However slow this machine is: one of a burst is refused, which bans.
    let refused = |answer: &Answer| answer.status == 429;
    let first = loop {
        let answers = envoy.burst("/", 32, 8).await;
        if let Some(answer) = answers.into_iter().find(refused) {
            break answer;
        }
    };
    for answer in [first, envoy.get("/").await] {
        // The quota itself is back after a millisecond.
        assert_eq!(checked(&answer), [("a".to_owned(), 0)]);
        let wait: i64 = answer.header("retry-after").unwrap().parse().unwrap();
        assert!((3_000..=3_600).contains(&wait), "{wait}");
        assert_eq!(integer(&list(&answer, "ratelimit")[0], "t"), Some(wait));
        let reset = answer.header("x-ratelimit-reset").unwrap();
        assert_eq!(reset.parse(), Ok(wait));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refusal_says_of_every_limit_when_more_is_left() {
    let upstream = Upstream::start().await;
    let envoy = Envoy::to(&upstream)
        .filter(
            "rate-limit",
            json!({"limits": [
                {"name": "tight", "requests": 1, "per": "1d", "penalty": {"refusals": 1, "within": "1m", "block_for": "1m"}},
                {"name": "wide", "requests": 5, "per": "1d"},
            ]}),
        )
        .start()
        .await;
    assert_eq!(envoy.get("/").await.status, 200);
    for _ in 0..3 {
        let refused = envoy.get("/").await;
        assert_eq!(refused.status, 429);
        let wait: i64 = refused.header("retry-after").unwrap().parse().unwrap();
        assert_eq!(
            checked(&refused),
            [("tight".to_owned(), 0), ("wide".to_owned(), 4)]
        );
        let fields = list(&refused, "ratelimit");
        // The ban is over long before the limit has anything again.
        assert!((80_000..=86_400).contains(&wait), "{wait}");
        assert_eq!(integer(&fields[0], "t"), Some(wait));
        let of_the_other = integer(&fields[1], "t").unwrap();
        assert!((10_000..=17_280).contains(&of_the_other), "{of_the_other}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn of_limits_without_anything_left_the_single_fields_show_the_longest_wait() {
    let upstream = Upstream::start().await;
    let envoy = Envoy::to(&upstream)
        .filter(
            "rate-limit",
            json!({"headers": "x_ratelimit", "limits": [
                {"name": "short", "requests": 1, "per": "1h"},
                {"name": "long", "requests": 1, "per": "10d"}
            ]}),
        )
        .start()
        .await;
    for status in [200, 429] {
        let answer = envoy.get("/").await;
        assert_eq!(answer.status, status);
        let reset = answer.header("x-ratelimit-reset").unwrap();
        let seconds: u64 = reset.parse().unwrap();
        assert!((800_000..=864_000).contains(&seconds), "{seconds}");
        let wait = answer.header("retry-after");
        assert_eq!(wait, (status == 429).then_some(reset));
    }
}

/// Limits of which each client that waits as long as it is told is admitted.
fn limits_to_wait_for() -> Vec<(&'static str, Value)> {
    vec![
        ("rate", json!([{"name": "a", "requests": 2, "per": "3s"}])),
        (
            "sliding",
            json!([{"name": "a", "requests": 2, "per": "2s", "algorithm": "sliding_window"}]),
        ),
        (
            "calendar",
            json!([{"name": "a", "requests": 2, "per": "2s", "algorithm": "fixed_window"}]),
        ),
        (
            "together",
            json!([
                {"name": "a", "requests": 3, "per": "2s", "algorithm": "sliding_window"},
                {"name": "b", "requests": 2, "per": "4s", "algorithm": "fixed_window"},
                {"name": "c", "requests": 9, "per": "1s", "key": ["path"]},
            ]),
        ),
        (
            "penalty",
            json!([{"name": "a", "requests": 1, "per": "1s",
                "penalty": {"refusals": 2, "within": "1m", "block_for": "3s"}}]),
        ),
        (
            "counted",
            json!([{"name": "a", "requests": 2, "per": "2s", "count_refused": true}]),
        ),
        (
            "costly",
            json!([{"name": "a", "requests": 6, "per": "4s", "cost": 4}]),
        ),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn who_waits_as_long_as_it_is_told_is_admitted() {
    let upstream = Upstream::start().await;
    let mut builder = Envoy::to(&upstream).filter("rate-limit", json!({}));
    for (path, limits) in limits_to_wait_for() {
        let route = Route::path(&format!("/{path}"))
            .metadata("seawall.rate_limit", json!({"limits": limits}));
        builder = builder.route(route);
    }
    let envoy = builder.start().await;
    let waiting = limits_to_wait_for().into_iter().map(|(path, _)| {
        let client = envoy.client();
        async move {
            let path = format!("/{path}");
            for _ in 0..3 {
                // Twice in a row, so that the penalty comes, and so that nothing is charged after what it is told.
                let mut in_a_row = 0;
                let refused = loop {
                    let answer = client.get(&path).await;
                    in_a_row = if answer.status == 429 {
                        in_a_row + 1
                    } else {
                        0
                    };
                    if in_a_row == 2 {
                        break answer;
                    }
                };
                let seconds: u64 = refused.header("retry-after").unwrap().parse().unwrap();
                assert!((1..=8).contains(&seconds), "{path}: {seconds}");
                // This is what the client is told to do.
                tokio::time::sleep(Duration::from_secs(seconds)).await;
                let admitted = client.get(&path).await;
                assert_eq!(admitted.status, 200, "{path} after {seconds} s");
            }
        }
    });
    join_all(waiting).await;
}

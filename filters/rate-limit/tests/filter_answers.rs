//! What clients are told: fields, statuses, bodies.
#![cfg(not(target_arch = "wasm32"))]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    dead_code,
    reason = "test code"
)]

mod common;

use common::filter::{all, answered, ask, begin, passes, passing, rig, wait, Rig};
use serde_json::{json, Value};

fn limit(more: Value) -> Value {
    let mut configuration = json!({"limits": [{"name": "a", "requests": 2, "per": "1m"}]});
    for (field, value) in more.as_object().unwrap() {
        configuration[field] = value.clone();
    }
    configuration
}

fn response(rig: &mut Rig, from_upstream: &[(&str, &str)]) -> Vec<(String, String)> {
    let (exchange, _) = begin(rig, &[], &[]);
    answered(rig, exchange, from_upstream)
}

#[test]
fn admitted_and_refused_carry_the_structured_fields() {
    let mut rig = rig(limit(json!({})));
    for (remaining, reset) in [(1, 30), (0, 30)] {
        let fields = response(&mut rig, &[(":status", "200")]);
        assert_eq!(all(&fields, "ratelimit-policy"), ["\"a\";q=2;w=60"]);
        assert_eq!(
            all(&fields, "ratelimit"),
            [format!("\"a\";r={remaining};t={reset}")]
        );
    }
    wait(&rig, 10);
    let refused = ask(&mut rig, &[]).unwrap();
    assert_eq!(refused.status, 429);
    assert_eq!(refused.header("retry-after"), Some("20"));
    assert_eq!(refused.header("ratelimit-policy"), Some("\"a\";q=2;w=60"));
    assert_eq!(refused.header("ratelimit"), Some("\"a\";r=0;t=20"));
    assert_eq!(refused.header("x-envoy-ratelimited"), Some("true"));
    assert_eq!(refused.header("content-type"), Some("text/plain"));
    assert_eq!(refused.body, b"rate limit exceeded\n");
    assert_eq!(refused.details, "seawall.rate_limit.refused.a");
}

#[test]
fn retry_after_is_true_and_not_too_long() {
    for algorithm in ["gcra", "sliding_window", "fixed_window"] {
        for seconds_before in [0, 7, 59] {
            let mut rig = rig(json!({"limits": [
                {"name": "a", "requests": 3, "per": "1m", "algorithm": algorithm}
            ]}));
            wait(&rig, seconds_before);
            assert_eq!(passing(&mut rig, &[], 5), 3);
            let seconds: u64 = ask(&mut rig, &[])
                .unwrap()
                .header("retry-after")
                .unwrap()
                .parse()
                .unwrap();
            wait(&rig, seconds - 1);
            if seconds > 1 {
                assert!(
                    ask(&mut rig, &[]).is_some(),
                    "{algorithm}: {seconds} is too long"
                );
            }
            wait(&rig, 1);
            assert!(
                ask(&mut rig, &[]).is_none(),
                "{algorithm}: {seconds} is too short"
            );
        }
    }
}

#[test]
fn retry_after_is_at_least_one() {
    let mut rig = rig(json!({"limits": [{"name": "a", "requests": 1000, "per": "1s"}]}));
    assert_eq!(passing(&mut rig, &[], 1_000), 1_000);
    assert_eq!(ask(&mut rig, &[]).unwrap().header("retry-after"), Some("1"));
}

#[test]
fn jitter_is_added_within_its_bounds() {
    let mut rig = rig(limit(json!({"answer": {"retry_after_jitter": "5s"}})));
    passing(&mut rig, &[], 2);
    let mut seen = std::collections::BTreeSet::new();
    for _ in 0..200 {
        let seconds: u64 = ask(&mut rig, &[])
            .unwrap()
            .header("retry-after")
            .unwrap()
            .parse()
            .unwrap();
        seen.insert(seconds);
    }
    assert_eq!(
        seen.into_iter().collect::<Vec<_>>(),
        [30, 31, 32, 33, 34, 35]
    );
}

#[test]
fn the_upstreams_own_fields_are_never_loosened() {
    let mut rig = rig(limit(json!({"headers": "both"})));
    let theirs = [
        (":status", "200"),
        ("ratelimit", "\"origin\";r=0;t=9"),
        ("ratelimit-policy", "\"origin\";q=1;w=9"),
        ("x-ratelimit-limit", "7"),
        ("x-ratelimit-remaining", "0"),
        ("x-ratelimit-reset", "9"),
    ];
    let fields = response(&mut rig, &theirs);
    assert_eq!(
        all(&fields, "ratelimit"),
        ["\"origin\";r=0;t=9", "\"a\";r=1;t=30"]
    );
    assert_eq!(all(&fields, "ratelimit-policy").len(), 2);
    assert_eq!(all(&fields, "x-ratelimit-limit"), ["7"]);
    assert_eq!(all(&fields, "x-ratelimit-remaining"), ["0"]);
    let looser = [
        (":status", "200"),
        ("x-ratelimit-remaining", "50"),
        ("x-ratelimit-limit", "99"),
    ];
    let fields = response(&mut rig, &looser);
    assert_eq!(all(&fields, "x-ratelimit-remaining"), ["0"]);
    assert_eq!(all(&fields, "x-ratelimit-limit"), ["2"]);
    assert_eq!(all(&fields, "x-ratelimit-reset"), ["30"]);
    let refused = ask(&mut rig, &[]).unwrap();
    assert_eq!(refused.header("x-ratelimit-remaining"), Some("0"));
}

#[test]
fn the_upstreams_word_is_understood_in_every_form() {
    let kept = |lines: &[&str]| {
        let mut rig = rig(limit(json!({"headers": "x_ratelimit"})));
        let mut theirs = vec![(":status", "200"), ("x-ratelimit-limit", "7")];
        theirs.extend(lines.iter().map(|line| ("x-ratelimit-remaining", *line)));
        let fields = response(&mut rig, &theirs);
        all(&fields, "x-ratelimit-limit") == ["7"]
    };
    for stricter in [
        &["0"][..],
        &["50", "0"],
        &["50, 0"],
        &["0.5"],
        &["1;w=60"],
        &["-1"],
    ] {
        assert!(kept(stricter), "{stricter:?}");
    }
    for looser in [
        &["50"][..],
        &["50", "60"],
        &["60, 50"],
        &["many"],
        &[""],
        &["99999999999999999999"],
    ] {
        assert!(!kept(looser), "{looser:?}");
    }
}

#[test]
fn the_single_fields_are_those_of_the_limit_that_is_waited_for() {
    let limit = |name: &str, requests: u64, per: &str| json!({"name": name, "requests": requests, "per": per});
    let ask_twice = |limits: Value| {
        let mut rig = rig(json!({"limits": limits, "headers": "x_ratelimit"}));
        assert!(passes(&mut rig, &[]));
        let refused = ask(&mut rig, &[]).unwrap();
        let of = |name: &str| refused.header(name).unwrap().to_owned();
        let names = ["x-ratelimit-remaining", "x-ratelimit-reset", "retry-after"];
        names.map(of)
    };
    // Nothing is left of either.
    let both = json!([limit("short", 1, "10s"), limit("long", 1, "1h")]);
    assert_eq!(ask_twice(both), ["0", "3600", "3600"]);
    // More is left of the one that refuses than of the other.
    let mut costly = limit("costly", 10, "1h");
    costly["cost"] = json!(6);
    let other = json!([limit("other", 2, "10s"), costly]);
    assert_eq!(ask_twice(other), ["4", "360", "720"]);
}

#[test]
fn a_response_that_says_its_cost_tells_what_is_left_after_it() {
    for algorithm in ["gcra", "sliding_window", "fixed_window"] {
        let charged = |reserve: u64, cost: &str| {
            let mut rig = rig(json!({"headers": "both", "limits": [{
                "name": "a", "requests": 10, "per": "10s", "algorithm": algorithm,
                "charge": {"header": "x-cost", "reserve": reserve}
            }]}));
            let fields = response(&mut rig, &[(":status", "200"), ("x-cost", cost)]);
            let left = all(&fields, "ratelimit")[0].to_owned();
            assert_eq!(all(&fields, "x-ratelimit-remaining").len(), 1);
            let next = response(&mut rig, &[(":status", "200"), ("x-cost", "0")]);
            // What the next one is told if it costs nothing.
            assert_eq!(
                all(&next, "ratelimit")[0],
                left,
                "{algorithm} {reserve} {cost}"
            );
            left
        };
        assert!(charged(0, "3").starts_with("\"a\";r=7;t="));
        assert!(charged(5, "3").starts_with("\"a\";r=7;t="));
        assert!(charged(3, "3").starts_with("\"a\";r=7;t="));
        assert_eq!(charged(5, "0"), "\"a\";r=10");
    }
    // It owes.
    let mut rig = rig(limit(json!({"limits": [{
        "name": "a", "requests": 10, "per": "10s", "charge": {"header": "x-cost"}
    }]})));
    let fields = response(&mut rig, &[(":status", "200"), ("x-cost", "25")]);
    assert_eq!(all(&fields, "ratelimit"), ["\"a\";r=0;t=16"]);
}

#[test]
fn which_fields_is_a_choice() {
    for (choice, ietf, older) in [
        ("ietf", 1, 0),
        ("x_ratelimit", 0, 1),
        ("both", 1, 1),
        ("none", 0, 0),
    ] {
        let mut rig = rig(limit(json!({"headers": choice})));
        let fields = response(&mut rig, &[(":status", "200")]);
        assert_eq!(all(&fields, "ratelimit").len(), ietf, "{choice}");
        assert_eq!(
            all(&fields, "x-ratelimit-remaining").len(),
            older,
            "{choice}"
        );
    }
}

#[test]
fn a_redirect_may_be_followed() {
    let mut rig = rig(limit(json!({})));
    assert_eq!(
        all(&response(&mut rig, &[(":status", "302")]), "ratelimit").len(),
        1
    );
    assert_eq!(
        all(&response(&mut rig, &[(":status", "302")]), "ratelimit").len(),
        0
    );
}

#[test]
fn not_modified_is_no_redirect() {
    let mut rig = rig(limit(
        json!({"limits": [{"name": "a", "requests": 1, "per": "1m"}]}),
    ));
    assert_eq!(
        all(&response(&mut rig, &[(":status", "304")]), "ratelimit"),
        ["\"a\";r=0;t=60"]
    );
}

#[test]
fn several_limits_are_all_shown_and_the_longest_wait_counts() {
    let mut rig = rig(json!({"limits": [
        {"name": "second", "requests": 1, "per": "1s"},
        {"name": "day", "requests": 1, "per": "1d"},
        {"name": "quiet", "requests": 1, "per": "1h", "shadow": true},
    ]}));
    let fields = response(&mut rig, &[(":status", "200")]);
    assert_eq!(
        all(&fields, "ratelimit"),
        ["\"second\";r=0;t=1, \"day\";r=0;t=86400"]
    );
    let refused = ask(&mut rig, &[("accept", "application/problem+json")]).unwrap();
    assert_eq!(refused.header("retry-after"), Some("86400"));
    let problem: Value = serde_json::from_slice(&refused.body).unwrap();
    assert_eq!(problem["violated-policies"], json!(["second", "day"]));
}

#[test]
fn what_is_left_of_the_others_is_as_if_nothing_had_been_charged() {
    let mut rig = rig(json!({"limits": [
        {"name": "second", "requests": 1, "per": "1s"},
        {"name": "day", "requests": 5, "per": "1d", "cost": 2},
    ]}));
    response(&mut rig, &[(":status", "200")]);
    for _ in 0..3 {
        let refused = ask(&mut rig, &[]).unwrap();
        let wanted = "\"second\";r=0;t=1, \"day\";r=3;t=17280";
        assert_eq!(refused.header("ratelimit"), Some(wanted));
    }
}

#[test]
fn the_answer_is_configurable() {
    let mut rig = rig(limit(json!({
        "answer": {"status": 503, "body": "{\"busy\":true}", "content_type": "application/json"}
    })));
    passing(&mut rig, &[], 2);
    let refused = ask(&mut rig, &[]).unwrap();
    assert_eq!(refused.status, 503);
    assert_eq!(refused.header("content-type"), Some("application/json"));
    assert_eq!(refused.body, b"{\"busy\":true}");
}

#[test]
fn a_refusal_carries_more_fields_where_it_is_to() {
    let mut rig = rig(limit(json!({
        "answer": {"headers": {"X-Reason": "too many", "link": "</limits>;rel=help"}}
    })));
    passing(&mut rig, &[], 2);
    for request in [
        &[("accept", "application/problem+json")][..],
        &[("content-type", "application/grpc")],
    ] {
        let refused = ask(&mut rig, request).unwrap();
        assert_eq!(refused.header("x-reason"), Some("too many"));
        assert_eq!(refused.header("link"), Some("</limits>;rel=help"));
        assert_eq!(refused.header("retry-after"), Some("30"));
    }
}

#[test]
fn problem_documents_are_for_who_accepts_them() {
    let mut both = rig(limit(json!({})));
    let mut never = rig(limit(json!({"answer": {"problem_json": false}})));
    passing(&mut both, &[], 2);
    passing(&mut never, &[], 2);
    for (accept, problem) in [
        ("application/problem+json", true),
        ("text/html, application/Problem+JSON;q=0.5", true),
        ("application/*", true),
        ("*/*", false),
        ("application/json", false),
        ("application/problem+json;q=0", false),
        ("application/problem+json; q=0.0", false),
        ("application/problem+json; Q=0", false),
        ("application/*, application/problem+json;q=0", false),
        ("application/problem+json, application/*;q=0", true),
        ("", false),
    ] {
        let refused = ask(&mut both, &[("accept", accept)]).unwrap();
        let kind = refused.header("content-type").unwrap();
        assert_eq!(kind == "application/problem+json", problem, "{accept}");
        if problem {
            let document: Value = serde_json::from_slice(&refused.body).unwrap();
            assert_eq!(
                document["type"],
                "https://iana.org/assignments/http-problem-types#quota-exceeded"
            );
            assert_eq!(document["status"], 429);
            assert_eq!(document["violated-policies"], json!(["a"]));
            assert!(document["title"].is_string());
        }
        let refused = ask(&mut never, &[("accept", accept)]).unwrap();
        assert_eq!(refused.header("content-type"), Some("text/plain"));
    }
}

#[test]
fn what_is_logged_belongs_to_one_limit() {
    let limits = json!([
        {"name": "other", "requests": 3, "per": "10s"},
        {"name": "costly", "requests": 10, "per": "1h", "cost": 6}
    ]);
    let mut rig = rig(json!({"limits": limits, "access_log": true}));
    for logged in [["allowed", "other", "2"], ["refused", "costly", "4"]] {
        let (exchange, _) = begin(&mut rig, &[], &[]);
        for (what, value) in ["decision", "limit", "remaining"].iter().zip(logged) {
            let found = rig.property(&exchange, &format!("seawall.rate_limit.{what}"));
            assert_eq!(found.as_deref(), Some(value.as_bytes()), "{what}");
        }
        rig.finish(exchange);
    }
}

#[test]
fn no_ban_makes_possible_what_never_is() {
    let mut rig = rig(limit(json!({"limits": [{
        "name": "a", "requests": 10, "per": "1m", "cost": {"header": "x-cost"},
        "penalty": {"refusals": 1, "within": "1m", "block_for": "30s"}
    }]})));
    for _ in 0..3 {
        let refused = ask(&mut rig, &[("x-cost", "11")]).unwrap();
        assert_eq!(refused.header("retry-after"), None);
    }
    // The ban is real, and over by then.
    let refused = ask(&mut rig, &[("x-cost", "10")]).unwrap();
    assert_eq!(refused.header("retry-after"), Some("30"));
    wait(&rig, 30);
    assert!(passes(&mut rig, &[("x-cost", "10")]));
}

#[test]
fn of_a_long_page_grpc_callers_get_the_beginning() {
    // The message is a header: of a long page it has the beginning.
    let grpc = [("content-type", "application/grpc")];
    for (body, length) in [
        ("page ".repeat(9_000), 1_024),
        ("\u{fc}".repeat(9_000), 1_024),
        ("\u{20ac}".repeat(9_000), 1_023),
        ("a\n".to_owned(), 1),
    ] {
        let mut rig = rig(limit(json!({"answer": {"body": body}})));
        passing(&mut rig, &[], 2);
        let refused = ask(&mut rig, &grpc).unwrap();
        assert_eq!(refused.body, body.as_bytes()[..length], "{length}");
        assert_eq!(ask(&mut rig, &[]).unwrap().body, body.as_bytes());
    }
}

#[test]
fn policies_say_bursts_and_units() {
    let policy = |limit: Value| {
        let mut rig = rig(json!({"limits": [limit]}));
        let fields = response(&mut rig, &[(":status", "200")]);
        all(&fields, "ratelimit-policy")[0].to_owned()
    };
    assert_eq!(
        policy(json!({"name": "b", "requests": 10, "per": "1s", "burst": 50})),
        "\"b\";q=10;w=1;seawall-burst=50"
    );
    assert_eq!(
        policy(json!({"name": "b", "requests": 10, "per": "500ms"})),
        "\"b\";q=10"
    );
    assert_eq!(
        policy(json!({"name": "b", "requests": 10, "per": "day", "algorithm": "fixed_window"})),
        "\"b\";q=10;w=86400"
    );
    assert_eq!(
        policy(json!({"name": "b", "requests": 10, "per": "month", "algorithm": "fixed_window"})),
        "\"b\";q=10"
    );
    assert_eq!(
        policy(json!({"name": "b", "concurrent": 10})),
        "\"b\";q=10;qu=\"concurrent-requests\""
    );
    // Of a limit that replicas share, all numbers are those of one.
    let mut rig = rig(json!({"replicas": 4, "limits": [
        {"name": "a", "requests": 100, "per": "1s"},
        {"name": "b", "requests": 100, "per": "1s", "burst": 20}
    ]}));
    let fields = response(&mut rig, &[(":status", "200")]);
    assert_eq!(
        all(&fields, "ratelimit-policy"),
        ["\"a\";q=25;w=1, \"b\";q=25;w=1;seawall-burst=5"]
    );
}

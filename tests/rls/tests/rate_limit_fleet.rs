//! Limits that two Envoys share through a real service on a real Redis.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "test code"
)]

mod common;

use common::{envoy, Redis, Rls};
use seawall_tests::client::burst;
use seawall_tests::envoy::{free_address, Shipped};
use seawall_tests::prelude::*;
use std::net::SocketAddr;

const CALLS: &str = "wasmcustom.seawall.rate_limit.fleet_calls";
const ERRORS: &str = "wasmcustom.seawall.rate_limit.fleet_errors";

fn metric(limit: &str, what: &str) -> String {
    format!("wasmcustom.seawall.rate_limit.limit.{limit}.{what}")
}

/// A hundred requests a day for a tenant, whichever Envoy they come to.
fn hundred(more: Value) -> Value {
    let mut configuration = json!({
        "fleet": {"cluster": "ratelimit", "timeout": "20s", "on_error": "deny", "max_waiting": 4096},
        "limits": [
            {"name": "tenant", "key": [{"header": "x-tenant-id"}], "scope": "fleet", "requests": 100, "per": "1d"},
        ],
    });
    for (field, value) in more.as_object().unwrap() {
        configuration[field] = value.clone();
    }
    configuration
}

async fn acme(address: SocketAddr, count: usize) -> Vec<Answer> {
    burst(address, count, 16, |_| {
        let tenant = ("x-tenant-id".to_owned(), "acme".to_owned());
        ("/".to_owned(), vec![tenant])
    })
    .await
}

fn with_status(answers: &[Answer], status: u16) -> usize {
    answers
        .iter()
        .filter(|answer| answer.status == status)
        .count()
}

#[tokio::test(flavor = "multi_thread")]
async fn two_envoys_share_one_limit_exactly_and_a_flood_does_not_reach_the_service() {
    let upstream = Upstream::start().await;
    let redis = Redis::start().await;
    let service = Rls::start(&redis);
    let one = envoy(&upstream, service.address, hundred(json!({})))
        .start()
        .await;
    let other = envoy(&upstream, service.address, hundred(json!({})))
        .start()
        .await;
    let (first, second) = tokio::join!(acme(one.address, 1_000), acme(other.address, 1_000));
    let passed = with_status(&first, 200) + with_status(&second, 200);
    let refused = with_status(&first, 429) + with_status(&second, 429);
    assert_eq!((passed, refused), (100, 1_900));
    assert_eq!(upstream.hits(), 100);
    for refused in first.iter().filter(|answer| answer.status == 429) {
        let wait: u64 = refused.header("retry-after").unwrap().parse().unwrap();
        assert!((86_000..=86_400).contains(&wait), "{wait}");
        assert!(refused
            .header("ratelimit")
            .unwrap()
            .starts_with("\"tenant\";r=0;t="));
    }
    let allowed = one.stat(&metric("tenant", "allowed")).await;
    assert_eq!(
        allowed + other.stat(&metric("tenant", "allowed")).await,
        100
    );
    // Each has heard of the refusal by now: nobody asks again.
    for envoy in [&one, &other] {
        acme(envoy.address, 1).await;
        let before = envoy.stat(CALLS).await;
        assert!(before < 1_000, "{before} calls for 1,001 requests");
        assert_eq!(with_status(&acme(envoy.address, 500).await, 429), 500);
        assert_eq!(envoy.stat(CALLS).await, before);
        assert_eq!(
            envoy.stat("cluster.ratelimit.upstream_rq_total").await,
            before
        );
    }
    // Another tenant is not affected, and sees what the fleet has left.
    for (number, envoy) in [&one, &other, &one].into_iter().enumerate() {
        let answer = envoy.get_with("/", &[("x-tenant-id", "other")]).await;
        assert_eq!(answer.status, 200);
        let left = format!("\"tenant\";r={};t=", 99 - number);
        assert!(answer.header("ratelimit").unwrap().starts_with(&left));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_fleet_refuses_is_not_charged_here_and_the_other_way_round() {
    let upstream = Upstream::start().await;
    let redis = Redis::start().await;
    let service = Rls::start(&redis);
    let configuration = hundred(json!({"limits": [
        {"name": "user", "key": [{"header": "x-user"}], "requests": 60, "per": "1d"},
        {"name": "tenant", "key": [{"header": "x-tenant-id"}], "scope": "fleet", "requests": 100, "per": "1d"},
    ]}));
    let envoy = envoy(&upstream, service.address, configuration)
        .start()
        .await;
    let user = |user: &'static str, count| {
        burst(envoy.address, count, 16, move |_| {
            let headers = [("x-user", user), ("x-tenant-id", "acme")];
            let owned = headers.map(|(name, value)| (name.to_owned(), value.to_owned()));
            ("/".to_owned(), owned.to_vec())
        })
    };
    // What is refused here never reaches the service: 60 of its 100 are used.
    assert_eq!(with_status(&user("a", 200).await, 200), 60);
    assert_eq!(envoy.stat(CALLS).await, 60);
    // The 40 that are left; what the service refuses does not cost the user.
    assert_eq!(with_status(&user("b", 200).await, 200), 40);
    let more = envoy
        .get_with("/", &[("x-user", "b"), ("x-tenant-id", "fresh")])
        .await;
    assert_eq!(more.status, 200);
    assert!(
        more.all("ratelimit").join(", ").contains("\"user\";r=19;"),
        "{:?}",
        more.all("ratelimit")
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn what_costs_too_much_leaves_what_is_left_to_what_costs_less() {
    let upstream = Upstream::start().await;
    let redis = Redis::start().await;
    let service = Rls::start(&redis);
    let configuration = hundred(json!({"limits": [
        {"name": "tokens", "scope": "fleet", "requests": 100, "per": "1d", "cost": {"header": "x-cost"}},
    ]}));
    let envoy = envoy(&upstream, service.address, configuration)
        .start()
        .await;
    let client = envoy.client();
    let ask = async |cost: &str| client.get_with("/", &[("x-cost", cost)]).await;
    assert_eq!(ask("60").await.status, 200);
    let refused = ask("50").await;
    assert_eq!(refused.status, 429);
    assert!(refused.header("retry-after").is_some());
    let calls = envoy.stat(CALLS).await;
    for cost in ["50", "41", "90"] {
        assert_eq!(ask(cost).await.status, 429, "{cost}");
    }
    // No window has room for it.
    let never = ask("101").await;
    assert_eq!(never.status, 429);
    assert_eq!(never.header("retry-after"), None);
    assert_eq!(
        envoy.stat(CALLS).await,
        calls,
        "the service is not asked again"
    );
    for _ in 0..4 {
        assert_eq!(ask("10").await.status, 200);
    }
    assert_eq!(ask("1").await.status, 429);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_service_dies_and_comes_back() {
    for (on_error, while_dead) in [("local", 50), ("allow", 130), ("deny", 0)] {
        let upstream = Upstream::start().await;
        let redis = Redis::start().await;
        // It comes back there, so nobody may be given the port meanwhile.
        let mut service = Rls::at(&redis, &free_address().to_string());
        let configuration = json!({
            "fleet": {"cluster": "ratelimit", "timeout": "20s", "on_error": on_error},
            "limits": [
                {"name": "tenant", "key": [{"header": "x-tenant-id"}], "scope": "fleet", "requests": 50, "per": "1d"},
                {"name": "all", "requests": 150, "per": "1d"},
            ],
        });
        let envoy = envoy(&upstream, service.address, configuration)
            .start()
            .await;
        assert_eq!(with_status(&acme(envoy.address, 20).await, 200), 20);
        let load = acme(envoy.address, 600);
        let death = async {
            eventually("some are asked", || async {
                (upstream.hits() > 22).then_some(())
            })
            .await;
            service.kill();
        };
        let (answers, ()) = tokio::join!(load, death);
        assert!(answers
            .iter()
            .all(|answer| [200, 429, 503].contains(&answer.status)));
        let before = upstream.hits();
        assert!((22..=150).contains(&before), "{before}");
        // A tenant whom nobody has asked about yet.
        let answers = burst(envoy.address, 400, 16, |_| {
            let tenant = ("x-tenant-id".to_owned(), "late".to_owned());
            ("/".to_owned(), vec![tenant])
        })
        .await;
        let passed = with_status(&answers, 200);
        let total = upstream.hits();
        match on_error {
            "local" => assert_eq!(passed, while_dead.min(150 - before), "{before}"),
            "deny" => assert_eq!(passed, 0),
            // The limit that is kept here is in force, whatever happens to the other.
            _ => assert_eq!(total, 150),
        }
        assert!(total <= 150, "{on_error}: {total}");
        assert!(envoy.stat(ERRORS).await > 0);
        if on_error == "deny" {
            assert_eq!(with_status(&answers, 503), 400);
            assert!(
                envoy
                    .log()
                    .matches("rate limit service does not answer")
                    .count()
                    <= 8
            );
            let _back = Rls::at(&redis, &service.address.to_string());
            eventually("the service is asked again", || async {
                let answer = envoy.get_with("/", &[("x-tenant-id", "new")]).await;
                (answer.status == 200).then_some(())
            })
            .await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_that_hangs_or_is_not_there_holds_nobody() {
    let upstream = Upstream::start().await;
    // Accepts connections and never says a word.
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    for (address, timeout) in [
        (silent.local_addr().unwrap(), "100ms"),
        ("127.0.0.1:1".parse().unwrap(), "20s"),
    ] {
        let configuration = json!({
            "fleet": {"cluster": "ratelimit", "timeout": timeout, "max_waiting": 3},
            "limits": [{"name": "tenant", "scope": "fleet", "requests": 5, "per": "1d"}],
        });
        let envoy = envoy(&upstream, address, configuration).start().await;
        let answers = acme(envoy.address, 60).await;
        assert_eq!(with_status(&answers, 200), 5, "{address}");
        assert_eq!(with_status(&answers, 429), 55, "{address}");
        assert_eq!(envoy.stat(ERRORS).await, 60);
    }
    // A cluster without any host fails before the call has begun.
    let configuration = json!({
        "fleet": {"cluster": "empty"},
        "limits": [{"name": "tenant", "scope": "fleet", "requests": 5, "per": "1d"}],
    });
    let envoy = Envoy::to(&upstream)
        .cluster(
            "empty",
            "127.0.0.1:1".parse().unwrap(),
            json!({"load_assignment": {"cluster_name": "empty", "endpoints": []}}),
        )
        .filter("rate-limit", configuration)
        .start()
        .await;
    let answers = acme(envoy.address, 60).await;
    assert_eq!(with_status(&answers, 200), 5);
    assert_eq!(with_status(&answers, 429), 55);
}

#[tokio::test(flavor = "multi_thread")]
async fn clients_that_leave_while_they_wait_are_forgotten() {
    let upstream = Upstream::start().await;
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let configuration = json!({
        "fleet": {"cluster": "ratelimit", "timeout": "30s", "max_waiting": 8, "on_error": "deny"},
        "limits": [
            {"name": "tenant", "scope": "fleet", "requests": 5, "per": "1d"},
            {"name": "places", "concurrent": 40},
        ],
    });
    let envoy = envoy(&upstream, silent.local_addr().unwrap(), configuration)
        .workers(1)
        .start()
        .await;
    let client = envoy.client();
    for round in 1..=3u64 {
        let waiting: Vec<_> = (0..8)
            .map(|_| {
                let client = client.clone();
                tokio::spawn(async move { client.get("/").await })
            })
            .collect();
        // There is room for them again, and no answer for anybody.
        envoy.wait_for_stat(CALLS, 8 * round).await;
        waiting.iter().for_each(|client| client.abort());
        let ended = "http.ingress.downstream_rq_rx_reset";
        let closed = "http.ingress.downstream_cx_destroy_remote_active_rq";
        eventually("Envoy has noticed", || async {
            let stats = envoy.stats().await;
            let of = |name: &str| stats.get(name).copied().unwrap_or_default();
            (of(ended) + of(closed) >= 8 * round).then_some(())
        })
        .await;
        assert_eq!(envoy.stat(CALLS).await, 8 * round);
    }
    assert_eq!(envoy.stat(ERRORS).await, 0);
    assert_eq!(upstream.hits(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_shipped_example_does_what_it_says() {
    let upstream = Upstream::start().await;
    let redis = Redis::start().await;
    let service = Rls::start(&redis);
    let example = || {
        Shipped::new("envoy/rate-limit-fleet.yaml")
            .replace("timeout: 250ms", "timeout: 20s")
            .replace("connect_timeout: 0.25s", "connect_timeout: 20s")
            // No time passes that gives any of it back.
            .replace("per: 1s", "per: 1h")
            .port(8080, upstream.address)
            .port(8081, service.address)
            .start(2)
    };
    let (one, other) = tokio::join!(example(), example());
    let tenant = [("x-tenant-id", "acme")];
    for (number, envoy) in [&one, &other, &one, &other].into_iter().enumerate() {
        let answer = envoy.get_with("/", &tenant).await;
        assert_eq!(answer.status, 200);
        let left = format!("\"tenant\";r={};t=", 599 - number);
        assert!(answer.header("ratelimit").unwrap().contains(&left));
    }
    // An address is limited before anybody is asked: 48 of its 50 are left.
    let answers = acme(one.address, 400).await;
    let refused = with_status(&answers, 429);
    assert_eq!((with_status(&answers, 200), refused), (48, 352));
    assert_eq!(
        one.stat(&metric("address", "refused")).await,
        refused as u64
    );
    assert_eq!(one.stat(CALLS).await as usize, 402 - refused);
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_that_waited_are_whole_and_their_decision_is_logged() {
    let upstream = Upstream::start().await;
    let redis = Redis::start().await;
    let service = Rls::start(&redis);
    let configuration = json!({
        "access_log": true,
        "fleet": {"cluster": "ratelimit", "timeout": "20s"},
        "limits": [{"name": "tenant", "scope": "fleet", "requests": 8, "per": "1d", "cost": {"header": "x-cost"}}],
    });
    let envoy = envoy(&upstream, service.address, configuration)
        .access_log(json!({
            "decision": "%FILTER_STATE(wasm.seawall.rate_limit.decision:PLAIN)%",
            "limit": "%FILTER_STATE(wasm.seawall.rate_limit.limit:PLAIN)%",
            "remaining": "%FILTER_STATE(wasm.seawall.rate_limit.remaining:PLAIN)%",
            "details": "%RESPONSE_CODE_DETAILS%",
        }))
        .start()
        .await;
    let body: Vec<u8> = (0..300_000u32).map(|number| number as u8).collect();
    let mut logged = 0;
    for client in [Client::new(envoy.address), Client::http2(envoy.address)] {
        let answer = client.send("POST", "/", &[("x-cost", "4")], &body).await;
        assert_eq!(answer.status, 200);
        // Workers write in the order of the requests only when each waits for the one before.
        logged += 1;
        envoy.access_log(logged).await;
    }
    for seen in upstream.seen() {
        assert!(seen.body == body, "{} bytes", seen.body.len());
    }
    // Refused by the service, and by what is remembered of that.
    for _ in 0..2 {
        let refused = envoy.send("POST", "/", &[], &body).await;
        assert_eq!(refused.status, 429);
        logged += 1;
        envoy.access_log(logged).await;
    }
    let lines = envoy.access_log(4).await;
    for (line, (decision, remaining)) in lines.iter().zip([
        ("allowed", "4"),
        ("allowed", "0"),
        ("refused", "0"),
        ("refused", "0"),
    ]) {
        assert_eq!(line["decision"], decision, "{line}");
        assert_eq!(line["limit"], "tenant");
        assert_eq!(line["remaining"].to_string().trim_matches('"'), remaining);
    }
    assert_eq!(lines[3]["details"], "seawall.rate_limit.refused.tenant");
    assert_eq!(envoy.stat(CALLS).await, 3);
}

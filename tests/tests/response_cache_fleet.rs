//! Three Envoys as one cache: each is an edge, and each holds a third of the objects.

use seawall_tests::client::burst;
use seawall_tests::envoy::{free_address, Shipped};
use seawall_tests::prelude::*;
use std::net::SocketAddr;

const OBJECTS: usize = 60;
const METRIC: &str = "wasmcustom.seawall.response_cache.";

/// The shipped file, for one machine of three.
fn node(own: SocketAddr, all: &[SocketAddr], origin: SocketAddr) -> Shipped {
    let mut file = Shipped::new("envoy/response-cache-fleet.yaml")
        .replace(
            "address: origin.internal, port_value: 8080",
            &format!("address: 127.0.0.1, port_value: {}", origin.port()),
        )
        .replace(
            "address: 0.0.0.0, port_value: 10010",
            &format!("address: 127.0.0.1, port_value: {}", own.port()),
        );
    // A machine that is gone refuses at once. One that is slow because others build on it must not count as gone.
    file = file.replace("- timeout: 1s", "- timeout: 20s");
    file = file.replace("connect_timeout: 0.5s", "connect_timeout: 20s");
    file = file.replace("per_try_timeout: 3s", "per_try_timeout: 20s");
    // Nor may it count as one that fetches an object for the others, and has died.
    file = file.replace(
        "max_bytes: 1GiB",
        "max_bytes: 1GiB\n                            coalesce: { wait: 1h, lease: 1h }",
    );
    for (at, address) in all.iter().enumerate() {
        file = file.replace(
            &format!("address: cache-{}.internal, port_value: 10010", at + 1),
            &format!("address: 127.0.0.1, port_value: {}", address.port()),
        );
    }
    file
}

/// Asks each Envoy for the same objects; who did not answer as it should.
async fn ask(fleet: &[&Envoy], kind: &str, objects: usize) -> Vec<Answer> {
    let mut wrong = Vec::new();
    let clients: Vec<Client> = fleet
        .iter()
        .map(|envoy| Client::fresh(envoy.address))
        .collect();
    for object in 0..objects {
        for client in &clients {
            let path = format!("/{kind}/{object}");
            let answer = client.get_with(&path, &[("host", "fleet.example")]).await;
            if (answer.status, answer.text()) != (200, path) {
                wrong.push(answer);
            }
        }
    }
    wrong
}

async fn ask_everywhere(fleet: &[&Envoy]) {
    let wrong = ask(fleet, "object", OBJECTS).await;
    assert!(wrong.is_empty(), "{wrong:?}");
}

/// How many answers each has stored so far.
async fn stored(fleet: &[&Envoy]) -> Vec<u64> {
    let mut stored = Vec::new();
    for envoy in fleet {
        stored.push(envoy.stat(&format!("{METRIC}stored")).await);
    }
    stored
}

/// Waits until every worker of every Envoy knows all three machines.
async fn agree(fleet: &[&Envoy], upstream: &Upstream) {
    let round = std::cell::Cell::new(0);
    eventually("all agree on where objects live", || async {
        round.set(round.get() + 1);
        upstream.forget();
        let wrong = ask(fleet, &format!("warm-{}", round.get()), 20).await;
        let stored = stored(fleet).await;
        let (hits, all) = (upstream.hits(), stored.iter().all(|stored| *stored > 0));
        let agreed = wrong.is_empty() && hits == 20 && all;
        if !agreed {
            let first = wrong.first().map(Answer::text);
            eprintln!(
                "round {}: {hits} requests for 20, stored {stored:?}, {} wrong, {first:?}",
                round.get(),
                wrong.len()
            );
        }
        agreed.then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn each_object_lives_once_whichever_envoy_is_asked_and_a_dead_one_is_replaced() {
    let upstream = Upstream::serving(|seen| {
        Reply::ok(seen.path.clone()).header("cache-control", "max-age=600")
    })
    .await;
    let tier = [free_address(), free_address(), free_address()];
    let start = |own: usize| node(tier[own], &tier, upstream.address).start(2);
    let (a, b, c) = tokio::join!(start(0), start(1), start(2));
    let fleet = [&a, &b, &c];
    agree(&fleet, &upstream).await;
    upstream.forget();
    let before = stored(&fleet).await;
    ask_everywhere(&fleet).await;
    assert_eq!(
        upstream.hits(),
        OBJECTS,
        "one request for each object, over all three"
    );
    let after = stored(&fleet).await;
    let held: Vec<u64> = after
        .iter()
        .zip(before)
        .map(|(after, before)| after - before)
        .collect();
    assert_eq!(held.iter().sum::<u64>(), OBJECTS as u64);
    // Where an object lives is a hash of the ports: some machine has fewer in one run of twenty million.
    assert!(
        held.iter().all(|held| *held >= 3),
        "spread over all three: {held:?}"
    );
    ask_everywhere(&fleet).await;
    assert_eq!(upstream.hits(), OBJECTS);
    // One machine fails: its objects are fetched anew by the others, the rest stays where it is, and nobody sees an error, all
    // at once as they come.
    drop(c);
    let objects = |number: usize| {
        let path = format!("/object/{}", number % OBJECTS);
        (path, vec![("host".to_owned(), "fleet.example".to_owned())])
    };
    for envoy in [&a, &b] {
        let answers = burst(envoy.address, 4 * OBJECTS, OBJECTS, objects).await;
        let wrong: Vec<_> = answers.iter().filter(|got| got.status != 200).collect();
        assert!(wrong.is_empty(), "{} {:?}", wrong.len(), wrong.first());
    }
    let again = upstream.hits() - OBJECTS;
    let lost = usize::try_from(held[2]).unwrap();
    assert!(
        (1..=2 * lost).contains(&again),
        "{again} fetched again for {lost} lost"
    );
}

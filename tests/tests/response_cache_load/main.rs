//! response-cache under load: a hot key that expires again and again, many writers, a flood of distinct URLs.
//!
//! Short by default. `SEAWALL_LONG=1` makes it a minute of steady load for each way of refreshing, and a million URLs; with
//! `-- --nocapture` the figures are printed.

use seawall_tests::client::burst;
use seawall_tests::prelude::*;

mod wire;

use wire::{flood, keep_asking, steady, Origin, Shot};

const METRIC: &str = "wasmcustom.seawall.response_cache.";

/// True for the runs that take minutes.
fn long() -> bool {
    std::env::var_os("SEAWALL_LONG").is_some()
}

/// How long the hot key lives, in seconds, and how long its origin takes for it.
const LIVES: f64 = 2.0;
const TAKES: Duration = Duration::from_millis(100);
/// A machine that lets an answer wait for longer than this is no witness of what happened about then.
const STEADY: Duration = Duration::from_millis(250);
const LANES: usize = 32;

/// A way to treat a hot key, and what came of it.
struct Run {
    name: &'static str,
    /// Requests to the origin.
    asked: usize,
    /// The most of them at a time.
    at_once: usize,
    /// Between the first and the last of them, in seconds.
    over: f64,
    /// How long Envoy waited for one of them on average, in seconds.
    mean: f64,
    /// Answers that came after the first.
    answers: usize,
    /// Of those, by way of the origin: the clients waited for it.
    waited: usize,
    /// Of those, while the machine was steady.
    waited_steadily: usize,
    /// Requests of the clients in a second.
    rate: usize,
}

impl Run {
    /// How many requests the origin may get, if each makes the key live until it is refreshed `early` before its end. One
    /// comes first, and how old the key is counts from when it was asked for, which may be a life before the origin saw it.
    /// Who looked just before a refresh was there may lead another one: that is rare, but not once in millions of runs.
    fn most(&self, early: f64) -> usize {
        4 + (self.over / (LIVES - early).max(TAKES.as_secs_f64())) as usize
    }

    /// How early XFetch refreshes on average. Of all who read in the time that a refresh takes, one is the first: as many of those
    /// times before the end as the logarithm of their number, and less than five more over several lives, but for one run in
    /// ten million.
    fn early(&self) -> f64 {
        self.mean * ((self.rate as f64 * self.mean).max(1.0).ln() + 5.0)
    }
}

fn percentile(sorted: &[Shot], share: f64) -> Duration {
    let at = ((sorted.len() as f64 * share) as usize).min(sorted.len() - 1);
    sorted[at].took
}

/// Those that waited for the origin, and how many of them did so while the machine was steady: in the life before, everybody was
/// answered soon.
fn waits(shots: &mut [Shot]) -> (usize, usize) {
    shots.sort_by_key(|shot| shot.due);
    let life = Duration::from_secs_f64(LIVES);
    let (mut all, mut steady, mut upset) = (0, 0, None);
    for shot in shots.iter() {
        if shot.took > STEADY {
            upset = Some(shot.due);
        }
        if !shot.status.contains("; hit;") {
            all += 1;
            steady += usize::from(upset.is_none_or(|at| shot.due - at > life));
        }
    }
    (all, steady)
}

/// How long Envoy has waited for an answer of the origin on average, in seconds.
async fn mean(envoy: &Envoy) -> f64 {
    eventually("the times are told", || async {
        let text = envoy.prometheus().await;
        let told = |what: &str| -> Option<f64> {
            let name = format!("envoy_cluster_upstream_rq_time_{what}{{");
            let line = text.lines().find(|line| line.starts_with(&name))?;
            line.rsplit(' ').next()?.parse().ok()
        };
        let (milliseconds, count) = (told("sum")?, told("count")?);
        (count > 0.0).then_some(milliseconds / count / 1000.0)
    })
    .await
}

/// A hot key, asked for at a steady rate.
async fn hot_key(name: &'static str, fields: &str, configuration: Value) -> Run {
    let (rate, length) = if long() { (1_000, 60) } else { (300, 9) };
    let origin = Origin::serving(fields, "hot", TAKES).await;
    let envoy = Envoy::to_address(origin.address)
        .bootstrap("stats_flush_interval", json!("0.500s"))
        .filter("response-cache", configuration)
        .start()
        .await;
    // Cold is another test's subject.
    assert_eq!(
        envoy.get_with("/hot", &[("host", "load")]).await.status,
        200
    );
    let mut shots = steady(envoy.address, rate, LANES, Duration::from_secs(length)).await;
    let (waited, waited_steadily) = waits(&mut shots);
    let mean = mean(&envoy).await;
    shots.sort_by_key(|shot| shot.took);
    println!(
        "{name:>34}: {} answers, {} requests to the origin in {length} s, {waited} waited for it; p50 {:?}, p99 {:?}, p99.9 {:?}, most {:?}; of the origin {mean:.3} s",
        shots.len(),
        origin.hits(),
        percentile(&shots, 0.5),
        percentile(&shots, 0.99),
        percentile(&shots, 0.999),
        percentile(&shots, 1.0),
    );
    Run {
        name,
        asked: origin.hits(),
        at_once: origin.at_once(),
        over: origin.over().as_secs_f64(),
        mean,
        answers: shots.len(),
        waited,
        waited_steadily,
        rate,
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hot_key_costs_the_origin_about_one_request_per_lifetime_and_nobody_waits() {
    let lives = "cache-control: max-age=2";
    let background = json!({"background": {"enabled": true, "timeout": "1h"}});
    let window = json!({"algorithm": "window", "window": "500ms", "probability": 0.1});
    let off = json!({"algorithm": "off"});
    let bare = hot_key(
        "refresh and single flight off",
        lives,
        json!({"refresh": off, "coalesce": {"enabled": false}}),
    )
    .await;
    // Nobody is given up for dead, however slow the machine is.
    let coalesce = json!({"wait": "1h", "lease": "1h"});
    for (name, fields, refresh) in [
        ("xfetch in the background", lives, background.clone()),
        (
            "the same and stale-while-revalidate",
            "cache-control: max-age=2, stale-while-revalidate=60",
            background,
        ),
        ("xfetch by a client's request", lives, json!({})),
        ("window", lives, window),
        ("refresh off, single flight on", lives, off),
    ] {
        let configuration = json!({"refresh": refresh, "coalesce": coalesce});
        let run = hot_key(name, fields, configuration).await;
        assert_eq!(run.at_once, 1, "{name}: one at a time");
        // About one for each lifetime; an early refresh shortens it a little, by a quarter at most for the window.
        let early = match name {
            "window" => 0.5,
            "refresh off, single flight on" => 0.0,
            _ => run.early(),
        };
        assert!(
            run.asked <= run.most(early),
            "{name}: {} requests to the origin in {} s, {early} s early",
            run.asked,
            run.over
        );
        assert!(
            run.answers > 10 * run.asked,
            "{name}: {} answers",
            run.answers
        );
        assert!(
            bare.asked > 2 * run.asked,
            "{}: {} against {}",
            bare.name,
            bare.asked,
            run.asked
        );
        if fields.contains("stale-while-revalidate") {
            assert_eq!(run.waited, 0, "{name}: once the key is warm nobody waits");
        } else if name == "xfetch in the background" {
            // Nobody asks while a machine stands still, so that nobody refreshes: then all lanes find the key expired, once.
            assert!(
                run.waited_steadily * 3 <= bare.waited,
                "{name}: {} of {} waited while the machine was steady, {} without",
                run.waited_steadily,
                run.waited,
                bare.waited
            );
        }
    }
}

/// A body that proves itself: the same number over and over.
fn uniform(number: usize, length: usize) -> String {
    let word = format!("{number:08}");
    word.repeat(length / 8)
}

#[tokio::test(flavor = "multi_thread")]
async fn no_answer_is_ever_torn_or_mixed_while_many_write() {
    let upstream = Upstream::serving(|seen| {
        let length = 8 * (1 + seen.number % 40_000);
        Reply::ok(uniform(seen.number, length))
            .header("cache-control", "max-age=1, stale-while-revalidate=1")
            .header("etag", &format!("\"{}\"", seen.number))
            .header("x-number", &seen.number.to_string())
            .header("vary", "x-variant")
    })
    .await;
    // Without single flight, so that many write the same slots at once; too little room for all, so that slots change hands.
    let envoy = Envoy::to(&upstream)
        .filter("response-cache", json!({
            "max_bytes": "2MiB", "max_entries": 16, "max_entry_bytes": "512KiB", "admission": false,
            "coalesce": {"enabled": false}, "refresh": {"algorithm": "window", "window": "1h", "probability": 0.05},
            "worker_memory": "256KiB",
        }))
        .start()
        .await;
    let answers = burst(envoy.address, 6_000, 48, |number| {
        let headers = vec![("x-variant".to_owned(), (number % 3).to_string())];
        (format!("/{}", number % 11), headers)
    })
    .await;
    let mut hits = 0;
    for answer in &answers {
        assert!(answer.status == 200 && answer.whole);
        let number: usize = answer.header("x-number").unwrap().parse().unwrap();
        assert_eq!(
            answer.header("etag"),
            Some(format!("\"{number}\"").as_str())
        );
        let text = answer.text();
        assert!(
            text == uniform(number, text.len()) && text.len() == 8 * (1 + number % 40_000),
            "a torn answer"
        );
        hits += usize::from(answer.header("cache-status").unwrap().contains("hit"));
    }
    println!("{hits} hits");
    assert!(hits > 100, "only {hits} hits: the test shows nothing");
    // What was evicted is counted once a second. Without it the test shows nothing.
    envoy.wait_for_stat(&format!("{METRIC}evicted"), 1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flood_of_distinct_urls_stays_within_its_bytes_and_leaves_the_hot_set() {
    const ROUNDS: usize = 4;
    const HOT: usize = 50;
    let urls = if long() { 1_000_000 } else { 60_000 };
    let origin = Origin::serving(
        "cache-control: max-age=3600",
        &"x".repeat(1000),
        Duration::ZERO,
    )
    .await;
    let most: u64 = 16 << 20;
    let worker = 2 << 20;
    let envoy = Envoy::to_address(origin.address)
        .filter(
            "response-cache",
            json!({"max_bytes": most, "worker_memory": worker, "refresh": {"algorithm": "off"}}),
        )
        .start()
        .await;
    for _ in 0..20 {
        flood(envoy.address, "/hot", HOT, 10).await;
    }
    let before = envoy.memory();
    // One client of one worker goes on asking for the hot ones; the other workers hear of it by what is shared only.
    let hot = keep_asking(envoy.address, HOT);
    let mut memory = Vec::new();
    for round in 0..ROUNDS {
        flood(envoy.address, &format!("/flood/{round}"), urls / ROUNDS, 32).await;
        memory.push(envoy.memory());
    }
    let (asked, lost) = hot.stop().await;
    // The gauge is brought up to date once a second.
    eventually("the cache is full", || async {
        (envoy.stat(&format!("{METRIC}bytes")).await > most / 2).then_some(())
    })
    .await;
    let bytes = envoy.stat(&format!("{METRIC}bytes")).await;
    let mib = |bytes: u64| bytes >> 20;
    println!(
        "{urls} URLs: resident {} MiB before, then {:?} MiB; {bytes} of {most} bytes in use, {} evicted, {} not admitted",
        mib(before),
        memory.iter().map(|bytes| mib(*bytes)).collect::<Vec<_>>(),
        envoy.stat(&format!("{METRIC}evicted")).await,
        envoy.stat(&format!("{METRIC}rejected.admission")).await,
    );
    assert!(bytes <= most);
    let growth = memory[ROUNDS - 1].saturating_sub(memory[ROUNDS / 2 - 1]);
    assert!(
        mib(growth) < 16,
        "grew by {growth} bytes in the second half: {memory:?}"
    );
    // The entries, each worker's copies, and as much again for what Envoy and its allocator need.
    let all = 2 * (most + 4 * worker) + (64 << 20);
    assert!(
        memory[ROUNDS - 1] < before + all,
        "{before} before, {memory:?} after"
    );
    println!("of {asked} requests for {HOT} hot ones meanwhile {lost} went to the origin");
    assert!(asked > 10 * HOT, "{asked} requests: the test shows nothing");
    assert!(
        lost <= HOT / 5,
        "the flood has pushed out hot entries {lost} times"
    );
}

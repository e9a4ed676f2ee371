//! Adaptive mode: an upstream that can do 100 calls a second, and three times as many are offered.

use seawall_tests::prelude::*;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Instant;

/// How many calls are offered for each that the upstream can do.
const TIMES: usize = 3;

/// An upstream's clock are the offers: what it can do does not depend on how fast the machine is.
#[derive(Default)]
struct Capacity {
    offered: AtomicUsize,
    next: Mutex<usize>,
}

impl Capacity {
    fn take(&self) -> bool {
        let mut next = self.next.lock().expect("not poisoned");
        let now = self.offered.load(Ordering::SeqCst);
        // Of what it could have done and was not asked for it keeps about a second.
        let due = (*next).max(now.saturating_sub(TIMES * 100));
        let can = due <= now;
        if can {
            *next = due + TIMES;
        }
        can
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_overloaded_upstream_is_offered_about_what_it_can_take() {
    let capacity = Arc::new(Capacity::default());
    let accepted = Arc::new(AtomicUsize::new(0));
    let (limit, count) = (Arc::clone(&capacity), Arc::clone(&accepted));
    let upstream = Upstream::serving(move |_| {
        if limit.take() {
            count.fetch_add(1, Ordering::SeqCst);
            Reply::ok("ok")
        } else {
            Reply::status(503)
        }
    })
    .await;
    let envoy = Envoy::to(&upstream)
        .filter("circuit-breaker", json!({"adaptive": {}, "window": "5s"}))
        .start()
        .await;
    // 300 a second, sent on time whatever becomes of those before; the first seconds fill the window.
    let (lead, measured) = (Duration::from_secs(6), Duration::from_secs(10));
    let start = Instant::now();
    let client = envoy.client();
    let mut before = None;
    let counts = || {
        let offered = capacity.offered.load(Ordering::SeqCst);
        [offered, upstream.hits(), accepted.load(Ordering::SeqCst)]
    };
    while start.elapsed() < lead + measured {
        if before.is_none() && start.elapsed() >= lead {
            before = Some(counts());
        }
        let offered = capacity.offered.fetch_add(1, Ordering::SeqCst) + 1;
        let client = client.clone();
        tokio::spawn(async move { client.get("/").await });
        let due = Duration::from_secs(1) * offered as u32 / 300;
        tokio::time::sleep(due.saturating_sub(start.elapsed())).await;
    }
    let before = before.expect("there was a lead");
    let [offer, load, goodput] = [0, 1, 2].map(|at| (counts()[at] - before[at]) as f64);
    let can = offer / TIMES as f64;
    let (load, goodput) = (load / can * 100.0, goodput / can * 100.0);
    println!(
        "for 100 calls that it can do: 300 offered, upstream load {load:.0}, goodput {goodput:.0}"
    );
    // Calls are refused by chance: of 3,000, two thirds are let through, and a tenth more is seven deviations more.
    assert!(goodput >= 90.0, "goodput {goodput}");
    assert!(load <= 220.0, "load {load}");
    let overload = "wasmcustom.seawall.circuit_breaker.refused";
    assert!(envoy.stat(overload).await > 0);
}

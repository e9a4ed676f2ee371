//! Adaptive mode: an upstream that can do 100 calls a second, and three times as many are offered.

use seawall_tests::prelude::*;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Instant;

/// Lets so many through in a second, with as few as possible at once.
struct Capacity {
    every: Duration,
    next: Mutex<Instant>,
}

impl Capacity {
    fn take(&self) -> bool {
        let mut next = self.next.lock().expect("not poisoned");
        let now = Instant::now();
        // What a machine that stood still was late for is not lost, up to a second of calls. It never saves any while more are
        // offered than it takes, so this makes it no greater than it is.
        let due = (*next).max(now - self.every * 100);
        let can = due <= now;
        if can {
            *next = due + self.every;
        }
        can
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_overloaded_upstream_is_offered_about_what_it_can_take() {
    let capacity = Arc::new(Capacity {
        every: Duration::from_millis(10),
        next: Mutex::new(Instant::now()),
    });
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
    *capacity.next.lock().expect("not poisoned") = start;
    let client = envoy.client();
    let mut offered = 0u32;
    let mut before = None;
    while start.elapsed() < lead + measured {
        if before.is_none() && start.elapsed() >= lead {
            let now = Instant::now();
            before = Some((
                upstream.hits(),
                accepted.load(Ordering::SeqCst),
                offered,
                now,
            ));
        }
        let client = client.clone();
        tokio::spawn(async move { client.get("/").await });
        offered += 1;
        let due = Duration::from_secs(1) * offered / 300;
        tokio::time::sleep(due.saturating_sub(start.elapsed())).await;
    }
    let (hits, good, sent, at) = before.expect("there was a lead");
    let seconds = at.elapsed().as_secs_f64();
    let rate = |count: usize| count as f64 / seconds;
    let load = rate(upstream.hits() - hits);
    let goodput = rate(accepted.load(Ordering::SeqCst) - good);
    let offer = rate((offered - sent) as usize);
    println!("offered {offer:.0}/s, upstream load {load:.0}/s, goodput {goodput:.0}/s");
    // What is promised, 90 and 220, holds exactly in the simulation of the filter; here the machine has a say.
    assert!(goodput >= 80.0, "goodput {goodput}");
    assert!(load <= 240.0, "load {load}");
    let overload = "wasmcustom.seawall.circuit_breaker.refused";
    assert!(envoy.stat(overload).await > 0);
}

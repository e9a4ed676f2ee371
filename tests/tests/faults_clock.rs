//! The wall clock of a running Envoy is set back and forward: nobody is locked out, nobody is forgiven by more than time that
//! seems to have passed, nothing is held for ever, and ids stay unique.

use seawall_tests::envoy::clock_library;
use seawall_tests::prelude::*;
use std::collections::BTreeSet;
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::sync::atomic::{AtomicI64, AtomicUsize, Ordering};
use std::sync::Arc;
use std::time::SystemTime;

/// A clock that a test can set.
struct Clock {
    file: File,
    _folder: tempfile::TempDir,
}

impl Clock {
    fn new(builder: EnvoyBuilder) -> (Self, EnvoyBuilder) {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("clock");
        std::fs::write(&path, 0i64.to_ne_bytes()).expect("writable");
        let file = File::options().write(true).open(&path).expect("writable");
        let builder = builder
            .environment("LD_PRELOAD", clock_library())
            .environment("SEAWALL_CLOCK", path);
        let clock = Clock {
            file,
            _folder: folder,
        };
        (clock, builder)
    }

    /// Moves it so many seconds away from the real time.
    fn set(&self, offset: i64) {
        self.file
            .write_all_at(&offset.to_ne_bytes(), 0)
            .expect("writable");
    }
}

const DAY: i64 = 86_400;

async fn answers(envoy: &Envoy, count: usize) -> Vec<Answer> {
    let mut answers = Vec::new();
    let client = envoy.client();
    for _ in 0..count {
        answers.push(client.get_with("/", &[("x-tenant-id", "acme")]).await);
    }
    answers
}

fn passed(answers: &[Answer]) -> usize {
    answers.iter().filter(|answer| answer.status == 200).count()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_clock_that_is_set_is_envoys() {
    let upstream = Upstream::serving(|_| Reply::ok("x").header("date", "")).await;
    let (clock, builder) = Clock::new(Envoy::to(&upstream));
    let envoy = builder
        .route(Route::prefix("/").direct(200, "x"))
        .start()
        .await;
    let date = || async { envoy.get("/").await.header("date").map(str::to_owned) };
    let before = date().await;
    clock.set(400 * DAY);
    eventually("Envoy's date is another one", || async {
        let (now, then) = (date().await?, before.clone()?);
        // The year differs.
        (now.get(12..16) != then.get(12..16)).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn limits_neither_lock_out_nor_forgive_when_it_is_set_back() {
    let upstream = Upstream::start().await;
    let limits = json!({"limits": [
        {"name": "tenant", "key": [{"header": "x-tenant-id"}], "requests": 10, "per": "1h"}]});
    let (clock, builder) = Clock::new(Envoy::to(&upstream).filter("rate-limit", limits));
    let envoy = builder.start().await;
    assert_eq!(passed(&answers(&envoy, 20).await), 10);
    clock.set(-DAY);
    // The counters go with the clock: not one is let through, and the wait that is told is as long as before.
    let refused = answers(&envoy, 20).await;
    assert_eq!(passed(&refused), 0, "set back, it forgave");
    for answer in &refused {
        let wait: u64 = answer.header("retry-after").unwrap().parse().unwrap();
        assert!(wait <= 361, "locked out for {wait} s");
    }
    // An hour later, on the same clock, the whole quota is there again: nobody waits for a day.
    clock.set(-DAY + 3_601);
    assert_eq!(passed(&answers(&envoy, 20).await), 10);
    clock.set(DAY);
    assert_eq!(passed(&answers(&envoy, 20).await), 10, "a day later");
}

/// Nobody could have answered in a day that did not pass; and who hangs now is found, though the clock says it is yesterday.
#[tokio::test(flavor = "multi_thread")]
async fn the_breaker_takes_no_call_for_one_that_hangs_since_yesterday() {
    let (upstream, gate) = Upstream::gated(|_| Reply::ok("well")).await;
    let breaker = json!({"failure_threshold": 100, "slow_after": "1h"});
    let (clock, builder) = Clock::new(Envoy::to(&upstream).filter("circuit-breaker", breaker));
    let soon = json!({"slow_after": "100ms"});
    let envoy = builder
        .workers(1)
        .route(Route::prefix("/soon").metadata("seawall.circuit_breaker", soon))
        .route(Route::prefix("/"))
        .start()
        .await;
    let overdue = "wasmcustom.seawall.circuit_breaker.overdue";
    let address = envoy.address;
    let call = |path| tokio::spawn(async move { Client::fresh(address).get(path).await });
    let mut calls: Vec<_> = (0..8).map(|_| call("/late")).collect();
    upstream.wait_for_hits(8).await;
    for (found, offset) in [DAY, 0, -DAY].into_iter().enumerate() {
        // One that hangs is found by the timer: so that comes by.
        calls.push(call("/soon"));
        envoy.wait_for_stat(overdue, found as u64 + 1).await;
        clock.set(offset);
    }
    calls.push(call("/soon"));
    envoy.wait_for_stat(overdue, 4).await;
    assert_eq!(envoy.stat(overdue).await, 4);
    gate.open();
    for call in calls {
        let answer = within("it is answered", call).await.expect("no panic");
        assert_eq!(answer.status, 200);
    }
    assert_eq!(envoy.stat(overdue).await, 4);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_breaker_recovers_whichever_way_it_is_set() {
    for offset in [-DAY, DAY] {
        let upstream = Upstream::serving(|_| Reply::status(500)).await;
        let breaker = json!({"failure_threshold": 3, "open_for": "1s", "max_open_for": "1s"});
        let (clock, builder) = Clock::new(Envoy::to(&upstream).filter("circuit-breaker", breaker));
        let envoy = builder.start().await;
        eventually("it is open", || async {
            (envoy.get("/").await.status == 503).then_some(())
        })
        .await;
        clock.set(offset);
        upstream.always(Reply::ok("well"));
        // Not a day later: within what a probe takes, and for good.
        let row = AtomicUsize::new(0);
        eventually("it is closed again", || async {
            let well = envoy.get("/").await.status == 200;
            let passed = row.fetch_add(1, Ordering::SeqCst) + 1;
            row.store(if well { passed } else { 0 }, Ordering::SeqCst);
            (well && passed >= 20).then_some(())
        })
        .await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_stale_is_served_as_fresh_and_nothing_waits_for_ever() {
    // The origin's clock goes with Envoy's.
    let offset = Arc::new(AtomicI64::new(0));
    let own = Arc::clone(&offset);
    let upstream = Upstream::serving(move |seen| {
        let day = Duration::from_secs(own.load(Ordering::SeqCst).unsigned_abs());
        Reply::ok(seen.number.to_string())
            .header("cache-control", "max-age=60")
            .header("date", &httpdate::fmt_http_date(SystemTime::now() + day))
    })
    .await;
    let (clock, builder) = Clock::new(Envoy::to(&upstream).filter("response-cache", json!({})));
    let envoy = builder.start().await;
    assert_eq!(envoy.get("/").await.text(), "0");
    assert_eq!(envoy.get("/").await.text(), "0");
    clock.set(DAY);
    offset.store(DAY, Ordering::SeqCst);
    // A day later it is stale.
    let later = envoy.get("/").await;
    assert_ne!(later.text(), "0", "served after a day: {later:?}");
    // What was stored tomorrow is still an answer, or asked for again; a negative age is never told.
    clock.set(0);
    offset.store(0, Ordering::SeqCst);
    let back = envoy.get("/").await;
    assert_eq!(back.status, 200);
    if let Some(age) = back.header("age") {
        assert!(age.parse::<u64>().is_ok_and(|age| age <= 60), "{age}");
    }
    let answers = envoy.burst("/new", 50, 10).await;
    assert!(answers.iter().all(|answer| answer.status == 200));
}

#[tokio::test(flavor = "multi_thread")]
async fn request_ids_stay_unique_and_in_order() {
    let upstream = Upstream::start().await;
    let (clock, builder) = Clock::new(Envoy::to(&upstream).filter("trace-headers", json!({})));
    let envoy = builder.workers(1).start().await;
    let mut ids = Vec::new();
    for offset in [0, -DAY, 0, DAY, -10, 0] {
        clock.set(offset);
        for _ in 0..100 {
            let answer = envoy.get("/").await;
            ids.push(answer.header("x-request-id").expect("an id").to_owned());
        }
    }
    let unique: BTreeSet<_> = ids.iter().collect();
    assert_eq!(unique.len(), ids.len());
    assert!(ids.is_sorted(), "an id is smaller than the one before");
}

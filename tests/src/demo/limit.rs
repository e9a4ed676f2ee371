use super::{claim, title, Stage};
use crate::client::burst;
use std::time::{Duration, Instant};

/// A runaway job of one tenant, and another tenant beside it.
pub async fn rate_limit(stage: &Stage) {
    title("rate-limit: one tenant's runaway job");
    let tenant = |name: &str| vec![("x-tenant-id".to_owned(), name.to_owned())];
    let start = Instant::now();
    let (runaway, other) = tokio::join!(
        burst(stage.envoy.address, 1000, 32, |n| (
            format!("/orders/{}", n % 5),
            tenant("acme")
        )),
        burst(stage.envoy.address, 20, 2, |n| (
            format!("/orders/{}", n % 5),
            tenant("globex")
        )),
    );
    let seconds = start.elapsed().as_secs_f64();
    let admitted = runaway.iter().filter(|answer| answer.status == 200).count();
    let refused: Vec<_> = runaway
        .iter()
        .filter(|answer| answer.status == 429)
        .collect();
    let most = 50.0 + seconds * 10.0;
    println!(
        "  limit: 10 a second, 50 at once. acme sent 1000 requests in {seconds:.1} s, globex 20."
    );
    println!("  acme:   {admitted} admitted, {} refused", refused.len());
    claim(
        &format!(
            "acme got its 50 and what refilled meanwhile, at most {:.0}",
            most.floor()
        ),
        admitted >= 50 && admitted as f64 <= most && admitted + refused.len() == 1000,
    );
    claim(
        "globex was not touched: 20 of 20",
        other.iter().all(|answer| answer.status == 200),
    );
    let wait = refused
        .iter()
        .filter_map(|answer| answer.header("retry-after"))
        .next_back();
    let wait: u64 = wait.and_then(|text| text.parse().ok()).unwrap_or_default();
    claim(
        &format!("every refusal said when to come back: Retry-After: {wait}"),
        {
            wait >= 1
                && refused
                    .iter()
                    .all(|answer| answer.header("retry-after").is_some())
        },
    );
    tokio::time::sleep(Duration::from_secs(wait)).await;
    let later = stage
        .envoy
        .get_with("/orders/1", &[("x-tenant-id", "acme")])
        .await;
    claim(
        &format!("after {wait} s acme is admitted again ({})", later.status),
        later.status == 200,
    );
}

use super::{claim, title, Stage};
use crate::wait::eventually;
use std::time::Duration;

/// A cold key, and a hot key that expires under load.
pub async fn response_cache(stage: &Stage) {
    title("response-cache: a hot key that expires");
    let path = "/orders/hot";
    let hits = || stage.orders.hits_of(path);
    let cold = stage.crowd(path, 200, 100).await;
    println!("  an answer takes the origin 100 ms and may be kept for 2 s");
    claim(
        &format!(
            "200 concurrent requests for a cold key: {} reached the origin",
            hits()
        ),
        hits() == 1 && cold.iter().all(|answer| answer.status == 200),
    );
    let hit = stage.envoy.get(path).await;
    println!("  a hit says  Age: {}", hit.header("age").unwrap_or("-"));
    println!(
        "              Cache-Status: {}",
        hit.header("cache-status").unwrap_or("-")
    );
    claim(
        "it came from the cache",
        hit.header("age").is_some() && hits() == 1,
    );

    eventually("the key has expired", || async {
        let seen = stage.orders.seen();
        let last = seen.iter().rfind(|seen| seen.path == path)?;
        // Two seconds of life, counted from when the answer was made.
        (last.at.elapsed() > Duration::from_millis(3200)).then_some(())
    })
    .await;
    let before = hits();
    let expired = stage.crowd(path, 500, 100).await;
    claim(
        &format!(
            "500 concurrent requests when it had expired: {} reached the origin",
            hits() - before
        ),
        hits() - before == 1 && expired.iter().all(|answer| answer.status == 200),
    );
}

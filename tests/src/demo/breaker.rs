use super::{claim, title, Stage};
use std::time::{Duration, Instant};

/// For so long the breaker lets more and more through once it has closed: its default.
const RAMP: Duration = Duration::from_secs(10);

/// A dependency that dies and comes back.
pub async fn circuit_breaker(stage: &Stage) {
    title("circuit-breaker: a dependency dies");
    let envoy = &stage.envoy;
    envoy.send("POST", "/payments/break", &[], b"").await;
    stage.payments.forget();
    let mut statuses = Vec::new();
    for _ in 0..5 {
        statuses.push(envoy.get_fresh("/payments/1").await.status);
    }
    println!("  five calls to the broken dependency: {statuses:?}");
    let start = Instant::now();
    let refused = envoy.get_fresh("/payments/1").await;
    println!(
        "  the sixth, after {:.1} ms: {} {}",
        start.elapsed().as_secs_f64() * 1e3,
        refused.status,
        refused.text()
    );
    let wait: u64 = refused
        .header("retry-after")
        .and_then(|text| text.parse().ok())
        .unwrap_or_default();
    claim(
        &format!("it is the fallback, and says Retry-After: {wait}"),
        wait >= 1 && refused.status == 503 && refused.text().contains("payments are down"),
    );
    let many = stage.crowd("/payments/1", 200, 50).await;
    claim(
        &format!(
            "200 more at once: the dependency has seen {} calls in all",
            stage.payments.hits()
        ),
        stage.payments.hits() == 5 && many.iter().all(|answer| answer.status == 503),
    );
    let direct = crate::client::Client::new(stage.payments.address);
    direct.send("POST", "/payments/heal", &[], b"").await;
    println!("  the dependency is healed; nobody touches Envoy");
    tokio::time::sleep(Duration::from_secs(wait)).await;
    let start = Instant::now();
    let mut answers = Vec::new();
    let mut closed = None;
    while start.elapsed() < Duration::from_secs(30) {
        let answer = envoy.get_fresh("/payments/1").await;
        answers.push(answer.status);
        if answer.status == 200 {
            closed.get_or_insert_with(Instant::now);
        }
        // Until the ramp is over, some are refused by chance, of those that come after this scene as well.
        if answers.ends_with(&[200; 10]) && closed.is_some_and(|at| at.elapsed() > RAMP) {
            break;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    claim(
        &format!(
            "after {wait} s a probe passes and the breaker closes: {}",
            summary(&answers)
        ),
        answers.ends_with(&[200; 10]),
    );
}

fn summary(statuses: &[u16]) -> String {
    let count = |status: u16| statuses.iter().filter(|other| **other == status).count();
    format!("{} x 200, {} x 503 on the way", count(200), count(503))
}

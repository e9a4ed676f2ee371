//! What the buttons do.

use crate::client::{Answer, Client};
use crate::demo::Stage;
use crate::wait::eventually;
use serde_json::{json, Value};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// The key that everybody asks for at once. The steady traffic leaves it alone, or it would never expire.
const HOT: &str = "/orders/hot";

/// How often one of each kind of request is sent by the steady traffic.
const PERIOD: Duration = Duration::from_millis(100);

fn by_status(answers: &[Answer]) -> Value {
    let mut counts: BTreeMap<String, usize> = BTreeMap::new();
    for answer in answers {
        *counts.entry(answer.status.to_string()).or_default() += 1;
    }
    json!(counts)
}

/// One tenant sends much more than its limit.
pub(super) async fn burst(stage: &Stage) -> Value {
    let tenant = || vec![("x-tenant-id".to_owned(), "acme".to_owned())];
    let answers = crate::client::burst(stage.envoy.address, 300, 16, |n| {
        (format!("/orders/{}", n % 5), tenant())
    })
    .await;
    json!({"said": "acme sent 300 requests", "answers": by_status(&answers)})
}

/// Waits until the hot key has expired, then lets many ask for it at once.
pub(super) async fn expire(stage: &Stage) -> Value {
    stage.crowd(HOT, 1, 1).await;
    eventually("the hot key has expired", || async {
        let seen = stage.orders.seen();
        let last = seen.iter().rfind(|seen| seen.path == HOT)?;
        // Two seconds of life, counted from when the answer was made, and the time to make it.
        (last.at.elapsed() > Duration::from_millis(3200)).then_some(())
    })
    .await;
    let begun = Instant::now();
    let answers = stage.crowd(HOT, 300, 60).await;
    let seen = stage.orders.seen();
    let new = seen
        .iter()
        .filter(|seen| seen.path == HOT && seen.at >= begun);
    let origin = new.count();
    json!({
        "said": format!("the hot key had expired, and 300 asked for it: {origin} reached the origin"),
        "answers": by_status(&answers),
        "origin": origin,
    })
}

/// Breaks the dependency, or heals it.
pub(super) async fn dependency(stage: &Stage, alive: bool) -> Value {
    let (path, said) = if alive {
        (
            "/payments/heal",
            "payments work again; the breaker closes after its next probes",
        )
    } else {
        ("/payments/break", "payments fail from now on")
    };
    let client = Client::new(stage.payments.address);
    let answer = client.send("POST", path, &[], b"").await;
    if !alive {
        // Somebody has to meet the failure.
        let answers = stage.crowd("/payments/1", 20, 4).await;
        return json!({"said": said, "answers": by_status(&answers)});
    }
    json!({"said": said, "answers": by_status(&[answer])})
}

/// Sends a few requests of each kind until it is ended.
pub(super) async fn traffic(stage: Arc<Stage>) {
    let client = Client::new(stage.envoy.address);
    for number in 0u64.. {
        let tenant = format!("customer-{}", number % 7);
        let fields = [("x-tenant-id", tenant.as_str())];
        let order = format!("/orders/{}", number % 11);
        tokio::join!(
            client.get_with(&order, &fields),
            client.get_with("/orders/popular", &fields),
            client.get_with("/payments/1", &fields),
            tokio::time::sleep(PERIOD),
        );
        if number % 10 == 0 {
            client.get_with("/checkout", &fields).await;
        }
    }
}

//! What the demonstration plays on: `envoy/envoy.yaml`, and the two services behind it.

use crate::client::{burst, Answer};
use crate::envoy::{free_address, Envoy, Shipped};
use crate::upstream::{Reply, Seen, Upstream};
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::Arc;
use std::time::Duration;

/// A running Envoy and its upstreams.
pub struct Stage {
    /// Envoy, with the shipped configuration and 4 workers.
    pub envoy: Envoy,
    /// The service whose answers may be cached for two seconds, and take 100 ms to make.
    pub orders: Upstream,
    /// The dependency that breaks.
    pub payments: Upstream,
}

/// The requests that each upstream remembers; what is shown is about fewer.
const KEPT: usize = 10_000;

fn orders(seen: &Seen) -> Reply {
    let body = format!("{{\"order\":\"{}\",\"made\":{}}}\n", seen.path, seen.number);
    Reply::ok(body)
        .header("content-type", "application/json")
        .header("cache-control", "max-age=2")
        .after(Duration::from_millis(100))
}

impl Stage {
    /// Everything on free ports.
    pub async fn set() -> Self {
        let any: SocketAddr = SocketAddr::from(([127, 0, 0, 1], 0));
        Stage::with(Shipped::new("envoy/envoy.yaml"), any, any).await
    }

    /// With the upstreams on these addresses; port 0 is any.
    pub async fn with(shipped: Shipped, orders_at: SocketAddr, payments_at: SocketAddr) -> Self {
        let broken = Arc::new(AtomicBool::new(false));
        let upstream = Upstream::serving_on(orders_at, orders).await;
        let payments = Upstream::serving_on(payments_at, move |seen| match seen.path.as_str() {
            "/payments/break" => {
                broken.store(true, Ordering::SeqCst);
                Reply::ok("broken from now on\n")
            }
            "/payments/heal" => {
                broken.store(false, Ordering::SeqCst);
                Reply::ok("healed\n")
            }
            _ if broken.load(Ordering::SeqCst) => Reply::status(500),
            _ => Reply::ok("paid\n"),
        })
        .await;
        // It may be left up for days.
        upstream.remember(KEPT);
        payments.remember(KEPT);
        let envoy = shipped
            .port(8081, upstream.address)
            .port(8082, payments.address)
            .port(10001, free_address())
            .start(4)
            .await;
        Stage {
            envoy,
            orders: upstream,
            payments,
        }
    }

    /// One request of each of 50 customers in turn, so many at a time: none of them comes near the limit.
    pub async fn crowd(&self, path: &str, requests: usize, at_once: usize) -> Vec<Answer> {
        burst(self.envoy.address, requests, at_once, |n| {
            let customer = format!("customer-{}", n % 50);
            (path.to_owned(), vec![("x-tenant-id".to_owned(), customer)])
        })
        .await
    }
}

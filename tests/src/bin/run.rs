//! `make run`: the stack of the demo, left up, with a live view of it. `PORT`, `ADMIN_PORT`, `ORIGIN_PORT`, `PAYMENTS_PORT` and
//! `LIVE_PORT` move it.

use seawall_tests::demo::Stage;
use seawall_tests::envoy::Shipped;
use seawall_tests::live::Live;
use std::net::SocketAddr;
use std::sync::Arc;

fn port(variable: &str, default: u16) -> SocketAddr {
    let port = match std::env::var(variable) {
        Ok(text) => text
            .parse()
            .unwrap_or_else(|_| panic!("{variable} must be a port, not {text:?}")),
        Err(_) => default,
    };
    SocketAddr::from(([127, 0, 0, 1], port))
}

#[tokio::main]
async fn main() {
    let admin = port("ADMIN_PORT", 9901);
    let listener = port("PORT", 10000);
    let shipped = Shipped::new("envoy/envoy.yaml")
        .listening(listener)
        .admin(admin);
    let stage = Stage::with(
        shipped,
        port("ORIGIN_PORT", 8081),
        port("PAYMENTS_PORT", 8082),
    )
    .await;
    let stage = Arc::new(stage);
    let live = Live::serve(Arc::clone(&stage), port("LIVE_PORT", 8090)).await;
    let here = format!("http://{listener}");
    println!(
        "Live view: http://{live}

Envoy serves {here}, its admin interface is http://{admin}. Things to try:

  curl -i {here}/orders/1                      # twice: the second one is a hit (Cache-Status, Age)
  curl -i {here}/orders/1 -H 'x-tenant-id: a'  # what is left of the tenant's limit (RateLimit)
  for i in $(seq 100); do curl -s -o /dev/null -w '%{{http_code}} ' {here}/ -H 'x-tenant-id: a'; done
  curl -i {here}/checkout                      # x-request-id; the log below has it twice, with one trace_id
  curl -X POST {here}/payments/break           # the dependency fails from now on
  curl -i {here}/payments/1                    # six times: the sixth answer is the breaker's
  curl -X POST http://{payments}/payments/heal # it works again; wait for Retry-After
  curl -s http://{admin}/stats | grep seawall

Ctrl-C ends it.
",
        payments = stage.payments.address,
        live = live.address,
    );
    let followed = stage.envoy.follow_log();
    tokio::select! {
        _ = tokio::signal::ctrl_c() => {}
        () = followed => {}
    }
}

//! `make demo`: breaks things behind a real Envoy and shows what each filter does. Ends with an error when anything that it
//! claims did not happen.

use seawall_tests::demo::{self, Stage};

#[tokio::main]
async fn main() {
    let stage = Stage::set().await;
    demo::rate_limit(&stage).await;
    demo::response_cache(&stage).await;
    demo::circuit_breaker(&stage).await;
    demo::trace_headers(&stage).await;
    println!("\nEverything above happened in this run.");
}

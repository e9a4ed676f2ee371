//! A real gRPC client that meets its limit in a real Envoy. The service behind it is the rate limit service itself: any
//! unary one would do.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::arithmetic_side_effects,
    reason = "test code"
)]

mod common;

use common::{Redis, Rls};
use envoy_types::pb::envoy::service::ratelimit::v3::rate_limit_service_client::RateLimitServiceClient;
use envoy_types::pb::envoy::service::ratelimit::v3::RateLimitRequest;
use seawall_tests::prelude::*;
use std::net::SocketAddr;
use std::time::Instant;
use tonic::transport::Channel;
use tonic::{Code, Status};

type Grpc = RateLimitServiceClient<Channel>;

async fn client(address: SocketAddr) -> Grpc {
    let target = format!("http://{address}");
    RateLimitServiceClient::connect(target).await.unwrap()
}

async fn call(client: &mut Grpc) -> Result<(), Status> {
    let request = RateLimitRequest {
        domain: "any".to_owned(),
        ..RateLimitRequest::default()
    };
    client.should_rate_limit(request).await.map(drop)
}

fn number(status: &Status, field: &str) -> i64 {
    let value = status.metadata().get(field);
    let text = value.unwrap_or_else(|| panic!("no {field} in {status:?}"));
    text.to_str().unwrap().parse().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_grpc_client_sees_resource_exhausted_and_when_to_come_back() {
    let redis = Redis::start().await;
    let service = Rls::start(&redis);
    let limits = json!({"limits": [{"name": "calls", "requests": 2, "per": "4s"}]});
    let envoy = Envoy::to_address(service.address)
        .http2_upstream()
        .filter("rate-limit", limits)
        .start()
        .await;
    let mut client = client(envoy.address).await;
    // Two at once, then one in two seconds: as many as time has passed for on a slow machine.
    let start = Instant::now();
    let mut passed = 0;
    let refused = loop {
        match call(&mut client).await {
            Ok(()) => passed += 1,
            Err(status) => break status,
        }
        assert!(passed <= 2 + start.elapsed().as_secs() / 2, "{passed}");
    };
    assert!(passed >= 2, "{passed}");
    assert_eq!(refused.code(), Code::ResourceExhausted);
    assert_eq!(refused.message(), "rate limit exceeded");
    let pushback = number(&refused, "grpc-retry-pushback-ms");
    assert!((1..=2_000).contains(&pushback), "{pushback}");
    assert!((1..=2).contains(&number(&refused, "retry-after")));
    // Who waits as long as it was told is admitted.
    tokio::time::sleep(Duration::from_millis(pushback.unsigned_abs())).await;
    call(&mut client).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_grpc_client_is_told_when_waiting_is_of_no_use() {
    let redis = Redis::start().await;
    let service = Rls::start(&redis);
    let limits = json!({"limits": [{"name": "calls", "requests": 2, "per": "4s", "cost": {"header": "x-cost"}}]});
    let envoy = Envoy::to_address(service.address)
        .http2_upstream()
        .filter("rate-limit", limits)
        .start()
        .await;
    let mut dear = tonic::Request::new(RateLimitRequest::default());
    dear.metadata_mut().insert("x-cost", "3".parse().unwrap());
    let mut client = client(envoy.address).await;
    let refused = client.should_rate_limit(dear).await.unwrap_err();
    assert_eq!(refused.code(), Code::ResourceExhausted);
    assert_eq!(number(&refused, "grpc-retry-pushback-ms"), -1);
    assert!(refused.metadata().get("retry-after").is_none());
}

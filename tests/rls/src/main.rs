//! `rls LISTEN REDIS`: serves Envoy's rate limit protocol at an address (port 0 for any), with the counters on a Redis such as
//! `redis://127.0.0.1:6379`. Prints where it listens.

use envoy_types::pb::envoy::service::ratelimit::v3::rate_limit_service_server::RateLimitServiceServer;
use seawall_rls::{RedisCounters, Service};
use std::error::Error;
use tokio::net::TcpListener;
use tokio_stream::wrappers::TcpListenerStream;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let (Some(listen), Some(redis)) = (arguments.next(), arguments.next()) else {
        return Err("usage: rls LISTEN REDIS".into());
    };
    let service = Service::new(RedisCounters::connect(&redis).await?);
    let listener = TcpListener::bind(listen).await?;
    println!("{}", listener.local_addr()?);
    tonic::transport::Server::builder()
        .add_service(RateLimitServiceServer::new(service))
        .serve_with_incoming(TcpListenerStream::new(listener))
        .await?;
    Ok(())
}

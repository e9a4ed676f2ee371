//! Envoy's rate limit protocol over limitador's limits and counters on Redis: the service that a fleet of Envoys shares in the
//! tests.
//!
//! It takes the numbers of a limit from the descriptor that a client sends, so it needs no configuration. Descriptors of one
//! request are charged together or not at all.

mod redis_counters;

pub use redis_counters::RedisCounters;

use envoy_types::pb::envoy::extensions::common::ratelimit::v3::RateLimitDescriptor;
use envoy_types::pb::envoy::service::ratelimit::v3::rate_limit_response::{
    rate_limit, Code, DescriptorStatus, RateLimit,
};
use envoy_types::pb::envoy::service::ratelimit::v3::rate_limit_service_server::RateLimitService;
use envoy_types::pb::envoy::service::ratelimit::v3::{RateLimitRequest, RateLimitResponse};
use envoy_types::pb::google::protobuf::Duration;
use limitador::counter::Counter;
use limitador::limit::{Context, Expression, Limit, Predicate};
use std::collections::HashMap;
use tonic::{Request, Response, Status};

/// The service.
#[derive(Clone)]
pub struct Service {
    counters: RedisCounters,
}

impl Service {
    /// Over these counters.
    pub fn new(counters: RedisCounters) -> Self {
        Service { counters }
    }
}

#[tonic::async_trait]
impl RateLimitService for Service {
    async fn should_rate_limit(
        &self,
        request: Request<RateLimitRequest>,
    ) -> Result<Response<RateLimitResponse>, Status> {
        let request = request.get_ref();
        let mut counters = Vec::new();
        let mut limited = Vec::new();
        for descriptor in &request.descriptors {
            let counter =
                counter_of(&request.domain, descriptor).map_err(Status::invalid_argument)?;
            limited.push(counter.is_some());
            counters.extend(counter.map(|counter| (counter, hits_of(request, descriptor))));
        }
        let over = self
            .counters
            .charge(&mut counters)
            .await
            .map_err(|error| Status::unavailable(error.to_string()))?;
        let mut counters = counters.into_iter();
        let statuses = request.descriptors.iter().zip(limited);
        let statuses = statuses.map(|(descriptor, limited)| {
            let counter = if limited { counters.next() } else { None };
            status_of(descriptor, counter, over)
        });
        let code = if over { Code::OverLimit } else { Code::Ok };
        Ok(Response::new(RateLimitResponse {
            overall_code: code.into(),
            statuses: statuses.collect(),
            ..RateLimitResponse::default()
        }))
    }
}

fn seconds(unit: i32) -> Option<u64> {
    match rate_limit::Unit::try_from(unit).ok()? {
        rate_limit::Unit::Second => Some(1),
        rate_limit::Unit::Minute => Some(60),
        rate_limit::Unit::Hour => Some(3_600),
        rate_limit::Unit::Day => Some(86_400),
        _ => None,
    }
}

/// The counter of a descriptor, by the limit that it brings along: its first entry names the limit, the others are its key.
fn counter_of(domain: &str, descriptor: &RateLimitDescriptor) -> Result<Option<Counter>, String> {
    let brought = descriptor.limit.as_ref();
    let Some((limit, seconds)) = brought.and_then(|limit| Some((limit, seconds(limit.unit)?)))
    else {
        return Ok(None);
    };
    let Some((name, parts)) = descriptor.entries.split_first() else {
        return Ok(None);
    };
    let place = |key: &str| format!("descriptors[0][{key:?}]");
    let condition = Predicate::parse(format!("{} == {:?}", place(&name.key), name.value))
        .map_err(|error| error.to_string())?;
    let mut variables = Vec::new();
    for part in parts {
        variables.push(Expression::parse(place(&part.key)).map_err(|error| error.to_string())?);
    }
    let requests = u64::from(limit.requests_per_unit);
    let limit = Limit::new(domain, requests, seconds, [condition], variables);
    let entries = descriptor.entries.iter();
    let entries: HashMap<String, String> = entries
        .map(|entry| (entry.key.clone(), entry.value.clone()))
        .collect();
    let mut context = Context::from(HashMap::new());
    context.list_binding("descriptors".to_owned(), vec![entries]);
    Counter::new(limit, &context).map_err(|error| error.to_string())
}

fn hits_of(request: &RateLimitRequest, descriptor: &RateLimitDescriptor) -> u64 {
    match descriptor.hits_addend {
        Some(hits) => hits.value,
        // Zero stands for "not said".
        None => u64::from(request.hits_addend.max(1)),
    }
}

fn status_of(
    descriptor: &RateLimitDescriptor,
    charged: Option<(Counter, u64)>,
    over: bool,
) -> DescriptorStatus {
    let mut status = DescriptorStatus {
        code: Code::Ok.into(),
        ..DescriptorStatus::default()
    };
    if let Some((counter, hits)) = charged {
        let remaining = counter.remaining().unwrap_or_default();
        if over && remaining < hits {
            status.code = Code::OverLimit.into();
        }
        let small = |number: u64| u32::try_from(number).unwrap_or(u32::MAX);
        status.current_limit = Some(RateLimit {
            name: counter.limit().name().unwrap_or_default().to_owned(),
            requests_per_unit: small(counter.max_value()),
            unit: descriptor.limit.as_ref().map_or(0, |limit| limit.unit),
        });
        status.limit_remaining = small(remaining);
        let reset = counter.expires_in().unwrap_or(counter.window());
        status.duration_until_reset = Some(Duration {
            seconds: i64::try_from(reset.as_secs()).unwrap_or(i64::MAX),
            nanos: i32::try_from(reset.subsec_nanos()).unwrap_or_default(),
        });
    }
    status
}

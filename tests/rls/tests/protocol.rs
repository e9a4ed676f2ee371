//! The filter's hand-written messages against the generated ones.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "test code"
)]

use envoy_types::pb::envoy::service::ratelimit::v3::rate_limit_response::{
    rate_limit, Code, DescriptorStatus, RateLimit,
};
use envoy_types::pb::envoy::service::ratelimit::v3::{RateLimitRequest, RateLimitResponse};
use envoy_types::pb::google::protobuf::Duration;
use prost::Message;
use seawall_core::time::Span;
use seawall_rate_limit::fleet::wire::{self, Status, Unit};

fn descriptor(number: usize) -> Vec<u8> {
    let mut out = Vec::new();
    wire::entry(&mut out, "limit", "tenant");
    wire::entry(&mut out, "x-tenant-id", &"ü".repeat(number));
    if number > 0 {
        wire::numbers(&mut out, 1_000_000_000, Unit::Hour);
    }
    out
}

#[test]
fn requests_are_read_as_they_are_meant() {
    let (plain, long) = (descriptor(0), descriptor(100));
    for (costs, common, own) in [
        ([1, 1], 0, [None, None]),
        ([7, 7], 7, [None, None]),
        ([300, 1], 0, [Some(300), Some(1)]),
        ([0, u64::MAX], 0, [Some(0), Some(u64::MAX)]),
    ] {
        let sent = wire::request("edge", &[(&plain, costs[0]), (&long, costs[1])]);
        let read = RateLimitRequest::decode(sent.as_slice()).unwrap();
        assert_eq!((read.domain.as_str(), read.hits_addend), ("edge", common));
        assert_eq!(read.descriptors.len(), 2);
        for (descriptor, own) in read.descriptors.iter().zip(own) {
            let hits = descriptor.hits_addend.as_ref().map(|hits| hits.value);
            assert_eq!(hits, own);
            let entry = &descriptor.entries[0];
            assert_eq!(
                (entry.key.as_str(), entry.value.as_str()),
                ("limit", "tenant")
            );
        }
        assert_eq!(read.descriptors[1].entries[1].value, "ü".repeat(100));
        assert_eq!(read.descriptors[0].limit, None);
        let limit = read.descriptors[1].limit.as_ref().unwrap();
        assert_eq!(limit.requests_per_unit, 1_000_000_000);
        assert_eq!(limit.unit, rate_limit::Unit::Hour as i32);
    }
}

#[test]
fn answers_are_read_as_they_are_meant() {
    let status = |code: Code, requests: u32, remaining, reset: Option<Duration>| DescriptorStatus {
        code: code.into(),
        current_limit: (requests > 0).then(|| RateLimit {
            name: "n".repeat(200),
            requests_per_unit: requests,
            unit: rate_limit::Unit::Minute.into(),
        }),
        limit_remaining: remaining,
        duration_until_reset: reset,
        ..DescriptorStatus::default()
    };
    let reset = Duration {
        seconds: 86_399,
        nanos: 999_999_999,
    };
    let sent = RateLimitResponse {
        overall_code: Code::OverLimit.into(),
        statuses: vec![
            status(Code::Ok, 0, 0, None),
            status(Code::Ok, u32::MAX, u32::MAX, Some(Duration::default())),
            status(Code::OverLimit, 100, 0, Some(reset)),
        ],
        raw_body: vec![0xff; 5_000],
        ..RateLimitResponse::default()
    };
    let read = wire::answer(&sent.encode_to_vec()).unwrap();
    assert!(read.over);
    let wanted = |over, requests: u64, remaining, reset: Option<u64>| Status {
        over,
        requests: (requests > 0).then_some(requests),
        remaining,
        reset: reset.map(Span),
    };
    let most = u64::from(u32::MAX);
    assert_eq!(
        read.statuses,
        [
            wanted(false, 0, 0, None),
            wanted(false, most, most, Some(0)),
            wanted(true, 100, 0, Some(86_399_999_999_999)),
        ]
    );
    let unknown = RateLimitResponse::default().encode_to_vec();
    assert_eq!(wire::answer(&unknown), None);
}

//! The host port in Envoy.

use crate::abi;
use seawall_core::headers::{write_pairs, Headers};
use seawall_core::host::{
    Answer, Buffer, Expect, Failure, Host, Level, Map, MetricId, MetricKind, Swap, Version,
};
use seawall_core::reply::Reply;
use seawall_core::time::{Span, Timestamp};

/// Envoy, as the callback of one context sees it.
#[derive(Debug, Clone, Copy)]
pub struct Envoy {
    pub(crate) root: u32,
    pub(crate) context: u32,
}

/// The number of the plugin configuration among the ABI's buffers.
pub(crate) const PLUGIN_CONFIGURATION: u32 = 7;

fn map_number(map: Map) -> u32 {
    match map {
        Map::Request => 0,
        Map::RequestTrailers => 1,
        Map::Response => 2,
        Map::ResponseTrailers => 3,
        Map::CallResponse => 6,
        Map::CallResponseTrailers => 7,
    }
}

fn buffer_number(buffer: Buffer) -> u32 {
    match buffer {
        Buffer::RequestBody => 0,
        Buffer::ResponseBody => 1,
        Buffer::CallResponse => 4,
        Buffer::GrpcReceive => 5,
    }
}

fn millis(span: Span) -> u32 {
    u32::try_from(span.as_millis()).unwrap_or(u32::MAX)
}

fn path_bytes(path: &[&str]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(64);
    for (at, part) in path.iter().enumerate() {
        if at > 0 {
            bytes.push(0);
        }
        bytes.extend_from_slice(part.as_bytes());
    }
    bytes
}

impl Envoy {
    /// Runs a call that must outlive the request, as the root context.
    fn as_root(&self, call: impl FnOnce() -> Answer<u32>) -> Answer<u32> {
        if self.root == self.context {
            return call();
        }
        abi::set_effective_context(self.root)?;
        let answer = call();
        abi::set_effective_context(self.context)?;
        answer
    }
}

impl Host for Envoy {
    fn now(&self) -> Answer<Timestamp> {
        abi::now().map(Timestamp)
    }

    fn random(&self, out: &mut [u8]) -> Answer<()> {
        abi::random(out)
    }

    fn log(&self, level: Level, message: &str) {
        let level = match level {
            Level::Debug => 1,
            Level::Info => 2,
            Level::Warn => 3,
            Level::Error => 4,
        };
        abi::log(level, message);
    }

    fn headers(&self, map: Map) -> Answer<Headers> {
        let bytes = abi::header_pairs(map_number(map))?;
        Headers::from_abi(bytes).ok_or(Failure::BadArgument)
    }

    fn header(&self, map: Map, name: &str) -> Answer<Option<Vec<u8>>> {
        abi::header(map_number(map), name)
    }

    fn set_header(&self, map: Map, name: &str, value: &[u8]) -> Answer<()> {
        abi::replace_header(map_number(map), name, value)
    }

    fn add_header(&self, map: Map, name: &str, value: &[u8]) -> Answer<()> {
        abi::add_header(map_number(map), name, value)
    }

    fn remove_header(&self, map: Map, name: &str) -> Answer<()> {
        abi::remove_header(map_number(map), name)
    }

    fn set_headers(&self, map: Map, headers: &Headers) -> Answer<()> {
        abi::set_header_pairs(map_number(map), headers.as_abi())
    }

    fn body(&self, buffer: Buffer, start: usize, max: usize) -> Answer<Vec<u8>> {
        abi::buffer(buffer_number(buffer), start, max)
    }

    fn replace_body(&self, buffer: Buffer, bytes: &[u8]) -> Answer<()> {
        abi::replace_buffer(buffer_number(buffer), bytes)
    }

    fn property(&self, path: &[&str]) -> Answer<Option<Vec<u8>>> {
        abi::property(&path_bytes(path))
    }

    fn set_property(&self, path: &[&str], value: &[u8]) -> Answer<()> {
        abi::set_property(&path_bytes(path), value)
    }

    fn shared_get(&self, key: &str) -> Answer<Option<(Vec<u8>, Version)>> {
        Ok(abi::shared_get(key)?.map(|(value, cas)| (value, Version(cas))))
    }

    fn shared_set(&self, key: &str, value: &[u8], expect: Expect) -> Answer<Swap> {
        let cas = match expect {
            // Zero overwrites.
            Expect::Anything => 0,
            // The host compares only where the key exists, so a number that is never given out inserts or fails.
            Expect::Absent => u32::MAX,
            Expect::Version(version) => version.0,
        };
        let written = abi::shared_set(key, value, cas)?;
        Ok(if written { Swap::Done } else { Swap::Conflict })
    }

    fn queue_register(&self, name: &str) -> Answer<u32> {
        abi::queue_register(name)
    }

    fn queue_send(&self, queue: u32, message: &[u8]) -> Answer<()> {
        abi::queue_send(queue, message)
    }

    fn queue_take(&self, queue: u32) -> Answer<Option<Vec<u8>>> {
        abi::queue_take(queue)
    }

    fn reply(&self, reply: &Reply<'_>) -> Answer<()> {
        let mut headers = Vec::with_capacity(256);
        write_pairs(&mut headers, reply.headers);
        let grpc_status = reply
            .grpc_status
            .and_then(|status| i32::try_from(status).ok())
            .unwrap_or(-1);
        abi::reply(
            reply.status,
            reply.details,
            reply.body,
            &headers,
            grpc_status,
        )
    }

    fn resume_request(&self) -> Answer<()> {
        abi::continue_stream(0)
    }

    fn resume_response(&self) -> Answer<()> {
        abi::continue_stream(1)
    }

    fn act_on(&self, context: u32) -> Answer<()> {
        abi::set_effective_context(context)
    }

    fn set_tick(&self, period: Span) -> Answer<()> {
        abi::set_tick(millis(period))
    }

    fn foreign(&self, name: &str, argument: &[u8]) -> Answer<Vec<u8>> {
        abi::foreign(name, argument)
    }

    fn http_call(
        &self,
        cluster: &str,
        headers: &[(&str, &[u8])],
        body: &[u8],
        timeout: Span,
    ) -> Answer<u32> {
        let mut pairs = Vec::with_capacity(256);
        write_pairs(&mut pairs, headers);
        self.as_root(|| abi::http_call(cluster, &pairs, body, millis(timeout)))
    }

    fn grpc_call(
        &self,
        cluster: &str,
        service: &str,
        method: &str,
        message: &[u8],
        timeout: Span,
    ) -> Answer<u32> {
        self.as_root(|| abi::grpc_call(cluster, service, method, message, millis(timeout)))
    }

    fn metric_define(&self, kind: MetricKind, name: &str) -> Answer<MetricId> {
        let kind = match kind {
            MetricKind::Counter => 0,
            MetricKind::Gauge => 1,
            MetricKind::Histogram => 2,
        };
        abi::define_metric(kind, name).map(MetricId)
    }

    fn metric_add(&self, metric: MetricId, amount: i64) -> Answer<()> {
        abi::increment_metric(metric.0, amount)
    }

    fn metric_record(&self, metric: MetricId, value: u64) -> Answer<()> {
        abi::record_metric(metric.0, value)
    }
}

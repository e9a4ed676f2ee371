//! The host port in Envoy.

use crate::{abi, metrics};
use seawall_core::headers::{write_pairs, Headers};
use seawall_core::host::{
    Answer, Buffer, Expect, Failure, Host, Level, Map, MetricId, MetricKind, Swap, Version,
};
use seawall_core::reply::Reply;
use seawall_core::time::{Span, Timestamp};
use std::cell::Cell;

/// Envoy, as the callback of one context sees it.
#[derive(Debug, Clone)]
pub struct Envoy {
    root: u32,
    /// The context that calls act on; the host goes back to that of the callback with every callback.
    acts_on: Cell<u32>,
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

/// A cluster as the serialised `envoy.config.core.v3.GrpcService` with `envoy_grpc.cluster_name`. Envoy takes a bare name as
/// well, but first tries to read it as that message, and aborts where the name happens to be one: `empty` is.
fn grpc_service(cluster: &str) -> Vec<u8> {
    let field = |bytes: &[u8]| {
        let mut out = Vec::with_capacity(bytes.len().saturating_add(8));
        // Field 1, a message or a string.
        out.push(0x0a);
        let mut length = bytes.len();
        while length >= 0x80 {
            out.push((length as u8) | 0x80);
            length >>= 7;
        }
        out.push(length as u8);
        out.extend_from_slice(bytes);
        out
    };
    field(&field(cluster.as_bytes()))
}

/// Sends a reply with these fields, in the ABI's form.
fn send(reply: &Reply<'_>, headers: &[u8]) -> Answer<()> {
    let grpc_status = reply
        .grpc_status
        .and_then(|status| i32::try_from(status).ok())
        .unwrap_or(-1);
    abi::reply(
        reply.status,
        reply.details,
        reply.body,
        headers,
        grpc_status,
    )
}

impl Envoy {
    /// The host for the callbacks of one context under a root context.
    pub(crate) fn of(root: u32, context: u32) -> Self {
        Envoy {
            root,
            acts_on: Cell::new(context),
        }
    }

    /// Runs a call that must outlive the request, as the root context.
    fn as_root(&self, call: impl FnOnce() -> Answer<u32>) -> Answer<u32> {
        let context = self.acts_on.get();
        if self.root == context {
            return call();
        }
        abi::set_effective_context(self.root)?;
        let answer = call();
        // The request may be gone; the call is under way all the same.
        let _ = abi::set_effective_context(context);
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

    fn property(&self, path: &str) -> Answer<Option<Vec<u8>>> {
        abi::property(path)
    }

    fn set_property(&self, path: &str, value: &[u8]) -> Answer<()> {
        abi::set_property(path, value)
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
        send(reply, &headers)
    }

    fn reply_after(&self, first: &Headers, reply: &Reply<'_>) -> Answer<()> {
        let headers = first.with_more(reply.headers);
        send(reply, headers.as_abi())
    }

    fn resume_request(&self) -> Answer<()> {
        abi::continue_stream(0)
    }

    fn resume_response(&self) -> Answer<()> {
        abi::continue_stream(1)
    }

    fn act_on(&self, context: u32) -> Answer<()> {
        abi::set_effective_context(context)?;
        self.acts_on.set(context);
        Ok(())
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
        let upstream = grpc_service(cluster);
        self.as_root(|| abi::grpc_call(&upstream, service, method, message, millis(timeout)))
    }

    fn metric_define(&self, kind: MetricKind, name: &str) -> Answer<MetricId> {
        let kind = match kind {
            MetricKind::Counter => 0,
            MetricKind::Gauge => 1,
            MetricKind::Histogram => 2,
        };
        metrics::define(kind, name).map(MetricId)
    }

    fn metric_add(&self, metric: MetricId, amount: i64) -> Answer<()> {
        abi::increment_metric(metric.0, amount)
    }

    fn metric_record(&self, metric: MetricId, value: u64) -> Answer<()> {
        abi::record_metric(metric.0, value)
    }

    fn metric_value(&self, metric: MetricId) -> Answer<u64> {
        abi::metric(metric.0)
    }
}

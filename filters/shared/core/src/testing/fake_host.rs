//! The host port of one VM.

use super::world::{Queue, World};
use crate::headers::Headers;
use crate::host::{
    Answer, Buffer, Expect, Failure, Host, Level, Map, MetricId, MetricKind, Swap, Version,
};
use crate::reply::Reply;
use crate::time::{Span, Timestamp};
use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, HashMap};

/// A reply that the filter sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SentReply {
    /// The HTTP status.
    pub status: u32,
    /// The fields given by the filter.
    pub headers: Vec<(String, Vec<u8>)>,
    /// The body.
    pub body: Vec<u8>,
    /// The gRPC status, where given.
    pub grpc_status: Option<u32>,
    /// The word for the access log.
    pub details: String,
}

impl SentReply {
    /// The first value of a field as text.
    pub fn header(&self, name: &str) -> Option<&str> {
        let found = self.headers.iter().find(|(field, _)| field == name)?;
        std::str::from_utf8(&found.1).ok()
    }
}

/// A callout that the filter started.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Call {
    /// Its token.
    pub token: u32,
    /// The cluster.
    pub cluster: String,
    /// Request fields of an HTTP call; `service/method` of a gRPC call.
    pub headers: Vec<(String, Vec<u8>)>,
    /// The body or message.
    pub body: Vec<u8>,
}

/// What a stream of this VM holds while it lives.
#[derive(Debug, Default)]
pub(super) struct StreamState {
    pub(super) maps: HashMap<Map, Vec<(String, Vec<u8>)>>,
    pub(super) buffers: HashMap<Buffer, Vec<u8>>,
    pub(super) properties: BTreeMap<String, Vec<u8>>,
    pub(super) reply: Option<SentReply>,
    pub(super) request_resumed: bool,
    pub(super) response_resumed: bool,
}

/// The host as one VM sees it.
pub struct FakeHost {
    pub(super) world: World,
    pub(super) vm: u32,
    pub(super) streams: RefCell<HashMap<u32, StreamState>>,
    pub(super) active: Cell<u32>,
    pub(super) tick: Cell<Span>,
    metrics: RefCell<Vec<String>>,
    calls: RefCell<BTreeMap<&'static str, u64>>,
    copied: Cell<u64>,
    callouts: RefCell<Vec<Call>>,
    failing: RefCell<HashMap<&'static str, Failure>>,
    before_shared: RefCell<Option<Box<dyn FnMut()>>>,
}

impl FakeHost {
    /// A host for the VM of this number.
    pub fn new(world: &World, vm: u32) -> Self {
        FakeHost {
            world: world.clone(),
            vm,
            streams: RefCell::default(),
            active: Cell::new(0),
            tick: Cell::default(),
            metrics: RefCell::default(),
            calls: RefCell::default(),
            copied: Cell::new(0),
            callouts: RefCell::default(),
            failing: RefCell::default(),
            before_shared: RefCell::default(),
        }
    }

    /// The process this VM is in.
    pub fn world(&self) -> &World {
        &self.world
    }

    /// How often each host call was made since the last [`FakeHost::forget_calls`].
    pub fn calls(&self) -> BTreeMap<&'static str, u64> {
        self.calls.borrow().clone()
    }

    /// All host calls since then.
    pub fn call_count(&self) -> u64 {
        self.calls.borrow().values().sum()
    }

    /// Bytes that crossed the boundary since then, both ways: header maps, bodies, properties, shared values.
    pub fn bytes_copied(&self) -> u64 {
        self.copied.get()
    }

    /// Starts counting anew.
    pub fn forget_calls(&self) {
        self.calls.borrow_mut().clear();
        self.copied.set(0);
    }

    /// From now on a host call of this name (that of the trait's method) fails so.
    pub fn fail(&self, call: &'static str, failure: Failure) {
        self.failing.borrow_mut().insert(call, failure);
    }

    /// All host calls work again.
    pub fn heal(&self) {
        self.failing.borrow_mut().clear();
    }

    /// Runs before every access to shared data: where another worker may be faster.
    pub fn before_shared(&self, interfere: impl FnMut() + 'static) {
        *self.before_shared.borrow_mut() = Some(Box::new(interfere));
    }

    /// Callouts started and not taken yet.
    pub fn take_callouts(&self) -> Vec<Call> {
        self.callouts.take()
    }

    /// The tick period that was asked for.
    pub fn tick_period(&self) -> Span {
        self.tick.get()
    }

    /// Sets a property of the stream that is active.
    pub fn put_property(&self, path: &[&str], value: &[u8]) {
        self.with(|stream| stream.properties.insert(path.join("."), value.to_vec()));
    }

    /// Gives the stream that is active these request headers.
    pub fn put_request(&self, headers: Vec<(String, Vec<u8>)>) {
        self.with(|stream| stream.maps.insert(Map::Request, headers));
    }

    /// Puts a part of a response body into the buffer of the stream that is active.
    pub fn put_body(&self, bytes: &[u8]) {
        self.with(|stream| stream.buffers.insert(Buffer::ResponseBody, bytes.to_vec()));
    }

    /// Takes that part out again, as the filter has left it.
    pub fn take_body(&self) -> Vec<u8> {
        self.with(|stream| stream.buffers.remove(&Buffer::ResponseBody))
            .unwrap_or_default()
    }

    /// The answer to a callout, for [`crate::plugin::Plugin::call_done`].
    pub fn put_call_response(&self, headers: &[(&str, &str)], body: &[u8]) {
        let headers = headers
            .iter()
            .map(|(name, value)| ((*name).to_owned(), value.as_bytes().to_vec()))
            .collect();
        self.with(|stream| {
            stream.maps.insert(Map::CallResponse, headers);
            stream.buffers.insert(Buffer::CallResponse, body.to_vec());
        });
    }

    /// The message of a gRPC callout's answer, for [`crate::plugin::Plugin::grpc_done`].
    pub fn put_grpc_response(&self, message: &[u8]) {
        self.with(|stream| stream.buffers.insert(Buffer::GrpcReceive, message.to_vec()));
    }

    /// Adds a stream (or the root's space, 0) with headers and properties and makes it active.
    pub fn open(&self, context: u32) {
        self.streams.borrow_mut().entry(context).or_default();
        self.active.set(context);
    }

    fn called(&self, call: &'static str) -> Answer<()> {
        *self.calls.borrow_mut().entry(call).or_default() += 1;
        match self.failing.borrow().get(call) {
            Some(failure) => Err(*failure),
            None => Ok(()),
        }
    }

    fn copies(&self, bytes: usize) {
        self.copied.set(self.copied.get() + bytes as u64);
    }

    pub(super) fn with<R>(&self, act: impl FnOnce(&mut StreamState) -> R) -> R {
        let mut streams = self.streams.borrow_mut();
        act(streams.entry(self.active.get()).or_default())
    }

    fn with_map<R>(
        &self,
        map: Map,
        act: impl FnOnce(&mut Vec<(String, Vec<u8>)>) -> R,
    ) -> Answer<R> {
        self.with(|stream| stream.maps.get_mut(&map).map(act))
            .ok_or(Failure::BadArgument)
    }

    fn interfere(&self) {
        // Taken out while it runs, for it may use this host.
        let hook = self.before_shared.borrow_mut().take();
        if let Some(mut hook) = hook {
            hook();
            let mut place = self.before_shared.borrow_mut();
            if place.is_none() {
                *place = Some(hook);
            }
        }
    }
}

impl Host for FakeHost {
    fn now(&self) -> Answer<Timestamp> {
        self.called("now")?;
        Ok(self.world.now())
    }

    fn random(&self, out: &mut [u8]) -> Answer<()> {
        self.called("random")?;
        for chunk in out.chunks_mut(8) {
            let bits = self.world.next_random().to_le_bytes();
            chunk.copy_from_slice(&bits[..chunk.len()]);
        }
        Ok(())
    }

    fn log(&self, level: Level, message: &str) {
        if self.called("log").is_ok() {
            self.world
                .0
                .log
                .borrow_mut()
                .push(format!("{level:?}: {message}"));
        }
    }

    fn headers(&self, map: Map) -> Answer<Headers> {
        self.called("headers")?;
        let headers = self.with(|stream| {
            stream
                .maps
                .get(&map)
                .map(|pairs| Headers::from_pairs(pairs))
                .unwrap_or_default()
        });
        self.copies(headers.as_abi().len());
        Ok(headers)
    }

    fn header(&self, map: Map, name: &str) -> Answer<Option<Vec<u8>>> {
        self.called("header")?;
        let value = self.with_map(map, |pairs| {
            pairs
                .iter()
                .find(|(field, _)| field == name)
                .map(|(_, value)| value.clone())
        })?;
        self.copies(value.as_ref().map_or(0, Vec::len));
        Ok(value)
    }

    fn set_header(&self, map: Map, name: &str, value: &[u8]) -> Answer<()> {
        self.called("set_header")?;
        self.copies(value.len());
        self.with_map(map, |pairs| {
            match pairs.iter().position(|(field, _)| field == name) {
                Some(at) => {
                    pairs[at].1 = value.to_vec();
                    let mut index = 0;
                    pairs.retain(|(field, _)| {
                        index += 1;
                        index - 1 <= at || field != name
                    });
                }
                None => pairs.push((name.to_owned(), value.to_vec())),
            };
        })
    }

    fn add_header(&self, map: Map, name: &str, value: &[u8]) -> Answer<()> {
        self.called("add_header")?;
        self.copies(value.len());
        self.with_map(map, |pairs| pairs.push((name.to_owned(), value.to_vec())))
    }

    fn remove_header(&self, map: Map, name: &str) -> Answer<()> {
        self.called("remove_header")?;
        self.with_map(map, |pairs| pairs.retain(|(field, _)| field != name))
    }

    fn set_headers(&self, map: Map, headers: &Headers) -> Answer<()> {
        self.called("set_headers")?;
        self.copies(headers.as_abi().len());
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let pairs = headers
            .iter()
            .map(|(name, value)| (text(name), value.to_vec()))
            .collect();
        self.with_map(map, |held| *held = pairs)
    }

    fn body(&self, buffer: Buffer, start: usize, max: usize) -> Answer<Vec<u8>> {
        self.called("body")?;
        let bytes = self
            .with(|stream| stream.buffers.get(&buffer).cloned())
            .unwrap_or_default();
        let end = start.saturating_add(max).min(bytes.len());
        let part = bytes.get(start..end).unwrap_or_default().to_vec();
        self.copies(part.len());
        Ok(part)
    }

    fn replace_body(&self, buffer: Buffer, bytes: &[u8]) -> Answer<()> {
        self.called("replace_body")?;
        self.copies(bytes.len());
        self.with(|stream| stream.buffers.insert(buffer, bytes.to_vec()));
        Ok(())
    }

    fn property(&self, path: &[&str]) -> Answer<Option<Vec<u8>>> {
        self.called("property")?;
        let value = self.with(|stream| stream.properties.get(&path.join(".")).cloned());
        self.copies(value.as_ref().map_or(0, Vec::len));
        Ok(value)
    }

    fn set_property(&self, path: &[&str], value: &[u8]) -> Answer<()> {
        self.called("set_property")?;
        self.copies(value.len());
        self.put_property(path, value);
        Ok(())
    }

    fn shared_get(&self, key: &str) -> Answer<Option<(Vec<u8>, Version)>> {
        self.called("shared_get")?;
        self.interfere();
        let found = self.world.shared_get(key);
        self.copies(found.as_ref().map_or(0, |(value, _)| value.len()));
        Ok(found)
    }

    fn shared_set(&self, key: &str, value: &[u8], expect: Expect) -> Answer<Swap> {
        self.called("shared_set")?;
        self.interfere();
        self.copies(value.len());
        Ok(self.world.shared_set(key, value, expect))
    }

    fn queue_register(&self, name: &str) -> Answer<u32> {
        self.called("queue_register")?;
        let mut queues = self.world.0.queues.borrow_mut();
        let at = match queues.iter().position(|queue| queue.name == name) {
            Some(at) => at,
            None => {
                queues.push(Queue {
                    name: name.to_owned(),
                    ..Queue::default()
                });
                queues.len() - 1
            }
        };
        queues[at].receiver = self.vm;
        Ok(at as u32 + 1)
    }

    fn queue_send(&self, queue: u32, message: &[u8]) -> Answer<()> {
        self.called("queue_send")?;
        let mut queues = self.world.0.queues.borrow_mut();
        let queue = (queue as usize)
            .checked_sub(1)
            .and_then(|at| queues.get_mut(at));
        queue
            .ok_or(Failure::NotFound)?
            .messages
            .push_back(message.to_vec());
        Ok(())
    }

    fn queue_take(&self, queue: u32) -> Answer<Option<Vec<u8>>> {
        self.called("queue_take")?;
        let mut queues = self.world.0.queues.borrow_mut();
        let queue = (queue as usize)
            .checked_sub(1)
            .and_then(|at| queues.get_mut(at));
        Ok(queue.ok_or(Failure::NotFound)?.messages.pop_front())
    }

    fn reply(&self, reply: &Reply<'_>) -> Answer<()> {
        self.called("reply")?;
        let sent = SentReply {
            status: reply.status,
            headers: reply
                .headers
                .iter()
                .map(|(name, value)| ((*name).to_owned(), value.to_vec()))
                .collect(),
            body: reply.body.to_vec(),
            grpc_status: reply.grpc_status,
            details: reply.details.to_owned(),
        };
        // A second reply is ignored, as Envoy does.
        self.with(|stream| stream.reply.get_or_insert(sent).status);
        Ok(())
    }

    fn resume_request(&self) -> Answer<()> {
        self.called("resume_request")?;
        self.with(|stream| {
            stream.request_resumed = true;
            // Envoy drops the pointer at once.
            stream.maps.remove(&Map::Request);
        });
        Ok(())
    }

    fn resume_response(&self) -> Answer<()> {
        self.called("resume_response")?;
        self.with(|stream| {
            stream.response_resumed = true;
            stream.maps.remove(&Map::Response);
        });
        Ok(())
    }

    fn act_on(&self, context: u32) -> Answer<()> {
        self.called("act_on")?;
        if self.streams.borrow().contains_key(&context) {
            self.active.set(context);
            Ok(())
        } else {
            Err(Failure::BadArgument)
        }
    }

    fn set_tick(&self, period: Span) -> Answer<()> {
        self.called("set_tick")?;
        self.tick.set(period);
        Ok(())
    }

    fn foreign(&self, _name: &str, _argument: &[u8]) -> Answer<Vec<u8>> {
        self.called("foreign")?;
        Ok(Vec::new())
    }

    fn http_call(
        &self,
        cluster: &str,
        headers: &[(&str, &[u8])],
        body: &[u8],
        _timeout: Span,
    ) -> Answer<u32> {
        self.called("http_call")?;
        let headers = headers
            .iter()
            .map(|(name, value)| ((*name).to_owned(), value.to_vec()))
            .collect();
        Ok(self.start_call(cluster, headers, body))
    }

    fn grpc_call(
        &self,
        cluster: &str,
        service: &str,
        method: &str,
        message: &[u8],
        _timeout: Span,
    ) -> Answer<u32> {
        self.called("grpc_call")?;
        let path = vec![(format!("{service}/{method}"), Vec::new())];
        Ok(self.start_call(cluster, path, message))
    }

    fn metric_define(&self, _kind: MetricKind, name: &str) -> Answer<MetricId> {
        self.called("metric_define")?;
        self.world
            .0
            .metrics
            .borrow_mut()
            .entry(name.to_owned())
            .or_default();
        let mut metrics = self.metrics.borrow_mut();
        metrics.push(name.to_owned());
        Ok(MetricId(metrics.len() as u32))
    }

    fn metric_add(&self, metric: MetricId, amount: i64) -> Answer<()> {
        self.called("metric_add")?;
        self.change_metric(metric, |value| *value += amount)
    }

    fn metric_record(&self, metric: MetricId, value: u64) -> Answer<()> {
        self.called("metric_record")?;
        self.change_metric(metric, |held| *held = value as i64)
    }

    fn metric_value(&self, metric: MetricId) -> Answer<u64> {
        self.called("metric_value")?;
        let mut value = 0;
        self.change_metric(metric, |held| value = *held as u64)?;
        Ok(value)
    }
}

impl FakeHost {
    fn start_call(&self, cluster: &str, headers: Vec<(String, Vec<u8>)>, body: &[u8]) -> u32 {
        let mut callouts = self.callouts.borrow_mut();
        let token = self.calls.borrow().values().sum::<u64>() as u32;
        callouts.push(Call {
            token,
            cluster: cluster.to_owned(),
            headers,
            body: body.to_vec(),
        });
        token
    }

    fn change_metric(&self, metric: MetricId, change: impl FnOnce(&mut i64)) -> Answer<()> {
        let metrics = self.metrics.borrow();
        let name = (metric.0 as usize)
            .checked_sub(1)
            .and_then(|at| metrics.get(at));
        let name = name.ok_or(Failure::NotFound)?;
        change(
            self.world
                .0
                .metrics
                .borrow_mut()
                .entry(name.clone())
                .or_default(),
        );
        Ok(())
    }
}

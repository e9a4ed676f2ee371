//! The host port of one VM.

mod port;
mod records;

pub use records::{Call, SentReply};

use super::world::World;
use crate::host::{Answer, Buffer, Failure, Map, MetricId};
use crate::time::Span;
use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, HashMap};

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

/// A path as tests write it, with dots.
pub(super) fn path_name(path: &str) -> String {
    path.replace('\0', ".")
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
    pub fn put_property(&self, path: &str, value: &[u8]) {
        self.with(|stream| stream.properties.insert(path_name(path), value.to_vec()));
    }

    /// Gives the stream that is active these request headers.
    pub fn put_request(&self, headers: Vec<(String, Vec<u8>)>) {
        self.with(|stream| stream.maps.insert(Map::Request, headers));
    }

    /// Gives the stream that is active these response trailers, for [`crate::plugin::Stream::response_trailers`].
    pub fn put_trailers(&self, trailers: Vec<(String, Vec<u8>)>) {
        self.with(|stream| stream.maps.insert(Map::ResponseTrailers, trailers));
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

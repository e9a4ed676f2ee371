//! One worker's VM: drives a filter through requests as Envoy does.

use super::fake_host::{FakeHost, SentReply};
use super::world::World;
use crate::host::{Buffer, Map};
use crate::plugin::{Flow, Plugin, Stream};
use std::collections::BTreeMap;

/// How the request phase of an exchange ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ended {
    /// The request went on to the next filter with these headers.
    Forwarded(Vec<(String, Vec<u8>)>),
    /// The filter answered.
    Replied(SentReply),
    /// The filter holds the request.
    Paused,
}

/// A VM with a filter in it.
pub struct Vm<P: Plugin> {
    /// The host of this VM.
    pub host: FakeHost,
    /// The filter.
    pub plugin: P,
    next: u32,
}

/// A request on its way through the filter.
pub struct Exchange<S> {
    /// The context's id.
    pub context: u32,
    /// The filter's stream.
    pub stream: S,
}

fn own(pairs: &[(&str, &str)]) -> Vec<(String, Vec<u8>)> {
    pairs
        .iter()
        .map(|(name, value)| ((*name).to_owned(), value.as_bytes().to_vec()))
        .collect()
}

impl<P: Plugin> Vm<P> {
    /// A VM that has taken this configuration. Panics, with the errors, when it is refused.
    pub fn start(world: &World, number: u32, configuration: &serde_json::Value) -> Self {
        let host = FakeHost::new(world, number);
        host.open(0);
        let mut plugin = P::default();
        if let Err(errors) = plugin.configure(&host, configuration.to_string().as_bytes()) {
            panic!("configuration refused: {errors}");
        }
        host.forget_calls();
        Vm {
            host,
            plugin,
            next: 1,
        }
    }

    /// The errors that this configuration is refused with; empty when it is taken.
    pub fn errors(configuration: &serde_json::Value) -> Vec<String> {
        let host = FakeHost::new(&World::new(), 1);
        host.open(0);
        match P::default().configure(&host, configuration.to_string().as_bytes()) {
            Ok(()) => Vec::new(),
            Err(errors) => errors.iter().map(ToString::to_string).collect(),
        }
    }

    /// A new request with these properties (paths joined by dots) that has not met the filter yet.
    pub fn open(&mut self, properties: &[(&str, &[u8])]) -> Exchange<P::Stream> {
        let context = self.next;
        self.next += 1;
        self.host.open(context);
        self.host.with(|state| {
            state.properties = properties
                .iter()
                .map(|(path, value)| ((*path).to_owned(), value.to_vec()))
                .collect::<BTreeMap<_, _>>();
        });
        Exchange {
            context,
            stream: self.plugin.stream(context),
        }
    }

    /// The request-headers phase of a request without a body.
    pub fn request(
        &mut self,
        exchange: &mut Exchange<P::Stream>,
        headers: &[(&str, &str)],
    ) -> Ended {
        self.request_bytes(exchange, own(headers), true)
    }

    /// The same with any bytes as values, and with or without a body to follow.
    pub fn request_bytes(
        &mut self,
        exchange: &mut Exchange<P::Stream>,
        headers: Vec<(String, Vec<u8>)>,
        end_of_stream: bool,
    ) -> Ended {
        self.host.open(exchange.context);
        self.host
            .with(|state| state.maps.insert(Map::Request, headers));
        let flow = exchange.stream.request_headers(&self.host, end_of_stream);
        self.host.open(exchange.context);
        let reply = self.host.with(|state| state.reply.clone());
        match (reply, flow) {
            (Some(reply), flow) => {
                assert_eq!(flow, Flow::Pause, "a filter that replies must pause");
                Ended::Replied(reply)
            }
            (None, Flow::Continue) => {
                let map = self.host.with(|state| state.maps.remove(&Map::Request));
                Ended::Forwarded(map.unwrap_or_default())
            }
            (None, Flow::Pause) => Ended::Paused,
        }
    }

    /// True when a paused request has been let go since.
    pub fn resumed(&self, exchange: &Exchange<P::Stream>) -> bool {
        self.host.open(exchange.context);
        self.host.with(|state| state.request_resumed)
    }

    /// The reply sent to a request, also one sent while it was paused.
    pub fn reply(&self, exchange: &Exchange<P::Stream>) -> Option<SentReply> {
        self.host.open(exchange.context);
        self.host.with(|state| state.reply.clone())
    }

    /// A property as the filter has set it.
    pub fn property(&self, exchange: &Exchange<P::Stream>, path: &str) -> Option<Vec<u8>> {
        self.host.open(exchange.context);
        self.host.with(|state| state.properties.get(path).cloned())
    }

    /// Response headers from the upstream (or of a local reply); the headers as the client gets them.
    pub fn response(
        &mut self,
        exchange: &mut Exchange<P::Stream>,
        headers: &[(&str, &str)],
        end_of_stream: bool,
    ) -> Vec<(String, Vec<u8>)> {
        self.response_bytes(exchange, own(headers), end_of_stream)
    }

    /// The same with any bytes as values.
    pub fn response_bytes(
        &mut self,
        exchange: &mut Exchange<P::Stream>,
        headers: Vec<(String, Vec<u8>)>,
        end_of_stream: bool,
    ) -> Vec<(String, Vec<u8>)> {
        self.host.open(exchange.context);
        self.host.with(|state| {
            state.maps.remove(&Map::Request);
            state.maps.insert(Map::Response, headers);
        });
        exchange.stream.response_headers(&self.host, end_of_stream);
        self.host.open(exchange.context);
        self.host
            .with(|state| state.maps.remove(&Map::Response))
            .unwrap_or_default()
    }

    /// A part of the response body, not buffered by the filter.
    pub fn response_body(
        &mut self,
        exchange: &mut Exchange<P::Stream>,
        bytes: &[u8],
        end_of_stream: bool,
    ) -> Flow {
        self.host.open(exchange.context);
        self.host
            .with(|state| state.buffers.insert(Buffer::ResponseBody, bytes.to_vec()));
        let flow = exchange
            .stream
            .response_body(&self.host, bytes.len(), end_of_stream);
        self.host.open(exchange.context);
        self.host
            .with(|state| state.buffers.remove(&Buffer::ResponseBody));
        flow
    }

    /// The end of the request, however it came.
    pub fn finish(&mut self, mut exchange: Exchange<P::Stream>) {
        self.host.open(exchange.context);
        exchange.stream.log(&self.host);
        drop(exchange.stream);
        self.host.streams.borrow_mut().remove(&exchange.context);
        self.host.active.set(0);
    }

    /// The timer.
    pub fn tick(&mut self) {
        self.host.open(0);
        self.plugin.tick(&self.host);
    }

    /// The end of the configuration, as after a listener update.
    pub fn end(&mut self) {
        self.host.open(0);
        self.plugin.ended(&self.host);
    }

    /// Delivers what lies in the queues of this VM, as Envoy does after an enqueue.
    pub fn deliver(&mut self) {
        for queue in self.ready() {
            self.host.open(0);
            self.plugin.queue_ready(&self.host, queue);
        }
    }

    /// Delivers until nothing is left.
    ///
    /// # Panics
    /// Where the VM sends itself messages without an end.
    pub fn deliver_all(&mut self) {
        for _ in 0..1_000 {
            if self.ready().is_empty() {
                return;
            }
            self.deliver();
        }
        panic!("messages without an end");
    }

    /// The queues of this VM that hold something.
    fn ready(&self) -> Vec<u32> {
        let queues = self.host.world.0.queues.borrow();
        (1..)
            .zip(queues.iter())
            .filter(|(_, queue)| queue.receiver == self.host.vm && !queue.messages.is_empty())
            .map(|(id, _)| id)
            .collect()
    }
}

//! A life, driven as Envoy drives it.

use crate::state::{Pairs, Reply, State};
use crate::step::{Step, ROOT};
use crate::vm::{Snapshot, Trap, Vm};
use std::collections::BTreeMap;
use wasmi::Module;

const REQUEST: u32 = 0;
const RESPONSE: u32 = 2;
const RESPONSE_TRAILERS: u32 = 3;
const CALL_RESPONSE: u32 = 6;
const REQUEST_BODY: u32 = 0;
const RESPONSE_BODY: u32 = 1;
const CALL_BODY: u32 = 4;
const GRPC_BODY: u32 = 5;
const PAUSE: u32 = 1;
const UNAVAILABLE: u32 = 14;

/// What became of a request.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Fate {
    /// The fields with which it went on, if it did.
    pub forwarded: Option<Pairs>,
    /// The filter's own answer, if it gave one.
    pub reply: Option<Reply>,
    /// The fields of the response as the client got them.
    pub response: Option<Pairs>,
    /// The body as the client got it.
    pub body: Vec<u8>,
    /// True once it was over.
    pub ended: bool,
    held_response: Option<Vec<u8>>,
}

impl Fate {
    /// True while the filter holds the request.
    pub fn held(&self) -> bool {
        self.forwarded.is_none() && self.reply.is_none() && !self.ended
    }
}

/// A module in the midst of its life.
pub struct Run {
    /// The VM.
    pub vm: Vm,
    /// What became of each request, by context.
    pub fates: BTreeMap<u32, Fate>,
    /// Whether the configuration was taken.
    pub configured: bool,
    ticked: u64,
}

/// A run to go on from.
#[derive(Clone)]
pub struct Saved {
    vm: Snapshot,
    fates: BTreeMap<u32, Fate>,
    configured: bool,
    ticked: u64,
}

impl Run {
    /// A module before its start.
    ///
    /// # Errors
    /// When its initialiser traps.
    pub fn new(module: &Module, state: State) -> Result<Self, Trap> {
        let ticked = state.now;
        Ok(Run {
            vm: Vm::start(module, state)?,
            fates: BTreeMap::new(),
            configured: false,
            ticked,
        })
    }

    /// What there is to go on from.
    pub fn save(&self) -> Saved {
        Saved {
            vm: self.vm.snapshot(),
            fates: self.fates.clone(),
            configured: self.configured,
            ticked: self.ticked,
        }
    }

    /// Goes on from there.
    pub fn resume(module: &Module, saved: &Saved) -> Self {
        Run {
            vm: Vm::resume(module, &saved.vm),
            fates: saved.fates.clone(),
            configured: saved.configured,
            ticked: saved.ticked,
        }
    }

    /// Lives a whole life.
    ///
    /// # Errors
    /// When the module traps.
    pub fn live(module: &Module, state: State, life: &[Step]) -> Result<Self, Trap> {
        let mut run = Run::new(module, state)?;
        for step in life {
            run.step(step)?;
        }
        Ok(run)
    }

    /// Calls one callback as the host of this context, and does what it asks for.
    ///
    /// # Errors
    /// When the module traps.
    pub fn call(
        &mut self,
        context: u32,
        name: &'static str,
        arguments: &[u32],
    ) -> Result<u32, Trap> {
        self.vm.state_mut().active = context;
        let answer = self.vm.call(name, arguments)?;
        self.settle()?;
        Ok(answer)
    }

    /// Does the next thing.
    ///
    /// # Errors
    /// When the module traps.
    pub fn step(&mut self, step: &Step) -> Result<(), Trap> {
        match step {
            Step::Start => self.start(),
            _ if !self.configured => Ok(()),
            Step::Wait(millis) => {
                self.vm.state_mut().now += millis * 1_000_000;
                self.tick()
            }
            Step::Clock(millis) => {
                self.vm.state_mut().now = millis * 1_000_000;
                self.ticked = 0;
                self.tick()
            }
            Step::Property(path, value) => {
                let properties = &mut self.vm.state_mut().properties;
                properties.insert((*path).to_owned(), value.clone());
                Ok(())
            }
            Step::Request(context, headers, end) => self.request(*context, headers, *end),
            Step::RequestBody(context, bytes, end) => self.request_body(*context, bytes, *end),
            Step::Response(context, headers, end) if self.awaits_response(*context) => {
                self.response(*context, headers, *end)
            }
            Step::ResponseBody(context, bytes, end) if self.in_response(*context) => {
                self.response_body(*context, bytes, *end)
            }
            Step::ResponseTrailers(context, fields) if self.in_response(*context) => {
                self.trailers(*context, fields)
            }
            Step::Response(..) | Step::ResponseBody(..) | Step::ResponseTrailers(..) => Ok(()),
            Step::End(context) => self.end(*context),
            Step::Queues => self.queues(),
            Step::CallsAnswered(headers, body) => self.calls(Some((headers, body))),
            Step::CallsFailed => self.calls(None),
        }
    }

    /// Lets a minute and more pass, if a request is held: by then it must have gone on or been answered.
    ///
    /// # Errors
    /// When the module traps.
    pub fn wait_out(&mut self) -> Result<(), Trap> {
        self.wait_a_minute()?;
        if self.fates.values().any(Fate::held) {
            // Calls have timeouts: by now the host has ended them. Whom one of the four let go, the next one may hold.
            self.step(&Step::CallsFailed)?;
            self.wait_a_minute()?;
        }
        Ok(())
    }

    fn wait_a_minute(&mut self) -> Result<(), Trap> {
        for _ in 0..70 {
            if !self.fates.values().any(Fate::held) {
                break;
            }
            self.step(&Step::Wait(1_000))?;
        }
        Ok(())
    }

    fn start(&mut self) -> Result<(), Trap> {
        let size = self.vm.state().configuration.len() as u32;
        self.vm.state_mut().streams.entry(ROOT).or_default();
        self.call(ROOT, "proxy_on_context_create", &[ROOT, 0])?;
        self.call(ROOT, "proxy_on_vm_start", &[ROOT, 0])?;
        self.configured = self.call(ROOT, "proxy_on_configure", &[ROOT, size])? != 0;
        Ok(())
    }

    fn tick(&mut self) -> Result<(), Trap> {
        let state = self.vm.state();
        let period = u64::from(state.tick) * 1_000_000;
        if period == 0 || state.now.saturating_sub(self.ticked) < period {
            return Ok(());
        }
        self.ticked = state.now;
        self.call(ROOT, "proxy_on_tick", &[ROOT]).map(drop)
    }

    fn awaits_response(&self, context: u32) -> bool {
        let fate = self.fates.get(&context);
        fate.is_some_and(|f| f.forwarded.is_some() && f.reply.is_none() && f.response.is_none())
    }

    fn in_response(&self, context: u32) -> bool {
        let fate = self.fates.get(&context);
        fate.is_some_and(|f| f.response.is_some() && f.reply.is_none() && !f.ended)
    }

    fn map(&mut self, context: u32, map: u32, fields: &Pairs) {
        let stream = self.vm.state_mut().streams.entry(context).or_default();
        stream.maps.insert(map, fields.clone());
    }

    fn request(&mut self, context: u32, headers: &Pairs, end: bool) -> Result<(), Trap> {
        self.map(context, REQUEST, headers);
        self.fates.insert(context, Fate::default());
        self.call(ROOT, "proxy_on_context_create", &[context, ROOT])?;
        let arguments = [context, headers.len() as u32, u32::from(end)];
        let action = self.call(context, "proxy_on_request_headers", &arguments)?;
        if action != PAUSE {
            self.forward(context);
        }
        Ok(())
    }

    fn forward(&mut self, context: u32) {
        let stream = self.vm.state_mut().streams.entry(context).or_default();
        let headers = stream.maps.remove(&REQUEST);
        if let Some(fate) = self.fates.get_mut(&context) {
            if fate.held() {
                fate.forwarded = headers;
            }
        }
    }

    fn request_body(&mut self, context: u32, bytes: &[u8], end: bool) -> Result<(), Trap> {
        if !self.awaits_response(context) {
            return Ok(());
        }
        let stream = self.vm.state_mut().streams.entry(context).or_default();
        stream.buffers.insert(REQUEST_BODY, bytes.to_vec());
        let arguments = [context, bytes.len() as u32, u32::from(end)];
        self.call(context, "proxy_on_request_body", &arguments)
            .map(drop)
    }

    fn response(&mut self, context: u32, headers: &Pairs, end: bool) -> Result<(), Trap> {
        self.map(context, RESPONSE, headers);
        let arguments = [context, headers.len() as u32, u32::from(end)];
        let action = self.call(context, "proxy_on_response_headers", &arguments)?;
        let stream = self.vm.state_mut().streams.entry(context).or_default();
        let held = action == PAUSE && !stream.resumed[1];
        let fields = stream.maps.get(&RESPONSE).cloned();
        if !held {
            stream.maps.remove(&RESPONSE);
        }
        if let Some(fate) = self.fates.get_mut(&context) {
            fate.response = fields;
            fate.held_response = held.then(Vec::new);
        }
        Ok(())
    }

    fn response_body(&mut self, context: u32, bytes: &[u8], end: bool) -> Result<(), Trap> {
        let held = self
            .fates
            .get_mut(&context)
            .and_then(|f| f.held_response.take());
        let mut buffered = held.clone().unwrap_or_default();
        buffered.extend_from_slice(bytes);
        let size = buffered.len() as u32;
        let stream = self.vm.state_mut().streams.entry(context).or_default();
        stream.buffers.insert(RESPONSE_BODY, buffered);
        let arguments = [context, size, u32::from(end)];
        let action = self.call(context, "proxy_on_response_body", &arguments)?;
        let stream = self.vm.state_mut().streams.entry(context).or_default();
        let left = stream.buffers.remove(&RESPONSE_BODY).unwrap_or_default();
        if let Some(fate) = self.fates.get_mut(&context) {
            if action == PAUSE && !stream.resumed[1] && !end {
                fate.held_response = Some(left);
            } else {
                fate.body.extend(left);
            }
        }
        Ok(())
    }

    fn trailers(&mut self, context: u32, fields: &Pairs) -> Result<(), Trap> {
        self.map(context, RESPONSE_TRAILERS, fields);
        let arguments = [context, fields.len() as u32];
        self.call(context, "proxy_on_response_trailers", &arguments)
            .map(drop)
    }

    /// Does what was asked for during a callback: replies pass the filter's own response callback, and what was told to go
    /// on goes on.
    fn settle(&mut self) -> Result<(), Trap> {
        let contexts: Vec<u32> = self.fates.keys().copied().collect();
        for context in contexts {
            let Some(fate) = self.fates.get(&context).filter(|fate| !fate.ended) else {
                continue;
            };
            let (replied, held) = (fate.reply.is_some(), fate.held());
            let Some(stream) = self.vm.state_mut().streams.get_mut(&context) else {
                continue;
            };
            let resumed = std::mem::take(&mut stream.resumed[0]);
            let Some(reply) = stream.reply.clone().filter(|_| !replied) else {
                if resumed && held {
                    self.forward(context);
                }
                continue;
            };
            if let Some(fate) = self.fates.get_mut(&context) {
                fate.reply = Some(reply.clone());
            }
            let mut headers = vec![(b":status".to_vec(), reply.status.to_string().into_bytes())];
            headers.extend(reply.headers);
            self.map(context, RESPONSE, &headers);
            self.vm.state_mut().active = context;
            let arguments = [
                context,
                headers.len() as u32,
                u32::from(reply.body.is_empty()),
            ];
            self.vm.call("proxy_on_response_headers", &arguments)?;
            let stream = self.vm.state_mut().streams.entry(context).or_default();
            let response = stream.maps.remove(&RESPONSE);
            if let Some(fate) = self.fates.get_mut(&context) {
                fate.response = response;
                fate.body = reply.body;
            }
        }
        Ok(())
    }

    fn end(&mut self, context: u32) -> Result<(), Trap> {
        if self.fates.get(&context).is_none_or(|fate| fate.ended) {
            return Ok(());
        }
        let stream = self.vm.state_mut().streams.entry(context).or_default();
        stream.maps.clear();
        stream.buffers.clear();
        self.call(context, "proxy_on_log", &[context])?;
        self.call(context, "proxy_on_done", &[context])?;
        self.call(context, "proxy_on_delete", &[context])?;
        self.vm.state_mut().streams.remove(&context);
        if let Some(fate) = self.fates.get_mut(&context) {
            fate.ended = true;
        }
        Ok(())
    }

    fn queues(&mut self) -> Result<(), Trap> {
        for queue in 1..=self.vm.state().queues.len() as u32 {
            self.call(ROOT, "proxy_on_queue_ready", &[ROOT, queue])?;
        }
        Ok(())
    }

    fn calls(&mut self, answer: Option<(&Pairs, &Vec<u8>)>) -> Result<(), Trap> {
        for (token, grpc) in std::mem::take(&mut self.vm.state_mut().callouts) {
            let (fields, body) = answer.map_or((0, 0), |(f, b)| (f.len() as u32, b.len() as u32));
            if let Some((headers, bytes)) = answer {
                self.map(ROOT, CALL_RESPONSE, headers);
                let root = self.vm.state_mut().streams.entry(ROOT).or_default();
                root.buffers.insert(CALL_BODY, bytes.clone());
                root.buffers.insert(GRPC_BODY, bytes.clone());
            }
            match (grpc, answer.is_some()) {
                (false, _) => {
                    let arguments = [ROOT, token, fields, body, 0];
                    self.call(ROOT, "proxy_on_http_call_response", &arguments)?
                }
                (true, true) => self.call(ROOT, "proxy_on_grpc_receive", &[ROOT, token, body])?,
                (true, false) => {
                    self.call(ROOT, "proxy_on_grpc_close", &[ROOT, token, UNAVAILABLE])?
                }
            };
            let root = self.vm.state_mut().streams.entry(ROOT).or_default();
            root.maps.clear();
            root.buffers.clear();
        }
        Ok(())
    }
}

//! What the host holds, and what it is told to get wrong.

use crate::chaos::Chaos;
use std::collections::{BTreeMap, VecDeque};

/// Names and values in order.
pub type Pairs = Vec<(Vec<u8>, Vec<u8>)>;

/// What a faulty host call answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CallAnswer {
    /// This status, and nothing is done.
    Status(u32),
    /// Success with these bytes, where the call gives any.
    Bytes(Vec<u8>),
}

/// A host call that goes wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// Which call, counted from the first one of the life.
    pub call: usize,
    /// What it answers.
    pub answer: CallAnswer,
    /// True when every later call of the same name answers so as well.
    pub lasting: bool,
}

/// A host call that was made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Made {
    /// The callback it was made in.
    pub callback: &'static str,
    /// Its name.
    pub name: &'static str,
    /// The header, property, key or metric it was about.
    pub about: String,
    /// True when it gives bytes away.
    pub gives: bool,
}

/// A metric and its value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Metric {
    /// Its name.
    pub name: String,
    /// The sum of what was added, or the last value recorded.
    pub value: i64,
}

/// A local reply.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reply {
    /// The status.
    pub status: u32,
    /// Its fields.
    pub headers: Pairs,
    /// Its body.
    pub body: Vec<u8>,
}

/// What the host holds for one context.
#[derive(Debug, Clone, Default)]
pub struct StreamState {
    /// Header maps by the ABI's number.
    pub maps: BTreeMap<u32, Pairs>,
    /// Buffers by the ABI's number.
    pub buffers: BTreeMap<u32, Vec<u8>>,
    /// Properties by their path, parts joined by dots.
    pub properties: BTreeMap<String, Vec<u8>>,
    /// The local reply, if one was sent.
    pub reply: Option<Reply>,
    /// True once the request (0) or the response (1) was told to go on.
    pub resumed: [bool; 2],
}

/// The host's side of one VM.
#[derive(Debug, Clone, Default)]
pub struct State {
    /// Every host call made so far, in order.
    pub calls: Vec<Made>,
    /// Bytes that host calls have copied so far, out of the module's memory and into it.
    pub copied: u64,
    /// What goes wrong.
    pub fault: Option<Fault>,
    /// What goes wrong by chance.
    pub chaos: Option<Chaos>,
    /// The plugin configuration.
    pub configuration: Vec<u8>,
    /// What is held for each context.
    pub streams: BTreeMap<u32, StreamState>,
    /// The context that calls act on.
    pub active: u32,
    /// The callback that runs.
    pub callback: &'static str,
    /// Properties that every context has.
    pub properties: BTreeMap<String, Vec<u8>>,
    /// Shared data with its versions.
    pub shared: BTreeMap<Vec<u8>, (Vec<u8>, u32)>,
    /// The last version given out.
    pub version: u32,
    /// Queues in the order of their registration.
    pub queues: Vec<VecDeque<Vec<u8>>>,
    /// Their names.
    pub queue_names: Vec<Vec<u8>>,
    /// The clock in nanoseconds.
    pub now: u64,
    /// The period of the timer in milliseconds.
    pub tick: u32,
    /// Lines logged.
    pub log: Vec<String>,
    /// Callouts that wait for an answer: the token, and whether it is gRPC.
    pub callouts: Vec<(u32, bool)>,
    /// The last token given out.
    pub token: u32,
    /// Metrics in the order of their definition.
    pub metrics: Vec<Metric>,
    /// Times that the fault has struck.
    pub struck: usize,
    /// The name of the call that goes wrong, once it has.
    pub faulty: Option<&'static str>,
}

impl State {
    /// Notes a call; what it must answer instead of doing its work, if it is to go wrong.
    pub(crate) fn enter(
        &mut self,
        name: &'static str,
        about: String,
        gives: bool,
    ) -> Option<CallAnswer> {
        let index = self.calls.len();
        self.calls.push(Made {
            callback: self.callback,
            name,
            about,
            gives,
        });
        if let Some(answer) = self.chaos.as_mut().and_then(Chaos::answer) {
            return Some(answer);
        }
        let fault = self.fault.as_ref()?;
        if index == fault.call {
            self.faulty = Some(name);
        }
        let strikes = index == fault.call || fault.lasting && self.faulty == Some(name);
        strikes.then(|| {
            self.struck += 1;
            fault.answer.clone()
        })
    }

    /// What is held for the active context.
    pub(crate) fn stream(&mut self) -> &mut StreamState {
        self.streams.entry(self.active).or_default()
    }

    /// The value of a metric, whose name ends so; all of them together.
    pub fn metric(&self, ending: &str) -> i64 {
        let found = self.metrics.iter().filter(|m| m.name.ends_with(ending));
        found.map(|metric| metric.value).sum()
    }
}

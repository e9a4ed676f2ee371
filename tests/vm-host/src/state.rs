//! What the host holds, and what it is told to get wrong.

use std::collections::{BTreeMap, VecDeque};

/// A host call that shall fail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fault {
    /// Which call, counted from the first one of the run.
    pub call: usize,
    /// The status it answers, and every later call of the same name as well.
    pub status: u32,
}

/// Names and values in order.
pub type Pairs = Vec<(Vec<u8>, Vec<u8>)>;

/// The host's side of one VM.
#[derive(Debug, Default)]
pub struct State {
    /// The name of every host call made so far, in order.
    pub calls: Vec<&'static str>,
    /// What goes wrong.
    pub fault: Option<Fault>,
    /// The plugin configuration.
    pub configuration: Vec<u8>,
    /// Header maps by the ABI's number.
    pub maps: BTreeMap<u32, Pairs>,
    /// Buffers by the ABI's number.
    pub buffers: BTreeMap<u32, Vec<u8>>,
    /// Properties by their path, parts joined by dots.
    pub properties: BTreeMap<String, Vec<u8>>,
    /// Shared data with its versions.
    pub shared: BTreeMap<Vec<u8>, (Vec<u8>, u32)>,
    /// The last version given out.
    pub version: u32,
    /// Queues in the order of their registration.
    pub queues: Vec<VecDeque<Vec<u8>>>,
    /// The clock in nanoseconds.
    pub now: u64,
    /// The status of the local reply sent, if any.
    pub reply: Option<u32>,
    /// Lines logged.
    pub log: Vec<String>,
    /// Callouts started.
    pub callouts: u32,
    /// Metrics defined.
    pub metrics: u32,
    faulty: Option<&'static str>,
}

impl State {
    /// Notes a call; the status it must answer instead of doing anything, if it is to fail.
    pub(crate) fn enter(&mut self, name: &'static str) -> Option<u32> {
        let index = self.calls.len();
        self.calls.push(name);
        let fault = self.fault?;
        if index == fault.call {
            self.faulty = Some(name);
        }
        (self.faulty == Some(name)).then_some(fault.status)
    }
}

//! A host for tests: the real host's semantics, a clock that tests move, counted calls, and failure on demand.
//!
//! A [`World`] is one Envoy process: its clock, shared data, queues and metrics. A [`Vm`] is one worker's VM in it and
//! drives a filter through a request as Envoy does. Semantics follow `proxy-wasm-cpp-host` as measured on Envoy 1.40:
//! compare-and-swap is compared only where the key exists, versions count up over the whole process, header maps are gone
//! once their callback has let them continue, and a local reply passes the response callbacks of the filter that sent it.

mod fake_host;
mod interleave;
mod vm;
mod world;

pub use fake_host::{Call, FakeHost, SentReply};
pub use interleave::{schedules, Steps};
pub use vm::{Ended, Exchange, Vm};
pub use world::World;

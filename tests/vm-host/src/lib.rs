//! A small proxy-wasm host on an interpreter.
//!
//! It loads a module as it ships and plays Envoy's part of the ABI, with two additions: any host call can be made to answer
//! any status or any bytes, and a VM can be copied in the midst of its life, so that thousands of lives with one fault each
//! take seconds. Semantics are kept as simple as a filter allows; what Envoy really does is shown by the real-Envoy tests.
//!
//! [`Run`] drives a module through the [`Step`]s of a life; [`explore`] repeats that life with every fault at every place;
//! [`Chaos`] makes many faults in one life.

mod chaos;
mod explore;
mod imports;
mod load;
pub mod ordinary;
mod run;
mod state;
mod step;
mod vm;

pub use chaos::Chaos;
pub use explore::{explore, Place, Report, STATUSES};
pub use load::{module, pairs};
pub use run::{Fate, Run, Saved};
pub use state::{CallAnswer, Fault, Made, Metric, Pairs, Reply, State, StreamState};
pub use step::{Step, ROOT};
pub use vm::{Snapshot, Spent, Trap, Vm};

//! A small proxy-wasm host on an interpreter.
//!
//! It loads a module as it ships and plays Envoy's part of the ABI, with one addition: any host call can be made to answer
//! any status. Semantics are kept as simple as a filter allows; what Envoy really does is shown by the real-Envoy tests.

mod imports;
mod state;
mod vm;

pub use state::{Fault, Pairs, State};
pub use vm::{Trap, Vm};

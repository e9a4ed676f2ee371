//! The host calls of a filter without the filter: what no filter can save that asks for as much.
//!
//! The calls are those that the shipped module makes for an ordinary request on the interpreter of the cost test; the module
//! in `bench/probe` makes them again in Envoy, in the same callbacks, and does nothing else.

use crate::config::wasm;
use seawall_vm_host::ordinary::{self, Exchange};
use seawall_vm_host::{module, Run, Step};
use serde_json::{json, Value};
use std::error::Error;
use std::path::Path;

/// As many requests go before: what a filter does once is over by then.
const BEFORE: u32 = 20;

fn recorded(filter: &str, configuration: &Value) -> Result<Value, Box<dyn Error>> {
    let state = ordinary::host(&configuration.to_string());
    let trapped = |trap| format!("{filter}: {trap:?}");
    let mut run = Run::new(&module(filter), state).map_err(trapped)?;
    run.step(&Step::Start).map_err(trapped)?;
    for context in 2..2 + BEFORE {
        run.vm.state_mut().calls.clear();
        Exchange::default()
            .live(&mut run, context)
            .map_err(trapped)?;
    }
    let calls = run
        .vm
        .state()
        .calls
        .iter()
        .map(|call| json!({"callback": call.callback, "name": call.name, "about": call.about}));
    Ok(calls.collect())
}

/// The filter that makes the calls of this one.
pub fn alone(filter: &str, configuration: &Value) -> Result<Value, Box<dyn Error>> {
    let target = std::env::var("CARGO_TARGET_DIR").unwrap_or_else(|_| "target".into());
    let path = format!("wasm32-wasip1/release/seawall_calls_of_{filter}.wasm");
    let calls = recorded(filter, configuration)?;
    let name = format!("calls of {filter}");
    Ok(wasm(
        &name,
        &Path::new(&target).join(path),
        json!({"calls": calls}),
    ))
}

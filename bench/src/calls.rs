//! The host calls of a filter without the filter: what no filter can save that asks for as much.
//!
//! The calls are those that the shipped module makes for an ordinary request on the interpreter of the cost test. A module of
//! nothing but these calls is written for them, with the same callbacks.

use crate::config::wasm;
use crate::floor::Floor;
use seawall_vm_host::ordinary::{self, Exchange};
use seawall_vm_host::{module, Reply, Run, Step};
use serde_json::{json, Value};
use std::error::Error;
use std::fs;
use std::path::Path;

/// As many requests go before: what a filter does once is over by then.
const BEFORE: u32 = 20;

fn written(
    folder: &Path,
    filter: &str,
    configuration: &Value,
    exchange: &Exchange,
) -> Result<(Value, Option<Reply>), Box<dyn Error>> {
    let state = ordinary::host(&configuration.to_string());
    let trapped = |trap| format!("{filter}: {trap:?}");
    let mut run = Run::new(&module(filter), state).map_err(trapped)?;
    run.step(&Step::Start).map_err(trapped)?;
    for context in 2..2 + BEFORE {
        run.vm.state_mut().calls.clear();
        exchange.live(&mut run, context).map_err(trapped)?;
    }
    let fate = run.fates.get(&(1 + BEFORE));
    let reply = fate.and_then(|fate| fate.reply.clone());
    let mut floor = Floor::default();
    for call in &run.vm.state().calls {
        floor.call(call, reply.as_ref())?;
    }
    let bytes = floor.module(|callback| run.vm.has(callback))?;
    // Several configurations of one filter each have one.
    let count = fs::read_dir(folder)?.count();
    let path = folder.join(format!("{filter}-{count}.wasm"));
    fs::write(&path, bytes)?;
    Ok((wasm(&format!("calls {count}"), &path, json!({})), reply))
}

/// The filter that makes the calls of this one, in a module in `folder`.
pub fn alone(folder: &Path, filter: &str, configuration: &Value) -> Result<Value, Box<dyn Error>> {
    Ok(written(folder, filter, configuration, &Exchange::default())?.0)
}

/// A filter that asks for no callback: what Envoy charges for any filter, whatever it does.
pub fn none(folder: &Path) -> Result<Value, Box<dyn Error>> {
    let path = folder.join("none.wasm");
    fs::write(&path, Floor::default().module(|_| false)?)?;
    Ok(wasm("no callbacks", &path, json!({})))
}

/// The filter that makes the calls of a cache hit.
pub fn hit(folder: &Path, configuration: &Value) -> Result<Value, Box<dyn Error>> {
    let stored = Exchange::default().answers("cache-control", "max-age=3600");
    let (filter, reply) = written(folder, "response-cache", configuration, &stored)?;
    if reply.is_none() {
        return Err("a stored response was not served".into());
    }
    Ok(filter)
}

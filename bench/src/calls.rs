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

/// The calls, and the answer if it is the filter that gives it.
fn recorded(
    filter: &str,
    configuration: &Value,
    exchange: &Exchange,
) -> Result<Value, Box<dyn Error>> {
    let state = ordinary::host(&configuration.to_string());
    let trapped = |trap| format!("{filter}: {trap:?}");
    let mut run = Run::new(&module(filter), state).map_err(trapped)?;
    run.step(&Step::Start).map_err(trapped)?;
    for context in 2..2 + BEFORE {
        run.vm.state_mut().calls.clear();
        exchange.live(&mut run, context).map_err(trapped)?;
    }
    let calls = run
        .vm
        .state()
        .calls
        .iter()
        .map(|call| json!({"callback": call.callback, "name": call.name, "about": call.about}));
    let mut replay = json!({ "calls": calls.collect::<Value>() });
    let fate = run.fates.get(&(1 + BEFORE));
    if let Some(reply) = fate.and_then(|fate| fate.reply.as_ref()) {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let fields = reply.headers.iter();
        let fields: Vec<_> = fields.map(|(n, v)| (text(n), text(v))).collect();
        replay["answer"] = json!({"fields": fields, "body": text(&reply.body)});
    }
    Ok(replay)
}

fn replayed(filter: &str, name: &str, replay: Value) -> Value {
    let target = std::env::var("CARGO_TARGET_DIR").unwrap_or_else(|_| "target".into());
    let path = format!("wasm32-wasip1/release/seawall_calls_of_{filter}.wasm");
    wasm(name, &Path::new(&target).join(path), replay)
}

/// The filter that makes the calls of this one.
pub fn alone(filter: &str, configuration: &Value) -> Result<Value, Box<dyn Error>> {
    let replay = recorded(filter, configuration, &Exchange::default())?;
    Ok(replayed(filter, &format!("calls of {filter}"), replay))
}

/// The filter that makes the calls of a cache hit.
pub fn hit(configuration: &Value) -> Result<Value, Box<dyn Error>> {
    let stored = Exchange::default().answers("cache-control", "max-age=3600");
    let replay = recorded("response-cache", configuration, &stored)?;
    if replay["answer"].is_null() {
        return Err("a stored response was not served".into());
    }
    Ok(replayed("response-cache", "calls of a hit", replay))
}

//! Finishes a built module for Envoy: `seawall-module IN OUT CALLBACK…`
//!
//! - Envoy calls every `proxy_on_*` export that exists, and each call into a VM costs. Only the
//!   callbacks named are kept, besides those that every module needs.

use std::collections::BTreeSet;
use std::process::ExitCode;
use walrus::{Module, ModuleConfig};

/// What every module needs: set-up, contexts, configuration and memory.
const ALWAYS: [&str; 8] = [
    "memory",
    "_initialize",
    "proxy_abi_version_0_2_1",
    "proxy_on_memory_allocate",
    "proxy_on_context_create",
    "proxy_on_vm_start",
    "proxy_on_configure",
    "proxy_on_delete",
];

/// Callbacks that a module may ask for, as Envoy knows them.
const OPTIONAL: [&str; 11] = [
    "proxy_on_log",
    "proxy_on_tick",
    "proxy_on_queue_ready",
    "proxy_on_request_headers",
    "proxy_on_request_body",
    "proxy_on_response_headers",
    "proxy_on_response_body",
    "proxy_on_response_trailers",
    "proxy_on_http_call_response",
    "proxy_on_grpc_receive",
    "proxy_on_grpc_close",
];

fn finish(module: &mut Module, callbacks: &[String]) -> Result<(), String> {
    let mut kept: BTreeSet<String> = ALWAYS.iter().map(|name| (*name).to_owned()).collect();
    for callback in callbacks {
        let name = format!("proxy_on_{callback}");
        if !OPTIONAL.contains(&name.as_str()) {
            return Err(format!(
                "unknown callback `{callback}`, expected one of {OPTIONAL:?} without `proxy_on_`"
            ));
        }
        kept.insert(name);
    }
    let exports: Vec<_> = module
        .exports
        .iter()
        .map(|export| (export.id(), export.name.clone()))
        .collect();
    for (id, name) in &exports {
        if !kept.contains(name) {
            module.exports.delete(*id);
        }
    }
    for name in kept.iter().filter(|name| OPTIONAL.contains(&name.as_str())) {
        if !exports.iter().any(|(_, export)| export == name) {
            return Err(format!("the module has no {name}"));
        }
    }
    walrus::passes::gc::run(module);
    Ok(())
}

fn run() -> Result<(), String> {
    let mut arguments = std::env::args().skip(1);
    let (Some(input), Some(output)) = (arguments.next(), arguments.next()) else {
        return Err("usage: seawall-module IN OUT CALLBACK...".to_owned());
    };
    let callbacks: Vec<String> = arguments.collect();
    // Function names are of no use to Envoy, and a third of the file.
    let mut config = ModuleConfig::new();
    config
        .generate_name_section(false)
        .generate_producers_section(false);
    let mut module = Module::from_file_with_config(&input, &config)
        .map_err(|error| format!("{input}: {error}"))?;
    finish(&mut module, &callbacks)?;
    module
        .emit_wasm_file(&output)
        .map_err(|error| format!("{output}: {error}"))
}

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(problem) => {
            eprintln!("seawall-module: {problem}");
            ExitCode::FAILURE
        }
    }
}

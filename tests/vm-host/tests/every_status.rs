//! No answer of the host makes a module trap: every host call, at every place where it is made, answers every status.

use seawall_vm_host::{Fault, State, Trap, Vm};
use std::path::{Path, PathBuf};
use wasmi::{Engine, Module};

/// Every status of the ABI, those the SDK does not know among them, and one that no host defines.
const STATUSES: [u32; 13] = [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 99];

const ROOT: u32 = 1;

fn dist(filter: &str) -> PathBuf {
    let dist = std::env::var_os("SEAWALL_DIST").map_or_else(
        || Path::new(env!("CARGO_MANIFEST_DIR")).join("../../dist"),
        PathBuf::from,
    );
    let path = dist.join(format!("{filter}.wasm"));
    assert!(
        path.exists(),
        "{} is missing: run `make` first",
        path.display()
    );
    path
}

fn pairs(fields: &[(&str, &[u8])]) -> Vec<(Vec<u8>, Vec<u8>)> {
    fields
        .iter()
        .map(|(name, value)| (name.as_bytes().to_vec(), value.to_vec()))
        .collect()
}

fn fresh_state(configuration: &str) -> State {
    let mut state = State::default();
    state.now = 1_750_000_000_000_000_000;
    state.configuration = configuration.as_bytes().to_vec();
    for (path, value) in [
        ("source.address", &b"192.0.2.7:4711"[..]),
        ("xds.cluster_name", b"orders"),
        ("xds.route_name", b"checkout"),
        ("response.code_details", b"via_upstream"),
    ] {
        state.properties.insert(path.to_owned(), value.to_vec());
    }
    state
        .properties
        .insert("response.flags".to_owned(), 0u64.to_le_bytes().to_vec());
    state
}

/// One request from its first callback to its last; what the filter decides is followed as Envoy would.
fn request(vm: &mut Vm, context: u32, method: &str, status: &str) -> Result<(), Trap> {
    vm.call("proxy_on_context_create", &[context, ROOT])?;
    vm.state_mut().reply = None;
    vm.state_mut().maps.insert(
        0,
        pairs(&[
            (":method", method.as_bytes()),
            (":path", b"/orders?id=7"),
            (":authority", b"shop.example"),
            (":scheme", b"https"),
            ("x-tenant-id", b"acme\xff"),
            (
                "traceparent",
                b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
            ),
            ("tracestate", b"a=1,b=2"),
            ("x-request-id", b"abc"),
        ]),
    );
    let action = vm.call("proxy_on_request_headers", &[context, 8, 1])?;
    if action == 0 || vm.state().reply.is_some() {
        vm.state_mut().maps.remove(&0);
        vm.state_mut().maps.insert(
            2,
            pairs(&[
                (":status", status.as_bytes()),
                ("cache-control", b"max-age=1"),
                ("date", b"Sun, 15 Jun 2025 15:06:40 GMT"),
                ("content-type", b"text/plain"),
                ("etag", b"\"v1\""),
            ]),
        );
        vm.call("proxy_on_response_headers", &[context, 4, 0])?;
        vm.state_mut().maps.remove(&2);
        vm.state_mut().buffers.insert(1, b"hello".to_vec());
        vm.call("proxy_on_response_body", &[context, 5, 1])?;
        vm.state_mut().buffers.remove(&1);
    }
    vm.call("proxy_on_log", &[context])?;
    vm.call("proxy_on_delete", &[context])?;
    Ok(())
}

/// A life with everything in it. Ends early, without a trap, when the configuration is refused.
fn life(engine: &Engine, module: &Module, state: State) -> Result<Vm, Trap> {
    let size = state.configuration.len() as u32;
    let mut vm = Vm::start(engine, module, state)?;
    vm.call("proxy_on_context_create", &[ROOT, 0])?;
    vm.call("proxy_on_vm_start", &[ROOT, 0])?;
    if vm.has("proxy_on_configure") && vm.call("proxy_on_configure", &[ROOT, size])? == 0 {
        return Ok(vm);
    }
    for (at, (method, status)) in [
        ("GET", "200"),
        ("GET", "200"),
        ("POST", "500"),
        ("GET", "503"),
        ("GET", "200"),
    ]
    .iter()
    .enumerate()
    {
        request(&mut vm, 2 + at as u32, method, status)?;
        vm.state_mut().now += 700_000_000;
        vm.call("proxy_on_tick", &[ROOT])?;
    }
    for queue in 1..=vm.state().queues.len() as u32 {
        vm.call("proxy_on_queue_ready", &[ROOT, queue])?;
    }
    for token in 0..=vm.state().callouts + 1 {
        vm.call("proxy_on_http_call_response", &[ROOT, token, 0, 0, 0])?;
        vm.call("proxy_on_grpc_close", &[ROOT, token, 14])?;
    }
    Ok(vm)
}

fn survives_every_status(filter: &str, configuration: &str) {
    let engine = Engine::default();
    let bytes = std::fs::read(dist(filter)).expect("the module is readable");
    let module = Module::new(&engine, &bytes[..]).expect("the module is valid");
    let baseline = life(&engine, &module, fresh_state(configuration)).expect("no fault, no trap");
    let calls = baseline.state().calls.clone();
    assert!(
        calls.len() > 10,
        "{filter} did next to nothing, was its configuration refused? {:?}",
        baseline.state().log
    );
    for (call, name) in calls.iter().enumerate() {
        for status in STATUSES {
            let mut state = fresh_state(configuration);
            state.fault = Some(Fault { call, status });
            if let Err(trap) = life(&engine, &module, state) {
                panic!(
                    "{filter}: status {status} of call {call}, {name}: {} in {}",
                    trap.reason, trap.callback
                );
            }
        }
    }
}

#[test]
fn rate_limit_survives_every_status_of_every_host_call() {
    survives_every_status(
        "rate-limit",
        r#"{"limits": [
            {"name": "tenant", "key": [{"header": "x-tenant-id"}], "requests": 2, "per": "1h"},
            {"name": "all", "key": [], "requests": 3, "per": "1h"}]}"#,
    );
}

#[test]
fn response_cache_survives_every_status_of_every_host_call() {
    survives_every_status("response-cache", "{}");
}

#[test]
fn circuit_breaker_survives_every_status_of_every_host_call() {
    survives_every_status(
        "circuit-breaker",
        r#"{"failure_threshold": 2, "open_for": "1s"}"#,
    );
}

#[test]
fn trace_headers_survives_every_status_of_every_host_call() {
    survives_every_status("trace-headers", "{}");
}

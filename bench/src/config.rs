//! Envoy configurations of the subjects: the same listener, route and upstream, with other filters.

use serde_json::{json, Value};
use std::path::Path;

fn any(kind: &str, mut fields: Value) -> Value {
    fields["@type"] = json!(format!("type.googleapis.com/{kind}"));
    fields
}

/// A wasm filter from `dist/`, or from any path.
pub fn wasm(vm: &str, module: &Path, configuration: Value) -> Value {
    let configuration = any("google.protobuf.Struct", json!({ "value": configuration }));
    json!({
        "name": vm,
        "typed_config": any("envoy.extensions.filters.http.wasm.v3.Wasm", json!({"config": {
            "name": vm,
            "configuration": configuration,
            "vm_config": {
                "vm_id": vm,
                "runtime": "envoy.wasm.runtime.v8",
                "code": {"local": {"filename": module}},
            },
        }})),
    })
}

/// A filter of Envoy.
pub fn native(name: &str, kind: &str, fields: Value) -> Value {
    json!({ "name": name, "typed_config": any(kind, fields) })
}

/// What is between client and upstream.
#[derive(Debug, Default, Clone)]
pub struct Chain {
    /// The filters before the router.
    pub filters: Vec<Value>,
    /// Further fields of the route: `beside` its action, or `instead` of it.
    pub route: Value,
    /// Further fields of the connection manager.
    pub manager: Value,
    /// Further clusters.
    pub clusters: Vec<Value>,
}

impl Chain {
    /// The same with VMs of its own, which nobody shares who has another name.
    pub fn apart(mut self, name: &str) -> Self {
        for filter in &mut self.filters {
            let vm = filter.pointer_mut("/typed_config/config/vm_config/vm_id");
            if let Some(Value::String(id)) = vm {
                *id = format!("{name} {id}");
            }
        }
        self
    }

    /// These filters and nothing else.
    pub fn of(filters: Vec<Value>) -> Self {
        Chain {
            filters,
            ..Chain::default()
        }
    }
}

fn merge(into: &mut Value, from: &Value) {
    if let (Some(into), Some(from)) = (into.as_object_mut(), from.as_object()) {
        into.extend(
            from.iter()
                .map(|(name, value)| (name.clone(), value.clone())),
        );
    }
}

/// A cluster of one address.
pub fn cluster(name: &str, port: u16) -> Value {
    json!({"name": name, "type": "STATIC", "connect_timeout": "1s", "load_assignment": {"cluster_name": name, "endpoints": [
        {"lb_endpoints": [{"endpoint": {"address": {"socket_address": {"address": "127.0.0.1", "port_value": port}}}}]}]}})
}

fn listener(port: u16, manager: Value) -> Value {
    let manager = native(
        "hcm",
        "envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
        manager,
    );
    json!({"name": format!("main-{port}"), "address": {"socket_address": {"address": "127.0.0.1", "port_value": port}},
        "filter_chains": [{"filters": [manager]}]})
}

const ROUTER: &str = "envoy.extensions.filters.http.router.v3.Router";

/// One proxy in front of the upstream with a listener for each chain.
pub fn proxies<'a>(upstream: u16, chains: impl IntoIterator<Item = (u16, &'a Chain)>) -> Value {
    let mut clusters = vec![cluster("upstream", upstream)];
    let mut listeners = Vec::new();
    for (port, chain) in chains {
        listeners.push(listener(port, manager(chain)));
        for further in &chain.clusters {
            if !clusters.contains(further) {
                clusters.push(further.clone());
            }
        }
    }
    json!({"static_resources": {"listeners": listeners, "clusters": clusters}})
}

/// A proxy on `port` in front of the upstream.
pub fn proxy(port: u16, upstream: u16, chain: &Chain) -> Value {
    proxies(upstream, [(port, chain)])
}

fn manager(chain: &Chain) -> Value {
    let mut filters = chain.filters.clone();
    filters.push(native("router", ROUTER, json!({})));
    let mut route = json!({"name": "main", "match": {"prefix": "/"}});
    match &chain.route["instead"] {
        Value::Null => route["route"] = json!({"cluster": "upstream"}),
        answer => merge(&mut route, answer),
    }
    merge(&mut route, &chain.route["beside"]);
    let mut manager = json!({
        "stat_prefix": "main",
        "generate_request_id": false,
        "use_remote_address": true,
        "route_config": {"name": "main", "virtual_hosts": [{"name": "main", "domains": ["*"], "routes": [route]}]},
        "http_filters": filters,
    });
    merge(&mut manager, &chain.manager);
    manager
}

/// What a route answers by itself.
pub fn answer(control: &str, size: usize) -> Value {
    json!({
        "direct_response": {"status": 200, "body": {"inline_string": "x".repeat(size)}},
        "response_headers_to_add": [
            {"header": {"key": "cache-control", "value": control}},
            {"header": {"key": "content-type", "value": "text/plain"}, "append_action": "OVERWRITE_IF_EXISTS_OR_ADD"},
        ],
    })
}

/// The upstream: an Envoy that answers by itself, `/cached` and `/large` with a long life and everything else with none.
pub fn upstream(port: u16) -> Value {
    let answer = |path: &str, control: &str, size: usize| {
        let mut route = answer(control, size);
        route["match"] = json!({ "prefix": path });
        route
    };
    let manager = json!({
        "stat_prefix": "upstream",
        "generate_request_id": false,
        "route_config": {"name": "upstream", "virtual_hosts": [{"name": "upstream", "domains": ["*"], "routes": [
            answer("/cached", "max-age=3600", 1024), answer("/large", "max-age=3600", 64 * 1024), answer("/", "no-store", 1024)]}],
            "max_direct_response_body_size_bytes": 100_000},
        "http_filters": [native("router", ROUTER, json!({}))],
    });
    json!({"static_resources": {"listeners": [listener(port, manager)]}})
}

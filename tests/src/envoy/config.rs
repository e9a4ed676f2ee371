//! Parts of an Envoy configuration.

use super::find::dist;
use serde_json::{json, Map, Value};
use std::net::SocketAddr;
use std::path::Path;

/// A wasm filter in a filter chain. Without a `vm_id` of its own it shares data with every filter of that name.
pub fn wasm_filter(name: &str, module: &Path, vm_id: &str, configuration: &Value) -> Value {
    json!({
        "name": name,
        "typed_config": {
            "@type": "type.googleapis.com/envoy.extensions.filters.http.wasm.v3.Wasm",
            "config": {
                "name": name,
                "failure_policy": "FAIL_RELOAD",
                "vm_config": {
                    "vm_id": vm_id,
                    "runtime": "envoy.wasm.runtime.v8",
                    "code": {"local": {"filename": module}},
                },
                "configuration": {
                    "@type": "type.googleapis.com/google.protobuf.Struct",
                    "value": configuration,
                },
            },
        },
    })
}

/// One of ours, by the name that its README gives it: `rate-limit` becomes `seawall.rate_limit`, all four as one `seawall`.
pub(super) fn own_filter(filter: &str, configuration: &Value) -> Value {
    let name = match filter {
        "seawall" => filter.to_owned(),
        one => format!("seawall.{}", one.replace('-', "_")),
    };
    wasm_filter(&name, &dist(filter), &name, configuration)
}

/// A route. Without a cluster of its own it goes to the first one.
#[derive(Debug, Clone)]
pub struct Route(pub(super) Map<String, Value>);

fn object(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(fields) => fields,
        other => panic!("an object is needed here, not {other}"),
    }
}

impl Route {
    /// Every path that starts so.
    pub fn prefix(prefix: &str) -> Self {
        Route(object(
            json!({"match": {"prefix": prefix}, "route": {"cluster": "upstream"}}),
        ))
    }

    /// Exactly this path.
    pub fn path(path: &str) -> Self {
        Route(object(
            json!({"match": {"path": path}, "route": {"cluster": "upstream"}}),
        ))
    }

    /// Its name.
    pub fn named(mut self, name: &str) -> Self {
        self.0.insert("name".to_owned(), json!(name));
        self
    }

    /// To this cluster.
    pub fn to(self, cluster: &str) -> Self {
        self.action("cluster", json!(cluster))
    }

    /// Envoy's timeout, such as `30s`; `0s` is none.
    pub fn timeout(self, timeout: &str) -> Self {
        self.action("timeout", json!(timeout))
    }

    /// A field of the route action, such as `retry_policy`.
    pub fn action(mut self, field: &str, value: Value) -> Self {
        if let Some(Value::Object(action)) = self.0.get_mut("route") {
            action.insert(field.to_owned(), value);
        }
        self
    }

    /// Settings of a filter on this route: `seawall.rate_limit` and the like.
    pub fn metadata(mut self, namespace: &str, settings: Value) -> Self {
        let metadata = self
            .0
            .entry("metadata")
            .or_insert_with(|| json!({"filter_metadata": {}}));
        metadata["filter_metadata"][namespace] = settings;
        self
    }

    /// A field of the route itself, such as `typed_per_filter_config`.
    pub fn field(mut self, field: &str, value: Value) -> Self {
        self.0.insert(field.to_owned(), value);
        self
    }

    /// Answers from Envoy itself instead of forwarding.
    pub fn direct(mut self, status: u16, body: &str) -> Self {
        self.0.remove("route");
        let response = json!({"status": status, "body": {"inline_string": body}});
        self.0.insert("direct_response".to_owned(), response);
        self
    }
}

/// A cluster with one endpoint; `more` are further fields, or replace these.
pub(super) fn cluster(name: &str, address: SocketAddr, http2: bool, more: &Value) -> Value {
    let endpoint = json!({"endpoint": {"address": socket(address)}});
    let mut cluster = json!({
        "name": name,
        "type": "STATIC",
        // On this machine connections stand at once; a worker that had to wait for a processor must not take itself for late.
        "connect_timeout": "20s",
        // Room for tests with many parallel requests.
        "circuit_breakers": {"thresholds": [
            {"max_connections": 10000, "max_pending_requests": 10000, "max_requests": 10000}
        ]},
        "load_assignment": {"cluster_name": name, "endpoints": [{"lb_endpoints": [endpoint]}]},
    });
    if http2 {
        cluster["typed_extension_protocol_options"] = json!({
            "envoy.extensions.upstreams.http.v3.HttpProtocolOptions": {
                "@type": "type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions",
                "explicit_http_config": {"http2_protocol_options": {}},
            }
        });
    }
    if let Value::Object(more) = more {
        for (field, value) in more {
            cluster[field] = value.clone();
        }
    }
    cluster
}

pub(super) fn socket(address: SocketAddr) -> Value {
    json!({"socket_address": {
        "address": address.ip().to_string(),
        "port_value": address.port(),
    }})
}

/// The same listener for HTTP/3.
pub(super) fn over_quic(mut listener: Value, certificate: &Value) -> Value {
    listener["name"] = json!("ingress-http3");
    listener["address"]["socket_address"]["protocol"] = json!("UDP");
    listener["udp_listener_config"] = json!({"quic_options": {}});
    let chain = &mut listener["filter_chains"][0];
    chain["transport_socket"] = json!({
        "name": "quic",
        "typed_config": {
            "@type": "type.googleapis.com/envoy.extensions.transport_sockets.quic.v3.QuicDownstreamTransport",
            "downstream_tls_context": {"common_tls_context": {"tls_certificates": [certificate]}},
        },
    });
    let manager = &mut chain["filters"][0]["typed_config"];
    manager["codec_type"] = json!("HTTP3");
    manager["stat_prefix"] = json!("http3");
    listener
}

//! From what a test says to a running Envoy.

use super::config::{cluster, over_quic, own_filter, socket, Route};
use super::process::{validate, Envoy, Files};
use crate::upstream::Upstream;
use serde_json::{json, Map, Value};
use std::ffi::OsString;
use std::net::{SocketAddr, TcpListener};
use std::sync::atomic::{AtomicU32, Ordering};

/// An Envoy that is being described.
#[derive(Debug, Clone)]
pub struct EnvoyBuilder {
    workers: u32,
    filters: Vec<Value>,
    routes: Vec<Route>,
    virtual_host: Map<String, Value>,
    virtual_hosts: Vec<Value>,
    clusters: Vec<Value>,
    upstream: Option<(SocketAddr, bool)>,
    upstream_fields: Value,
    manager: Map<String, Value>,
    bootstrap: Map<String, Value>,
    access_log: Option<Value>,
    dynamic: bool,
    http3: Option<Value>,
    environment: Vec<(String, OsString)>,
}

impl Envoy {
    /// An Envoy with 4 workers whose one route goes to this upstream.
    pub fn to(upstream: &Upstream) -> EnvoyBuilder {
        Envoy::to_address(upstream.address)
    }

    /// The same with an upstream that may not even listen.
    pub fn to_address(upstream: SocketAddr) -> EnvoyBuilder {
        EnvoyBuilder {
            workers: 4,
            filters: Vec::new(),
            routes: Vec::new(),
            virtual_host: Map::new(),
            virtual_hosts: Vec::new(),
            clusters: Vec::new(),
            upstream: Some((upstream, false)),
            upstream_fields: json!({}),
            manager: Map::new(),
            bootstrap: Map::new(),
            access_log: None,
            dynamic: false,
            http3: None,
            environment: Vec::new(),
        }
    }
}

impl EnvoyBuilder {
    /// The number of worker threads.
    pub fn workers(mut self, workers: u32) -> Self {
        self.workers = workers;
        self
    }

    /// Adds one of our filters (`rate-limit` and so on) with its plugin configuration. Order matters.
    pub fn filter(mut self, filter: &str, configuration: Value) -> Self {
        self.filters.push(own_filter(filter, &configuration));
        self
    }

    /// Adds any HTTP filter in Envoy's own form.
    pub fn native_filter(mut self, filter: Value) -> Self {
        self.filters.push(filter);
        self
    }

    /// Adds a route; without any, everything goes to the upstream.
    pub fn route(mut self, route: Route) -> Self {
        self.routes.push(route);
        self
    }

    /// Settings of a filter on the virtual host of those routes.
    pub fn virtual_host_metadata(mut self, namespace: &str, settings: Value) -> Self {
        let metadata = self
            .virtual_host
            .entry("metadata")
            .or_insert_with(|| json!({"filter_metadata": {}}));
        metadata["filter_metadata"][namespace] = settings;
        self
    }

    /// A further virtual host, before the one that takes all domains.
    pub fn virtual_host(mut self, name: &str, domains: &[&str], routes: Vec<Route>) -> Self {
        let routes: Vec<_> = routes
            .into_iter()
            .map(|route| Value::Object(route.0))
            .collect();
        self.virtual_hosts
            .push(json!({"name": name, "domains": domains, "routes": routes}));
        self
    }

    /// A further cluster of this name; `fields` as in Envoy's configuration.
    pub fn cluster(mut self, name: &str, address: SocketAddr, fields: Value) -> Self {
        self.clusters.push(cluster(name, address, false, &fields));
        self
    }

    /// A further cluster that is spoken to in HTTP/2.
    pub fn http2_cluster(mut self, name: &str, address: SocketAddr) -> Self {
        self.clusters.push(cluster(name, address, true, &json!({})));
        self
    }

    /// Further fields of the upstream's cluster, such as `outlier_detection`.
    pub fn upstream_fields(mut self, fields: Value) -> Self {
        self.upstream_fields = fields;
        self
    }

    /// Speaks HTTP/2 to the upstream.
    pub fn http2_upstream(mut self) -> Self {
        self.upstream = self.upstream.map(|(address, _)| (address, true));
        self
    }

    /// A field of the HTTP connection manager.
    pub fn manager(mut self, field: &str, value: Value) -> Self {
        self.manager.insert(field.to_owned(), value);
        self
    }

    /// A top-level field of the configuration, such as `stats_config`.
    pub fn bootstrap(mut self, field: &str, value: Value) -> Self {
        self.bootstrap.insert(field.to_owned(), value);
        self
    }

    /// Writes an access log of these JSON fields; see [`Envoy::access_log`].
    pub fn access_log(mut self, fields: Value) -> Self {
        self.access_log = Some(fields);
        self
    }

    /// Reads its listener from a file, so that [`Envoy::swap_listener`] can replace it.
    pub fn dynamic(mut self) -> Self {
        self.dynamic = true;
        self
    }

    /// Speaks HTTP/3 as well, on UDP under the same number, with this certificate and key in PEM.
    pub fn http3(mut self, certificate: &str, key: &str) -> Self {
        self.http3 = Some(json!({
            "certificate_chain": {"inline_string": certificate},
            "private_key": {"inline_string": key},
        }));
        self
    }

    /// A variable in the environment of the process.
    pub fn environment(mut self, name: &str, value: impl Into<OsString>) -> Self {
        self.environment.push((name.to_owned(), value.into()));
        self
    }

    /// Starts it and waits until it serves.
    pub async fn start(self) -> Envoy {
        self.start_on(free_address()).await
    }

    /// The same on an address that the configuration already names.
    pub async fn start_on(self, listener: SocketAddr) -> Envoy {
        let files = Files::new();
        let config = self.config(&files, listener);
        let listeners = if self.dynamic {
            Some(self.listener(&files, listener))
        } else {
            None
        };
        Envoy::launch(
            files,
            &config.to_string(),
            "json",
            self.workers,
            Some(listener),
            listeners,
            self.environment,
        )
        .await
    }

    /// What Envoy says of the configuration without starting it.
    ///
    /// # Errors
    /// What it prints when it refuses.
    pub async fn validate(self) -> Result<(), String> {
        let files = Files::new();
        let config = self.config(&files, "127.0.0.1:10000".parse().expect("an address"));
        let path = files.write("envoy.json", &config.to_string());
        validate(&path).await
    }

    /// The listener alone, for [`Envoy::swap_listener`].
    pub(super) fn listener(&self, files: &Files, address: SocketAddr) -> Value {
        let mut routes: Vec<Value> = self
            .routes
            .iter()
            .map(|route| Value::Object(route.0.clone()))
            .collect();
        if routes.is_empty() {
            routes.push(Value::Object(Route::prefix("/").0));
        }
        let mut hosts = self.virtual_hosts.clone();
        let mut host = self.virtual_host.clone();
        host.insert("name".to_owned(), json!("all"));
        host.insert("domains".to_owned(), json!(["*"]));
        host.insert("routes".to_owned(), json!(routes));
        hosts.push(Value::Object(host));
        let mut filters = self.filters.clone();
        filters.push(json!({
            "name": "router",
            "typed_config": {"@type": "type.googleapis.com/envoy.extensions.filters.http.router.v3.Router"},
        }));
        let mut manager = json!({
            "@type": "type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
            "stat_prefix": "ingress",
            "generate_request_id": false,
            "preserve_external_request_id": true,
            "route_config": {"name": "routes", "virtual_hosts": hosts},
            "http_filters": filters,
        });
        if let Some(fields) = &self.access_log {
            manager["access_log"] = json!([{
                "name": "file",
                "typed_config": {
                    "@type": "type.googleapis.com/envoy.extensions.access_loggers.file.v3.FileAccessLog",
                    "path": files.path("access.log"),
                    "log_format": {"json_format": fields},
                },
            }]);
        }
        for (field, value) in &self.manager {
            manager[field] = value.clone();
        }
        json!({
            "name": "ingress",
            "address": socket(address),
            "filter_chains": [{"filters": [{"name": "manager", "typed_config": manager}]}],
        })
    }

    fn config(&self, files: &Files, address: SocketAddr) -> Value {
        let mut clusters = self.clusters.clone();
        if let Some((upstream, http2)) = self.upstream {
            clusters.insert(
                0,
                cluster("upstream", upstream, http2, &self.upstream_fields),
            );
        }
        let mut config = json!({
            "admin": {"address": socket("127.0.0.1:0".parse().expect("an address"))},
            "static_resources": {"clusters": clusters},
        });
        if self.dynamic {
            config["node"] = json!({"id": "test", "cluster": "test"});
            config["dynamic_resources"] = json!({"lds_config": {
                "resource_api_version": "V3",
                "path_config_source": {"path": files.path("listeners.json")},
            }});
        } else {
            let listener = self.listener(files, address);
            let http3 = self
                .http3
                .as_ref()
                .map(|certificate| over_quic(listener.clone(), certificate));
            let listeners: Vec<Value> = std::iter::once(listener).chain(http3).collect();
            config["static_resources"]["listeners"] = json!(listeners);
        }
        for (field, value) in &self.bootstrap {
            config[field] = value.clone();
        }
        config
    }
}

/// Ports below those that a system gives away by itself, so that nothing that asks it for a port comes in between.
const PORTS: std::ops::Range<u16> = 12_000..32_000;

/// An address that is free now, and that no other call gives away before long.
pub fn free_address() -> SocketAddr {
    static TAKEN: AtomicU32 = AtomicU32::new(0);
    let count = u32::from(PORTS.end - PORTS.start);
    // Test programs run beside each other: each begins at a place of its own.
    let first = std::process::id().wrapping_mul(97);
    for _ in 0..count {
        let taken = TAKEN.fetch_add(1, Ordering::Relaxed);
        let port = PORTS.start + (first.wrapping_add(taken) % count) as u16;
        let address = SocketAddr::from(([127, 0, 0, 1], port));
        if TcpListener::bind(address).is_ok() {
            return address;
        }
    }
    panic!("no port is free");
}

//! What the tests of the modules share: a host before its start, configurations, lives.

pub mod allowed;
pub mod configurations;
pub mod lives;
mod metadata;

pub use metadata::metadata;

use seawall_vm_host::State;

/// The filters that are also modules of their own.
pub const FILTERS: [&str; 4] = [
    "trace-headers",
    "rate-limit",
    "response-cache",
    "circuit-breaker",
];

/// A quarter of an hour before noon, 2025-06-15.
pub const NOW: u64 = 1_749_987_900_000;

/// A host with the properties that Envoy has, before the module starts.
pub fn host(configuration: &str) -> State {
    let mut state = State {
        now: NOW * 1_000_000,
        configuration: configuration.as_bytes().to_vec(),
        ..State::default()
    };
    for (path, value) in [
        ("source.address", &b"192.0.2.7:4711"[..]),
        ("xds.cluster_name", b"orders"),
        ("xds.route_name", b"checkout"),
        ("xds.virtual_host_name", b"shop"),
        ("response.code_details", b"via_upstream"),
        ("upstream.address", b"192.0.2.80:8080"),
    ] {
        state.properties.insert(path.to_owned(), value.to_vec());
    }
    for (path, value) in [
        ("response.flags", 0u64),
        ("response.code", 200),
        ("request.duration", 25_000_000),
    ] {
        let value = value.to_le_bytes().to_vec();
        state.properties.insert(path.to_owned(), value);
    }
    state
}

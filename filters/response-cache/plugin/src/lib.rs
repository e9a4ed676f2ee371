//! The module that Envoy loads: `response-cache.wasm`.
seawall_host::plugin!(seawall_response_cache::ResponseCache);

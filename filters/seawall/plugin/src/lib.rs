//! The module that Envoy loads as `seawall.wasm`.

seawall_host::plugin!(seawall_seawall::Seawall);

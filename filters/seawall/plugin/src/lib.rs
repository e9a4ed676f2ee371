//! The module that Envoy loads as `seawall.wasm`.

use seawall_alloc as _;

seawall_host::plugin!(seawall_seawall::Seawall);

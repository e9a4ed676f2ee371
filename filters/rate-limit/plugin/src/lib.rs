//! The module that Envoy loads as `rate-limit.wasm`.

seawall_host::plugin!(seawall_rate_limit::RateLimit);

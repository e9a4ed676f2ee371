//! The module that Envoy loads: `circuit-breaker.wasm`.
seawall_host::plugin!(seawall_circuit_breaker::CircuitBreaker);

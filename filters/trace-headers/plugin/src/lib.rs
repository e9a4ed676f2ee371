//! The module that Envoy loads.

seawall_host::plugin!(seawall_trace_headers::TraceHeaders);

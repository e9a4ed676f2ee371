//! The module that Envoy loads.

use seawall_alloc as _;

seawall_host::plugin!(seawall_trace_headers::TraceHeaders);

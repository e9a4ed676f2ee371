//! The serde mirror of the configuration: every field optional, unknown ones refused.

use crate::ids::request_id::Kind;
use crate::interop::Format;
use crate::response::ServerTiming;
use crate::{sampling, trust};
use seawall_core::object;
use seawall_core::time::Span;

object! {
    /// The whole configuration.
    pub struct Raw {
        pub(super) enabled: Option<bool>,
        pub(super) request_id: RequestId,
        pub(super) one_id: Option<bool>,
        pub(super) trust: Trust,
        pub(super) read: Option<Vec<Format>>,
        pub(super) write: Option<Vec<Format>>,
        pub(super) clear: Option<Vec<Format>>,
        pub(super) sampling: Sampling,
        pub(super) tracestate: Tracestate,
        pub(super) baggage: Baggage,
        pub(super) response: Response,
        pub(super) endpoint: Option<String>,
        pub(super) log: Log,
        pub(super) latency: Latency,
        pub(super) spans: Option<Spans>,
        pub(super) per_route: Option<bool>,
    }
}

object! {
    pub(super) struct RequestId {
        pub(super) header: Option<String>,
        pub(super) format: Option<Kind>,
        pub(super) echo: Option<bool>,
    }
}

object! {
    pub(super) struct Trust {
        pub(super) mode: Option<trust::Mode>,
        pub(super) cidrs: Option<Vec<String>>,
        pub(super) peers: Option<Vec<String>>,
    }
}

object! {
    pub(super) struct Sampling {
        pub(super) mode: Option<sampling::Mode>,
        pub(super) ratio: Option<f64>,
    }
}

object! {
    pub(super) struct Tracestate {
        pub(super) max_length: Option<usize>,
    }
}

object! {
    pub(super) struct Baggage {
        pub(super) propagate: Option<bool>,
        pub(super) max_members: Option<usize>,
        pub(super) max_bytes: Option<usize>,
    }
}

object! {
    pub(super) struct Response {
        pub(super) server_timing: Option<ServerTiming>,
        pub(super) traceresponse: Option<bool>,
    }
}

object! {
    pub(super) struct Log {
        pub(super) tenant_id: Option<Source>,
        pub(super) user_id: Option<Source>,
        pub(super) properties: Option<bool>,
    }
}

object! {
    pub(super) struct Source {
        pub(super) header: Option<String>,
        pub(super) cookie: Option<String>,
        pub(super) claim: Option<Vec<String>>,
    }
}

object! {
    pub(super) struct Latency {
        pub(super) routes: Option<Vec<String>>,
        pub(super) upstreams: Option<Vec<String>>,
    }
}

object! {
    pub(super) struct Spans {
        pub(super) cluster: Option<String>,
        pub(super) authority: Option<String>,
        pub(super) path: Option<String>,
        pub(super) service: Option<String>,
        pub(super) interval: Option<Span>,
        pub(super) timeout: Option<Span>,
        pub(super) max_spans: Option<usize>,
        pub(super) errors: Option<bool>,
    }
}

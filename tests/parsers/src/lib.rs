//! What must hold of each parser whatever bytes it is given. Each function takes the bytes and panics when something does not
//! hold; [`ALL`] lists them by the names of their fuzz targets and corpora.
//!
//! Where somebody else has written a parser for the same language, both are asked and must agree.

mod command;
mod configuration;
mod drive;
mod host;
mod http;
mod input;
mod stored;
mod trace;
mod whole;

pub use command::documents;
pub use configuration::{configuration, route_metadata};
pub use host::{known, service_answers, shared_data};
pub use http::{addresses, cache_control, dates, ranges, target_fields};
pub use stored::{fleet_answer, records};
pub use trace::{baggage, formats, request_ids, traceparent, tracestate};
pub use whole::{requests, responses};

/// A property of a parser.
pub type Property = fn(&[u8]);

/// Every property, by name.
pub const ALL: [(&str, Property); 20] = [
    ("configuration", configuration),
    ("route_metadata", route_metadata),
    ("cache_control", cache_control),
    ("target_fields", target_fields),
    ("dates", dates),
    ("ranges", ranges),
    ("addresses", addresses),
    ("traceparent", traceparent),
    ("tracestate", tracestate),
    ("baggage", baggage),
    ("formats", formats),
    ("request_ids", request_ids),
    ("records", records),
    ("fleet_answer", fleet_answer),
    ("requests", requests),
    ("responses", responses),
    ("documents", documents),
    ("known", known),
    ("service_answers", service_answers),
    ("shared_data", shared_data),
];

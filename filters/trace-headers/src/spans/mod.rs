//! Spans: one server span per sampled request, sent to a collector by OTLP over HTTP.

mod answer;
mod exporter;
mod grpc;
pub mod otlp;
mod protobuf;
mod server;

pub use exporter::Exporter;
pub(crate) use server::authority;
pub use server::Server;

//! Ids: how they are made, read and written.

pub mod hex;
pub mod random;
pub mod request_id;
mod trace;

pub use trace::{SpanId, TraceId};

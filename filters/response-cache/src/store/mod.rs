//! Where entries live: a fixed number of slots in shared data, a budget of bytes over all of them, and a copy of hot
//! entries in the worker's own memory.

mod adopt;
pub mod alone;
pub mod bucket;
pub mod budget;
mod changes;
mod copies;
mod evict;
pub mod hot;
mod insert;
pub mod sketch;
mod table;

pub use adopt::adopt;
pub use bucket::buckets_for;
pub use changes::{Changes, GROUPS};
pub use insert::{BucketRead, Insert};
pub use table::{Found, Layout, Table};

//! What the HTTP specifications say, as functions over values: no host, no state.

pub mod age;
pub mod conditions;
pub mod directives;
pub mod fields;
pub mod freshness;
pub mod range;
pub mod request;
pub mod storable;
pub mod target;
pub mod vary;

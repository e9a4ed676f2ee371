//! What clients are told: fields on every response, and the answer to a refused request.

mod fields;
mod refusal;

pub use fields::{add, retry_after, Shown};
pub use refusal::{refuse, unavailable, Refusal};

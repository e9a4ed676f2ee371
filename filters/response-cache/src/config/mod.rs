//! The configuration: what users write (`raw`) and what the filter works with (`settings`).

mod check;
mod raw;
mod rules;
mod settings;

pub use rules::{Rule, RuleRequest};
pub use settings::{Background, Coalesce, Cookies, Purge, Refresh, Settings};

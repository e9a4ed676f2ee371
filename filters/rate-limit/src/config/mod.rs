//! The configuration: its JSON form, its checks, and the settings that a request is decided by.

mod answer;
mod check;
mod limits;
mod parts;
mod plan;
pub mod raw;
mod settings;
mod values;
mod within_reach;

pub use settings::{
    Answers, Charge, Cost, Fleet, FleetPlan, HeaderFields, Limit, Missing, OnError, OnFleetError,
    Override, Plan, Settings,
};

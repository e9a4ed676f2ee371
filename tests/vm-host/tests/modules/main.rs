//! The modules as they ship, on a host that may answer anything.

mod capabilities;
mod chaos;
mod common;
mod documented;
mod every_status;
mod hostile_input;
mod new_configurations;

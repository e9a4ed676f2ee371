//! Checks that several fields share.

use seawall_core::config::ConfigErrors;
use seawall_core::headers::is_field_name;
use seawall_core::time::Span;

/// The name of a header, in lower case as HTTP/2 and Envoy have it.
pub(super) fn header_name(name: &str, path: &str, errors: &mut ConfigErrors) -> String {
    if !is_field_name(name) {
        errors.add(path, format!("must be the name of a header, got {name:?}"));
    }
    name.to_ascii_lowercase()
}

pub(super) fn within(
    errors: &mut ConfigErrors,
    path: &str,
    value: u32,
    least: u32,
    most: u32,
) -> u32 {
    if !(least..=most).contains(&value) {
        errors.add(path, format!("must be from {least} to {most}, got {value}"));
    }
    value
}

pub(super) fn between(
    errors: &mut ConfigErrors,
    path: &str,
    value: f64,
    least: f64,
    most: f64,
) -> f64 {
    if !(least..=most).contains(&value) {
        errors.add(path, format!("must be from {least} to {most}, got {value}"));
    }
    value
}

pub(super) fn lasting(
    errors: &mut ConfigErrors,
    path: &str,
    value: Span,
    least: Span,
    most: Span,
) -> Span {
    if value < least || value > most {
        errors.add(path, format!("must be from {least} to {most}, got {value}"));
    }
    value
}

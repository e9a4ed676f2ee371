//! Checks that several fields share.

use seawall_core::config::ConfigErrors;
use seawall_core::headers::is_of_token;
use seawall_core::time::Span;

/// The name of a field may hold these only (RFC 9110, section 5.6.2), in lower case.
pub(super) fn is_field_name(name: &str) -> bool {
    !name.is_empty()
        && name
            .bytes()
            .all(|byte| is_of_token(byte) && !byte.is_ascii_uppercase())
}

/// Whether a text may stand in a field (RFC 9110, section 5.5).
pub(super) fn is_field_value(text: &str) -> bool {
    text.bytes()
        .all(|byte| byte == b'\t' || (byte >= b' ' && byte != 0x7f))
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

//! How a gRPC call ended, which its HTTP status does not say.

use seawall_core::grpc::STATUSES;

/// True for the content type of gRPC, parameters aside; gRPC-Web has its status elsewhere.
pub fn is_grpc(content_type: &[u8]) -> bool {
    let kind = content_type.split(|byte| *byte == b';').next();
    kind.is_some_and(seawall_core::grpc::is_grpc)
}

/// The status that a client makes of a number: one that gRPC does not have is UNKNOWN (gRPC, `doc/statuscodes.md`). Envoy
/// has no number of those.
pub fn status(number: Option<u64>) -> u64 {
    number.filter(|number| *number <= 16).unwrap_or(2)
}

/// The name of a status.
pub fn name(status: u64) -> &'static str {
    let at = usize::try_from(status).ok();
    let name = at.and_then(|at| STATUSES.get(at));
    name.copied().unwrap_or_default()
}

/// Whether a status is an error of the server (OpenTelemetry's semantic conventions for gRPC); all others are the caller's, or
/// none.
pub fn is_error(status: u64) -> bool {
    // UNKNOWN, DEADLINE_EXCEEDED, UNIMPLEMENTED, INTERNAL, UNAVAILABLE, DATA_LOSS.
    matches!(status, 2 | 4 | 12..=15)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn content_types() {
        for (value, expected) in [
            ("application/grpc", true),
            ("application/grpc+proto", true),
            ("application/grpc;charset=utf-8", true),
            ("application/grpc-web", false),
            ("application/json", false),
            ("", false),
        ] {
            assert_eq!(is_grpc(value.as_bytes()), expected, "{value}");
        }
    }

    #[test]
    fn names() {
        for (number, expected) in [
            (Some(0), "OK"),
            (Some(1), "CANCELLED"),
            (Some(14), "UNAVAILABLE"),
            (Some(16), "UNAUTHENTICATED"),
            (Some(17), "UNKNOWN"),
            (Some(u64::MAX), "UNKNOWN"),
            (None, "UNKNOWN"),
        ] {
            assert_eq!(name(status(number)), expected);
        }
    }
}

//! How a gRPC call ended, which its HTTP status does not say.

use seawall_core::grpc::STATUSES;

/// True for the content type of gRPC, parameters aside; gRPC-Web has its status elsewhere.
pub fn is_grpc(content_type: &[u8]) -> bool {
    let kind = content_type.split(|byte| *byte == b';').next();
    kind.is_some_and(seawall_core::grpc::is_grpc)
}

/// The name of a status, or the number of one that has no name.
pub fn name(status: u64) -> String {
    let at = usize::try_from(status).ok();
    let name = at.and_then(|at| STATUSES.get(at));
    name.map_or_else(|| status.to_string(), |name| (*name).to_owned())
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
        for (status, expected) in [
            (0, "OK"),
            (1, "CANCELLED"),
            (14, "UNAVAILABLE"),
            (16, "UNAUTHENTICATED"),
            (17, "17"),
            (u64::MAX, "18446744073709551615"),
        ] {
            assert_eq!(name(status), expected);
        }
    }
}

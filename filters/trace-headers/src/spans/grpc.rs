//! How a gRPC call ended, which its HTTP status does not say.

/// True for the content type of gRPC, parameters aside; gRPC-Web has its status elsewhere.
pub fn is_grpc(content_type: &[u8]) -> bool {
    let kind = content_type.split(|byte| *byte == b';').next();
    kind.is_some_and(seawall_core::grpc::is_grpc)
}

/// The name of a status that is an error of the server (OpenTelemetry's semantic conventions for gRPC); all others are the
/// caller's, or none.
pub fn error(status: u64) -> Option<&'static str> {
    match status {
        2 => Some("UNKNOWN"),
        4 => Some("DEADLINE_EXCEEDED"),
        12 => Some("UNIMPLEMENTED"),
        13 => Some("INTERNAL"),
        14 => Some("UNAVAILABLE"),
        15 => Some("DATA_LOSS"),
        _ => None,
    }
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
}

//! What a call's end says about the dependency.
//!
//! Response flags are Envoy's legacy bit vector (`response.flags`). What Envoy refuses or breaks off on its own account (overflow,
//! limits, injected faults, a missing route), and what another filter answers, says nothing about the upstream.

/// What a call says about the dependency.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// It works.
    Success,
    /// It does not.
    Failure,
    /// Nothing.
    Ignored,
}

/// What is known of a call's end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Signals<'a> {
    /// The HTTP status; 0 when there was none.
    pub status: u32,
    /// Envoy's response flags.
    pub flags: u64,
    /// Envoy's word on where the answer came from, where it was read.
    pub details: Option<&'a [u8]>,
    /// The gRPC status of a gRPC call.
    pub grpc_status: Option<u32>,
}

/// The upstream, or the way to it, failed: no healthy host, timeout, resets, connection failure and termination, retries used
/// up, maximum stream duration, protocol error, name resolution.
const FAILED: u64 =
    0x2 | 0x4 | 0x8 | 0x10 | 0x20 | 0x40 | 0x8000 | 0x80000 | 0x80_0000 | 0x400_0000;
/// Envoy or another filter is the reason: overflow, no route, injected fault, rate limits, external authorisation, the client
/// left, bad or oversized requests, idle stream, overload.
const NOT_ITS_FAULT: u64 = 0x80
    | 0x100
    | 0x400
    | 0x800
    | 0x1000
    | 0x2000
    | 0x4000
    | 0x10000
    | 0x20000
    | 0x40000
    | 0x100_0000
    | 0x200_0000;

/// The details of an answer that came from the upstream.
pub const VIA_UPSTREAM: &[u8] = b"via_upstream";

/// gRPC statuses that mean the service failed, not the request: unknown, deadline exceeded, internal, unavailable, data loss.
fn grpc_failed(status: u32) -> bool {
    matches!(status, 2 | 4 | 13 | 14 | 15)
}

/// Judges a call by what is known of its end.
pub fn classify(signals: &Signals<'_>) -> Outcome {
    if signals.flags & NOT_ITS_FAULT != 0 {
        return Outcome::Ignored;
    }
    if signals.flags & FAILED != 0 {
        return Outcome::Failure;
    }
    // Without a flag, an answer that is not the upstream's is another filter's.
    if signals
        .details
        .is_some_and(|details| details != VIA_UPSTREAM)
        || signals.status == 0
    {
        return Outcome::Ignored;
    }
    if signals.status >= 500 || signals.grpc_status.is_some_and(grpc_failed) {
        return Outcome::Failure;
    }
    Outcome::Success
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(status: u32, flags: u64, details: &str) -> Outcome {
        classify(&Signals {
            status,
            flags,
            details: Some(details.as_bytes()),
            grpc_status: None,
        })
    }

    #[test]
    fn counts_what_the_upstream_did_and_nothing_else() {
        use Outcome::{Failure, Ignored, Success};
        for (status, flags, details, expected) in [
            (200, 0, "via_upstream", Success),
            (404, 0, "via_upstream", Success),
            (429, 0, "via_upstream", Success),
            (500, 0, "via_upstream", Failure),
            (503, 0, "via_upstream", Failure),
            (
                503,
                0x20,
                "upstream_reset_before_response_started{connection_failure}",
                Failure,
            ),
            (
                503,
                0x40,
                "upstream_reset_before_response_started{connection_termination}",
                Failure,
            ),
            (
                503,
                0x10,
                "upstream_reset_before_response_started{remote_reset}",
                Failure,
            ),
            (504, 0x4, "response_timeout", Failure),
            (503, 0x2, "no_healthy_upstream", Failure),
            (200, 0x10, "via_upstream", Failure),
            (
                503,
                0x80,
                "upstream_reset_before_response_started{overflow}",
                Ignored,
            ),
            (503, 0x400, "fault_filter_abort", Ignored),
            (429, 0, "rate_limited", Ignored),
            (503, 0, "seawall.response_cache", Ignored),
            (401, 0x1000, "ext_authz_denied", Ignored),
            (404, 0x100, "route_not_found", Ignored),
            (0, 0x4000, "downstream_remote_disconnect", Ignored),
            (200, 0x4000, "via_upstream", Ignored),
            (0, 0, "", Ignored),
        ] {
            assert_eq!(
                of(status, flags, details),
                expected,
                "{status} {flags:#x} {details}"
            );
        }
    }

    #[test]
    fn grpc_statuses_count_where_the_service_failed() {
        for (status, expected) in [
            (0, Outcome::Success),
            (5, Outcome::Success),
            (7, Outcome::Success),
            (8, Outcome::Success),
            (13, Outcome::Failure),
            (14, Outcome::Failure),
        ] {
            let signals = Signals {
                status: 200,
                grpc_status: Some(status),
                ..Signals::default()
            };
            assert_eq!(classify(&signals), expected, "{status}");
        }
    }
}

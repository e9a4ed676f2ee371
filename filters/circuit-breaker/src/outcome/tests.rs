use super::*;

/// Those of the cases below in which the response had begun.
const BEGUN: [(u32, u64); 5] = [
    (200, 0x80_0000),
    (200, 0x10),
    (200, 0x40),
    (200, 0x4),
    (200, 0x8_0000),
];

fn of(status: u32, flags: u64, details: &str) -> (Outcome, &'static str) {
    let signals = Signals {
        status,
        flags,
        details: Some(details.as_bytes()),
        grpc_status: None,
        sent: true,
        begun: BEGUN.contains(&(status, flags)),
    };
    let verdict = classify(&Rules::default(), &signals);
    (verdict.outcome, verdict.why)
}

#[test]
fn counts_what_the_upstream_did_and_nothing_else() {
    use Outcome::{Failure, Ignored, Neutral, Success};
    const BEFORE: &str = "upstream_reset_before_response_started";
    for (status, flags, details, outcome, why) in [
        (200, 0, "via_upstream", Success, "status"),
        (302, 0, "via_upstream", Success, "status"),
        (404, 0, "via_upstream", Neutral, "status"),
        (429, 0, "via_upstream", Neutral, "status"),
        (500, 0, "via_upstream", Failure, "status"),
        (503, 0x8000, "via_upstream", Failure, "status"),
        // The retry met the cap, the upstream had failed before.
        (503, 0x80, "via_upstream", Failure, "status"),
        (503, 0x20, BEFORE, Failure, "connect_failure"),
        (
            503,
            0x400_0000,
            "dns_resolution_failure",
            Failure,
            "connect_failure",
        ),
        (503, 0x40, BEFORE, Failure, "close"),
        (503, 0x10, BEFORE, Failure, "reset"),
        (502, 0x80_0000, BEFORE, Failure, "protocol_error"),
        (504, 0x4, "response_timeout", Failure, "timeout"),
        (
            503,
            0x2,
            "no_healthy_upstream",
            Failure,
            "no_healthy_upstream",
        ),
        (
            200,
            0x80_0000,
            "upstream_reset_after_response_started{x}",
            Failure,
            "reset_after_headers",
        ),
        (200, 0x10, "via_upstream", Failure, "reset_after_headers"),
        (200, 0x40, "via_upstream", Failure, "reset_after_headers"),
        // A body that takes too long: of the upstream, or of a client that reads slowly.
        (200, 0x4, "response_timeout", Ignored, "not_its_fault"),
        (200, 0x8_0000, "via_upstream", Ignored, "not_its_fault"),
        (504, 0x8_0000, "x", Failure, "timeout"),
        // Envoy has followed the redirect itself.
        (302, 0, "internal_redirect", Success, "status"),
        (503, 0, "internal_redirect", Failure, "status"),
        (503, 0x80, BEFORE, Ignored, "not_its_fault"),
        (503, 0x400, "fault_filter_abort", Ignored, "not_its_fault"),
        (429, 0, "rate_limited", Ignored, "local_reply"),
        (503, 0, "seawall.response_cache", Ignored, "local_reply"),
        (401, 0x1000, "ext_authz_denied", Ignored, "not_its_fault"),
        (404, 0x100, "route_not_found", Ignored, "not_its_fault"),
        (
            0,
            0x4000,
            "downstream_remote_disconnect",
            Ignored,
            "client_left",
        ),
        (200, 0x4000, "via_upstream", Ignored, "client_left"),
        (0, 0x1000_0000, "", Ignored, "client_left"),
        (0, 0, "", Ignored, "local_reply"),
    ] {
        assert_eq!(
            of(status, flags, details),
            (outcome, why),
            "{status} {flags:#x} {details}"
        );
    }
}

/// What the client keeps open ends by that alone. The route's timeout does not run before the request is complete, but for an
/// upgrade, which never is.
#[test]
fn the_duration_of_a_stream_counts_only_where_the_request_was_complete() {
    for (flags, sent, outcome) in [
        (0x8_0000, true, Outcome::Failure),
        (0x8_0000, false, Outcome::Ignored),
        (0x4, true, Outcome::Failure),
        (0x4, false, Outcome::Failure),
    ] {
        let signals = Signals {
            status: 504,
            flags,
            details: Some(b"x"),
            sent,
            ..Signals::default()
        };
        let verdict = classify(&Rules::default(), &signals);
        assert_eq!(verdict.outcome, outcome, "{flags:#x} {sent}");
    }
}

#[test]
fn grpc_statuses_count_where_the_service_failed() {
    for status in 0..20 {
        let signals = Signals {
            status: 200,
            grpc_status: Some(status),
            ..Signals::default()
        };
        let expected = match status {
            0 => Outcome::Success,
            2 | 4 | 13 | 14 | 15 => Outcome::Failure,
            _ => Outcome::Neutral,
        };
        assert_eq!(
            classify(&Rules::default(), &signals).outcome,
            expected,
            "{status}"
        );
    }
}

/// Envoy wanted to try again, and `max_retries` of the cluster did not let it.
#[test]
fn an_answer_that_could_not_be_retried_is_one_all_the_same() {
    for (status, grpc_status, outcome) in [
        (200, Some(14), Outcome::Failure),
        (200, Some(8), Outcome::Neutral),
        (409, None, Outcome::Neutral),
    ] {
        let signals = Signals {
            status,
            flags: 0x80,
            details: Some(VIA_UPSTREAM),
            grpc_status,
            ..Signals::default()
        };
        assert_eq!(
            classify(&Rules::default(), &signals).outcome,
            outcome,
            "{status} {grpc_status:?}"
        );
    }
}

#[test]
fn what_counts_can_be_chosen() {
    let mut rules = Rules {
        statuses: [0; 10],
        grpc: 0,
        kinds: vec![Kind::Timeout],
    };
    rules.add_status(429);
    rules.add_grpc(8);
    let of = |status, flags, details: &[u8], grpc_status| {
        let signals = Signals {
            status,
            flags,
            details: Some(details),
            grpc_status,
            sent: true,
            begun: false,
        };
        classify(&rules, &signals).outcome
    };
    assert_eq!(of(429, 0, b"via_upstream", None), Outcome::Failure);
    assert_eq!(of(500, 0, b"via_upstream", None), Outcome::Neutral);
    assert_eq!(of(200, 0, b"via_upstream", Some(8)), Outcome::Failure);
    assert_eq!(of(200, 0, b"via_upstream", Some(14)), Outcome::Neutral);
    assert_eq!(of(504, 0x4, b"response_timeout", None), Outcome::Failure);
    assert_eq!(of(503, 0x20, b"x", None), Outcome::Ignored);
    assert!(!rules.is_failure(9999));
}

#[test]
fn time_that_runs_out_before_an_answer_is_a_timeout_if_it_was_the_upstreams_turn() {
    for details in [&b"max_duration_timeout"[..], b"stream_idle_timeout"] {
        for (status, grpc_status, sent, expected) in [
            (504, None, true, Outcome::Failure),
            (200, Some(4), true, Outcome::Failure),
            // The client has not sent all of it; or the answer had begun.
            (408, None, false, Outcome::Ignored),
            (200, Some(4), false, Outcome::Ignored),
            (200, None, true, Outcome::Ignored),
        ] {
            let signals = Signals {
                status,
                flags: 0x10000,
                details: Some(details),
                grpc_status,
                sent,
                begun: status == 200 && grpc_status.is_none(),
            };
            let verdict = classify(&Rules::default(), &signals);
            assert_eq!(verdict.outcome, expected, "{signals:?}");
        }
    }
}

/// The host may not say where an answer came from.
#[test]
fn without_details_a_status_speaks_for_itself() {
    for (status, expected) in [
        (0, (Outcome::Ignored, "no_answer")),
        (200, (Outcome::Success, "status")),
        (404, (Outcome::Neutral, "status")),
        (500, (Outcome::Failure, "status")),
    ] {
        let signals = Signals {
            status,
            ..Signals::default()
        };
        let verdict = classify(&Rules::default(), &signals);
        assert_eq!((verdict.outcome, verdict.why), expected, "{status}");
    }
}

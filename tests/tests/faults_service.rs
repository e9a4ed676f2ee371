//! A rate limit service that fails in every way, behind all four filters: whatever it answers, every request passes or is refused
//! as `on_error` says, and nobody is held. That it dies for good is shown beside a real service, in `tests/rls`.

use seawall_tests::client::burst;
use seawall_tests::prelude::*;

const ERRORS: &str = "wasmcustom.seawall.rate_limit.fleet_errors";
const REQUESTS: usize = 32;

/// A `RateLimitResponse` in gRPC's frame, and the status after it.
fn answer(message: &[u8]) -> Reply {
    framed(message.len() as u32, message)
}

/// The same with any length in the frame.
fn framed(length: u32, message: &[u8]) -> Reply {
    let mut bytes = vec![0];
    bytes.extend(length.to_be_bytes());
    bytes.extend(message);
    Reply::ok(bytes)
        .header("content-type", "application/grpc")
        .trailer("grpc-status", "0")
}

/// A message without a status.
fn unfinished() -> Reply {
    Reply::ok([0, 0, 0, 0, 2, 8, 1]).header("content-type", "application/grpc")
}

fn within_the_limit() -> Reply {
    answer(&[8, 1])
}

/// Answers that are none.
fn faults() -> Vec<(&'static str, Reply)> {
    vec![
        ("no message", Reply::grpc_trailers_only(0)),
        ("an error", Reply::grpc_trailers_only(13)),
        ("an empty message", Reply::grpc(0)),
        ("a message and then a reset", unfinished().cut_short()),
        ("a code that nobody knows", answer(&[8, 9])),
        ("bytes that are no message", answer(&[0xff; 1_000])),
        ("a field cut short", answer(&[18, 100, 1, 2])),
        ("a frame that ends early", framed(1_000_000, &[8, 1])),
        ("a length beyond everything", framed(u32::MAX, &[8, 1])),
        (
            "no frame",
            Reply::ok("garbage").header("content-type", "application/grpc"),
        ),
        (
            "a page",
            Reply::ok("<html>").header("content-type", "text/html"),
        ),
        ("500", Reply::status(500)),
        ("a close", Reply::Close),
        ("a reset", Reply::Reset),
        ("silence", Reply::Hang),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_a_service_answers_requests_pass_or_are_refused_as_configured() {
    let upstream = Upstream::start().await;
    for (on_error, status) in [("allow", 200), ("deny", 503)] {
        let service = Upstream::start().await;
        service.always(within_the_limit());
        let configuration = json!({
            "fleet": {"cluster": "ratelimit", "timeout": "1s", "on_error": on_error},
            "limits": [{"name": "tenant", "key": [{"header": "x-tenant-id"}], "scope": "fleet", "requests": 1_000_000, "per": "1d"}],
        });
        let envoy = Envoy::to(&upstream)
            .all_filters_with(&[("rate-limit", configuration)])
            .http2_cluster("ratelimit", service.address)
            .start()
            .await;
        let begun = std::time::Instant::now();
        let get = || envoy.get_with("/", &[("x-tenant-id", "acme")]);
        eventually("the service is asked", || async {
            (get().await.status == 200).then_some(())
        })
        .await;
        for (about, fault) in faults() {
            service.always(fault);
            let (asked, errors) = (service.hits(), envoy.stat(ERRORS).await);
            let answers = burst(envoy.address, REQUESTS, 16, |_| {
                (
                    "/".to_owned(),
                    vec![("x-tenant-id".to_owned(), "acme".to_owned())],
                )
            })
            .await;
            for answer in &answers {
                assert_eq!(answer.status, status, "{about}, {on_error}");
                assert!(answer.header("x-request-id").is_some(), "{about}");
            }
            envoy.wait_for_stat(ERRORS, errors + REQUESTS as u64).await;
            assert!(service.hits() > asked, "{about}: nobody asked");
        }
        // Slow is not silent: who is answered in time has an answer.
        service.always(within_the_limit().after(Duration::from_millis(100)));
        eventually("the service is believed again", || async {
            let errors = envoy.stat(ERRORS).await;
            let passed = get().await.status == 200;
            (passed && envoy.stat(ERRORS).await == errors).then_some(())
        })
        .await;
        let log = envoy.log();
        let said = log.matches("rate limit service does not answer").count();
        // One a minute in each of the four workers, whatever part of a minute that is.
        let minutes = begun.elapsed().as_secs() as usize / 60;
        let most = 4 * (minutes + 2);
        assert!((1..=most).contains(&said), "{said} lines");
        assert!(!log.contains("wasm_fail") && !log.contains("panicked"));
        eventually("nothing is in flight", || async {
            (envoy.stat("http.ingress.downstream_rq_active").await == 0).then_some(())
        })
        .await;
    }
}

//! The answer while a breaker is open: the fallback, and when to come back.

use crate::settings::Fallback;
use seawall_core::host::Host;
use seawall_core::reply::Reply;
use seawall_core::time::Span;

/// The response header by which response-cache knows a refusal, and may answer with a stale copy instead.
pub const MARK: &str = "x-seawall-breaker";

/// The status of a gRPC refusal: UNAVAILABLE, which clients may retry.
const UNAVAILABLE: u32 = 14;

/// Refuses the request at hand. `after` is the time left; it is told in whole seconds, rounded up, so that who waits that long
/// is admitted or is a probe (RFC 9110, section 10.2.3).
pub fn refuse(host: &dyn Host, fallback: &Fallback, grpc: bool, after: Span) -> bool {
    let seconds = after.as_secs_ceil().max(1).to_string();
    let millis = after.as_millis().saturating_add(1).to_string();
    let mut headers: Vec<(&str, &[u8])> =
        vec![(MARK, b"open"), ("retry-after", seconds.as_bytes())];
    if grpc {
        // gRPC proposal A6: the server's word on when to try again.
        headers.push(("grpc-retry-pushback-ms", millis.as_bytes()));
    } else {
        for (name, value) in &fallback.headers {
            headers.push((name, value.as_bytes()));
        }
    }
    let body: &[u8] = if grpc {
        b"circuit breaker open"
    } else {
        fallback.body.as_bytes()
    };
    let reply = Reply {
        status: if grpc { 503 } else { fallback.status },
        headers: &headers,
        body,
        grpc_status: grpc.then_some(UNAVAILABLE),
        details: "seawall.circuit_breaker.open",
    };
    host.reply(&reply).is_ok()
}

//! One ordinary request, as most of them are: what a request costs is told by it.

use crate::{pairs, Pairs, Run, State, Step, Trap};

fn request() -> Pairs {
    pairs(&[
        (":authority", "example.com"),
        (":path", "/orders/17?page=2"),
        (":method", "GET"),
        (":scheme", "https"),
        ("user-agent", "curl/8.5.0"),
        ("accept", "*/*"),
        ("x-tenant-id", "acme"),
        ("x-forwarded-for", "203.0.113.7"),
        ("x-forwarded-proto", "https"),
    ])
}

fn answer(cache_control: &str) -> Pairs {
    pairs(&[
        (":status", "200"),
        ("content-type", "application/json"),
        ("content-length", "1024"),
        ("cache-control", cache_control),
        ("date", "Sun, 09 Sep 2001 01:46:40 GMT"),
        ("x-envoy-upstream-service-time", "3"),
    ])
}

/// A host for ordinary requests to a filter that is configured so.
pub fn host(configuration: &str) -> State {
    let properties = [
        ("xds.cluster_name", &b"orders"[..]),
        ("xds.route_name", b"orders"),
        ("source.address", b"203.0.113.7:40000"),
        ("response.code_details", b"via_upstream"),
        ("response.flags", &[0; 8]),
        ("request.duration", &[0; 8]),
    ];
    State {
        configuration: configuration.as_bytes().to_vec(),
        now: 1_000_000_000_000_000_000,
        properties: properties
            .iter()
            .map(|(path, value)| ((*path).to_owned(), value.to_vec()))
            .collect(),
        ..State::default()
    }
}

/// The life of one: a `GET`, and 1 KB with this `cache-control`.
///
/// # Errors
/// When the module traps.
pub fn life(run: &mut Run, context: u32, cache_control: &str) -> Result<(), Trap> {
    let steps = [
        Step::Request(context, request(), true),
        Step::Response(context, answer(cache_control), false),
        Step::ResponseBody(context, vec![b'x'; 1024], true),
        Step::End(context),
    ];
    steps.iter().try_for_each(|step| run.step(step))
}

//! What one call takes, repeated in a loop.

use seawall_core::host::{Expect, Host, Level, Map, MetricKind};

/// The best of so many runs counts: what else the machine does only ever adds.
const RUNS: u32 = 20;
const REPEATS: u64 = 500;

fn measure<R>(host: &dyn Host, what: &str, mut call: impl FnMut() -> R) {
    let now = || host.now().map(|time| time.as_nanos()).unwrap_or_default();
    let mut best = u64::MAX;
    for _ in 0..RUNS {
        let start = now();
        for _ in 0..REPEATS {
            let _ = call();
        }
        best = best.min(now().saturating_sub(start) / REPEATS);
    }
    host.log(Level::Warn, &format!("probe {what}: {best} ns"));
}

/// Measures every kind of call and logs `probe <what>: <ns> ns`.
pub fn all(host: &dyn Host) {
    let map = Map::Request;
    measure(host, "time", || host.now());
    measure(host, "16 random bytes", || host.random(&mut [0; 16]));
    measure(host, "256 random bytes", || host.random(&mut [0; 256]));
    measure(host, "a header that is absent", || {
        host.header(map, "x-absent")
    });
    measure(host, "one header", || host.header(map, "user-agent"));
    measure(host, "all headers", || host.headers(map));
    measure(host, "set a header", || {
        host.set_header(map, "x-probe", b"0123456789abcdef")
    });
    for (what, path) in [
        ("client address", "source\0address"),
        ("route metadata", "xds\0route_metadata"),
        ("virtual host metadata, none", "xds\0virtual_host_metadata"),
        ("cluster name", "xds\0cluster_name"),
    ] {
        measure(host, what, || host.property(path));
    }
    measure(host, "set a property", || {
        host.set_property("probe", b"0123456789abcdef")
    });
    let value = [7; 64];
    let _ = host.shared_set("probe", &value, Expect::Anything);
    measure(host, "read 64 shared bytes", || host.shared_get("probe"));
    measure(host, "write 64 shared bytes", || {
        host.shared_set("probe", &value, Expect::Anything)
    });
    if let Ok(counter) = host.metric_define(MetricKind::Counter, "probe") {
        measure(host, "count", || host.metric_add(counter, 1));
    }
    for expression in [
        "xds.route_metadata",
        "[xds.route_metadata, xds.virtual_host_metadata]",
    ] {
        if let Ok(token) = host.foreign("expr_create", expression.as_bytes()) {
            measure(host, &format!("CEL `{expression}`"), || {
                host.foreign("expr_evaluate", &token)
            });
        }
    }
}

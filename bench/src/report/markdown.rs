//! Tables.

use super::{Cost, Summary};
use crate::misses::Misses;
use crate::probe::Call;
use crate::scaling::Scaling;
use crate::stats::Estimate;
use crate::Options;
use std::fmt::Write;

/// What is to be compared: a subject, and what it is measured against.
const COMPARED: [(&str, &str); 21] = [
    ("rate-limit", "do-nothing SDK filter"),
    (
        "rate-limit, nothing per route, no fields",
        "do-nothing SDK filter",
    ),
    (
        "rate-limit, nothing per route, no fields",
        "Lua limiter (per worker)",
    ),
    (
        "rate-limit, nothing per route, no fields",
        "native local_ratelimit",
    ),
    (
        "host calls of rate-limit, nothing per route, no fields, nothing else",
        "do-nothing SDK filter",
    ),
    ("circuit-breaker", "do-nothing SDK filter"),
    (
        "circuit-breaker, nothing per route",
        "do-nothing SDK filter",
    ),
    (
        "host calls of circuit-breaker, nothing per route, nothing else",
        "do-nothing SDK filter",
    ),
    ("trace-headers", "do-nothing SDK filter"),
    ("trace-headers, nothing per route", "do-nothing SDK filter"),
    (
        "host calls of trace-headers, nothing per route, nothing else",
        "do-nothing SDK filter",
    ),
    ("trace-headers", "native tracing and request id"),
    ("all four filters, forwarded", "four do-nothing SDK filters"),
    (
        "all four as one (seawall.wasm), forwarded",
        "four do-nothing SDK filters",
    ),
    (
        "all four as one (seawall.wasm), forwarded, nothing per route, no fields",
        "four do-nothing SDK filters",
    ),
    (
        "host calls of seawall.wasm, nothing else",
        "four do-nothing SDK filters",
    ),
    (
        "host calls of seawall.wasm, nothing per route, no fields, nothing else",
        "four do-nothing SDK filters",
    ),
    ("response-cache, hit", "native cache_v2, hit"),
    (
        "response-cache, hit, nothing per route",
        "native cache_v2, hit",
    ),
    (
        "response-cache, hit of 64 KB",
        "native cache_v2, hit of 64 KB",
    ),
    ("response-cache, hit of 64 KB", "no filter, 64 KB"),
];

fn with_error(estimate: Estimate) -> String {
    if estimate.error.is_nan() {
        // One start says nothing of how far others would be.
        return format!("{:+.1}", estimate.value);
    }
    format!("{:+.1} ± {:.1}", estimate.value, estimate.error)
}

/// Each of them in the same starts as what it is compared with.
fn compared(text: &mut String, summaries: &[Summary]) {
    let named = |name: &str| summaries.iter().find(|one| one.name == name);
    let pairs: Vec<_> = COMPARED
        .iter()
        .filter_map(|(this, other)| Some((named(this)?, named(other)?)))
        .collect();
    if pairs.is_empty() {
        return;
    }
    let _ = writeln!(
        text,
        "\nThe same, beside what does nothing or does the same work; CPU µs/request above it:\n\n\
         | | above | HTTP/1.1 | HTTP/2 |\n\
         | --- | --- | ---: | ---: |"
    );
    for (this, other) in pairs {
        let http2 = this.http2.as_ref().zip(other.http2.as_ref());
        let http2 = http2.map_or_else(String::new, |(this, other)| with_error(this.above(other)));
        let _ = writeln!(
            text,
            "| {} | {} | {} | {http2} |",
            this.name,
            other.name,
            with_error(this.http1.above(&other.http1))
        );
    }
}

pub(super) fn tables(
    options: &Options,
    machine: &str,
    summaries: &[Summary],
    misses: &[Misses],
    calls: &[Call],
    scaling: Option<&Scaling>,
) -> String {
    let mut text = String::new();
    let _ = writeln!(
        text,
        "Written by `make bench`: {machine}; {} starts, after each {} rounds of {} requests, {} at a time, one worker.\n\
         Medians; ± is the standard error over the starts.\n\n\
         | | CPU µs/request, HTTP/1.1 | above no filter | ratio | HTTP/2 | above no filter | ratio | requests/s | p50 µs | p99 µs |\n\
         | --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |",
        options.starts, options.rounds, options.requests, options.connections
    );
    let none = summaries.first();
    let cells = |cost: Option<&Cost>, none: Option<&Cost>| match (cost, none) {
        (Some(cost), Some(none)) => format!(
            "{:.1} | {} | {:.2}",
            cost.cpu_us,
            with_error(cost.above),
            cost.cpu_us / none.cpu_us
        ),
        _ => " | |".to_owned(),
    };
    for one in summaries {
        let _ = writeln!(
            text,
            "| {} | {} | {} | {:.0} | {:.0} | {:.0} |",
            one.name,
            cells(Some(&one.http1), none.map(|none| &none.http1)),
            cells(
                one.http2.as_ref(),
                none.and_then(|none| none.http2.as_ref())
            ),
            one.per_second,
            one.p50_us,
            one.p99_us
        );
    }
    compared(&mut text, summaries);
    let _ = writeln!(
        text,
        "\nA miss that is stored: every request is for another URL of 1 KB, over HTTP/2:\n\n\
         | | CPU µs/request | above no filter |\n\
         | --- | ---: | ---: |"
    );
    for one in misses {
        let _ = writeln!(
            text,
            "| {} | {:.1} | {} |",
            one.name,
            one.cpu_us,
            with_error(one.above)
        );
    }
    let _ = writeln!(
        text,
        "\nA host call, repeated in a loop (in traffic it costs more, for the caches are cold):\n\n\
         | call | ns |\n\
         | --- | ---: |"
    );
    for call in calls {
        let _ = writeln!(text, "| {} | {} |", call.what, call.ns);
    }
    if let Some(scaling) = scaling {
        let _ = writeln!(
            text,
            "\nrate-limit by workers and keys (`max_keys: 2000000`):\n\n\
             | workers | keys | CPU µs/request without | with | above | memory MB |\n\
             | ---: | ---: | ---: | ---: | ---: | ---: |"
        );
        for row in &scaling.rows {
            let _ = writeln!(
                text,
                "| {} | {} | {:.1} | {:.1} | {:+.1} | {:.0} |",
                row.workers, row.keys, row.without_us, row.with_us, row.above_us, row.memory_mb
            );
        }
        let _ = writeln!(
            text,
            "\nresponse-cache with its defaults after 12 s of requests for so many URLs of 1 KB:\n\n\
             | workers | URLs | memory MB before | after |\n\
             | ---: | ---: | ---: | ---: |"
        );
        for row in &scaling.entries {
            let _ = writeln!(
                text,
                "| {} | {} | {:.0} | {:.0} |",
                row.workers, row.urls, row.before_mb, row.after_mb
            );
        }
        let _ = writeln!(
            text,
            "\n`envoy --mode validate`: {:.2} s with one limit, {:.2} s with 1,000.",
            scaling.validate_one_s, scaling.validate_thousand_s
        );
    }
    text
}

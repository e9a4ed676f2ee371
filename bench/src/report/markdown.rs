//! Tables.

use super::Summary;
use crate::misses::Misses;
use crate::probe::Call;
use crate::scaling::Scaling;
use crate::Options;
use std::fmt::Write;

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
         CPU: of the best round after each start, the median. The rest: medians.\n\n\
         | | CPU µs/request, HTTP/1.1 | above no filter | ratio | HTTP/2 | above no filter | requests/s | p50 µs | p99 µs |\n\
         | --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |",
        options.starts, options.rounds, options.requests, options.connections
    );
    for one in summaries {
        let (cpu, above) = one.http2.map_or_else(Default::default, |(cpu, above)| {
            (format!("{cpu:.1}"), format!("{above:+.1}"))
        });
        let _ = writeln!(
            text,
            "| {} | {:.1} | {:+.1} | {:.2} | {cpu} | {above} | {:.0} | {:.0} | {:.0} |",
            one.name, one.cpu_us, one.added_us, one.ratio, one.per_second, one.p50_us, one.p99_us
        );
    }
    let _ = writeln!(
        text,
        "\nA miss that is stored: every request is for another URL of 1 KB, over HTTP/2:\n\n\
         | | CPU µs/request | above no filter |\n\
         | --- | ---: | ---: |"
    );
    for one in misses {
        let _ = writeln!(
            text,
            "| {} | {:.1} | {:+.1} |",
            one.name, one.cpu_us, one.above_us
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

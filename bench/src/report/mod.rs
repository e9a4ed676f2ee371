//! The results as JSON, Markdown and a chart.

mod chart;
mod markdown;

use crate::load::Measured;
use crate::misses::Misses;
use crate::probe::Call;
use crate::scaling::Scaling;
use crate::stats::{least, median};
use crate::subjects::Subject;
use crate::Options;
use serde_json::json;
use std::error::Error;
use std::fs;

/// One subject, summed up.
#[derive(Debug, serde::Serialize)]
pub struct Summary {
    /// What it is.
    pub name: String,
    /// Which filter it belongs to.
    pub group: &'static str,
    /// CPU per request: of the best round after each start, the median.
    pub cpu_us: f64,
    /// What that is above "no filter".
    pub added_us: f64,
    /// That divided by the cost of "no filter".
    pub ratio: f64,
    /// The same over HTTP/2: CPU per request, and above "no filter"; of a proxy that speaks it here.
    pub http2: Option<(f64, f64)>,
    /// Median requests per second.
    pub per_second: f64,
    /// Median of the rounds' medians.
    pub p50_us: f64,
    /// Median of the rounds' 99th percentiles.
    pub p99_us: f64,
}

fn summarize(options: &Options, subjects: &[Subject]) -> Vec<Summary> {
    let cpu = |rounds: &[Measured]| {
        let best = rounds.chunks(options.rounds.max(1)).map(|start| {
            let seen: Vec<f64> = start.iter().map(|seen| seen.cpu_us).collect();
            least(&seen)
        });
        median(&best.collect::<Vec<_>>())
    };
    let of = |subject: &Subject, what: fn(&Measured) -> f64| {
        median(&subject.rounds.iter().map(what).collect::<Vec<_>>())
    };
    let (none, none_http2) = (cpu(&subjects[0].rounds), cpu(&subjects[0].http2));
    let http2 = |subject: &Subject| {
        let cpu = cpu(&subject.http2);
        (!subject.http2.is_empty()).then_some((cpu, cpu - none_http2))
    };
    subjects
        .iter()
        .map(|subject| Summary {
            name: subject.name.clone(),
            group: subject.group,
            cpu_us: cpu(&subject.rounds),
            added_us: cpu(&subject.rounds) - none,
            ratio: cpu(&subject.rounds) / none,
            http2: http2(subject),
            per_second: of(subject, |seen| seen.per_second),
            p50_us: of(subject, |seen| seen.p50_us),
            p99_us: of(subject, |seen| seen.p99_us),
        })
        .collect()
}

/// The processor, as Linux names it, and how many of them.
fn machine() -> String {
    let text = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let names: Vec<&str> = text
        .lines()
        .filter_map(|line| line.strip_prefix("model name")?.split_once(": "))
        .map(|(_, name)| name)
        .collect();
    format!(
        "{} x {}",
        names.len(),
        names.first().unwrap_or(&"unknown processor")
    )
}

/// Writes all of them, and prints the tables.
pub fn write(
    options: &Options,
    subjects: &[Subject],
    misses: &[Misses],
    calls: &[Call],
    scaling: Option<&Scaling>,
) -> Result<(), Box<dyn Error>> {
    let summaries = summarize(options, subjects);
    let machine = machine();
    let text = markdown::tables(options, &machine, &summaries, misses, calls, scaling);
    println!("{text}");
    fs::create_dir_all(&options.out)?;
    let all = json!({
        "machine": machine,
        "starts": options.starts,
        "rounds": options.rounds,
        "requests": options.requests,
        "connections": options.connections,
        "summary": summaries,
        "measured": subjects,
        "misses": misses,
        "host_calls": calls,
        "scaling": scaling,
    });
    fs::write(
        options.out.join("results.json"),
        serde_json::to_string_pretty(&all)? + "\n",
    )?;
    fs::write(options.out.join("results.md"), text)?;
    svg::save(options.out.join("cpu.svg"), &chart::bars(&summaries))?;
    Ok(())
}

//! The results as JSON, Markdown and a chart.

mod chart;
mod markdown;

use crate::probe::Call;
use crate::scaling::Scaling;
use crate::stats::median;
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
    /// Median CPU per request.
    pub cpu_us: f64,
    /// Median of what it costs above "no filter" in the same round.
    pub added_us: f64,
    /// Median of its cost divided by that of "no filter" in the same round.
    pub ratio: f64,
    /// Median CPU per request over HTTP/2, and above "no filter"; of a proxy that speaks it here.
    pub http2: Option<(f64, f64)>,
    /// Median requests per second.
    pub per_second: f64,
    /// Median of the rounds' medians.
    pub p50_us: f64,
    /// Median of the rounds' 99th percentiles.
    pub p99_us: f64,
}

fn summarize(subjects: &[Subject]) -> Vec<Summary> {
    let base = &subjects[0].rounds;
    let of = |subject: &Subject, what: fn(&crate::load::Measured) -> f64| {
        median(&subject.rounds.iter().map(what).collect::<Vec<_>>())
    };
    let beside = |subject: &Subject, what: fn(f64, f64) -> f64| {
        let pairs = subject.rounds.iter().zip(base);
        median(
            &pairs
                .map(|(one, none)| what(one.cpu_us, none.cpu_us))
                .collect::<Vec<_>>(),
        )
    };
    let http2 = |subject: &Subject| {
        let cpu: Vec<f64> = subject.http2.iter().map(|seen| seen.cpu_us).collect();
        let none = subjects[0].http2.iter().map(|seen| seen.cpu_us);
        let above: Vec<f64> = cpu.iter().zip(none).map(|(one, none)| one - none).collect();
        (!cpu.is_empty()).then(|| (median(&cpu), median(&above)))
    };
    subjects
        .iter()
        .map(|subject| Summary {
            name: subject.name.clone(),
            group: subject.group,
            cpu_us: of(subject, |seen| seen.cpu_us),
            added_us: beside(subject, |one, none| one - none),
            ratio: beside(subject, |one, none| one / none),
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
    calls: &[Call],
    scaling: Option<&Scaling>,
) -> Result<(), Box<dyn Error>> {
    let summaries = summarize(subjects);
    let machine = machine();
    let text = markdown::tables(options, &machine, &summaries, calls, scaling);
    println!("{text}");
    fs::create_dir_all(&options.out)?;
    let all = json!({
        "machine": machine,
        "rounds": options.rounds,
        "requests": options.requests,
        "connections": options.connections,
        "summary": summaries,
        "measured": subjects,
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

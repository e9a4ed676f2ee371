//! The results as JSON, Markdown and a chart.

mod chart;
mod markdown;

use crate::load::Measured;
use crate::misses::Misses;
use crate::probe::Call;
use crate::scaling::Scaling;
use crate::stats::{estimate, level, median, Estimate};
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
    /// Over HTTP/1.1.
    pub http1: Cost,
    /// Over HTTP/2, of a proxy that speaks it here.
    pub http2: Option<Cost>,
    /// Median requests per second.
    pub per_second: f64,
    /// Median of the rounds' medians.
    pub p50_us: f64,
    /// Median of the rounds' 99th percentiles.
    pub p99_us: f64,
}

/// What a subject costs in one protocol.
#[derive(Debug, serde::Serialize)]
pub struct Cost {
    /// CPU per request: the median of the starts, of each the median of its rounds, once what the rounds do to all is taken out.
    pub cpu_us: f64,
    /// What that is above "no filter", start by start.
    pub above: Estimate,
    /// That of each start.
    pub starts_us: Vec<f64>,
}

impl Cost {
    /// What it is above another one, start by start.
    pub fn above(&self, other: &Self) -> Estimate {
        estimate(&differences(&self.starts_us, &other.starts_us))
    }
}

fn differences(these: &[f64], others: &[f64]) -> Vec<f64> {
    let pairs = these.iter().zip(others);
    pairs.map(|(this, other)| this - other).collect()
}

/// The costs of all subjects in one protocol; the first one is "no filter".
fn costs(options: &Options, subjects: &[Subject], of: fn(&Subject) -> &[Measured]) -> Vec<Cost> {
    let figures = |subject| of(subject).iter().map(|seen| seen.cpu_us).collect();
    let mut rounds: Vec<Vec<f64>> = subjects.iter().map(figures).collect();
    level(&mut rounds);
    let starts = |rounds: &Vec<f64>| -> Vec<f64> {
        rounds.chunks(options.rounds.max(1)).map(median).collect()
    };
    let starts: Vec<Vec<f64>> = rounds.iter().map(starts).collect();
    let none = starts.first().cloned().unwrap_or_default();
    let cost = |starts_us: Vec<f64>| Cost {
        cpu_us: median(&starts_us),
        above: estimate(&differences(&starts_us, &none)),
        starts_us,
    };
    starts.into_iter().map(cost).collect()
}

fn summarize(options: &Options, subjects: &[Subject]) -> Vec<Summary> {
    let of = |subject: &Subject, what: fn(&Measured) -> f64| {
        median(&subject.rounds.iter().map(what).collect::<Vec<_>>())
    };
    let http1 = costs(options, subjects, |subject| &subject.rounds);
    let http2 = costs(options, subjects, |subject| &subject.http2);
    subjects
        .iter()
        .zip(http1.into_iter().zip(http2))
        .map(|(subject, (http1, http2))| Summary {
            name: subject.name.clone(),
            group: subject.group,
            http1,
            http2: (!subject.http2.is_empty()).then_some(http2),
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

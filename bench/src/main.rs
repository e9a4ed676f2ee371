//! `make bench`: what each filter costs in a real Envoy, beside its peers, interleaved in one run.
//!
//! All that are Envoy are listeners of one process in front of the same upstream, so that they have everything in common but their
//! filters. They are measured in turns, round by round, and the process is started anew several times: where a VM happens to lie
//! in memory makes some of its cost. What counts is the CPU time of the process per request.

mod calls;
mod config;
mod floor;
mod keys;
mod load;
mod misses;
mod peers;
mod probe;
mod process;
mod report;
mod scaling;
mod stats;
mod subjects;

use std::path::PathBuf;

/// What the command line may change.
#[derive(Debug)]
pub struct Options {
    /// How often the processes are started anew.
    pub starts: usize,
    /// How often each subject is measured after a start.
    pub rounds: usize,
    /// Requests per measurement.
    pub requests: usize,
    /// How many of them are under way at a time.
    pub connections: usize,
    /// Where the results go.
    pub out: PathBuf,
    /// Only the subjects whose names contain this.
    pub only: Option<String>,
    /// The most keys that rate-limit is measured with.
    pub keys: u64,
    /// Without the part about workers, keys and memory.
    pub skip_scaling: bool,
}

impl Options {
    fn read() -> Result<Self, String> {
        let mut options = Options {
            starts: 3,
            rounds: 6,
            requests: 2_500,
            connections: 64,
            out: PathBuf::from("docs/performance"),
            only: None,
            keys: 1_000_000,
            skip_scaling: false,
        };
        let mut words = std::env::args().skip(1);
        while let Some(word) = words.next() {
            let mut value = || words.next().ok_or(format!("{word} needs a value"));
            let number = |text: String| text.parse().map_err(|_| format!("{text:?} is no number"));
            match word.as_str() {
                "--starts" => options.starts = number(value()?)?,
                "--rounds" => options.rounds = number(value()?)?,
                "--requests" => options.requests = number(value()?)?,
                "--connections" => options.connections = number(value()?)?,
                "--out" => options.out = value()?.into(),
                "--only" => options.only = Some(value()?),
                "--keys" => options.keys = number(value()?)? as u64,
                "--skip-scaling" => options.skip_scaling = true,
                _ => {
                    return Err(format!(
                        "{word:?} is unknown; there are --starts N, --rounds N, --requests N, --connections N, --out FOLDER, \
                         --only TEXT, --keys N, --skip-scaling"
                    ))
                }
            }
        }
        Ok(options)
    }
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let options = Options::read()?;
    let calls = probe::measure()?;
    let results = subjects::measure(&options)?;
    let misses = misses::measure(&options)?;
    let scaling = if options.skip_scaling {
        None
    } else {
        Some(scaling::measure(&options)?)
    };
    report::write(&options, &results, &misses, &calls, scaling.as_ref())
}

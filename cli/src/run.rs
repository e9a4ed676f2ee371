//! From the command line to an exit code.

use crate::args::{Args, Command, Explain, Format, From, Module};
use crate::check::{check, Report, Severity};
use crate::convert;
use crate::document;
use crate::explain::{self, Request};
use crate::filters::Filter;
use crate::output;
use crate::schema::{schema, schema_of_all};
use clap::Parser;
use serde_json::json;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// The command could not do what it was asked for.
type Trouble = String;

/// Does what the command line says.
pub fn run() -> ExitCode {
    let args = Args::parse();
    let done = match &args.command {
        Command::Check { files, strict } => check_files(files, *strict, args.format),
        Command::Schema { filter } => {
            let schema = match filter {
                Module::RateLimit => schema(Filter::RateLimit),
                Module::ResponseCache => schema(Filter::ResponseCache),
                Module::CircuitBreaker => schema(Filter::CircuitBreaker),
                Module::TraceHeaders => schema(Filter::TraceHeaders),
                Module::Seawall => schema_of_all(),
            };
            print(format!("{schema:#}\n").as_bytes()).map(|()| true)
        }
        Command::Explain(arguments) => explain_request(arguments, args.format),
        Command::Convert { from, file } => convert_file(*from, file, args.format),
    };
    match done {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(1),
        Err(trouble) => {
            let _ = writeln!(anstream::stderr(), "seawall: {trouble}");
            ExitCode::from(2)
        }
    }
}

/// The text of a file, or of standard input.
fn text(path: &Path) -> Result<(String, String), Trouble> {
    let mut text = String::new();
    if path == Path::new("-") {
        let read = io::stdin().read_to_string(&mut text);
        return read
            .map(|_| ("standard input".to_owned(), text))
            .map_err(|error| format!("standard input cannot be read: {error}"));
    }
    let name = path.display().to_string();
    let read = std::fs::read_to_string(path);
    read.map(|text| (name.clone(), text))
        .map_err(|error| format!("{name} cannot be read: {error}"))
}

/// Writes everything at once; a reader that left is no trouble.
fn print(text: &[u8]) -> Result<(), Trouble> {
    let mut out = anstream::stdout();
    match out.write_all(text).and_then(|()| out.flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            Err(format!("cannot write: {error}"))
        }
        _ => Ok(()),
    }
}

fn check_files(files: &[PathBuf], strict: bool, format: Format) -> Result<bool, Trouble> {
    let mut all = Report::default();
    let mut unread = Vec::new();
    for file in files {
        let (name, text) = match text(file) {
            Ok(read) => read,
            Err(trouble) => {
                unread.push(trouble);
                continue;
            }
        };
        let report = check(&name, &text);
        all.plugins += report.plugins;
        all.metadata += report.metadata;
        all.problems.extend(report.problems);
    }
    let read = files.len() - unread.len();
    let trouble = (!unread.is_empty()).then(|| unread.join("\nseawall: "));
    if let (0, Some(trouble)) = (read, &trouble) {
        return Err(trouble.clone());
    }
    let wrong = if strict {
        all.problems.len()
    } else {
        all.count(Severity::Error)
    };
    let mut out = Vec::new();
    match format {
        Format::Text => {
            let written = all
                .problems
                .iter()
                .try_for_each(|problem| output::problem(&mut out, problem))
                .and_then(|()| output::summary(&mut out, &all, read));
            written.map_err(|error| error.to_string())?;
        }
        Format::Json => {
            let report = json!({
                "files": read,
                "plugins": all.plugins,
                "metadata": all.metadata,
                "errors": all.count(Severity::Error),
                "warnings": all.count(Severity::Warning),
                "problems": all.problems,
            });
            out = format!("{report:#}\n").into_bytes();
        }
    }
    print(&out)?;
    // What is wrong with the files that could be read is said all the same.
    trouble.map_or(Ok(wrong == 0), Err)
}

fn explain_request(arguments: &Explain, format: Format) -> Result<bool, Trouble> {
    let request = Request::new(arguments)?;
    let (name, text) = text(&arguments.file)?;
    let explanation = explain::explain(&name, &text, arguments.listener.as_deref(), &request)?;
    let out = match format {
        Format::Text => explain::print(&explanation),
        Format::Json => {
            let json = serde_json::to_string_pretty(&explanation);
            json.map_err(|error| error.to_string())? + "\n"
        }
    };
    print(out.as_bytes())?;
    Ok(explanation
        .filters
        .iter()
        .all(|filter| filter.problems.is_empty()))
}

fn convert_file(from: From, file: &Path, format: Format) -> Result<bool, Trouble> {
    let (name, text) = text(file)?;
    let converted = match from {
        From::Nginx => convert::nginx(&text),
        From::Envoy => document::read(&text)
            .map_err(|error| format!("line {}: {error}", error.at.line))
            .and_then(|documents| convert::envoy(&documents)),
    };
    let converted = converted.map_err(|trouble| format!("{name}: {trouble}"))?;
    for remark in &converted.remarks {
        let _ = writeln!(anstream::stderr(), "{name}: {remark}");
    }
    let out = match format {
        Format::Text => converted.yaml(),
        Format::Json => format!("{:#}\n", converted.json()),
    };
    print(out.as_bytes()).map(|()| true)
}

//! What people see. Colours are taken out where nobody sees them: not a terminal, `NO_COLOR`, `TERM=dumb`.

use crate::check::{Problem, Report, Severity};
use anstyle::{AnsiColor, Style};
use std::io::{self, Write};

const ERROR: Style = AnsiColor::Red.on_default().bold();
const WARNING: Style = AnsiColor::Yellow.on_default().bold();
const STRONG: Style = Style::new().bold();
const FAINT: Style = Style::new().dimmed();

/// A heading.
pub fn strong(text: &str) -> String {
    format!("{STRONG}{text}{STRONG:#}")
}

/// A remark.
pub fn faint(text: &str) -> String {
    format!("{FAINT}{text}{FAINT:#}")
}

/// A problem in one line: `envoy.yaml:12:5: error: seawall.rate_limit, route "a": limits[0].per: …`.
pub fn problem(out: &mut dyn Write, problem: &Problem) -> io::Result<()> {
    let (style, word) = match problem.severity {
        Severity::Error => (ERROR, "error"),
        Severity::Warning => (WARNING, "warning"),
    };
    write!(
        out,
        "{STRONG}{}:{}:{}:{STRONG:#} {style}{word}:{style:#} ",
        problem.file, problem.line, problem.column
    )?;
    if !problem.filter.is_empty() {
        write!(out, "{}, {}: ", problem.filter, problem.place)?;
    }
    if !problem.path.is_empty() {
        write!(out, "{STRONG}{}{STRONG:#}: ", problem.path)?;
    }
    writeln!(out, "{}", problem.problem)
}

/// The last line of a check.
pub fn summary(out: &mut dyn Write, report: &Report, files: usize) -> io::Result<()> {
    writeln!(
        out,
        "{} checked: {} and {}; {}, {}",
        count(files, "file"),
        count(report.plugins, "plugin configuration"),
        match report.metadata {
            1 => "1 virtual host or route with settings".to_owned(),
            many => format!("{many} virtual hosts or routes with settings"),
        },
        count(report.count(Severity::Error), "error"),
        count(report.count(Severity::Warning), "warning"),
    )
}

fn count(number: usize, what: &str) -> String {
    let plural = if number == 1 { "" } else { "s" };
    format!("{number} {what}{plural}")
}

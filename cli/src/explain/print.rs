//! An explanation for people.

use super::Explanation;
use crate::output::{faint, strong};
use std::fmt::Write;

/// An explanation as text.
pub fn print(explanation: &Explanation) -> String {
    let mut out = String::new();
    // Writing to a text cannot fail.
    let _ = write(&mut out, explanation);
    out
}

fn write(out: &mut String, explanation: &Explanation) -> std::fmt::Result {
    writeln!(out, "{}   {}", strong("request"), explanation.request)?;
    writeln!(out, "{}  {}", strong("listener"), explanation.listener)?;
    let host = match &explanation.virtual_host {
        Some(name) => format!("virtual host {name:?}"),
        None if explanation.routes_elsewhere => "nothing that is known here".to_owned(),
        None => "no virtual host: Envoy answers 404".to_owned(),
    };
    let route = match (&explanation.route, &explanation.virtual_host) {
        (Some(route), _) => format!(", {} ({}) -> {}", route.title, route.matches, route.action),
        (None, Some(_)) => ", no route: Envoy answers 404".to_owned(),
        (None, None) => String::new(),
    };
    writeln!(out, "{}   {host}{route}", strong("matches"))?;
    for note in &explanation.notes {
        writeln!(out, "{}      {note}", strong("note"))?;
    }
    for (number, filter) in (1..).zip(&explanation.filters) {
        writeln!(out, "\n{}", strong(&format!("{number}. {}", filter.filter)))?;
        writeln!(out, "   {}", filter.decision)?;
        for reason in &filter.because {
            writeln!(out, "   - {reason}")?;
        }
        for change in &filter.changes {
            writeln!(out, "   {change}")?;
        }
        for problem in &filter.problems {
            writeln!(out, "   wrong: {problem}")?;
        }
        if !filter.counts.is_empty() {
            writeln!(
                out,
                "   {}",
                faint(&format!("counts {}", filter.counts.join(", ")))
            )?;
        }
        for setting in &filter.settings {
            let from = faint(&format!("({})", setting.from));
            writeln!(out, "   set {} = {} {from}", setting.field, setting.value)?;
        }
        let rest = if filter.settings.is_empty() {
            "everything"
        } else {
            "everything else"
        };
        writeln!(out, "   {}", faint(&format!("{rest} has its default")))?;
    }
    Ok(())
}

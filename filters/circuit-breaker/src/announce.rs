//! Changes of state for the operator: a line in the log, and metrics.

use crate::breaker::{Reason, Transition};
use crate::filter::{Shared, Ticket};
use crate::key::MOST_SHOWN;
use crate::settings::Settings;
use seawall_core::host::{Host, Level};
use seawall_core::log::printable;
use seawall_core::metrics::is_name;
use seawall_core::time::{Span, Timestamp};
use std::cell::Cell;

/// Lines in a minute and worker, for breakers of keys that clients choose.
const MOST_LINES: u32 = 60;

/// Counts the lines of this minute.
#[derive(Debug, Default)]
pub(crate) struct Lines {
    since: Cell<Timestamp>,
    written: Cell<u32>,
    withheld: Cell<u64>,
}

impl Lines {
    /// Whether one more may be written; how many were not since the last one.
    fn take(&self, now: Timestamp) -> Option<u64> {
        let since = self.since.get();
        if now.since(since) >= Span::from_secs(60) || since > now {
            self.since.set(now);
            self.written.set(0);
        }
        if self.written.get() >= MOST_LINES {
            self.withheld.set(self.withheld.get().saturating_add(1));
            return None;
        }
        self.written.set(self.written.get().saturating_add(1));
        Some(self.withheld.take())
    }
}

/// A breaker's name in the log and in the response header: `cluster=payments x-tenant-id=acme`.
pub(crate) fn name(settings: &Settings, values: &[Vec<u8>]) -> String {
    let mut name = String::new();
    for (part, value) in settings.key.iter().zip(values) {
        if !name.is_empty() {
            name.push(' ');
        }
        name.push_str(part.name());
        name.push('=');
        name.push_str(&printable(value, MOST_SHOWN));
    }
    name
}

/// The same where the configuration gives it, as part of a metric's name.
fn metric_name(settings: &Settings, ticket: &Ticket) -> Option<String> {
    if !settings.key_is_configured() {
        return None;
    }
    let values: Vec<_> = ticket
        .values
        .iter()
        .map(|value| String::from_utf8_lossy(value))
        .collect();
    let name: String = values
        .join("-")
        .chars()
        .map(|c| if c.is_ascii_alphanumeric() { c } else { '_' })
        .collect();
    is_name(&name).then_some(name)
}

impl Shared {
    /// `whose` is what leads to the request that caused it; empty where none is known.
    pub(crate) fn announce(
        &self,
        host: &dyn Host,
        settings: &Settings,
        ticket: &Ticket,
        transition: Transition,
        whose: &str,
    ) {
        let metric = metric_name(settings, ticket);
        self.metrics.transition(host, transition, metric.as_deref());
        let withheld = if settings.key_is_configured() {
            0
        } else {
            let now = host.now().unwrap_or_default();
            match self.lines.take(now) {
                Some(withheld) => withheld,
                None => return,
            }
        };
        let name = name(settings, &ticket.values);
        let mut text = match transition {
            Transition::Opened { reason, open_for } => format!(
                "breaker {name}: open for {} ms, {}",
                open_for.as_millis(),
                told(reason)
            ),
            Transition::Probing => format!("breaker {name}: half-open, probing"),
            Transition::Closed => format!("breaker {name}: closed, the probes succeeded"),
        };
        if withheld > 0 {
            text.push_str(&format!(" ({withheld} more lines withheld)"));
        }
        text.push_str(whose);
        host.log(Level::Info, &text);
    }
}

fn told(reason: Reason) -> &'static str {
    match reason {
        Reason::None => "for an unknown reason",
        Reason::ConsecutiveFailures => "too many failures in a row",
        Reason::FailurePercentage => "too large a share of failures",
        Reason::SlowPercentage => "too large a share of overdue calls",
        Reason::ProbeFailed => "a probe failed",
        Reason::RetryAfter => "the upstream asked for it",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_bounded_by_the_minute() {
        let lines = Lines::default();
        let now = Timestamp::from_secs(1_000_000);
        let times = (0..1_000).map(|n| now.saturating_add(Span::from_millis(50 * n)));
        let written = times.filter(|time| lines.take(*time).is_some()).count();
        assert_eq!(written, MOST_LINES as usize);
        let later = now.saturating_add(Span::from_secs(60));
        assert_eq!(lines.take(later), Some(1_000 - u64::from(MOST_LINES)));
        assert_eq!(lines.take(now), Some(0));
    }
}

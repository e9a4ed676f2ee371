//! For the access log: how a call was judged, and by what. Only where `access_log` asks for it.

use crate::outcome::{Outcome, Signals};
use seawall_core::host::Host;

/// `%FILTER_STATE(wasm.seawall.circuit_breaker.verdict:PLAIN)%`
const VERDICT: &str = "seawall.circuit_breaker.verdict";
/// `%FILTER_STATE(wasm.seawall.circuit_breaker.evidence:PLAIN)%`
const EVIDENCE: &str = "seawall.circuit_breaker.evidence";

/// What is known of a call.
#[derive(Debug, Default)]
pub(crate) struct Evidence {
    callbacks: Vec<&'static str>,
    signals: String,
    verdict: Option<(&'static str, Outcome)>,
}

impl Evidence {
    /// Envoy has called this.
    pub(crate) fn callback(&mut self, name: &'static str) {
        // A stream sees each of them about once.
        if self.callbacks.len() < 8 {
            self.callbacks.push(name);
        }
    }

    /// What the call was judged by.
    pub(crate) fn signals(&mut self, signals: &Signals<'_>) {
        let details = String::from_utf8_lossy(signals.details.unwrap_or_default());
        self.signals = format!("flags={:#x} details={details}", signals.flags);
    }

    /// How it was judged.
    pub(crate) fn verdict(&mut self, why: &'static str, outcome: Outcome) {
        self.verdict.get_or_insert((why, outcome));
    }

    /// Leaves it for the access log.
    pub(crate) fn leave(&self, host: &dyn Host) {
        let verdict = match self.verdict {
            Some((why, Outcome::Success)) => format!("success:{why}"),
            Some((why, Outcome::Failure)) => format!("failure:{why}"),
            Some((why, Outcome::Slow)) => format!("slow:{why}"),
            Some((why, Outcome::Neutral)) => format!("neutral:{why}"),
            Some((why, Outcome::Ignored)) => format!("ignored:{why}"),
            None => "none".to_owned(),
        };
        let _ = host.set_property(VERDICT, verdict.as_bytes());
        let evidence = format!("{} {}", self.callbacks.join("+"), self.signals);
        let _ = host.set_property(EVIDENCE, evidence.trim_end().as_bytes());
    }
}

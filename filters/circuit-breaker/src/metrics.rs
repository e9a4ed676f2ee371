//! What an operator sees: a fixed set of metrics.

use crate::breaker::Transition;
use seawall_core::host::Host;
use seawall_core::metrics::{Counter, Gauge};

/// The metrics of the filter, over all breakers.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Metrics {
    /// Breakers that are open or half-open now.
    open: Gauge,
    tripped: Counter,
    probing: Counter,
    recovered: Counter,
    relapsed: Counter,
    /// Calls refused.
    pub(crate) refused: Counter,
    /// Calls that would have been refused in mode `enforce`.
    pub(crate) shadow_refused: Counter,
    /// Calls let through to decide.
    pub(crate) probes: Counter,
    /// Calls that counted as failures.
    pub(crate) failures: Counter,
    /// Calls that counted as failures while they still hung.
    pub(crate) overdue: Counter,
    /// Calls that found no place for their breaker.
    pub(crate) table_full: Counter,
    /// Host trouble: the call passed.
    pub(crate) errors: Counter,
    /// Route settings that were ignored.
    pub(crate) config_errors: Counter,
}

impl Metrics {
    pub(crate) fn define(host: &dyn Host) -> Self {
        let counter =
            |name: &str| Counter::define(host, &format!("seawall.circuit_breaker.{name}"));
        Metrics {
            open: Gauge::define(host, "seawall.circuit_breaker.open"),
            tripped: counter("tripped"),
            probing: counter("probing"),
            recovered: counter("recovered"),
            relapsed: counter("relapsed"),
            refused: counter("refused"),
            shadow_refused: counter("shadow_refused"),
            probes: counter("probes"),
            failures: counter("failures"),
            overdue: counter("overdue"),
            table_full: counter("table_full"),
            errors: counter("errors"),
            config_errors: counter("config_errors"),
        }
    }

    pub(crate) fn transition(&self, host: &dyn Host, transition: Transition) {
        match transition {
            Transition::Tripped { .. } => {
                self.tripped.increment(host);
                self.open.add(host, 1);
            }
            Transition::Probing => self.probing.increment(host),
            Transition::Recovered => {
                self.recovered.increment(host);
                self.open.add(host, -1);
            }
            Transition::Relapsed { .. } => self.relapsed.increment(host),
        }
    }
}

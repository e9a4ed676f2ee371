//! What an operator sees. The names depend on the configuration only.

use seawall_core::host::Host;
use seawall_core::metrics::Counter;

/// The counters of one limit: `seawall.rate_limit.limit.<name>.<what>`.
#[derive(Debug, Clone, Copy, Default)]
pub struct LimitMetrics {
    /// Requests that it admitted.
    pub allowed: Counter,
    /// Requests that were refused on account of it.
    pub refused: Counter,
    /// Requests that it would have refused.
    pub shadow_refused: Counter,
    /// Requests that it would have been for, but for an exemption.
    pub exempt: Counter,
    /// Live entries that went because the table was full.
    pub live_evictions: Counter,
    /// Updates that were run again because another worker was faster.
    pub swap_retries: Counter,
    /// Requests that it could not decide about.
    pub errors: Counter,
}

impl LimitMetrics {
    /// Makes them known to the host.
    pub fn define(host: &dyn Host, limit: &str) -> Self {
        let counter =
            |what: &str| Counter::define(host, &format!("seawall.rate_limit.limit.{limit}.{what}"));
        LimitMetrics {
            allowed: counter("allowed"),
            refused: counter("refused"),
            shadow_refused: counter("shadow_refused"),
            exempt: counter("exempt"),
            live_evictions: counter("live_evictions"),
            swap_retries: counter("swap_retries"),
            errors: counter("errors"),
        }
    }
}

/// The counters of the filter: `seawall.rate_limit.<what>`.
#[derive(Debug, Clone, Copy, Default)]
pub struct FilterMetrics {
    /// Requests that no limit was asked about, by the exemptions for all limits.
    pub exempt: Counter,
    /// Requests that could not be decided about, and settlements that failed.
    pub errors: Counter,
    /// Questions to the service that keeps limits for the fleet.
    pub fleet_calls: Counter,
    /// Those that it did not answer, or that were not asked because too many waited.
    pub fleet_errors: Counter,
}

impl FilterMetrics {
    /// Makes them known to the host.
    pub fn define(host: &dyn Host) -> Self {
        FilterMetrics {
            exempt: Counter::define(host, "seawall.rate_limit.exempt"),
            errors: Counter::define(host, "seawall.rate_limit.errors"),
            fleet_calls: Counter::define(host, "seawall.rate_limit.fleet_calls"),
            fleet_errors: Counter::define(host, "seawall.rate_limit.fleet_errors"),
        }
    }
}

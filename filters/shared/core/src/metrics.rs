//! Metrics: a fixed set, defined when a configuration arrives. A metric that could not be defined counts nothing, and
//! never fails a request.
//!
//! Names are `seawall.<filter>.<what>`, and `seawall.<filter>.<kind>.<name>.<what>` for one of several things that the
//! configuration names; `stats_tags` in `envoy/envoy.yaml` turn the latter into labels. Envoy puts `wasmcustom.` before.

use crate::host::{Host, MetricId, MetricKind};

/// A count that only grows.
#[derive(Debug, Clone, Copy, Default)]
pub struct Counter(Option<MetricId>);

impl Counter {
    /// Makes it known to the host.
    pub fn define(host: &dyn Host, name: &str) -> Self {
        Counter(host.metric_define(MetricKind::Counter, name).ok())
    }

    /// Counts one.
    pub fn increment(&self, host: &dyn Host) {
        self.add(host, 1);
    }

    /// Counts several; zero costs no host call.
    pub fn add(&self, host: &dyn Host, amount: u64) {
        if let (Some(id), 1..) = (self.0, amount) {
            // A count that the host refuses is lost; traffic does not depend on it.
            let _ = host.metric_add(id, i64::try_from(amount).unwrap_or(i64::MAX));
        }
    }
}

/// A value that goes up and down.
#[derive(Debug, Clone, Copy, Default)]
pub struct Gauge(Option<MetricId>);

impl Gauge {
    /// Makes it known to the host.
    pub fn define(host: &dyn Host, name: &str) -> Self {
        Gauge(host.metric_define(MetricKind::Gauge, name).ok())
    }

    /// Sets the value.
    pub fn set(&self, host: &dyn Host, value: u64) {
        if let Some(id) = self.0 {
            let _ = host.metric_record(id, value);
        }
    }

    /// Changes the value.
    pub fn add(&self, host: &dyn Host, amount: i64) {
        if let Some(id) = self.0 {
            let _ = host.metric_add(id, amount);
        }
    }
}

/// A distribution of values.
#[derive(Debug, Clone, Copy, Default)]
pub struct Histogram(Option<MetricId>);

impl Histogram {
    /// Makes it known to the host.
    pub fn define(host: &dyn Host, name: &str) -> Self {
        Histogram(host.metric_define(MetricKind::Histogram, name).ok())
    }

    /// Records a value.
    pub fn record(&self, host: &dyn Host, value: u64) {
        if let Some(id) = self.0 {
            let _ = host.metric_record(id, value);
        }
    }
}

/// True for a name that may stand in a metric: 1 to 64 letters, digits, `_` or `-`.
pub fn is_name(text: &str) -> bool {
    (1..=64).contains(&text.len())
        && text
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-')
}

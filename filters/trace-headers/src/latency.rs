//! Latency per route and per upstream, in a set of histograms that the configuration names.

use seawall_core::host::Host;
use seawall_core::metrics::Histogram;
use seawall_core::time::Span;

/// The histograms of one kind: one per name, and one for the rest.
#[derive(Debug, Default)]
pub struct Histograms {
    named: Vec<(Vec<u8>, Histogram)>,
    other: Histogram,
}

/// A name as it stands in a metric: dots separate the parts of a metric there, so they and what else is not allowed
/// become underscores.
pub fn metric_name(name: &str) -> String {
    name.chars()
        .map(|c| {
            if c.is_ascii_alphanumeric() || c == '-' {
                c
            } else {
                '_'
            }
        })
        .collect()
}

impl Histograms {
    /// Defines them; `kind` is `route` or `upstream`.
    pub fn define(host: &dyn Host, kind: &str, names: &[String]) -> Self {
        let histogram = |name: &str| {
            let name = format!("seawall.trace_headers.{kind}.{name}.duration_ms");
            Histogram::define(host, &name)
        };
        Histograms {
            named: names
                .iter()
                .map(|name| (name.clone().into_bytes(), histogram(&metric_name(name))))
                .collect(),
            other: histogram("other"),
        }
    }

    /// Records a duration in milliseconds, rounded.
    pub fn record(&self, host: &dyn Host, name: &[u8], duration: Span) {
        let found = self.named.iter().find(|(known, _)| known == name);
        let histogram = found.map_or(&self.other, |(_, histogram)| histogram);
        let rounded = duration
            .saturating_add(Span::from_nanos(500_000))
            .as_millis();
        histogram.record(host, rounded);
    }
}

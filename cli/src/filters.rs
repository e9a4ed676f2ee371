//! The filters by name, and their own code behind one face.

use seawall_core::config::{load, ConfigErrors, Settings};
use seawall_core::plugin::Plugin;
use seawall_core::route::lay;
use seawall_core::testing::{FakeHost, World};
use serde_json::Value;

/// A filter.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, clap::ValueEnum)]
pub enum Filter {
    /// Limits requests per key.
    RateLimit,
    /// Caches responses.
    ResponseCache,
    /// Breaks the circuit to a dependency.
    CircuitBreaker,
    /// Follows requests.
    TraceHeaders,
}

/// The name of a module from the file or the address of its code.
fn stem(code: &str) -> String {
    let file = code.rsplit('/').next().unwrap_or(code);
    let file = file.split_once(['@', ':']).map_or(file, |(file, _)| file);
    let stem = file.strip_suffix(".wasm").unwrap_or(file).replace('_', "-");
    stem.strip_prefix("seawall-").unwrap_or(&stem).to_owned()
}

/// Calls a function that is generic over a filter's settings and its plugin.
macro_rules! dispatch {
    ($filter:expr, $function:ident($($argument:expr),*)) => {
        match $filter {
            Filter::RateLimit => $function::<seawall_rate_limit::config::Settings, seawall_rate_limit::RateLimit>($($argument),*),
            Filter::ResponseCache => $function::<seawall_response_cache::config::Settings, seawall_response_cache::ResponseCache>($($argument),*),
            Filter::CircuitBreaker => $function::<seawall_circuit_breaker::Settings, seawall_circuit_breaker::CircuitBreaker>($($argument),*),
            Filter::TraceHeaders => $function::<seawall_trace_headers::config::Settings, seawall_trace_headers::TraceHeaders>($($argument),*),
        }
    };
}

pub(crate) use dispatch;

impl Filter {
    /// All of them, in the recommended order.
    pub const ALL: [Filter; 4] = [
        Filter::TraceHeaders,
        Filter::RateLimit,
        Filter::ResponseCache,
        Filter::CircuitBreaker,
    ];

    /// The name of its module, such as `rate-limit`.
    pub fn module(self) -> &'static str {
        match self {
            Filter::RateLimit => "rate-limit",
            Filter::ResponseCache => "response-cache",
            Filter::CircuitBreaker => "circuit-breaker",
            Filter::TraceHeaders => "trace-headers",
        }
    }

    /// The name of its settings in metadata, such as `seawall.rate_limit`.
    pub fn namespace(self) -> &'static str {
        fn name<S: Settings, P: Plugin>() -> &'static str {
            S::NAMESPACE
        }
        dispatch!(self, name())
    }

    /// The filter with this name in metadata.
    pub fn of_namespace(name: &str) -> Option<Filter> {
        Filter::ALL
            .into_iter()
            .find(|filter| filter.namespace() == name)
    }

    /// The filter that a plugin's name, its root id, or the file or address of its code stands for.
    pub fn of_plugin(names: &[&str], code: &str) -> Option<Filter> {
        let stem = stem(code);
        Filter::ALL.into_iter().find(|filter| {
            names
                .iter()
                .any(|name| name.replace('-', "_").starts_with(filter.namespace()))
                || (!code.is_empty() && stem == filter.module())
        })
    }

    /// Whether a plugin is the module with all filters in it.
    pub fn are_all_in(names: &[&str], code: &str) -> bool {
        stem(code) == "seawall" || names.contains(&"seawall")
    }

    /// Its block in the configuration of that module.
    pub fn block(self) -> String {
        self.module().replace('-', "_")
    }

    /// Everything that the filter refuses this plugin configuration for.
    pub fn check(self, configuration: &Value) -> ConfigErrors {
        fn check<S: Settings, P: Plugin>(configuration: &Value) -> ConfigErrors {
            if let Err(errors) = load::<S>(configuration) {
                return errors;
            }
            // What it says when it is given the configuration by Envoy.
            let host = FakeHost::new(&World::new(), 1);
            host.open(0);
            let answer = P::default().configure(&host, configuration.to_string().as_bytes());
            answer.err().unwrap_or_default()
        }
        dispatch!(self, check(configuration))
    }

    /// Lays metadata of a virtual host or a route over what is below it.
    ///
    /// # Errors
    /// Everything that is wrong with it.
    pub fn lay(self, below: &Value, level: &Value) -> Result<Value, ConfigErrors> {
        fn over<S: Settings, P: Plugin>(
            below: &Value,
            level: &Value,
        ) -> Result<Value, ConfigErrors> {
            lay::<S>(below, level).map(|(merged, _)| merged)
        }
        dispatch!(self, over(below, level))
    }

    /// Its README, which says what its fields mean.
    pub fn readme(self) -> &'static str {
        match self {
            Filter::RateLimit => include_str!("../../filters/rate-limit/README.md"),
            Filter::ResponseCache => include_str!("../../filters/response-cache/README.md"),
            Filter::CircuitBreaker => include_str!("../../filters/circuit-breaker/README.md"),
            Filter::TraceHeaders => include_str!("../../filters/trace-headers/README.md"),
        }
    }

    /// Fields that only the plugin configuration may set.
    pub fn plugin_only(self) -> &'static [&'static str] {
        fn only<S: Settings, P: Plugin>() -> &'static [&'static str] {
            S::PLUGIN_ONLY
        }
        dispatch!(self, only())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plugin_is_known_by_its_name_or_its_code() {
        for (names, code, filter) in [
            (vec!["seawall.rate_limit"], "", Some(Filter::RateLimit)),
            (
                vec!["x", "seawall.rate_limit.eu"],
                "",
                Some(Filter::RateLimit),
            ),
            (
                vec![],
                "/etc/envoy/rate-limit.wasm",
                Some(Filter::RateLimit),
            ),
            (
                vec![],
                "/x/seawall_trace_headers.wasm",
                Some(Filter::TraceHeaders),
            ),
            (
                vec![],
                "oci://ghcr.io/me/seawall-circuit-breaker:0.1.0",
                Some(Filter::CircuitBreaker),
            ),
            (vec!["rate_limit"], "/x/my-rate-limit.wasm", None),
            (vec![], "", None),
        ] {
            assert_eq!(Filter::of_plugin(&names, code), filter, "{names:?} {code}");
        }
    }
}

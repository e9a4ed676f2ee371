//! All four filters in the recommended order, and modules that only tests have.

use super::builder::EnvoyBuilder;
use super::find::repository;
use serde_json::{json, Value};
use std::path::PathBuf;
use std::process::Command;

/// The four filters, first to last.
pub const FILTERS: [&str; 4] = [
    "trace-headers",
    "rate-limit",
    "response-cache",
    "circuit-breaker",
];

impl EnvoyBuilder {
    /// All four filters in the recommended order: a limit per tenant that nobody reaches, and the rest by default.
    pub fn all_filters(self) -> Self {
        let plenty = json!({"name": "tenant", "key": [{"header": "x-tenant-id"}], "requests": 1_000_000_000, "per": "1s"});
        self.all_filters_with(&[("rate-limit", json!({"limits": [plenty]}))])
    }

    /// All four filters in the recommended order, these of them configured so. With `SEAWALL_AS_ONE` in the environment of the
    /// tests they are the one module that has them all.
    pub fn all_filters_with(mut self, configurations: &[(&str, Value)]) -> Self {
        if std::env::var_os("SEAWALL_AS_ONE").is_some() {
            return self.all_as_one(configurations);
        }
        for filter in FILTERS {
            self = self.filter(filter, given(filter, configurations));
        }
        self
    }

    /// The four filters as one module, these of them configured so.
    pub fn all_as_one(self, configurations: &[(&str, Value)]) -> Self {
        let blocks =
            FILTERS.map(|filter| (filter.replace('-', "_"), given(filter, configurations)));
        self.filter("seawall", Value::Object(blocks.into_iter().collect()))
    }
}

fn given(filter: &str, configurations: &[(&str, Value)]) -> Value {
    let found = configurations.iter().find(|(name, _)| *name == filter);
    found.map_or(json!({}), |(_, value)| value.clone())
}

fn build(package: &str, target: Option<&str>, file: &str) -> PathBuf {
    let folder = std::env::var_os("CARGO_TARGET_DIR")
        .map_or_else(|| repository().join("target"), PathBuf::from);
    let mut command = Command::new(env!("CARGO"));
    command.args(["build", "--quiet", "--locked", "--release", "-p", package]);
    if let Some(target) = target {
        command.args(["--target", target]);
    }
    let status = command.current_dir(repository()).status();
    assert!(
        status.is_ok_and(|status| status.success()),
        "{package} does not build"
    );
    let folder = target.map_or_else(|| folder.clone(), |target| folder.join(target));
    let built = folder.join("release").join(file);
    built.canonicalize().expect("cargo has built it")
}

/// rate-limit, or circuit-breaker, that traps when a request's `x-trap` names the callback (see `tests/trap`), built when it
/// is first asked for.
pub fn trapping_module() -> PathBuf {
    build("seawall-trap", Some("wasm32-wasip1"), "seawall_trap.wasm")
}

/// The library that moves the wall clock of an Envoy that it is preloaded into.
pub fn clock_library() -> PathBuf {
    build("seawall-clock", None, "libseawall_clock.so")
}

//! `seawall convert`: limits of Envoy's `local_ratelimit` filter or of nginx, as those of rate-limit.
//!
//! What is read becomes a [`Converted`]: plugin settings, settings of routes, and remarks on what means something else there.

mod actions;
mod answers;
mod bucket;
mod envoy;
mod nginx;
mod status;
mod yaml;

pub use envoy::envoy;
pub use nginx::nginx;

use serde_json::{json, Map, Value};

/// The most that a limit of rate-limit takes, and more than nginx counts.
const MOST_REQUESTS: u64 = 1_000_000_000;

/// What rules became.
#[derive(Debug, Default, PartialEq)]
pub struct Converted {
    /// The limits of the plugin configuration.
    pub limits: Vec<Value>,
    /// Other plugin settings.
    pub settings: Map<String, Value>,
    /// The settings of routes and virtual hosts, by what those are called.
    pub routes: Vec<(String, Map<String, Value>)>,
    /// What could not be carried over, or means something else.
    pub remarks: Vec<String>,
}

impl Converted {
    /// The plugin configuration.
    pub fn plugin(&self) -> Value {
        let mut plugin = self.settings.clone();
        if !self.limits.is_empty() {
            plugin.insert("limits".to_owned(), json!(self.limits));
        }
        Value::Object(plugin)
    }

    /// The metadata of routes.
    pub fn metadata(&self) -> Vec<(String, Value)> {
        let routes = self.routes.iter().cloned();
        routes
            .map(|(name, settings)| (name, Value::Object(settings)))
            .collect()
    }

    /// Everything for a machine.
    pub fn json(&self) -> Value {
        json!({
            "plugin": self.plugin(),
            "routes": Map::from_iter(self.metadata()),
            "remarks": self.remarks,
        })
    }

    /// Everything as YAML to paste into an Envoy configuration.
    pub fn yaml(&self) -> String {
        let mut out = String::new();
        for remark in &self.remarks {
            out.push_str(&format!("# {remark}\n"));
        }
        out.push_str("# The configuration of the plugin seawall.rate_limit:\nconfiguration:\n  \"@type\": type.googleapis.com/google.protobuf.Struct\n  value:");
        yaml::write(&mut out, &self.plugin(), 4);
        for (name, settings) in self.metadata() {
            out.push_str(&format!("---\n# The metadata of {name}:\nmetadata:\n  filter_metadata:\n    seawall.rate_limit:"));
            yaml::write(&mut out, &settings, 6);
        }
        out
    }

    fn remark(&mut self, text: impl Into<String>) {
        let text = text.into();
        if !self.remarks.contains(&text) {
            self.remarks.push(text);
        }
    }
}

/// A whole address as a part of a key. By itself `client_address` takes the first half of an IPv6 address for the client.
fn address() -> Value {
    json!({"client_address": {"ipv6_prefix": 128}})
}

/// A name that a limit can have.
fn name(text: &str) -> String {
    let good = |c: char| {
        if c.is_ascii_alphanumeric() || c == '_' || c == '-' {
            c
        } else {
            '-'
        }
    };
    let name: String = text.chars().map(good).take(64).collect();
    let name = name.trim_matches('-').to_owned();
    if name.is_empty() {
        "limit".to_owned()
    } else {
        name
    }
}

/// The same name, or one like it that is not among these.
fn unused(wanted: &str, used: &[Value]) -> String {
    let taken = |name: &str| used.iter().any(|limit| limit["name"] == name);
    if !taken(wanted) {
        return wanted.to_owned();
    }
    let short: String = wanted.chars().take(60).collect();
    (2..)
        .map(|number| format!("{short}-{number}"))
        .find(|name| !taken(name))
        .unwrap_or_default()
}

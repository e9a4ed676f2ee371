//! What a connection manager does to a request before its route is looked for.

use crate::document::{Content, Node};
use seawall_core::path::without_dots;

/// Options of a connection manager and of its route table.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Manager {
    /// The port of the host counts for nothing.
    without_port: bool,
    /// A dot at the end of the host is taken away.
    without_dot: bool,
    /// `.` and `..` are taken out of the path.
    normalizes: bool,
    /// Slashes that follow each other become one.
    merges: bool,
    /// What else changes a host or a path, and a part of those that it changes.
    others: Vec<(&'static str, &'static [&'static str])>,
}

/// Options that are not modelled. A path with a `%` may become another one whichever of them is set.
const OTHERS: [(&str, &[&str]); 3] = [
    ("normalize_path", &["%", "\\"]),
    (
        "path_with_escaped_slashes_action",
        &["%2f", "%2F", "%5c", "%5C"],
    ),
    ("strip_matching_host_port", &[":"]),
];

impl Manager {
    /// Those of a connection manager, or of a route table alone.
    pub(super) fn of(node: &Node) -> Self {
        let is_set = |names: &[&str]| {
            let found = node.find(names).map(|node| &node.content);
            matches!(found, Some(Content::Bool(true)))
        };
        let others = OTHERS.into_iter().filter(|(name, _)| {
            let is_word = !["", "KEEP_UNCHANGED"].contains(&node.text_of(name));
            is_set(&[name]) || is_word
        });
        Manager {
            without_port: is_set(&["strip_any_host_port"])
                || is_set(&["ignore_port_in_host_matching"])
                || is_set(&["route_config", "ignore_port_in_host_matching"]),
            without_dot: is_set(&["strip_trailing_host_dot"]),
            normalizes: is_set(&["normalize_path"]),
            merges: is_set(&["merge_slashes"]),
            others: others.collect(),
        }
    }

    /// The host as the virtual hosts are asked for it.
    pub fn host(&self, host: &str) -> String {
        let digits =
            |port: &str| !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit());
        // The colons of an address in brackets are none of a port.
        let parts = host.rsplit_once(':');
        let parts = parts.filter(|(name, port)| digits(port) && !name.ends_with(':'));
        let (name, port) = parts.map_or((host, None), |(name, port)| (name, Some(port)));
        let name = match name.strip_suffix('.') {
            Some(name) if self.without_dot => name,
            _ => name,
        };
        match port {
            Some(port) if !self.without_port => format!("{name}:{port}"),
            _ => name.to_owned(),
        }
    }

    /// Path and query as routes and filters meet them.
    pub fn target(&self, target: &str) -> String {
        let end = target.find('?').unwrap_or(target.len());
        let (path, query) = target.split_at(end);
        let mut path = path.to_owned();
        if self.normalizes {
            path = String::from_utf8_lossy(&without_dots(path.as_bytes())).into_owned();
        }
        if self.merges {
            while path.contains("//") {
                path = path.replace("//", "/");
            }
        }
        path + query
    }

    /// Options that may change this host or path in a way that is not modelled.
    pub fn doubts(&self, host: &str, target: &str) -> Vec<&'static str> {
        let path = target.split('?').next().unwrap_or_default();
        let others = self.others.iter().filter(|(name, signs)| {
            let text = if name.ends_with("port") { host } else { path };
            signs.iter().any(|sign| text.contains(sign))
        });
        others.map(|(name, _)| *name).collect()
    }
}

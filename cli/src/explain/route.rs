//! Which virtual host and which route take a request.

use super::matcher::{header, parameter, whole};
use super::request::Request;
use super::Taken;
use crate::document::Node;
use crate::envoy::{percent, Host, Route};
use seawall_core::grpc::is_grpc;
use serde_json::Value;

/// The virtual host for a host name: by the exact domain, then the longest `*.suffix`, the longest `prefix.*`, then `*`.
pub(super) fn virtual_host<'h>(hosts: &'h [Host], name: &str) -> Option<&'h Host> {
    let rank = |domain: &str| {
        let domain = domain.to_lowercase();
        match (domain.strip_prefix('*'), domain.strip_suffix('*')) {
            (Some(""), _) => Some((0, 0)),
            (Some(suffix), _) if name.len() > suffix.len() && name.ends_with(suffix) => {
                Some((2, suffix.len()))
            }
            (None, Some(prefix)) if name.len() > prefix.len() && name.starts_with(prefix) => {
                Some((1, prefix.len()))
            }
            (None, None) if domain == name => Some((3, 0)),
            _ => None,
        }
    };
    hosts
        .iter()
        .filter_map(|host| {
            let best = host
                .domains
                .iter()
                .filter_map(|domain| rank(domain))
                .max()?;
            Some((best, host))
        })
        // The first one of equals.
        .rev()
        .max_by_key(|(rank, _)| *rank)
        .map(|(_, host)| host)
}

/// The first route that takes a request.
pub(super) fn route<'h>(
    host: &'h Host,
    request: &Request,
    notes: &mut Vec<String>,
) -> Option<&'h Route> {
    host.routes
        .iter()
        .find(|route| takes(route, request, notes))
}

fn takes(route: &Route, request: &Request, notes: &mut Vec<String>) -> bool {
    let Some(conditions) = route.node.get("match") else {
        return false;
    };
    let mut doubts = Vec::new();
    let taken = conditions.fields().iter().all(|field| {
        let name = field.snake();
        let fulfilled = match name.as_str() {
            "case_sensitive" => Some(true),
            "headers" => all(&field.value, |matcher| header(matcher, request)),
            "query_parameters" => all(&field.value, |matcher| parameter(matcher, request)),
            "grpc" => Some(
                request
                    .values("content-type")
                    .first()
                    .is_some_and(|kind| is_grpc(kind.as_bytes())),
            ),
            "runtime_fraction" => always_or_never(&field.value),
            _ => path(conditions, &name, &field.value, request.path()),
        };
        fulfilled.unwrap_or_else(|| {
            doubts.push(field.name.clone());
            true
        })
    });
    if taken && !doubts.is_empty() {
        notes.push(format!(
            "{}: its condition {} is not modelled; it is taken as fulfilled",
            route.title(),
            doubts.join(", ")
        ));
    }
    taken
}

/// Whether a share of requests is all of them or none; `None` where it is drawn.
fn always_or_never(fraction: &Node) -> Option<bool> {
    let share = fraction.get("default_value")?;
    match percent(share) {
        share if share <= 0.0 => Some(false),
        share if share >= 100.0 => Some(true),
        _ => None,
    }
}

fn all(list: &Node, fulfilled: impl Fn(&Node) -> Option<bool>) -> Option<bool> {
    let answers: Vec<_> = list.items().iter().map(|item| fulfilled(item)).collect();
    if answers.contains(&Some(false)) {
        return Some(false);
    }
    (!answers.contains(&None)).then_some(true)
}

/// The condition on the path; `None` for one that is not modelled.
fn path(conditions: &Node, name: &str, wanted: &Node, path: &str) -> Option<bool> {
    let fold = conditions.get("case_sensitive").map(|node| node.json()) == Some(Value::Bool(false));
    let lower = |text: &str| {
        if fold {
            text.to_lowercase()
        } else {
            text.to_owned()
        }
    };
    if name == "safe_regex" {
        // Its case is its own matter.
        return whole(wanted.text_of("regex"), path);
    }
    let (path, text) = (lower(path), lower(wanted.text().unwrap_or_default()));
    match name {
        "prefix" => Some(path.starts_with(&text)),
        "path" => Some(path == text),
        "path_separated_prefix" => {
            let rest = path.strip_prefix(&text);
            Some(rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/')))
        }
        "connect_matcher" => Some(false),
        _ => None,
    }
}

/// The cluster that a route names.
pub(super) fn cluster(route: &Route) -> Option<&str> {
    let action = route.node.get("route")?;
    let first = || {
        let clusters = action.find(&["weighted_clusters", "clusters"])?;
        clusters.items().first()?.get("name")?.text()
    };
    action
        .get("cluster")
        .and_then(|node| node.text())
        .or_else(first)
}

/// A route in words.
pub(super) fn describe(route: &Route, notes: &mut Vec<String>) -> Taken {
    let conditions = route
        .node
        .get("match")
        .map(|node| node.json())
        .unwrap_or_default();
    let action = [
        "route",
        "redirect",
        "direct_response",
        "filter_action",
        "non_forwarding_action",
    ]
    .into_iter()
    .find(|name| route.node.get(name).is_some());
    let cluster = cluster(route);
    let action = match (action, cluster) {
        (Some("route"), Some(cluster)) => format!("cluster {cluster}"),
        (Some("route"), None) => "a cluster that is chosen by the request".to_owned(),
        (Some(other), _) => other.replace('_', " "),
        (None, _) => "nothing".to_owned(),
    };
    if let Some(options) = route.node.get("route") {
        if options.get("weighted_clusters").is_some() {
            notes.push("the cluster is drawn by weight; the first one is assumed".to_owned());
        }
        if options.get("cluster_header").is_some() {
            notes.push("the cluster is chosen by a header, which is not modelled".to_owned());
        }
    }
    Taken {
        title: route.title(),
        matches: words(&conditions),
        action,
        cluster: cluster.map(str::to_owned),
    }
}

fn words(conditions: &Value) -> String {
    let Value::Object(fields) = conditions else {
        return String::new();
    };
    let word = |(name, value): (&String, &Value)| match value {
        Value::String(text) => format!("{name} {text}"),
        other => format!("{name} {other}"),
    };
    fields.iter().map(word).collect::<Vec<_>>().join(", ")
}

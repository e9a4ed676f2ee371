//! Finds connection managers, route configurations and plugins wherever they are.

use super::{clusters, ids, manifest, metadata, plugin, Chain, Found, Host, Manager, Misplaced};
use crate::document::{read, Content, Field, Node, Position};
use std::rc::Rc;

/// Everything of Seawall in the documents of a file.
pub fn find(documents: &[Rc<Node>]) -> Found {
    let mut found = Found::default();
    for document in documents {
        match manifest::chain(document) {
            Some(chain) => found.chains.push(chain),
            None => {
                let from = found.chains.len();
                walk(document, "", &mut found);
                clusters::missing(document, from, &mut found);
            }
        }
    }
    found
}

fn walk(node: &Rc<Node>, name: &str, found: &mut Found) {
    match &node.content {
        Content::List(items) => items.iter().for_each(|item| walk(item, name, found)),
        Content::Text {
            text,
            literal: true,
        } => inside(text, node.at, found),
        Content::Map(fields) => {
            let named = node.text_of("stat_prefix");
            let named = if named.is_empty() { name } else { named };
            let of_its_own = node.text_of("name");
            let named = if node.get("filter_chains").is_some() && !of_its_own.is_empty() {
                of_its_own
            } else {
                named
            };
            let taken = take(node, named, found);
            for field in fields {
                if !taken.iter().any(|name| field.is(name)) {
                    walk_field(field, named, found);
                }
            }
        }
        _ => {}
    }
}

fn walk_field(field: &Field, name: &str, found: &mut Found) {
    if field.is("filter_metadata") {
        // Of a route it would have been taken: Envoy shows a filter no other metadata.
        for field in field.value.fields() {
            if field.name.starts_with("seawall.") {
                found.problems.push(Misplaced {
                    at: field.at,
                    problem: format!(
                        "{} has no effect here: settings are read from the metadata of routes and of virtual hosts",
                        field.name
                    ),
                    error: false,
                });
            }
        }
    }
    walk(&field.value, name, found);
}

/// Takes what is known of a map, and answers which of its fields that was.
fn take(node: &Node, name: &str, found: &mut Found) -> &'static [&'static str] {
    if let Some(filters) = node.get("http_filters") {
        let plugins = plugin::chain(filters.items(), found);
        ids::made_twice(node, &plugins, found);
        let routes = node.get("route_config");
        let hosts = routes.map(|routes| metadata::hosts(routes, found));
        found.chains.push(Chain {
            name: name.to_owned(),
            plugins,
            partial: hosts.is_none(),
            hosts: hosts.unwrap_or_default(),
            manager: Manager::of(node),
        });
        return &["http_filters", "route_config"];
    }
    if node.get("virtual_hosts").is_some() {
        let hosts = metadata::hosts(node, found);
        found.chains.push(Chain {
            name: node.text_of("name").to_owned(),
            hosts,
            partial: true,
            manager: Manager::of(node),
            ..Chain::default()
        });
        return &["virtual_hosts"];
    }
    if node
        .text_of("@type")
        .ends_with("config.route.v3.VirtualHost")
    {
        let host = metadata::host(node, found);
        found.chains.push(Chain {
            hosts: vec![host],
            partial: true,
            ..Chain::default()
        });
        return &["routes", "metadata", "typed_per_filter_config"];
    }
    if let Some(host) = patch(node, found) {
        found.chains.push(Chain {
            hosts: vec![host],
            partial: true,
            ..Chain::default()
        });
        return &["patch", "operation"];
    }
    if node.get("typed_config").is_some() {
        let plugins = plugin::plugins(node, found);
        if !plugins.is_empty() {
            found.chains.push(Chain {
                name: node.text_of("name").to_owned(),
                plugins,
                partial: true,
                ..Chain::default()
            });
            return &["typed_config"];
        }
    }
    &[]
}

/// What a patch adds to a route or to a virtual host: one of Istio's `EnvoyFilter`, or of Envoy Gateway's `EnvoyPatchPolicy`.
fn patch(node: &Node, found: &mut Found) -> Option<Host> {
    let value = || node.get("patch")?.get("value");
    match node.text_of("applyTo") {
        "HTTP_ROUTE" => return value().map(|value| metadata::patched(value, found)),
        "VIRTUAL_HOST" => return value().map(|value| metadata::host(value, found)),
        _ => {}
    }
    if !node
        .text_of("type")
        .ends_with("config.route.v3.RouteConfiguration")
    {
        return None;
    }
    let operation = node.get("operation")?;
    let within = |name: &str, value: Rc<Node>| {
        let (name, at) = (name.to_owned(), value.at);
        let content = Content::Map(vec![Field { name, at, value }]);
        Rc::new(Node { at, content })
    };
    let mut value = Rc::clone(operation.get("value")?);
    let mut path = operation.text_of("path");
    for name in ["filterMetadata", "filter_metadata", "metadata"] {
        if let Some(holder) = path.strip_suffix(name) {
            path = holder.trim_end_matches('/');
            value = within(name, value);
        }
    }
    value.get("metadata")?;
    Some(metadata::patched(&value, found))
}

/// An Envoy configuration as a text in another file, such as a ConfigMap.
fn inside(text: &str, at: Position, found: &mut Found) {
    let signs = [
        "http_filters",
        "httpFilters",
        "virtual_hosts",
        "virtualHosts",
    ];
    if !signs.into_iter().any(|sign| text.contains(sign)) {
        return;
    }
    let Ok(documents) = read(text) else {
        return;
    };
    let documents: Vec<_> = documents
        .iter()
        .map(|document| Rc::new(document.moved_into(at)))
        .collect();
    for document in &documents {
        let from = found.chains.len();
        walk(document, "", found);
        clusters::missing(document, from, found);
    }
}

//! Settings in the metadata of routes and virtual hosts.

use super::{Block, Found, Host, Misplaced, Route, Switches};
use crate::document::{Field, Node};
use crate::filters::Filter;
use std::rc::Rc;

/// The virtual hosts of a route configuration.
pub(super) fn hosts(configuration: &Node, found: &mut Found) -> Vec<Host> {
    let hosts = configuration.get("virtual_hosts");
    let hosts = hosts.map(|node| node.items()).unwrap_or_default();
    let mut hosts: Vec<_> = hosts.iter().map(|node| host(node, found)).collect();
    let everywhere = switches(configuration, found);
    for host in &mut hosts {
        // What is said first counts, and what is nearer to the route is said first.
        host.switches.extend(everywhere.iter().cloned());
    }
    hosts
}

pub(super) fn host(node: &Node, found: &mut Found) -> Host {
    let routes = node.get("routes").map(|node| node.items());
    Host {
        name: node.text_of("name").to_owned(),
        domains: texts(node, "domains"),
        blocks: blocks(node, found),
        switches: switches(node, found),
        requires_tls: node.get("require_tls").is_some_and(|node| {
            let words = [("EXTERNAL_ONLY", 1), ("ALL", 2)];
            matches!(node.word(&words), Some(1 | 2))
        }),
        routes: (1..)
            .zip(routes.unwrap_or_default())
            .map(|(number, node)| route(number, node, found))
            .collect(),
    }
}

fn route(number: usize, node: &Rc<Node>, found: &mut Found) -> Route {
    Route {
        name: node.text_of("name").to_owned(),
        number,
        node: Rc::clone(node),
        blocks: blocks(node, found),
        switches: switches(node, found),
    }
}

/// A route that is somewhere else, as a patch changes it.
pub(super) fn patched(node: &Rc<Node>, found: &mut Found) -> Host {
    Host {
        routes: vec![route(1, node, found)],
        ..Host::default()
    }
}

fn texts(node: &Node, name: &str) -> Vec<String> {
    let items = node.get(name).map(|list| list.items()).unwrap_or_default();
    items
        .iter()
        .filter_map(|item| item.text().map(str::to_owned))
        .collect()
}

fn blocks(node: &Node, found: &mut Found) -> Vec<Block> {
    let Some(metadata) = node.find(&["metadata", "filter_metadata"]) else {
        return Vec::new();
    };
    let mut blocks = Vec::new();
    for field in metadata.fields() {
        match Filter::of_namespace(&field.name) {
            Some(filter) => blocks.push(Block::holding(filter, field)),
            None if field.name.starts_with("seawall") => found.problems.push(Misplaced {
                at: field.at,
                problem: format!(
                    "no filter is called {:?}; there are {}",
                    field.name,
                    Filter::ALL.map(Filter::namespace).join(", ")
                ),
                error: true,
            }),
            None => found.problems.extend(without_its_prefix(field)),
        }
    }
    blocks
}

/// A name as the blocks of the four as one have it, which says nothing to anybody in metadata. It may be of another filter.
fn without_its_prefix(field: &Field) -> Option<Misplaced> {
    let whole = format!("seawall.{}", field.name.replace('-', "_"));
    let filter = Filter::of_namespace(&whole)?;
    Some(Misplaced {
        at: field.at,
        problem: format!(
            "{:?} is not read by the filters; settings of a route are under {:?}",
            field.name,
            filter.namespace()
        ),
        error: false,
    })
}

/// The filters that `typed_per_filter_config` switches on or off here.
fn switches(node: &Node, found: &mut Found) -> Switches {
    let Some(filters) = node.get("typed_per_filter_config") else {
        return Vec::new();
    };
    let mut switches = Vec::new();
    for field in filters.fields() {
        let kind = field.value.text_of("@type");
        if kind.ends_with("config.route.v3.FilterConfig") {
            let off = field.value.get("disabled").map(|node| node.json());
            switches.push((field.name.clone(), off == Some(true.into())));
        } else if field.name.starts_with("seawall.") {
            found.problems.push(Misplaced {
                at: field.at,
                problem: format!(
                    "Envoy refuses settings of a wasm filter here; write them as metadata.filter_metadata.{}",
                    field.name
                ),
                error: true,
            });
        }
    }
    switches
}

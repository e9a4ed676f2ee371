//! Clusters that filters call, where a file says which there are.

use super::{Block, Chain, Found, Misplaced};
use crate::document::Node;
use crate::filters::Filter;

/// The settings that name one.
const CALLED: [(Filter, &[&str]); 3] = [
    (Filter::TraceHeaders, &["spans", "cluster"]),
    (Filter::RateLimit, &["fleet", "cluster"]),
    (Filter::ResponseCache, &["refresh", "background", "cluster"]),
];

/// Tells of blocks, from this chain on, that name a cluster that is not in the bootstrap around them.
pub(super) fn missing(bootstrap: &Node, from: usize, found: &mut Found) {
    let listed = bootstrap.find(&["static_resources", "clusters"]);
    let listed = listed.map(|list| list.items()).unwrap_or_default();
    // Others may be delivered, or the file is a part of a configuration.
    if listed.is_empty() || bootstrap.get("dynamic_resources").is_some() {
        return;
    }
    let chains = found.chains.get(from..).unwrap_or_default();
    let blocks = chains.iter().flat_map(blocks);
    let problems: Vec<_> = blocks
        .filter_map(|block| {
            let (_, path) = CALLED.iter().find(|(filter, _)| *filter == block.filter)?;
            let cluster = block.settings.as_ref()?.find(path)?;
            let name = cluster.text().filter(|name| !name.is_empty())?;
            let known = listed.iter().find(|known| known.text_of("name") == name);
            let problem = match known {
                None => format!("no cluster of this file is called {name:?}; calls to it fail"),
                Some(known) if block.filter == Filter::RateLimit && speaks_http_1(known) => {
                    format!("the cluster {name:?} has no HTTP/2 (http2_protocol_options), which gRPC needs; calls to it fail")
                }
                Some(_) => return None,
            };
            let (name, path) = (block.filter.namespace(), path.join("."));
            Some(Misplaced {
                at: cluster.at,
                problem: format!("{name}: {path}: {problem}"),
                error: false,
            })
        })
        .collect();
    found.problems.extend(problems);
}

/// Whether a cluster is spoken to in HTTP/1 for certain: nothing is said of it, or just that.
fn speaks_http_1(cluster: &Node) -> bool {
    let says = |options: &Node| options.get("http2_protocol_options").is_some();
    let extensions = cluster.get("typed_extension_protocol_options");
    let extensions = extensions.map(|map| map.fields()).unwrap_or_default();
    let mut options = extensions.iter().map(|field| &field.value);
    let is_other = |options: &Node| match options.get("explicit_http_config") {
        Some(explicit) => says(explicit) || explicit.get("http3_protocol_options").is_some(),
        // What the client or the other side speaks.
        None => ["use_downstream_protocol_config", "auto_config"]
            .iter()
            .any(|name| options.get(name).is_some()),
    };
    let is_chosen = cluster.get("protocol_selection").is_some();
    !says(cluster) && !is_chosen && !options.any(|options| is_other(options))
}

/// All blocks around and behind a chain.
fn blocks(chain: &Chain) -> impl Iterator<Item = &Block> {
    let of_hosts = chain.hosts.iter().flat_map(|host| {
        let of_routes = host.routes.iter().flat_map(|route| &route.blocks);
        host.blocks.iter().chain(of_routes)
    });
    chain.plugins.iter().chain(of_hosts)
}

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
    let names: Vec<_> = listed
        .map(|list| list.items())
        .unwrap_or_default()
        .iter()
        .map(|cluster| cluster.text_of("name"))
        .collect();
    // Others may be delivered, or the file is a part of a configuration.
    if names.is_empty() || bootstrap.get("dynamic_resources").is_some() {
        return;
    }
    let chains = found.chains.get(from..).unwrap_or_default();
    let blocks = chains.iter().flat_map(blocks);
    let problems: Vec<_> = blocks
        .filter_map(|block| {
            let (_, path) = CALLED.iter().find(|(filter, _)| *filter == block.filter)?;
            let cluster = block.settings.as_ref()?.find(path)?;
            let name = cluster.text().filter(|name| !names.contains(name))?;
            (!name.is_empty()).then(|| Misplaced {
                at: cluster.at,
                problem: format!(
                    "{}: {}: no cluster of this file is called {name:?}; calls to it fail",
                    block.filter.namespace(),
                    path.join(".")
                ),
                error: false,
            })
        })
        .collect();
    found.problems.extend(problems);
}

/// All blocks around and behind a chain.
fn blocks(chain: &Chain) -> impl Iterator<Item = &Block> {
    let of_hosts = chain.hosts.iter().flat_map(|host| {
        let of_routes = host.routes.iter().flat_map(|route| &route.blocks);
        host.blocks.iter().chain(of_routes)
    });
    chain.plugins.iter().chain(of_hosts)
}

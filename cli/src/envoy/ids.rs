//! Request ids: who makes them.

use super::{Block, Found, Misplaced};
use crate::document::Node;
use crate::filters::Filter;
use serde_json::Value;

const MANAGER: &str = "http_connection_manager.v3.HttpConnectionManager";

/// Tells of a connection manager that makes the ids that trace-headers is to make.
pub(super) fn made_twice(manager: &Node, plugins: &[Block], found: &mut Found) {
    let generates = manager.get("generate_request_id");
    let generates = generates.and_then(|node| node.truth()) != Some(false);
    // A part of one, as in a patch, does not say what the rest does.
    if !generates || !manager.text_of("@type").ends_with(MANAGER) {
        return;
    }
    for plugin in plugins.iter().filter(|plugin| makes_ids(plugin)) {
        found.problems.push(Misplaced {
            at: plugin.at,
            problem: "generate_request_id of the connection manager is not false: Envoy makes request ids before seawall.trace_headers sees \
                      them, which keeps those of senders that it trusts, whatever request_id.format says"
                .to_owned(),
            error: false,
        });
    }
}

/// Whether it is trace-headers, switched on, and looks at the field that Envoy writes.
fn makes_ids(plugin: &Block) -> bool {
    let setting = |name: &str| Some(&plugin.settings.as_ref()?.literal(name)?.value);
    let off = setting("enabled").is_some_and(|node| node.json() == Value::Bool(false));
    let header = setting("request_id").map_or("", |node| node.text_of("header"));
    let is_envoys = header.is_empty() || header.eq_ignore_ascii_case("x-request-id");
    plugin.filter == Filter::TraceHeaders && !plugin.off && !off && is_envoys
}

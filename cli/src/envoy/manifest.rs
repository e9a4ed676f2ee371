//! Plugin configurations in Kubernetes manifests: Istio's `WasmPlugin` and Envoy Gateway's `EnvoyExtensionPolicy`.

use super::{Block, Chain};
use crate::document::{Field, Node};
use crate::filters::Filter;
use std::rc::Rc;

/// The plugins of a manifest; none where it is something else.
pub(super) fn chain(document: &Node) -> Option<Chain> {
    let spec = document.field("spec")?;
    let name = document
        .find(&["metadata", "name"])
        .and_then(Node::text)
        .unwrap_or_default();
    let plugins: Vec<Block> = match document.text_of("kind") {
        "WasmPlugin" => {
            let names = [spec.value.text_of("pluginName"), name];
            block(&names, spec.value.text_of("url"), spec, "pluginConfig")
                .into_iter()
                .collect()
        }
        "EnvoyExtensionPolicy" => {
            let wasm = spec.value.field("wasm")?;
            let of = |item: &Rc<Node>| {
                let field = Field {
                    name: String::new(),
                    at: item.at,
                    value: Rc::clone(item),
                };
                let code = ["image", "http"]
                    .iter()
                    .find_map(|kind| item.find(&["code", kind, "url"]).and_then(Node::text));
                let names = [item.text_of("name"), item.text_of("rootID")];
                block(&names, code.unwrap_or_default(), &field, "config")
            };
            wasm.value.items().iter().filter_map(of).collect()
        }
        _ => return None,
    };
    (!plugins.is_empty()).then(|| Chain {
        name: name.to_owned(),
        plugins,
        partial: true,
        ..Chain::default()
    })
}

fn block(names: &[&str], code: &str, holder: &Field, settings: &str) -> Option<Block> {
    let filter = Filter::of_plugin(names, code)?;
    let settings = holder.value.field(settings);
    Some(settings.map_or_else(
        || Block::empty(filter, holder.at),
        |field| Block::holding(filter, field),
    ))
}

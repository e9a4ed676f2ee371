//! The plugin configuration of a wasm filter.

use super::{Block, Found, Misplaced};
use crate::document::{read, Content, Field, Node, Position};
use crate::filters::Filter;
use std::rc::Rc;

const WASM: &str = "envoy.extensions.filters.http.wasm.v3.Wasm";
const CORS: &str = "envoy.extensions.filters.http.cors.v3.Cors";
const STRUCT: &str = "google.protobuf.Struct";
const TEXT: &str = "google.protobuf.StringValue";

/// The name of the message that a type URL stands for.
fn message(url: &str) -> &str {
    url.rsplit('/').next().unwrap_or(url)
}

/// The wasm message in an `Any`, also in one that is wrapped in a `TypedStruct`.
fn unwrap(typed: &Node) -> Option<&Node> {
    match message(typed.text_of("@type")) {
        WASM => Some(typed),
        "xds.type.v3.TypedStruct" | "udpa.type.v1.TypedStruct" => {
            (message(typed.text_of("type_url")) == WASM)
                .then(|| typed.get("value").map(Rc::as_ref))?
        }
        _ => None,
    }
}

/// The plugins of a chain, in its order.
pub(super) fn chain(entries: &[Rc<Node>], found: &mut Found) -> Vec<Block> {
    let mut blocks: Vec<Block> = Vec::new();
    for entry in entries {
        let answers = |block: &Block| block.filter != Filter::TraceHeaders;
        if is_cors(entry) && blocks.iter().any(answers) {
            found.problems.push(Misplaced {
                at: entry.at,
                problem: "cors comes after filters of Seawall that answer: scripts of other origins cannot read what those say, preflights count as \
                          requests, and a cache stores the origin that asked first for everybody; put it before them"
                    .to_owned(),
                error: false,
            });
        }
        blocks.extend(plugins(entry, found));
    }
    blocks
}

fn is_cors(entry: &Node) -> bool {
    let typed = entry.get("typed_config");
    let kind = typed.map(|typed| message(typed.text_of("@type")));
    kind == Some(CORS)
}

/// The plugins of an entry of `http_filters` (or of an extension configuration that is delivered by itself): none where it is
/// another filter, and all of them, in their order, where it is the module that has them all.
pub(super) fn plugins(entry: &Node, found: &mut Found) -> Vec<Block> {
    let mut blocks = plugin(entry, found).unwrap_or_default();
    let off = entry.get("disabled").map(|node| node.json()) == Some(true.into());
    let vm = entry
        .get("typed_config")
        .and_then(|typed| unwrap(typed)?.get("config"));
    let vm = vm
        .and_then(|config| config.find(&["vm_config", "vm_id"])?.text())
        .unwrap_or_default();
    for block in &mut blocks {
        (block.entry, block.off) = (entry.text_of("name").to_owned(), off);
        vm.clone_into(&mut block.vm);
    }
    blocks
}

fn plugin(entry: &Node, found: &mut Found) -> Option<Vec<Block>> {
    let typed = entry.get("typed_config")?;
    let config = unwrap(typed)?.field("config")?;
    let names = [
        config.value.text_of("name"),
        config.value.text_of("root_id"),
        entry.text_of("name"),
    ];
    let vm = |steps: &[&str]| {
        config
            .value
            .find(steps)
            .and_then(Node::text)
            .unwrap_or_default()
    };
    let code = ["local", "filename"];
    let file = vm(&[&["vm_config", "code"][..], &code[..]].concat());
    let address = vm(&["vm_config", "code", "remote", "http_uri", "uri"]);
    let code = if file.is_empty() { address } else { file };
    if let Some(filter) = Filter::of_plugin(&names, code) {
        return Some(vec![configuration(filter, config, found)]);
    }
    if !Filter::are_all_in(&names, code) {
        return None;
    }
    let whole = configuration(Filter::TraceHeaders, config, found);
    Some(
        whole
            .settings
            .map(|node| apart(&node, found))
            .unwrap_or_default(),
    )
}

/// The blocks of the module that has all filters; it runs those that it has a block for.
fn apart(settings: &Node, found: &mut Found) -> Vec<Block> {
    for field in settings.fields() {
        let known = Filter::ALL
            .iter()
            .any(|filter| filter.block() == field.name);
        if !known {
            found.problems.push(Misplaced {
                at: field.at,
                problem: format!(
                    "no filter is called {:?}; there are {}",
                    field.name,
                    Filter::ALL.map(Filter::block).join(", ")
                ),
                error: true,
            });
        }
    }
    let block = |filter: Filter| {
        let field = settings.literal(&filter.block())?;
        Some(Block::holding(filter, field))
    };
    Filter::ALL.into_iter().filter_map(block).collect()
}

fn configuration(filter: Filter, config: &Field, found: &mut Found) -> Block {
    let mut block = Block::empty(filter, config.at);
    let Some(field) = config.value.field("configuration") else {
        return block;
    };
    block.at = field.at;
    let value = field.value.field("value");
    match message(field.value.text_of("@type")) {
        STRUCT => block.settings = value.map(|value| Rc::clone(&value.value)),
        TEXT => {
            if let Some(value) = value {
                text(&mut block, value, found);
            }
        }
        other => found.problems.push(Misplaced {
            at: field.at,
            problem: format!("the configuration must be a {STRUCT} or a {TEXT}, found {other:?}"),
            error: true,
        }),
    }
    block
}

/// JSON in a text.
fn text(block: &mut Block, value: &Field, found: &mut Found) {
    let Content::Text { text, literal } = &value.value.content else {
        found.problems.push(Misplaced {
            at: value.value.at,
            problem: format!("the value of a {TEXT} must be a text"),
            error: true,
        });
        return;
    };
    block.at = value.value.at;
    // Nothing but white space is no configuration.
    if text.trim().is_empty() {
        return;
    }
    // The filter reads JSON; all JSON is YAML, which knows the places.
    let wrong = serde_json::from_str::<serde_json::Value>(text).err();
    let place = |line: usize, column: usize| {
        if *literal {
            Position {
                line: value.value.at.line + line - 1,
                column: value.value.at.column + column - 1,
            }
        } else {
            value.value.at
        }
    };
    if let Some(error) = wrong {
        found.problems.push(Misplaced {
            at: place(error.line(), error.column().max(1)),
            problem: format!(
                "{}: the configuration is not JSON: {error}",
                block.filter.namespace()
            ),
            error: true,
        });
        return;
    }
    let document = read(text)
        .ok()
        .and_then(|documents| documents.into_iter().next());
    block.settings = document.map(|document| {
        // In one line, all of it is where it begins.
        Rc::new(if *literal {
            document.moved_into(value.value.at)
        } else {
            document.moved_to(value.value.at)
        })
    });
}

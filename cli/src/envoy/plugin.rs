//! The plugin configuration of a wasm filter.

use super::configuration::configuration;
use super::{Block, Found, Misplaced};
use crate::document::{Content, Node, Position};
use crate::filters::Filter;
use crate::layers::settings;
use seawall_core::config::unknown;
use std::rc::Rc;

const WASM: &str = "envoy.extensions.filters.http.wasm.v3.Wasm";
const CORS: &str = "envoy.extensions.filters.http.cors.v3.Cors";

/// The name of the message that a type URL stands for.
pub(super) fn message(url: &str) -> &str {
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
    let before = found.problems.len();
    let whole = configuration(Filter::TraceHeaders, config, found);
    // What cannot be read is no block, and that is said.
    let is_read = found.problems.len() == before;
    Some(if is_read {
        apart(&whole, found)
    } else {
        Vec::new()
    })
}

/// The blocks of the module that has all filters; it runs those that it has a block for. What it refuses is said in its words.
fn apart(whole: &Block, found: &mut Found) -> Vec<Block> {
    let mut say = |at: Position, error: bool, problem: String| {
        found.problems.push(Misplaced { at, problem, error });
    };
    if let Err(errors) = settings(whole) {
        for error in errors {
            say(whole.at, true, error.to_string());
        }
        return Vec::new();
    }
    let fields = whole.settings.as_ref().map(|node| node.fields());
    let fields = fields.unwrap_or_default();
    let names = Filter::ALL.map(Filter::block);
    let known = names.each_ref().map(String::as_str);
    if fields.is_empty() {
        let problem = format!(
            "runs no filter: it has none of the blocks {}",
            known.join(", ")
        );
        say(whole.at, false, problem);
    }
    for field in fields {
        if !names.contains(&field.name) {
            let problem = unknown("field", &field.name, &known);
            say(field.at, true, format!("{}: {problem}", field.name));
        }
    }
    let mut blocks = Vec::new();
    for (filter, name) in Filter::ALL.into_iter().zip(known) {
        // Of a name that is there twice, the last one counts.
        let Some(field) = fields.iter().rfind(|field| field.name == name) else {
            continue;
        };
        if matches!(field.value.content, Content::Map(_)) {
            blocks.push(Block::holding(filter, field));
        } else {
            let value = field.value.json();
            let problem =
                format!("{name}: must be an object (`{{}}` for the defaults), found {value}");
            say(field.at, true, problem);
        }
    }
    blocks
}

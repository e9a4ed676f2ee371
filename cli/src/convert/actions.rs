//! What the rate limit actions of Envoy fill, and what the entries of descriptors become by it.

use super::envoy::items;
use super::{address, Converted};
use crate::document::Node;
use seawall_core::authority::host;
use serde_json::{json, Map, Value};
use std::rc::Rc;

/// Where the entries of a filter's descriptors come from.
#[derive(Debug, Default)]
pub(super) struct Actions {
    /// The key of an entry, and the part of a key that it is.
    filled: Vec<(String, Value)>,
}

impl Actions {
    /// The actions of all routes and virtual hosts.
    pub(super) fn of_routes(documents: &[Rc<Node>], converted: &mut Converted) -> Actions {
        let mut found = Actions::default();
        for document in documents {
            found.walk(document, converted);
        }
        found
    }

    fn walk(&mut self, node: &Node, converted: &mut Converted) {
        if super::envoy::is_filter(node) {
            return;
        }
        self.filled.extend(actions(node, converted));
        let fields = node.fields().iter().map(|field| &field.value);
        for inside in fields.chain(node.items()) {
            self.walk(inside, converted);
        }
    }

    /// What fills the entry `wanted` of a filter whose own actions these are not.
    fn fills(&self, wanted: &str, converted: &mut Converted) -> Option<Value> {
        let mut all = self.filled.iter().filter(|(key, _)| key == wanted);
        let (_, first) = all.next()?;
        if all.any(|(_, other)| other != first) {
            converted.remark(format!(
                "the descriptor {wanted:?} is filled by several actions that differ; the first one is used"
            ));
        }
        converted.remark(format!(
            "the descriptor {wanted:?} is filled by actions of routes; here the limit is for every route that does not replace `limits`"
        ));
        Some(first.clone())
    }
}

/// What the actions of `rate_limits` beside a filter fill, by the key of the descriptor's entry.
pub(super) fn actions(node: &Node, converted: &mut Converted) -> Vec<(String, Value)> {
    let mut known = Vec::new();
    for action in items(node, "rate_limits")
        .iter()
        .filter_map(|limit| limit.get("actions"))
        .flat_map(|list| list.items())
    {
        for field in action.fields() {
            let key = |default: &str| match field.value.text_of("descriptor_key") {
                "" => default.to_owned(),
                key => key.to_owned(),
            };
            let filled = match field.snake().as_str() {
                "request_headers" => {
                    let header = match field.value.text_of("header_name") {
                        ":path" => {
                            converted
                                .remark(":path has the query in it; the path without it is used");
                            json!("path")
                        }
                        ":method" => json!("method"),
                        ":authority" => json!("host"),
                        header => json!({"header": header.to_lowercase()}),
                    };
                    (key("header"), header)
                }
                "remote_address" => ("remote_address".to_owned(), address()),
                "masked_remote_address" => {
                    let length = |name: &str, whole: u64| {
                        let node = field.value.get(name);
                        node.and_then(|node| node.whole()).unwrap_or(whole)
                    };
                    let masks = json!({"ipv4_prefix": length("v4_prefix_mask_len", 32), "ipv6_prefix": length("v6_prefix_mask_len", 128)});
                    (
                        "masked_remote_address".to_owned(),
                        json!({"client_address": masks}),
                    )
                }
                "destination_cluster" => ("destination_cluster".to_owned(), json!("cluster")),
                "generic_key" => {
                    let value = field.value.text_of("descriptor_value");
                    (key("generic_key"), json!({"constant": value}))
                }
                other => {
                    converted.remark(format!("the action {other} has no counterpart"));
                    continue;
                }
            };
            known.push(filled);
        }
    }
    known
}

/// The value that an entry of a descriptor names; none for any.
pub(super) fn value(entry: &Node) -> Option<String> {
    let value = entry.get("value").map(|node| match node.json() {
        Value::String(text) => text,
        other => other.to_string(),
    });
    value.filter(|value| !value.is_empty())
}

/// An entry of a descriptor, as a part of the key and, where it names a value, as a rule.
pub(super) fn part(
    entry: &Node,
    beside: &[(String, Value)],
    routes: &Actions,
    key: &mut Vec<Value>,
    rule: &mut Map<String, Value>,
    converted: &mut Converted,
) {
    let wanted = entry.text_of("key");
    let own = beside.iter().find(|(key, _)| key == wanted);
    let own = own.map(|(_, part)| part.clone());
    let part = match own.or_else(|| routes.fills(wanted, converted)) {
        Some(part) => part,
        None => {
            converted.remark(format!(
                "the descriptor {wanted:?} is filled by no action in this configuration; it is taken for the header {:?}",
                wanted.to_lowercase().replace('_', "-")
            ));
            json!({"header": wanted.to_lowercase().replace('_', "-")})
        }
    };
    if part.get("constant").is_some() {
        return;
    }
    if let Some(value) = value(entry) {
        match (&part, part.get("header")) {
            (_, Some(header)) => {
                let headers = rule.entry("header").or_insert_with(|| json!({}));
                if let (Value::Object(headers), Some(header)) = (headers, header.as_str()) {
                    headers.insert(header.to_owned(), json!(value));
                }
            }
            (Value::String(word), _) if ["path", "method", "host"].contains(&word.as_str()) => {
                // A query or a port is no part of what is compared.
                let value = match word.as_str() {
                    "path" => value.split('?').next().unwrap_or_default().to_owned(),
                    "host" => String::from_utf8_lossy(&host(value.into_bytes())).into_owned(),
                    _ => value,
                };
                rule.insert(word.clone(), json!(value));
            }
            _ if part.get("client_address").is_some() => {
                rule.insert("cidr".to_owned(), json!(value));
            }
            _ => converted.remark(format!(
                "the value {value:?} of the descriptor {wanted:?} is not carried over"
            )),
        }
    }
    key.push(part);
}

//! What clients are told by Envoy's filter: the fields of all answers, and the answer of a refusal.

use super::envoy::items;
use super::status::status;
use super::Converted;
use crate::document::Node;
use seawall_core::config::load;
use seawall_rate_limit::config::Settings;
use serde_json::{json, Map, Value};

/// The answers of one filter, or of the one that takes its place on a route.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Answers {
    /// The status of refusals, where it is set.
    status: Option<u64>,
    /// The header fields of refusals.
    fields: Map<String, Value>,
    /// All answers tell what is left.
    tells: bool,
}

impl Answers {
    pub(super) fn of(node: &Node, prefix: &str, converted: &mut Converted) -> Self {
        let draft = [("DRAFT_VERSION_03", 1)];
        let tells = node.get("enable_x_ratelimit_headers");
        Answers {
            status: status(node, prefix, converted),
            fields: fields_of_refusals(node, prefix, converted),
            tells: tells.and_then(|node| node.word(&draft)) == Some(1),
        }
    }

    /// The settings of the plugin.
    pub(super) fn plugin(&self) -> Map<String, Value> {
        let mut settings = Map::new();
        let mut answer = Map::new();
        if let Some(status) = self.status {
            answer.insert("status".to_owned(), json!(status));
        }
        if !self.fields.is_empty() {
            answer.insert("headers".to_owned(), json!(self.fields));
        }
        if !answer.is_empty() {
            settings.insert("answer".to_owned(), Value::Object(answer));
        }
        if self.tells {
            settings.insert("headers".to_owned(), json!("both"));
        }
        settings
    }

    /// The settings of a route with these answers, where others hold around it. Envoy's filter of a route takes over nothing of
    /// what is around it, while what is not set here shows through.
    pub(super) fn over(
        &self,
        around: &Answers,
        title: &str,
        converted: &mut Converted,
    ) -> Map<String, Value> {
        let mut settings = Map::new();
        let number = |answers: &Answers| answers.status.unwrap_or(429);
        if number(self) != number(around) || self.fields != around.fields {
            let mut answer = Map::new();
            answer.insert("status".to_owned(), json!(number(self)));
            if !self.fields.is_empty() {
                answer.insert("headers".to_owned(), json!(self.fields));
            }
            settings.insert("answer".to_owned(), Value::Object(answer));
        }
        for name in around.fields.keys() {
            if !self.fields.contains_key(name) {
                converted.remark(format!(
                    "refusals of {title} carry {name:?} as well, which a route cannot take away"
                ));
            }
        }
        if self.tells != around.tells {
            let told = if self.tells { "both" } else { "ietf" };
            settings.insert("headers".to_owned(), json!(told));
        }
        settings
    }
}

/// The header fields of refusals, as far as rate-limit takes them.
fn fields_of_refusals(node: &Node, prefix: &str, converted: &mut Converted) -> Map<String, Value> {
    let mut fields = Map::new();
    for option in items(node, "response_headers_to_add") {
        let Some(header) = option.get("header") else {
            continue;
        };
        let (name, value) = (header.text_of("key"), header.text_of("value"));
        let taken = load::<Settings>(&json!({"answer": {"headers": {name: value}}})).is_ok();
        if value.contains('%') || !taken {
            converted.remark(format!(
                "{prefix}: {name:?} in response_headers_to_add has no counterpart: refusals carry fixed fields, and none that they have anyway"
            ));
        } else {
            fields.insert(name.to_ascii_lowercase(), json!(value));
        }
    }
    fields
}

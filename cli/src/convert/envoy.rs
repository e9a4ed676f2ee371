//! Envoy's `local_ratelimit` filter: its token bucket, its descriptors, and the rate limit actions of routes that fill them.

use super::actions::{actions, part, value, Actions};
use super::answers::Answers;
use super::bucket::limit;
use super::{unused, Converted};
use crate::document::Node;
use crate::envoy::percent;
use serde_json::{json, Map, Value};
use std::rc::Rc;

const FILTER: &str = "envoy.extensions.filters.http.local_ratelimit.v3.LocalRateLimit";
const SWITCH: &str = "envoy.config.route.v3.FilterConfig";
/// What everybody calls the filter in a chain.
const USUAL: &str = "envoy.filters.http.local_ratelimit";

/// Converts every `local_ratelimit` of a configuration.
///
/// # Errors
/// When there is none.
pub fn envoy(documents: &[Rc<Node>]) -> Result<Converted, String> {
    let mut converted = Converted::default();
    let actions = Actions::of_routes(documents, &mut converted);
    let mut walk = Walk {
        converted: &mut converted,
        actions,
        entries: Vec::new(),
        found: 0,
    };
    for document in documents {
        walk.entries(document);
    }
    let entries = &walk.entries;
    let off = !entries.is_empty() && entries.iter().all(|(_, off)| *off);
    let mut whole = Level {
        off,
        ..Level::default()
    };
    for document in documents {
        walk.plugin(document, &mut whole);
    }
    for document in documents {
        walk.everywhere(document, &mut whole);
    }
    // Routes come after all of what is around them, wherever that stands.
    for document in documents {
        walk.routes(document, &whole);
    }
    if walk.found == 0 {
        return Err("there is no local_ratelimit filter in this configuration".to_owned());
    }
    converted.settings.extend(whole.answers.plugin());
    if whole.off {
        converted
            .settings
            .insert("enabled".to_owned(), json!(false));
    }
    Ok(converted)
}

/// What holds in a part of the configuration.
#[derive(Debug, Clone, Default)]
struct Level {
    /// What the nearest route or virtual host around is called; none where there is neither.
    title: Option<String>,
    /// What clients are told.
    answers: Answers,
    /// The filter is switched off.
    off: bool,
}

struct Walk<'c> {
    converted: &'c mut Converted,
    /// Those that stand in no filter.
    actions: Actions,
    /// The filter's entries in chains, by name, and whether each is switched off.
    entries: Vec<(String, bool)>,
    /// Filters, and switches of them.
    found: usize,
}

pub(super) fn is_filter(node: &Node) -> bool {
    node.text_of("@type").ends_with(FILTER)
}

impl Walk<'_> {
    fn entries(&mut self, node: &Node) {
        if node
            .get("typed_config")
            .is_some_and(|typed| is_filter(typed))
        {
            let off = is(node, "disabled", true);
            self.entries.push((node.text_of("name").to_owned(), off));
        }
        let fields = node.fields().iter().map(|field| &field.value);
        for inside in fields.chain(node.items()) {
            self.entries(inside);
        }
    }

    /// What is in no route and in no virtual host.
    fn plugin(&mut self, node: &Node, whole: &mut Level) {
        if is_filter(node) {
            self.found += 1;
            let (limits, answers) = filter(node, &self.actions, self.converted);
            let is_other = whole.answers != answers;
            if is_other && !self.converted.limits.is_empty() {
                self.converted.remark("several filters answer differently; refusals of all of them are answered as the last one does it");
            }
            whole.answers = answers;
            for mut limit in limits {
                rename(&mut limit, &self.converted.limits);
                self.converted.limits.push(Value::Object(limit));
            }
            return;
        }
        let inside = node.fields().iter();
        for field in inside.filter(|field| !field.is("typed_per_filter_config")) {
            self.plugin(&field.value, whole);
        }
        for (number, item) in (1..).zip(node.items()) {
            if title(item, number).is_none() {
                self.plugin(item, whole);
            }
        }
    }

    /// What a whole route configuration says of the filter: in Envoy it takes the place of what the filter says itself.
    fn everywhere(&mut self, node: &Node, whole: &mut Level) {
        for field in node.fields() {
            if !field.is("typed_per_filter_config") {
                self.everywhere(&field.value, whole);
                continue;
            }
            for entry in field.value.fields() {
                let switched = self.switched(&entry.name, &entry.value);
                whole.off = switched.unwrap_or(whole.off);
                let value = &entry.value;
                let value = value.get("config").map_or(value, |config| config);
                if is_filter(value) && switched != Some(true) {
                    whole.off = false;
                    self.converted.limits.clear();
                    self.converted.remark("a whole route configuration says what the limits are; they take the place of the filter's, as in Envoy");
                    self.plugin(value, whole);
                }
            }
        }
        for (number, item) in (1..).zip(node.items()) {
            if title(item, number).is_none() {
                self.everywhere(item, whole);
            }
        }
    }

    fn routes(&mut self, node: &Node, around: &Level) {
        let mut here = around.clone();
        let own = node.get("typed_per_filter_config");
        if let Some(own) = own.filter(|_| around.title.is_some()) {
            for entry in own.fields() {
                self.own(&entry.name, &entry.value, around, &mut here);
            }
        }
        for field in node.fields() {
            if !field.is("typed_per_filter_config") {
                self.routes(&field.value, &here);
            }
        }
        for (number, item) in (1..).zip(node.items()) {
            match title(item, number) {
                None => self.routes(item, &here),
                title => {
                    let within = Level {
                        title,
                        ..here.clone()
                    };
                    self.routes(item, &within);
                }
            }
        }
    }

    /// What a route or a virtual host says of a filter: it is switched, or all of it is replaced.
    fn own(&mut self, name: &str, node: &Node, around: &Level, here: &mut Level) {
        let Some(title) = &around.title else { return };
        let switched = self.switched(name, node);
        here.off = switched.unwrap_or(here.off);
        let node = node.get("config").map_or(node, |config| config);
        let mut settings = Map::new();
        if is_filter(node) && switched != Some(true) {
            self.found += 1;
            let (limits, answers) = filter(node, &self.actions, self.converted);
            settings = answers.over(&around.answers, title, self.converted);
            here.answers = answers;
            here.off = false;
            let mut known = Vec::new();
            for mut limit in limits {
                rename(&mut limit, &known);
                known.push(Value::Object(limit));
            }
            self.converted.remark(format!(
                "the limits of {title} take the place of the plugin's there, as in Envoy"
            ));
            settings.insert("limits".to_owned(), json!(known));
        }
        if here.off != around.off {
            settings.insert("enabled".to_owned(), json!(!here.off));
        }
        if !settings.is_empty() {
            self.converted.routes.push((title.clone(), settings));
        }
    }

    /// Whether an entry of `typed_per_filter_config` switches the filter off, or on.
    fn switched(&mut self, name: &str, node: &Node) -> Option<bool> {
        let is_ours = name == USUAL || self.entries.iter().any(|(known, _)| known == name);
        let switches = node.text_of("@type").ends_with(SWITCH);
        if !is_ours || !switches {
            return None;
        }
        self.found += 1;
        Some(is(node, "disabled", true))
    }
}

/// What a route or a virtual host is called.
fn title(node: &Node, number: usize) -> Option<String> {
    let kind = if node.get("match").is_some() {
        "route"
    } else if node.get("domains").is_some() {
        "virtual host"
    } else {
        return None;
    };
    Some(match node.text_of("name") {
        "" => format!("{kind} number {number}"),
        name => format!("{kind} {name:?}"),
    })
}

/// The limits of a filter, and what it answers.
fn filter(
    node: &Node,
    routes: &Actions,
    converted: &mut Converted,
) -> (Vec<Map<String, Value>>, Answers) {
    let prefix = match node.text_of("stat_prefix") {
        "" => "local",
        prefix => prefix,
    };
    let mut limits = Vec::new();
    if let Some(bucket) = node.get("token_bucket") {
        limits.extend(limit(bucket, prefix, converted));
    }
    limits.extend(descriptors(node, prefix, routes, converted));
    remark_on_settings(node, prefix, limits.len(), converted);
    // Without a share it counts and refuses nothing.
    let enforced = percentage(node, "filter_enforced").unwrap_or(0.0);
    for limit in &mut limits {
        if enforced <= 0.0 {
            limit.insert("shadow".to_owned(), json!(true));
        } else if enforced < 100.0 && !limit.contains_key("shadow") {
            limit.insert("enforce_percent".to_owned(), json!(enforced));
        }
    }
    (limits, Answers::of(node, prefix, converted))
}

/// A limit for each descriptor.
fn descriptors(
    node: &Node,
    prefix: &str,
    routes: &Actions,
    converted: &mut Converted,
) -> Vec<Map<String, Value>> {
    let beside = actions(node, converted);
    let mut limits: Vec<Map<String, Value>> = Vec::new();
    let (mut named, mut any) = (Vec::new(), Vec::new());
    for descriptor in items(node, "descriptors") {
        let entries = items(descriptor, "entries");
        let keys: Vec<&str> = entries.iter().map(|entry| entry.text_of("key")).collect();
        let Some(mut limit) = descriptor
            .get("token_bucket")
            .and_then(|bucket| limit(bucket, &format!("{prefix}-{}", keys.join("-")), converted))
        else {
            continue;
        };
        let mut key = Vec::new();
        let mut rule = Map::new();
        for entry in entries {
            part(entry, &beside, routes, &mut key, &mut rule, converted);
        }
        if !key.is_empty() {
            limit.insert("key".to_owned(), json!(key));
        }
        // A descriptor whose value is not there is no descriptor.
        limit.insert("missing".to_owned(), json!("skip"));
        if !rule.is_empty() {
            limit.insert("match".to_owned(), Value::Object(rule.clone()));
        }
        if is(descriptor, "shadow_mode", true) {
            limit.insert("shadow".to_owned(), json!(true));
        }
        let open = entries.iter().any(|entry| value(entry).is_none());
        if !open && !rule.is_empty() {
            named.push((keys.clone(), rule));
        }
        if open {
            any.push((limits.len(), keys));
        }
        limits.push(limit);
    }
    // A descriptor for any value is for those that no other descriptor names.
    for (limit, keys) in any {
        let others = named.iter().filter(|(others, _)| *others == keys);
        let others: Vec<_> = others.map(|(_, rule)| json!(rule)).collect();
        if let Some(limit) = limits.get_mut(limit).filter(|_| !others.is_empty()) {
            limit.insert("exempt".to_owned(), json!(others));
        }
    }
    limits
}

/// Says which settings of the filter are not carried over.
fn remark_on_settings(node: &Node, prefix: &str, limits: usize, converted: &mut Converted) {
    // Without a share it looks at no request.
    let enabled = percentage(node, "filter_enabled").unwrap_or(0.0);
    if limits == 0 {
        // There is nothing that could be here nevertheless.
    } else if enabled <= 0.0 {
        converted.remark(format!(
            "{prefix}: filter_enabled is 0 %, as it is where it is not set; the limits are here nevertheless"
        ));
    } else if enabled < 100.0 {
        converted.remark(format!(
            "{prefix}: filter_enabled is less than 100 %; the limits count every request"
        ));
    }
    let settings = [
        "request_headers_to_add_when_not_enforced",
        "local_cluster_rate_limit",
    ];
    for setting in settings.into_iter().filter(|name| node.get(name).is_some()) {
        converted.remark(format!("{prefix}: {setting} has no counterpart"));
    }
    if is(node, "local_rate_limit_per_downstream_connection", true) {
        converted.remark(format!(
            "{prefix}: the limit was one for each connection, and is one for all of them now"
        ));
    }
    if is(node, "always_consume_default_token_bucket", false) && limits > 1 {
        converted.remark(format!(
            "{prefix}: its token_bucket was for requests that no descriptor is for; here it is for all requests"
        ));
    }
}

/// The items of a list; none where it is not there.
pub(super) fn items<'n>(node: &'n Node, field: &str) -> &'n [Rc<Node>] {
    node.get(field).map(|list| list.items()).unwrap_or_default()
}

/// True for a switch that is set to `wanted`.
fn is(node: &Node, field: &str, wanted: bool) -> bool {
    node.get(field).map(|node| node.json()) == Some(json!(wanted))
}

fn rename(limit: &mut Map<String, Value>, known: &[Value]) {
    let wanted = limit
        .get("name")
        .and_then(Value::as_str)
        .unwrap_or_default();
    let free = unused(wanted, known);
    limit.insert("name".to_owned(), json!(free));
}

/// A share in percent; none where it is not set.
fn percentage(node: &Node, field: &str) -> Option<f64> {
    node.find(&[field, "default_value"]).map(percent)
}

//! `seawall explain`: which settings apply to a request, and what each filter would decide and why.
//!
//! The route is found by the rules of Envoy's route table (`route`), the settings are layered as the filters do it, and
//! then the filters themselves decide, on a host that is not Envoy (`drive`): nothing is sent, counters are empty, caches
//! cold and breakers closed.

mod drive;
mod matcher;
mod print;
mod reasons;
mod request;
mod route;

pub use print::print;
pub use request::Request;

use crate::check::{check, Severity};
use crate::document::read;
use crate::envoy::{find, Block, Chain, Host, Route};
use crate::layers::{layer, origin, Layered};
use serde::Serialize;
use serde_json::Value;

/// What is explained.
#[derive(Debug, Serialize)]
pub struct Explanation {
    /// The request.
    pub request: String,
    /// Where it arrives.
    pub listener: String,
    /// The virtual host that takes it.
    pub virtual_host: Option<String>,
    /// The route that it takes.
    pub route: Option<Taken>,
    /// Whether the routes are somewhere else, so that nothing is known of them.
    pub routes_elsewhere: bool,
    /// What is not modelled, and what was assumed instead.
    pub notes: Vec<String>,
    /// The filters in order.
    pub filters: Vec<Explained>,
}

/// A route that takes a request.
#[derive(Debug, Serialize)]
pub struct Taken {
    /// Its name, or its number.
    pub title: String,
    /// What it asks of a request.
    pub matches: String,
    /// What it does with it.
    pub action: String,
    /// The cluster, where it names one.
    pub cluster: Option<String>,
}

/// A filter and the request.
#[derive(Debug, Serialize)]
pub struct Explained {
    /// The filter's name in metadata.
    pub filter: &'static str,
    /// What is set, and where; everything else has its default.
    pub settings: Vec<Setting>,
    /// What is wrong with the settings.
    pub problems: Vec<String>,
    /// What happens to the request.
    pub decision: String,
    /// Why.
    pub because: Vec<String>,
    /// What it changes in the request and in the answer.
    pub changes: Vec<String>,
    /// What it counts.
    pub counts: Vec<String>,
}

/// A field that is set.
#[derive(Debug, Serialize)]
pub struct Setting {
    /// Its path.
    pub field: String,
    /// Its value.
    pub value: Value,
    /// The level it comes from.
    pub from: &'static str,
}

/// Explains what a configuration does with a request.
///
/// # Errors
/// A configuration that is not YAML, is wrong, or has no such listener.
pub fn explain(
    file: &str,
    text: &str,
    listener: Option<&str>,
    request: &Request,
) -> Result<Explanation, String> {
    let documents = read(text).map_err(|error| format!("{file}:{}: {error}", error.at.line))?;
    let found = find(&documents);
    let chains = found.chains.iter();
    let chains: Vec<_> = chains.filter(|chain| !chain.plugins.is_empty()).collect();
    let names = || {
        let names = chains.iter().map(|chain| format!("{:?}", chain.name));
        names.collect::<Vec<_>>().join(", ")
    };
    let chain = match listener {
        Some(name) => chains.iter().find(|chain| chain.name == name),
        None => chains.first(),
    };
    let chain = match (chain, listener) {
        (Some(chain), _) => *chain,
        (None, Some(name)) if !chains.is_empty() => {
            return Err(format!(
                "{file} has no listener {name:?} with Seawall filters; there are {}",
                names()
            ));
        }
        (None, _) => return Err(format!("{file} has no listener with Seawall filters")),
    };
    let mut notes = Vec::new();
    if listener.is_none() && chains.len() > 1 {
        let first = &chain.name;
        let all = names();
        notes.push(format!(
            "this is {first:?} alone, the first one with Seawall filters; --listener takes {all}"
        ));
    }
    if check(file, text).count(Severity::Error) > 0 {
        notes.push(format!(
            "{file} has errors; `seawall check {file}` lists them"
        ));
    }
    if chain.partial {
        notes.push("the routes are not in this file: only plugin configurations apply".to_owned());
    }
    let asked = request.to_string();
    let doubts = chain.manager.doubts(&request.host, &request.target);
    if !doubts.is_empty() {
        notes.push(format!(
            "{} may change this request before its route is looked for, which is not modelled",
            doubts.join(" and ")
        ));
    }
    let request = &request.with_target(chain.manager.target(&request.target));
    let host = route::virtual_host(&chain.hosts, &chain.manager.host(&request.host));
    if host.is_some_and(|host| host.requires_tls) {
        notes.push("the virtual host is for TLS alone, and redirects plain HTTP before any route is looked for; TLS is assumed".to_owned());
    }
    let taken = host.and_then(|host| route::route(host, request, &mut notes));
    Ok(Explanation {
        request: asked,
        listener: chain.name.clone(),
        virtual_host: host.map(|host| host.name.clone()),
        route: taken.map(|route| route::describe(route, &mut notes)),
        routes_elsewhere: chain.partial,
        filters: filters(chain, host, taken, request),
        notes,
    })
}

fn filters(
    chain: &Chain,
    host: Option<&Host>,
    taken: Option<&Route>,
    request: &Request,
) -> Vec<Explained> {
    let mut headers = request.headers.clone();
    let mut answered_by = None;
    let mut explained = Vec::new();
    for plugin in &chain.plugins {
        let (filter, next) = one(plugin, host, taken, request, &headers, answered_by);
        match next {
            Next::Goes(changed) => headers = changed,
            Next::Ends => answered_by = answered_by.or(Some(filter.filter)),
            Next::Unseen => {}
        }
        explained.push(filter);
    }
    explained
}

/// What reaches the filter behind.
enum Next {
    Goes(Vec<(String, Vec<u8>)>),
    Ends,
    Unseen,
}

fn one(
    plugin: &Block,
    host: Option<&Host>,
    taken: Option<&Route>,
    request: &Request,
    headers: &[(String, Vec<u8>)],
    answered_by: Option<&'static str>,
) -> (Explained, Next) {
    let filter = plugin.filter;
    let layered = layer(filter, Some(plugin), host, taken);
    let mut explained = Explained {
        filter: filter.namespace(),
        settings: set(&layered),
        problems: problems(&layered),
        decision: String::new(),
        because: Vec::new(),
        changes: Vec::new(),
        counts: Vec::new(),
    };
    // What is nearest to the route counts.
    let switches = taken.map(|route| &route.switches).into_iter();
    let switches = switches.chain(host.map(|host| &host.switches)).flatten();
    let mut own = switches.filter(|(name, _)| *name == plugin.entry);
    let disabled = own.next().map_or(plugin.off, |(_, off)| *off);
    if let Some(other) = answered_by {
        explained.decision = format!("does not see the request: {other} has answered it");
        return (explained, Next::Unseen);
    }
    if disabled {
        explained.decision = if plugin.off {
            "is switched off by disabled: true in http_filters, and typed_per_filter_config does not switch it on here"
        } else {
            "is switched off here by typed_per_filter_config"
        }
        .to_owned();
        return (explained, Next::Goes(headers.to_vec()));
    }
    if layered.settings.get("enabled") == Some(&Value::Bool(false)) {
        explained.decision = "is switched off here by enabled: false".to_owned();
        return (explained, Next::Goes(headers.to_vec()));
    }
    if layered
        .refused
        .iter()
        .any(|(level, _)| *level == crate::layers::Level::Plugin)
    {
        explained.decision = "cannot be said: Envoy refuses the plugin configuration".to_owned();
        return (explained, Next::Goes(headers.to_vec()));
    }
    let scene = drive::Scene {
        request,
        headers,
        virtual_host: host.map(|host| host.name.as_str()).unwrap_or_default(),
        route: taken.map(|route| route.name.as_str()).unwrap_or_default(),
        cluster: taken.and_then(route::cluster).unwrap_or_default(),
    };
    let driven = drive::drive(filter, &layered.settings, &scene);
    explained.decision = driven.decision();
    explained.because = reasons::reasons(filter, &layered.settings, &scene, &driven);
    explained.changes = driven.changes(headers, request);
    explained.counts = driven.counts.clone();
    let next = match driven.forwarded {
        Some(headers) => Next::Goes(headers),
        None => Next::Ends,
    };
    (explained, next)
}

fn problems(layered: &Layered) -> Vec<String> {
    let refused = layered.refused.iter();
    refused
        .map(|(level, errors)| {
            format!(
                "the settings of the {} do not count: {errors}",
                level.name()
            )
        })
        .collect()
}

/// The fields that are set, in full.
fn set(layered: &Layered) -> Vec<Setting> {
    fn collect(value: &Value, path: &mut Vec<String>, layered: &Layered, into: &mut Vec<Setting>) {
        match value {
            Value::Object(fields) if !fields.is_empty() => {
                for (name, value) in fields {
                    path.push(name.clone());
                    collect(value, path, layered, into);
                    path.pop();
                }
            }
            _ if path.is_empty() => {}
            _ => into.push(Setting {
                field: path.join("."),
                value: value.clone(),
                from: origin(layered, path).name(),
            }),
        }
    }
    let mut found = Vec::new();
    collect(&layered.settings, &mut Vec::new(), layered, &mut found);
    found
}

//! Takes a request through a filter on the fake host.

use super::request::Request;
use crate::filters::{dispatch, Filter};
use seawall_core::config::Settings;
use seawall_core::plugin::Plugin;
use seawall_core::testing::{Ended, SentReply, Vm, World};
use serde_json::{json, Value};
use std::collections::BTreeMap;

type Fields = Vec<(String, Vec<u8>)>;

/// Whether a field was there before.
type Known<'a> = dyn Fn(&(String, Vec<u8>)) -> bool + 'a;

/// The request where the filter meets it.
pub(super) struct Scene<'a> {
    pub(super) request: &'a Request,
    /// As the filters before have left it.
    pub(super) headers: &'a [(String, Vec<u8>)],
    pub(super) virtual_host: &'a str,
    pub(super) route: &'a str,
    pub(super) cluster: &'a str,
}

/// What came of it.
#[derive(Debug, Default)]
pub(super) struct Driven {
    /// The request as it went on; none when it did not.
    pub(super) forwarded: Option<Fields>,
    /// The filter's own answer.
    pub(super) reply: Option<SentReply>,
    /// The upstream's answer as the client gets it.
    pub(super) answer: Fields,
    /// What was counted.
    pub(super) counts: Vec<String>,
    /// The filter answers the same request by itself when it comes again.
    pub(super) repeated: Option<SentReply>,
    /// The service that it asks first.
    pub(super) asks: Option<String>,
}

impl Scene<'_> {
    /// What Envoy says of the request and its route.
    pub(super) fn properties(&self) -> Vec<(&'static str, Vec<u8>)> {
        let source = match self.request.client {
            std::net::IpAddr::V4(address) => format!("{address}:40000"),
            std::net::IpAddr::V6(address) => format!("[{address}]:40000"),
        };
        let mut properties = vec![
            ("source.address", source.into_bytes()),
            ("response.code_details", b"via_upstream".to_vec()),
            ("response.flags", vec![0; 8]),
        ];
        for (name, value) in [
            ("xds.virtual_host_name", self.virtual_host),
            ("xds.route_name", self.route),
            ("xds.cluster_name", self.cluster),
        ] {
            properties.push((name, value.as_bytes().to_vec()));
        }
        properties
    }
}

/// Takes it through a filter with these settings.
pub(super) fn drive(filter: Filter, settings: &Value, scene: &Scene<'_>) -> Driven {
    let mut settings = settings.clone();
    if filter == Filter::ResponseCache {
        // The field says why; whether clients see it is another matter.
        settings["cache_status"] = json!({"enabled": true});
    }
    fn of<S: Settings, P: Plugin>(settings: &Value, scene: &Scene<'_>) -> Driven {
        run::<P>(settings, scene)
    }
    dispatch!(filter, of(&settings, scene))
}

fn run<P: Plugin>(settings: &Value, scene: &Scene<'_>) -> Driven {
    let world = World::new();
    let mut vm: Vm<P> = Vm::start(&world, 1, settings);
    let properties = scene.properties();
    let properties: Vec<(&str, &[u8])> = properties
        .iter()
        .map(|(name, value)| (*name, value.as_slice()))
        .collect();
    let before = world.metrics();
    let mut driven = Driven::default();

    let mut exchange = vm.open(&properties);
    match vm.request_bytes(&mut exchange, scene.headers.to_vec(), true) {
        Ended::Forwarded(headers) => driven.forwarded = Some(headers),
        Ended::Replied(reply) => driven.reply = Some(reply),
        Ended::Paused => {
            driven.asks = vm.host.take_callouts().pop().map(|call| call.cluster);
            driven.forwarded = Some(scene.headers.to_vec());
        }
    }
    if driven.forwarded.is_some() && driven.asks.is_none() {
        let status = scene.request.status.to_string();
        let mut answer = vec![(":status", status.as_str())];
        let fields = scene.request.answer.iter();
        answer.extend(fields.map(|(name, value)| (name.as_str(), value.as_str())));
        driven.answer = vm.response(&mut exchange, &answer, false);
        vm.response_body(&mut exchange, b"answer", true);
    }
    vm.finish(exchange);
    vm.tick();
    driven.counts = counted(&before, &world.metrics());
    if driven.forwarded.is_some() && driven.asks.is_none() {
        let mut exchange = vm.open(&properties);
        if let Ended::Replied(reply) = vm.request_bytes(&mut exchange, scene.headers.to_vec(), true)
        {
            driven.repeated = Some(reply);
        }
    }
    driven
}

fn counted(before: &BTreeMap<String, i64>, after: &BTreeMap<String, i64>) -> Vec<String> {
    after
        .iter()
        .filter(|(name, value)| before.get(*name).copied().unwrap_or_default() < **value)
        .map(|(name, _)| name.clone())
        .collect()
}

fn line((name, value): &(String, Vec<u8>)) -> String {
    format!("{name}: {}", String::from_utf8_lossy(value))
}

impl Driven {
    /// What happens to the request, in words.
    pub(super) fn decision(&self) -> String {
        match (&self.reply, &self.asks) {
            (Some(reply), _) => format!("answers {} by itself", reply.status),
            (None, Some(cluster)) => {
                format!("asks the service in cluster {cluster}, and goes by its answer")
            }
            (None, None) => "lets the request pass".to_owned(),
        }
    }

    /// Fields that are new or different, in the request and in the answer.
    pub(super) fn changes(&self, before: &[(String, Vec<u8>)], request: &Request) -> Vec<String> {
        let mut changes = Vec::new();
        let new = |fields: &Fields, known: &Known<'_>| -> Vec<String> {
            fields
                .iter()
                .filter(|field| !known(field))
                .map(line)
                .collect()
        };
        if let Some(forwarded) = &self.forwarded {
            for text in new(forwarded, &|field| before.contains(field)) {
                changes.push(format!("upstream gets {text}"));
            }
        }
        if let Some(reply) = &self.reply {
            changes.extend(
                reply
                    .headers
                    .iter()
                    .map(|field| format!("client gets {}", line(field))),
            );
        }
        let known = |field: &(String, Vec<u8>)| {
            field.0 == ":status"
                || request
                    .answer
                    .iter()
                    .any(|(name, value)| *name == field.0 && value.as_bytes() == field.1)
        };
        for text in new(&self.answer, &known) {
            changes.push(format!("client gets {text}"));
        }
        changes
    }
}

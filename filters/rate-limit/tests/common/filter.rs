//! The filter in a fake Envoy.

use seawall_core::testing::{Ended, Exchange, SentReply, Vm, World};
use seawall_core::time::Span;
use seawall_rate_limit::{RateLimit, Request};
use serde_json::Value;

pub type Rig = Vm<RateLimit>;
pub type Pairs<'a> = &'a [(&'a str, &'a str)];

pub fn rig(configuration: Value) -> Rig {
    Vm::start(&World::new(), 1, &configuration)
}

pub fn errors(configuration: Value) -> Vec<String> {
    Vm::<RateLimit>::errors(&configuration)
}

/// A request that is over at once: the reply that it got, or `None` when it was let through.
pub fn ask_with(
    rig: &mut Rig,
    properties: &[(&str, &[u8])],
    headers: Pairs<'_>,
) -> Option<SentReply> {
    let (exchange, ended) = begin(rig, properties, headers);
    match ended {
        Ended::Forwarded(_) => {
            answered(rig, exchange, &[(":status", "200")]);
            None
        }
        Ended::Replied(reply) => {
            rig.finish(exchange);
            Some(reply)
        }
        Ended::Paused => panic!("never paused without a reply"),
    }
}

pub fn ask(rig: &mut Rig, headers: Pairs<'_>) -> Option<SentReply> {
    ask_with(rig, &[], headers)
}

pub fn passes(rig: &mut Rig, headers: Pairs<'_>) -> bool {
    ask(rig, headers).is_none()
}

/// How many of `count` requests pass.
pub fn passing(rig: &mut Rig, headers: Pairs<'_>, count: usize) -> usize {
    (0..count).filter(|_| passes(rig, headers)).count()
}

pub fn begin(
    rig: &mut Rig,
    properties: &[(&str, &[u8])],
    headers: Pairs<'_>,
) -> (Exchange<Request>, Ended) {
    let mut exchange = rig.open(properties);
    let ended = rig.request(&mut exchange, headers);
    (exchange, ended)
}

/// The response to a request that was let through, as the client sees it, and its end.
pub fn answered(
    rig: &mut Rig,
    mut exchange: Exchange<Request>,
    headers: Pairs<'_>,
) -> Vec<(String, String)> {
    let fields = rig.response(&mut exchange, headers, true);
    rig.finish(exchange);
    let text = |(name, value): (String, Vec<u8>)| (name, String::from_utf8(value).unwrap());
    fields.into_iter().map(text).collect()
}

pub fn all<'f>(fields: &'f [(String, String)], name: &str) -> Vec<&'f str> {
    let lines = fields.iter().filter(|(field, _)| field == name);
    lines.map(|(_, value)| value.as_str()).collect()
}

pub fn wait(rig: &Rig, seconds: u64) {
    rig.host.world().advance(Span::from_secs(seconds));
}

pub fn count(rig: &Rig, limit: &str, what: &str) -> i64 {
    rig.host
        .world()
        .metric(&format!("seawall.rate_limit.limit.{limit}.{what}"))
}

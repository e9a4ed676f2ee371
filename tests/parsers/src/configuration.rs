//! Configuration, and settings of routes.

use prost::Message;
use seawall_core::config::ConfigErrors;
use seawall_core::plugin::Plugin;
use seawall_core::route::namespace;
use seawall_core::testing::{FakeHost, Vm, World};
use serde_json::{json, Value};
use std::collections::HashMap;

fn configure<P: Plugin>(bytes: &[u8]) -> Result<(), ConfigErrors> {
    let host = FakeHost::new(&World::new(), 1);
    host.open(0);
    P::default().configure(&host, bytes)
}

fn check<P: Plugin>(bytes: &[u8]) {
    if let Err(errors) = configure::<P>(bytes) {
        let text = errors.to_string();
        assert!(!text.is_empty(), "refused without a word");
        assert!(
            text.len() < 64 * 1024 + bytes.len() * 16,
            "a flood of words"
        );
        let again = configure::<P>(bytes).map_err(|errors| errors.to_string());
        assert_eq!(again, Err(text), "once so and once otherwise");
    }
}

/// Any bytes as the configuration of each filter: taken, or refused with words.
pub fn configuration(bytes: &[u8]) {
    check::<seawall_rate_limit::RateLimit>(bytes);
    check::<seawall_response_cache::ResponseCache>(bytes);
    check::<seawall_circuit_breaker::CircuitBreaker>(bytes);
    check::<seawall_trace_headers::TraceHeaders>(bytes);
    check::<seawall_seawall::Seawall>(bytes);
    as_block::<seawall_rate_limit::RateLimit>("rate_limit", bytes);
    as_block::<seawall_response_cache::ResponseCache>("response_cache", bytes);
    as_block::<seawall_circuit_breaker::CircuitBreaker>("circuit_breaker", bytes);
    as_block::<seawall_trace_headers::TraceHeaders>("trace_headers", bytes);
}

/// What a filter takes by itself, the module that has them all takes as a block, and it refuses what that filter refuses.
fn as_block<P: Plugin>(name: &str, bytes: &[u8]) {
    let Ok(text @ Value::Object(_)) = seawall_core::config::parse(bytes) else {
        return;
    };
    let block = json!({ name: text }).to_string();
    let alone = configure::<P>(bytes).err();
    let below = configure::<seawall_seawall::Seawall>(block.as_bytes()).err();
    let count = |errors: Option<ConfigErrors>| errors.map(|errors| errors.iter().count());
    assert_eq!(count(below), count(alone), "{block}");
}

/// `envoy.config.core.v3.Metadata`, as far as it matters.
#[derive(Clone, PartialEq, Message)]
struct Metadata {
    #[prost(map = "string, message", tag = "1")]
    filter_metadata: HashMap<String, prost_types::Struct>,
}

fn to_json(value: &prost_types::Value) -> Option<Value> {
    use prost_types::value::Kind;
    Some(match value.kind.as_ref()? {
        Kind::NullValue(_) => Value::Null,
        Kind::NumberValue(number) => json!(number),
        Kind::StringValue(text) => json!(text),
        Kind::BoolValue(yes) => json!(yes),
        Kind::StructValue(fields) => Value::Object(
            fields
                .fields
                .iter()
                .map(|(name, value)| Some((name.clone(), to_json(value)?)))
                .collect::<Option<_>>()?,
        ),
        Kind::ListValue(list) => list.values.iter().map(to_json).collect::<Option<_>>()?,
    })
}

/// Numbers alike, whether they are written as whole ones or not.
fn alike(one: &Value, other: &Value) -> bool {
    match (one, other) {
        (Value::Number(one), Value::Number(other)) => one.as_f64() == other.as_f64(),
        (Value::Array(one), Value::Array(other)) => {
            one.len() == other.len() && one.iter().zip(other).all(|(a, b)| alike(a, b))
        }
        (Value::Object(one), Value::Object(other)) => {
            one.len() == other.len()
                && one
                    .iter()
                    .all(|(name, a)| other.get(name).is_some_and(|b| alike(a, b)))
        }
        _ => one == other,
    }
}

fn on_a_route<P: Plugin>(settings: &Value, metadata: &[u8]) {
    let mut vm = Vm::<P>::start(&World::new(), 1, settings);
    let mut exchange = vm.open(&[
        ("xds.route_metadata", metadata),
        ("xds.virtual_host_metadata", metadata),
    ]);
    let headers = [(":method", "GET"), (":path", "/"), (":authority", "a")]
        .map(|(name, value)| (name.to_owned(), value.as_bytes().to_vec()));
    vm.request_bytes(&mut exchange, headers.to_vec(), true);
}

/// Any bytes as metadata of a route: read as prost reads them, and never in the way of a request.
pub fn route_metadata(bytes: &[u8]) {
    for name in [
        "seawall.rate_limit",
        "seawall.response_cache",
        "seawall.circuit_breaker",
        "seawall.trace_headers",
    ] {
        let ours = namespace(bytes, name);
        let Ok(theirs) = Metadata::decode(bytes) else {
            continue;
        };
        let theirs = theirs.filter_metadata.get(name).map(|fields| {
            let kind = prost_types::value::Kind::StructValue(fields.clone());
            to_json(&prost_types::Value { kind: Some(kind) })
        });
        if let (Ok(Some(ours)), Some(Some(theirs))) = (ours, theirs) {
            assert!(alike(&ours, &theirs), "{ours} is not {theirs}");
        }
    }
    on_a_route::<seawall_rate_limit::RateLimit>(&json!({}), bytes);
    on_a_route::<seawall_response_cache::ResponseCache>(&json!({}), bytes);
    on_a_route::<seawall_circuit_breaker::CircuitBreaker>(&json!({}), bytes);
    on_a_route::<seawall_trace_headers::TraceHeaders>(&json!({}), bytes);
    let all =
        json!({"trace_headers": {}, "rate_limit": {}, "response_cache": {}, "circuit_breaker": {}});
    on_a_route::<seawall_seawall::Seawall>(&all, bytes);
}

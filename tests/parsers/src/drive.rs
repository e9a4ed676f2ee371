//! Whole filters on the fake host: requests through them, with answers to whatever they ask of other services.

use seawall_core::host::Host;
use seawall_core::plugin::{Plugin, Stream};
use seawall_core::testing::{Ended, Exchange, Vm};
use seawall_core::time::Span;
use serde_json::{json, Value};

/// Header fields in their order.
pub type Fields = Vec<(String, Vec<u8>)>;

/// No wait of a filter is longer, with the settings below.
const LONGEST_WAIT: u32 = 30;

/// What happens around a request.
#[derive(Default)]
pub struct Script {
    /// What Envoy knows of it, by paths joined by dots.
    pub properties: Vec<(String, Vec<u8>)>,
    pub request: Fields,
    pub response: Fields,
    /// A response with trailers ends with them.
    pub trailers: Fields,
    pub service: Service,
}

/// How other services answer: the status of gRPC, header fields (none: no answer at all), and the body or message.
#[derive(Default)]
pub struct Service {
    pub status: u32,
    pub fields: Vec<(String, String)>,
    pub body: Vec<u8>,
}

pub fn own(pairs: &[(&str, &str)]) -> Fields {
    pairs
        .iter()
        .map(|(name, value)| ((*name).to_owned(), value.as_bytes().to_vec()))
        .collect()
}

/// The fields with those that every request has.
pub fn complete(mut given: Fields) -> Fields {
    for (name, value) in own(&[(":method", "GET"), (":path", "/"), (":authority", "a")]) {
        if !given.iter().any(|(field, _)| *field == name) {
            given.push((name, value));
        }
    }
    given
}

/// Settings that read as much as they can.
fn settings() -> Value {
    json!({
        "trace_headers": {
            "read": ["w3c", "b3", "b3multi", "jaeger", "aws", "datadog"], "write": ["w3c", "b3", "aws", "datadog"],
            "log": {"tenant_id": {"header": "x-tenant-id"}, "user_id": {"claim": ["envoy.filters.http.jwt_authn", "jwt_payload", "sub"]},
                "properties": true},
            "trust": {"mode": "cidr", "cidrs": ["192.0.2.0/24"]},
            "response": {"server_timing": "trace"}, "spans": {"cluster": "collector", "errors": true, "interval": "10ms"},
        },
        "rate_limit": {"headers": "both", "access_log": true, "fleet": {"cluster": "limits"}, "limits": [
            {"name": "client", "key": ["client_address", "host", "path", {"header": "x-tenant-id"}, {"cookie": "sid"},
             {"query": "id"}, {"path_segment": 1}, {"path_prefix": 2}, {"jwt_claim": "sub"}], "requests": 5, "per": "1h",
             "cost": {"header": "x-cost", "default": 1, "max": 5}},
            {"name": "tokens", "requests": 100, "per": "1m", "charge": {"header": "x-tokens", "reserve": 1},
             "penalty": {"refusals": 2, "within": "1m", "block_for": "1m"}},
            {"name": "places", "concurrent": 50},
            {"name": "windows", "key": ["route"], "requests": 50, "per": "1m", "algorithm": "sliding_window"},
            {"name": "fleet", "key": ["method"], "requests": 50, "per": "1m", "scope": "fleet"},
        ]},
        "response_cache": {"target_fields": ["cdn-cache-control"], "set_cookie": "strip", "default_ttl": "1m",
            "stale_if_error": "1h", "stale_while_revalidate": "1h", "admission": false,
            "refresh": {"algorithm": "window", "window": "1h", "probability": 1, "background": {"enabled": true}},
            "key": {"query": "sorted", "exclude": ["utm_*"], "cookies": ["sid"]},
            "purge": {"method": "PURGE", "secret_header": "x-purge", "secret": "0123456789abcdef"}},
        "circuit_breaker": {"key": ["cluster", "route", "host"], "minimum_calls": 2, "slow_after": "1s", "access_log": true,
            "retry_after": {"opens": [429]}, "fallback": {"by_type": [
                {"type": "application/json", "body": "{}"}, {"type": "text/html", "body": "<p>"}], "body": "later"}},
    })
}

thread_local! {
    static SETTINGS: Value = settings();
}

/// Runs something with the settings of each filter, and with those of the module that has them all.
pub fn with_settings(run: impl FnOnce(&Value)) {
    SETTINGS.with(run);
}

/// Runs a function for each filter, and for the module that has them all.
macro_rules! for_each_filter {
    ($function:ident, $($argument:expr),*) => {
        crate::drive::with_settings(|settings| {
            $function::<seawall_trace_headers::TraceHeaders>(&settings["trace_headers"], $($argument),*);
            $function::<seawall_rate_limit::RateLimit>(&settings["rate_limit"], $($argument),*);
            $function::<seawall_response_cache::ResponseCache>(&settings["response_cache"], $($argument),*);
            $function::<seawall_circuit_breaker::CircuitBreaker>(&settings["circuit_breaker"], $($argument),*);
            $function::<seawall_seawall::Seawall>(settings, $($argument),*);
        })
    };
}
pub(crate) use for_each_filter;

/// Properties of a request as Envoy has them.
pub fn properties() -> Vec<(String, Vec<u8>)> {
    [
        ("source.address", "192.0.2.7:4711"),
        ("connection.id", "7"),
        ("xds.cluster_name", "c"),
        ("xds.route_name", "r"),
        ("response.code_details", "via_upstream"),
    ]
    .map(|(path, value)| (path.to_owned(), value.as_bytes().to_vec()))
    .to_vec()
}

/// Answers whatever the filter asks of other services, until it asks no more.
fn serve<P: Plugin>(vm: &mut Vm<P>, service: &Service) {
    // A filter may ask again when it has its answer; for ever it may not.
    for _ in 0..8 {
        let calls = vm.host.take_callouts();
        if calls.is_empty() {
            return;
        }
        for call in calls {
            vm.host.open(0);
            if call.headers.iter().any(|(name, _)| name == ":method") {
                let fields: Vec<(&str, &str)> = service
                    .fields
                    .iter()
                    .map(|(name, value)| (name.as_str(), value.as_str()))
                    .collect();
                vm.host.put_call_response(&fields, &service.body);
                let size = service.body.len();
                vm.plugin
                    .call_done(&vm.host, call.token, fields.len(), size);
            } else {
                vm.host.put_grpc_response(&service.body);
                let size = service.body.len();
                vm.plugin
                    .grpc_done(&vm.host, call.token, service.status, size);
            }
        }
    }
}

/// Time passes: timers, queues and calls.
pub fn pass<P: Plugin>(vm: &mut Vm<P>, service: &Service) {
    vm.host.world().advance(Span::from_secs(1));
    vm.tick();
    vm.deliver();
    serve(vm, service);
}

fn answered(status: u32) {
    assert!((200..600).contains(&status), "{status}");
}

/// One request from its beginning to its end. Whatever comes, it goes on with what is not the filter's untouched, or is answered.
pub fn exchange<P: Plugin>(vm: &mut Vm<P>, script: &Script) {
    let properties: Vec<(&str, &[u8])> = script
        .properties
        .iter()
        .map(|(path, value)| (path.as_str(), value.as_slice()))
        .collect();
    let mut exchange = vm.open(&properties);
    let ended = vm.request_bytes(&mut exchange, script.request.clone(), true);
    serve(vm, &script.service);
    match ended {
        Ended::Forwarded(forwarded) => {
            assert_eq!(untouched(&forwarded), untouched(&script.request));
            respond(vm, &mut exchange, script);
        }
        Ended::Replied(reply) => answered(reply.status),
        Ended::Paused => {
            let mut waited = 0;
            while !vm.resumed(&exchange) && vm.reply(&exchange).is_none() {
                assert!(waited < LONGEST_WAIT, "held for ever");
                waited += 1;
                pass(vm, &script.service);
            }
            match vm.reply(&exchange) {
                Some(reply) => answered(reply.status),
                None => respond(vm, &mut exchange, script),
            }
        }
    }
    vm.finish(exchange);
    serve(vm, &script.service);
}

fn respond<P: Plugin>(vm: &mut Vm<P>, exchange: &mut Exchange<P::Stream>, script: &Script) {
    vm.response_bytes(exchange, script.response.clone(), false);
    if script.trailers.is_empty() {
        vm.response_body(exchange, b"body", true);
        return;
    }
    vm.response_body(exchange, b"body", false);
    let _ = vm.host.act_on(exchange.context);
    vm.host.put_trailers(script.trailers.clone());
    exchange.stream.response_trailers(&vm.host);
}

/// The fields that no filter has to do with.
fn untouched(fields: &Fields) -> Vec<&(String, Vec<u8>)> {
    let foreign = fields
        .iter()
        .filter(|(name, _)| name.starts_with("x-foreign"));
    foreign.collect()
}

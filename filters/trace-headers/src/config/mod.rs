//! The configuration, validated. The table of fields and defaults is in the filter's README.

mod authority;
mod raw;
mod source;

pub use raw::Raw;
pub use source::Source;

use crate::ids::request_id::Kind;
use crate::interop::Format;
use crate::response::ServerTiming;
use crate::sampling::{self, Ratio};
use crate::trust;
use crate::w3c::{baggage, tracestate};
use seawall_core::config::fields::is_of_the_message;
use seawall_core::config::{decimal, ConfigErrors, Settings as Configuration};
use seawall_core::network::Cidr;
use seawall_core::time::Span;

/// 32 members of the greatest length, and the commas between them.
const TRACESTATE_MOST: usize = 16_447;
const MOST_NAMES: usize = 256;

/// What the filter does on a route.
#[derive(Debug)]
pub struct Settings {
    /// Off: nothing is read and nothing changed.
    pub enabled: bool,
    /// The header of the request id, lower case.
    pub request_id_header: String,
    /// How a request id is made.
    pub request_id_format: Kind,
    /// Whether the response carries it.
    pub echo: bool,
    /// Request id and trace id are the same UUID.
    pub one_id: bool,
    /// Whose identity is accepted.
    pub trust: trust::Mode,
    /// The networks of [`trust::Mode::Cidr`].
    pub cidrs: Vec<Cidr>,
    /// The names of [`trust::Mode::Mtls`]; none accepts every certificate that Envoy accepts.
    pub peers: Vec<String>,
    /// Formats read, first counts.
    pub read: Vec<Format>,
    /// Formats written.
    pub write: Vec<Format>,
    /// Formats whose headers are taken out.
    pub clear: Vec<Format>,
    /// How the `sampled` flag is decided.
    pub sampling: sampling::Mode,
    /// The ratio for it.
    pub ratio: Ratio,
    /// The longest `tracestate` sent on.
    pub tracestate_max_length: usize,
    /// Whether baggage goes on.
    pub baggage: bool,
    /// The most baggage members sent on.
    pub baggage_members: usize,
    /// The most baggage bytes sent on.
    pub baggage_bytes: usize,
    /// The trace as Server-Timing metric of the response.
    pub server_timing: ServerTiming,
    /// The trace as `traceresponse` header of the response.
    pub traceresponse: bool,
    /// The route template, where the route's name does not say it.
    pub endpoint: Option<String>,
    /// Where the tenant comes from.
    pub tenant_id: Option<Source>,
    /// Where the user comes from.
    pub user_id: Option<Source>,
    /// Whether one of them is a claim of a token.
    pub claims: bool,
    /// Whether the ids are set as properties for each request.
    pub properties: bool,
    /// Routes with a histogram of their own.
    pub latency_routes: Option<Vec<String>>,
    /// Clusters with a histogram of their own.
    pub latency_upstreams: Option<Vec<String>>,
    /// Where spans go.
    pub spans: Option<Spans>,
    /// Whether routes and virtual hosts may have settings of their own.
    pub per_route: bool,
    /// Whether `traceparent` is all there is to write.
    pub writes_w3c_only: bool,
}

/// The export of spans.
#[derive(Debug, Clone)]
pub struct Spans {
    /// The cluster of the collector.
    pub cluster: String,
    /// `:authority` of the export.
    pub authority: String,
    /// `:path` of the export.
    pub path: String,
    /// `service.name`.
    pub service: String,
    /// How often spans are sent.
    pub interval: Span,
    /// How long an export may take.
    pub timeout: Span,
    /// The most spans a worker keeps.
    pub max_spans: usize,
    /// Whether a request that ends in a server error has a span though its trace is not sampled.
    pub errors: bool,
}

impl Configuration for Settings {
    type Raw = Raw;
    const NAMESPACE: &'static str = "seawall.trace_headers";
    const PLUGIN_ONLY: &'static [&'static str] = &["latency", "per_route", "spans"];

    fn validate(mut raw: Raw, errors: &mut ConfigErrors) -> Self {
        let header = header_name("request_id.header", raw.request_id.header.take(), errors);
        if let Some(name) = header.as_deref().filter(|name| is_taken(name)) {
            refuse(
                errors,
                "request_id.header",
                "a header of its own, with no meaning to HTTP or to a trace",
                name,
            );
        }
        let mode = raw.trust.mode.unwrap_or_default();
        peers(&raw.trust, errors);
        let networks = raw.trust.cidrs.take().unwrap_or_default();
        // What is named and wrong is said below.
        if mode == trust::Mode::Cidr && networks.is_empty() {
            errors.add(
                "trust.cidrs",
                "must name at least one network with mode cidr, got none",
            );
        }
        let cidrs = cidrs(networks, errors);
        let read = formats("read", raw.read, Some(Format::W3c), errors);
        let write = formats("write", raw.write, Some(Format::W3c), errors);
        let clear = formats("clear", raw.clear, None, errors);
        for (at, format) in clear.iter().enumerate() {
            if write.contains(format) {
                errors.add(
                    item("clear", at),
                    "is also in write; a format is either sent or cleared",
                );
            }
        }
        let share = raw.sampling.ratio.unwrap_or(1.0);
        let ratio = Ratio::new(share);
        if ratio.is_none() {
            errors.add(
                "sampling.ratio",
                format!("must be from 0 to 1, got {}", decimal(share)),
            );
        }
        let tenant_id = source::validate("log.tenant_id", raw.log.tenant_id, errors);
        let user_id = source::validate("log.user_id", raw.log.user_id, errors);
        let claim = |source: &Option<Source>| matches!(source, Some(Source::Claim(_)));
        let claims = claim(&tenant_id) || claim(&user_id);
        let writes_w3c_only = write == [Format::W3c];
        Settings {
            enabled: raw.enabled.unwrap_or(true),
            request_id_header: header.unwrap_or_else(|| "x-request-id".to_owned()),
            request_id_format: raw.request_id.format.unwrap_or_default(),
            echo: raw.request_id.echo.unwrap_or(true),
            one_id: raw.one_id.unwrap_or(false),
            trust: mode,
            cidrs,
            peers: raw.trust.peers.unwrap_or_default(),
            read,
            write,
            clear,
            sampling: raw.sampling.mode.unwrap_or_default(),
            ratio: ratio.unwrap_or_default(),
            tracestate_max_length: between(
                "tracestate.max_length",
                raw.tracestate.max_length,
                4096,
                (tracestate::LEAST, TRACESTATE_MOST),
                errors,
            ),
            baggage: raw.baggage.propagate.unwrap_or(true),
            baggage_members: between(
                "baggage.max_members",
                raw.baggage.max_members,
                baggage::MEMBERS,
                (1, 1024),
                errors,
            ),
            baggage_bytes: between(
                "baggage.max_bytes",
                raw.baggage.max_bytes,
                baggage::BYTES,
                (64, 65_536),
                errors,
            ),
            server_timing: raw.response.server_timing.unwrap_or_default(),
            traceresponse: raw.response.traceresponse.unwrap_or(false),
            endpoint: endpoint(raw.endpoint, errors),
            tenant_id,
            user_id,
            claims,
            properties: raw.log.properties.unwrap_or(false),
            latency_routes: names("latency.routes", raw.latency.routes, errors),
            latency_upstreams: names("latency.upstreams", raw.latency.upstreams, errors),
            spans: raw.spans.map(|spans| export(spans, errors)),
            per_route: raw.per_route.unwrap_or(true),
            writes_w3c_only,
        }
    }
}

/// Refuses a text.
#[cold]
#[inline(never)]
fn refuse(errors: &mut ConfigErrors, path: &str, allowed: &str, found: &str) {
    errors.add(path, format!("must be {allowed}, got {found:?}"));
}

/// Refuses a number, or a number of things.
#[cold]
#[inline(never)]
fn out_of_range(errors: &mut ConfigErrors, path: &str, allowed: &str, found: usize) {
    errors.add(path, format!("must be {allowed}, got {found}"));
}

/// The path of an item of a list.
#[cold]
#[inline(never)]
fn item(path: &str, at: usize) -> String {
    format!("{path}[{at}]")
}

/// A number within a range, or its default.
#[inline(never)]
fn between(
    path: &str,
    value: Option<usize>,
    default: usize,
    (least, most): (usize, usize),
    errors: &mut ConfigErrors,
) -> usize {
    let value = value.unwrap_or(default);
    if !(least..=most).contains(&value) {
        out_of_range(errors, path, &format!("from {least} to {most}"), value);
    }
    value
}

/// The name of a header, in lower case, as HTTP/2 and Envoy have it.
#[inline(never)]
fn header_name(path: &str, name: Option<String>, errors: &mut ConfigErrors) -> Option<String> {
    let name = name?.to_ascii_lowercase();
    let good = (1..=64).contains(&name.len())
        && name
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_');
    if !good {
        refuse(
            errors,
            path,
            "a header name of 1 to 64 letters, digits, \"-\" or \"_\"",
            &name,
        );
    }
    Some(name)
}

/// True for a header that a request id would destroy: those of the formats and of other tracers, those that frame, describe
/// and route a message, and those that say who sends it.
fn is_taken(name: &str) -> bool {
    const TAKEN: [&str; 15] = [
        "authorization",
        "baggage",
        "cookie",
        "forwarded",
        "host",
        "jaeger-baggage",
        "jaeger-debug-id",
        "location",
        "proxy-authorization",
        "sentry-trace",
        "server-timing",
        "set-cookie",
        "traceresponse",
        "x-cloud-trace-context",
        "x-real-ip",
    ];
    const FAMILIES: [&str; 6] = [
        "content-",
        "grpc-",
        "ot-baggage-",
        "uberctx-",
        "x-envoy-",
        "x-forwarded-",
    ];
    let mut traces = crate::interop::ALL
        .iter()
        .flat_map(|format| format.headers());
    TAKEN.contains(&name)
        || FAMILIES.iter().any(|family| name.starts_with(family))
        || is_of_the_message(name)
        || traces.any(|trace| *trace == name)
}

#[inline(never)]
fn cidrs(texts: Vec<String>, errors: &mut ConfigErrors) -> Vec<Cidr> {
    if texts.len() > MOST_NAMES {
        let allowed = format!("at most {MOST_NAMES}");
        out_of_range(errors, "trust.cidrs", &allowed, texts.len());
    }
    let mut found = Vec::with_capacity(texts.len());
    for (at, text) in texts.iter().enumerate() {
        match Cidr::parse(text) {
            Some(cidr) => found.push(cidr),
            None => {
                refuse(errors, &item("trust.cidrs", at), Cidr::ALLOWED, text);
            }
        }
    }
    found
}

/// The names of peers. An empty one would be that of every certificate without a name; and lists without a mode would be
/// looked at by nobody, who then trusts everybody.
#[inline(never)]
fn peers(trust: &raw::Trust, errors: &mut ConfigErrors) {
    let peers = trust.peers.as_deref().unwrap_or_default();
    let cidrs = trust.cidrs.as_deref().unwrap_or_default();
    if trust.mode.is_none() && !(peers.is_empty() && cidrs.is_empty()) {
        let allowed = "cidr or mtls where cidrs or peers are given";
        refuse(errors, "trust.mode", allowed, "");
    }
    if peers.len() > MOST_NAMES {
        let allowed = format!("at most {MOST_NAMES}");
        out_of_range(errors, "trust.peers", &allowed, peers.len());
    }
    for (at, peer) in peers.iter().enumerate() {
        if peer.is_empty() {
            refuse(errors, &item("trust.peers", at), "a name", peer);
        }
    }
}

#[inline(never)]
fn formats(
    path: &str,
    list: Option<Vec<Format>>,
    default: Option<Format>,
    errors: &mut ConfigErrors,
) -> Vec<Format> {
    let list = list.unwrap_or_else(|| default.into_iter().collect());
    for (at, format) in list.iter().enumerate() {
        if list.iter().take(at).any(|earlier| earlier == format) {
            errors.add(item(path, at), "names a format twice");
        }
    }
    list
}

fn endpoint(text: Option<String>, errors: &mut ConfigErrors) -> Option<String> {
    let text = text?;
    let good = (1..=128).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic());
    if !good {
        let allowed =
            "a route template of 1 to 128 printable characters without spaces, such as \"/orders/{id}\"";
        refuse(errors, "endpoint", allowed, &text);
    }
    Some(text)
}

#[inline(never)]
fn names(path: &str, list: Option<Vec<String>>, errors: &mut ConfigErrors) -> Option<Vec<String>> {
    let list = list?;
    if list.len() > MOST_NAMES {
        let allowed = format!("at most {MOST_NAMES} names");
        out_of_range(errors, path, &allowed, list.len());
    }
    for (at, name) in list.iter().enumerate() {
        let metric = crate::latency::metric_name(name);
        if !seawall_core::metrics::is_name(&metric) {
            let allowed = "a name of 1 to 64 characters";
            refuse(errors, &item(path, at), allowed, name);
        }
        let earlier = list.iter().take(at);
        if metric == "other"
            || earlier
                .map(|name| crate::latency::metric_name(name))
                .any(|m| m == metric)
        {
            errors.add(
                format!("{path}[{at}]"),
                format!("{name:?} would share the metric {metric:?} with another name"),
            );
        }
    }
    Some(list)
}

#[inline(never)]
fn export(raw: raw::Spans, errors: &mut ConfigErrors) -> Spans {
    let cluster = raw.cluster.unwrap_or_default();
    if cluster.is_empty() {
        errors.add(
            "spans.cluster",
            "must name the collector's cluster, got nothing",
        );
    }
    let path = raw.path.unwrap_or_else(|| "/v1/traces".to_owned());
    if !path.starts_with('/') || !path.bytes().all(|byte| byte.is_ascii_graphic()) {
        refuse(errors, "spans.path", "a path such as \"/v1/traces\"", &path);
    }
    let authority = raw
        .authority
        .unwrap_or_else(|| authority::of_cluster(&cluster).to_owned());
    if !authority::is_authority(&authority) {
        let allowed = "a host, and a port where it has one";
        refuse(errors, "spans.authority", allowed, &authority);
    }
    let service = raw.service.unwrap_or_else(|| "envoy".to_owned());
    if service.is_empty() {
        refuse(errors, "spans.service", "a name", &service);
    }
    let spans = Spans {
        authority,
        cluster,
        path,
        service,
        interval: raw.interval.unwrap_or(Span::from_secs(1)),
        timeout: raw.timeout.unwrap_or(Span::from_secs(5)),
        max_spans: between("spans.max_spans", raw.max_spans, 2048, (1, 65_536), errors),
        errors: raw.errors.unwrap_or(false),
    };
    for (path, span, least, most) in [
        (
            "spans.interval",
            spans.interval,
            Span::from_millis(10),
            Span::from_secs(60),
        ),
        (
            "spans.timeout",
            spans.timeout,
            Span::from_millis(10),
            Span::from_secs(60),
        ),
    ] {
        if !(least..=most).contains(&span) {
            errors.add(path, format!("must be from {least} to {most}, got {span}"));
        }
    }
    spans
}

//! The server span of a request, with the attributes of OpenTelemetry's semantic conventions for HTTP.

use super::grpc;
use super::otlp::{Attributes, Span};
use crate::config::Settings;
use crate::request::identity::Identity;
use crate::w3c::tracestate;
use seawall_core::headers::Headers;
use seawall_core::host::{Host, Map};
use seawall_core::time::{self, Timestamp};
use std::borrow::Cow;

/// The longest text taken from a request.
const LONGEST: usize = 256;

/// The methods that a span names; any other is `_OTHER`, as the conventions ask.
const METHODS: [&str; 10] = [
    "GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH", "QUERY",
];

/// A span that is still open.
#[derive(Debug)]
pub struct Server {
    start: Option<Timestamp>,
    method: &'static str,
    state: String,
    grpc: bool,
    attributes: Attributes,
}

/// Cut, and what is no UTF-8 replaced. Nearly everything is, which is seen several bytes at once.
fn shown(bytes: &[u8]) -> Cow<'_, str> {
    let cut = bytes.get(..LONGEST).unwrap_or(bytes);
    match std::str::from_utf8(cut) {
        Ok(text) => text.into(),
        Err(_) => String::from_utf8_lossy(cut),
    }
}

/// Nothing is noted about what is empty.
#[inline(never)]
fn note(attributes: &mut Attributes, key: &'static str, value: &[u8]) {
    if !value.is_empty() {
        attributes.text(key, &shown(value));
    }
}

fn read(host: &dyn Host, path: &str) -> Option<Vec<u8>> {
    let value = host.property(path).ok().flatten()?;
    (!value.is_empty()).then_some(value)
}

fn number(bytes: &[u8]) -> Option<u64> {
    u64::try_from(i64::from_le_bytes(bytes.try_into().ok()?)).ok()
}

/// Host and port of an authority; no port where it has none that is a number. An IPv6 address is without its brackets.
pub(crate) fn authority(value: &[u8]) -> (&[u8], Option<u64>) {
    let colon = value.iter().rposition(|byte| *byte == b':');
    let parts = colon.and_then(|at| {
        let (host, port) = value.split_at_checked(at)?;
        let port: u16 = std::str::from_utf8(port.get(1..)?).ok()?.parse().ok()?;
        Some((host, Some(u64::from(port))))
    });
    let (host, port) = parts.unwrap_or((value, None));
    let address = host
        .strip_prefix(b"[")
        .and_then(|rest| rest.strip_suffix(b"]"));
    (address.unwrap_or(host), port)
}

/// Whether a response that was no server error was broken off by the upstream, or because time was up. Envoy then says so in its
/// flags, and in the details, which are others than those of a whole response; of `max_stream_duration` in the details alone. A caller who leaves in the middle of one is
/// no error of this side, and is how streams end; nor is anything that ends an upgraded connection (101). What Envoy itself
/// (408) or another filter answers comes whole, whatever went before.
fn cut(host: &dyn Host, status: u64, details: &[u8]) -> bool {
    /// UT, LR, UR, UC, SI, UMSDR, DT and UPE, by their numbers in Envoy's `CoreResponseFlag`.
    const BROKEN: u64 = 1 << 2 | 1 << 3 | 1 << 4 | 1 << 6 | 1 << 16 | 1 << 19 | 1 << 22 | 1 << 23;
    if status == 101 || details == b"via_upstream" || details.starts_with(b"seawall.") {
        return false;
    }
    let flags = || read(host, "response\0flags").and_then(|bytes| number(&bytes));
    details.starts_with(b"upstream_reset_after")
        || status != 408
            && (details == b"max_duration_timeout"
                || flags().is_some_and(|flags| flags & BROKEN != 0))
}

/// Begin and end: the duration counts from the first byte of the request, which may come long before the last one of its
/// headers (`seen`), and ends no later than `now`, which may be long after it.
fn times(
    seen: Timestamp,
    duration: Option<time::Span>,
    now: Option<Timestamp>,
) -> Option<(Timestamp, Timestamp)> {
    let Some(duration) = duration else {
        return Some((seen, now?));
    };
    let end = seen.saturating_add(duration);
    let end = now.map_or(end, |now| end.min(now));
    Some((end.saturating_sub(duration), end))
}

impl Server {
    /// Begins it with the request's headers.
    pub fn begin(host: &dyn Host, headers: &Headers) -> Self {
        let (mut method, mut host_and_port, mut scheme) = (None, None, None);
        let (mut agent, mut path, mut kind) = (None, None, None);
        // One pass for all of them.
        for (name, value) in headers.iter() {
            let first = match name {
                b":method" => &mut method,
                b":authority" => &mut host_and_port,
                b":scheme" => &mut scheme,
                b"user-agent" => &mut agent,
                b":path" => &mut path,
                b"content-type" => &mut kind,
                _ => continue,
            };
            first.get_or_insert(value);
        }
        let method = method.unwrap_or_default();
        let known = METHODS.into_iter().find(|name| name.as_bytes() == method);
        let mut attributes = Attributes::none();
        attributes.text("http.request.method", known.unwrap_or("_OTHER"));
        if known.is_none() {
            note(&mut attributes, "http.request.method_original", method);
        }
        let (address, port) = authority(host_and_port.unwrap_or_default());
        note(&mut attributes, "server.address", address);
        if let Some(port) = port {
            attributes.number("server.port", port);
        }
        note(&mut attributes, "url.scheme", scheme.unwrap_or_default());
        let agent = agent.unwrap_or_default();
        note(&mut attributes, "user_agent.original", agent);
        // The query may hold secrets: it is not recorded.
        let path = path.unwrap_or_default();
        let path = path.split(|byte| *byte == b'?').next().unwrap_or_default();
        note(&mut attributes, "url.path", path);
        Server {
            state: String::new(),
            grpc: kind.is_some_and(grpc::is_grpc),
            start: host.now().ok(),
            method: known.unwrap_or("HTTP"),
            attributes,
        }
    }

    /// Notes the `tracestate` that goes on. One that is longer than everybody passes on is left out.
    pub fn state(&mut self, state: &[u8]) {
        if state.len() <= tracestate::LEAST {
            let text = std::str::from_utf8(state).unwrap_or_default();
            self.state = text.to_owned();
        }
    }

    /// Takes from the response's headers what the other filters say there.
    pub fn response(&mut self, host: &dyn Host) {
        if let Ok(Some(value)) = host.header(Map::Response, "cache-status") {
            note(&mut self.attributes, "seawall.cache_status", &value);
        }
    }

    /// Who is at the other end, and what it speaks.
    fn connection(&mut self, host: &dyn Host) {
        if let Some(peer) = read(host, "source\0address") {
            note(&mut self.attributes, "client.address", authority(&peer).0);
        }
        let protocol = read(host, "request\0protocol");
        let version = protocol
            .as_deref()
            .and_then(|name| name.strip_prefix(b"HTTP/"));
        if let Some(version) = version {
            note(&mut self.attributes, "network.protocol.version", version);
        }
    }

    /// Notes how a gRPC call ended; the name of an error.
    fn call_error(&mut self, host: &dyn Host) -> Option<&'static str> {
        if !self.grpc {
            return None;
        }
        let status = grpc::status(number(&read(host, "response\0grpc_status")?));
        let name = grpc::name(status);
        note(&mut self.attributes, "rpc.system.name", b"grpc");
        note(&mut self.attributes, "rpc.status_code", name.as_bytes());
        grpc::is_error(status).then_some(name)
    }

    /// What the other filters have decided: what they leave for the access log where they are told to, else what the
    /// details of their answer say.
    fn decisions(&mut self, host: &dyn Host, details: &[u8]) {
        let limited = details.strip_prefix(b"seawall.rate_limit.refused.");
        let breaker = details.strip_prefix(b"seawall.circuit_breaker.");
        for (key, found) in [
            (
                "seawall.rate_limit.decision",
                limited.map(|_| &b"refused"[..]),
            ),
            ("seawall.rate_limit.limit", limited),
            ("seawall.circuit_breaker.verdict", None),
            ("seawall.circuit_breaker.state", breaker),
        ] {
            let left = read(host, key);
            if let Some(value) = left.as_deref().or(found) {
                note(&mut self.attributes, key, value);
            }
        }
        // Says which filter answered, and why: "via_upstream", "seawall.rate_limit.refused.tenant", "seawall.circuit_breaker.open".
        note(&mut self.attributes, "seawall.response_details", details);
    }

    /// Ends it. Without a clock there is no span.
    pub fn end(
        mut self,
        host: &dyn Host,
        settings: &Settings,
        identity: &Identity,
        duration: Option<time::Span>,
    ) -> Option<Span> {
        let (start, end) = times(self.start?, duration, host.now().ok())?;
        let status = read(host, "response\0code").and_then(|bytes| number(&bytes));
        // Envoy's own `100 Continue` is no answer.
        let status = status.filter(|status| *status != 100);
        if let Some(status) = status {
            let key = "http.response.status_code";
            self.attributes.number(key, status);
        }
        let details = read(host, "response\0code_details").unwrap_or_default();
        let kind: Option<Cow<'static, str>> = match status {
            None | Some(0) => Some("aborted".into()),
            Some(status) if status >= 500 => Some(status.to_string().into()),
            Some(status) if cut(host, status, &details) => Some("aborted".into()),
            Some(_) => self.call_error(host).map(Cow::Borrowed),
        };
        let failed = kind.is_some();
        if let Some(kind) = kind {
            self.attributes.text("error.type", &kind);
        }
        self.connection(host);
        self.decisions(host, &details);
        let route = match &settings.endpoint {
            Some(endpoint) => Some(Cow::Borrowed(endpoint.as_bytes())),
            None => read(host, "xds\0route_name").map(Cow::Owned),
        };
        let mut name = self.method.to_owned();
        if let Some(route) = route {
            let route = shown(&route);
            name.push(' ');
            name.push_str(&route);
            // A name that somebody gave a route is no template of a path.
            if settings.endpoint.is_some() || route.starts_with('/') {
                self.attributes.text("http.route", &route);
            }
        }
        note(
            &mut self.attributes,
            "seawall.request_id",
            identity.request_id.as_bytes(),
        );
        Some(Span {
            position: identity.position,
            state: self.state,
            name,
            start,
            end,
            attributes: self.attributes,
            failed,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::{authority, times};
    use seawall_core::time::{Span, Timestamp};

    #[test]
    fn a_span_is_as_long_as_its_request_and_not_in_the_future() {
        let at = Timestamp::from_millis;
        let lasted = |ms| Some(Span::from_millis(ms));
        for (seen, duration, now, expected) in [
            // Headers that came at once; and an account that is given later.
            (100, lasted(5), Some(105), Some((100, 105))),
            (100, lasted(5), Some(190), Some((100, 105))),
            // Headers that took 60 ms to come.
            (100, lasted(65), Some(105), Some((40, 105))),
            // Without one clock or the other.
            (100, lasted(5), None, Some((100, 105))),
            (100, None, Some(107), Some((100, 107))),
            (100, None, None, None),
        ] {
            let expected = expected.map(|(start, end)| (at(start), at(end)));
            assert_eq!(times(at(seen), duration, now.map(at)), expected);
        }
    }

    #[test]
    fn authorities() {
        for (value, address, port) in [
            ("shop", "shop", None),
            ("shop:8080", "shop", Some(8080)),
            ("[::1]:8080", "::1", Some(8080)),
            ("[::1]", "::1", None),
            ("shop:", "shop:", None),
            ("shop:99999", "shop:99999", None),
            ("", "", None),
        ] {
            assert_eq!(authority(value.as_bytes()), (address.as_bytes(), port));
        }
    }
}

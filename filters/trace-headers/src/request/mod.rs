//! One request: its identity is settled with its headers, told to the caller with the response, and accounted for at the
//! end.

pub mod changes;
pub mod identity;
mod log;
pub mod propagate;

use crate::config::Settings;
use crate::counters::Count;
use crate::filter::Shared;
use crate::interop::{Extracted, Field, Inbound};
use crate::response::ServerTiming;
use crate::spans::Server;
use crate::trust;
use identity::{judge, keeps_tracestate, Identity, Judged};
use propagate::Scene;
use seawall_core::host::{Answer, Failure, Host, Level, Map};
use seawall_core::network::peer;
use seawall_core::plugin::{Flow, Stream};
use seawall_core::time::Span;
use std::rc::Rc;

/// One request on its way.
#[derive(Debug)]
pub struct Request {
    shared: Option<Rc<Shared>>,
    /// The settings of its route, once they are known.
    settings: Option<Rc<Settings>>,
    identity: Option<Identity>,
    span: Option<Server>,
    /// Claims are to be looked for: the response has not come yet.
    claims: bool,
}

impl Request {
    pub(crate) fn new(shared: Option<Rc<Shared>>) -> Self {
        Request {
            shared,
            settings: None,
            identity: None,
            span: None,
            claims: false,
        }
    }

    fn receive(&mut self, host: &dyn Host, shared: &Shared, settings: &Settings) -> Answer<()> {
        let headers = host.headers(Map::Request)?;
        let inbound = Inbound::find(&headers, &settings.request_id_header);
        let trusted = settings.trust == trust::Mode::Always || trusted(host, settings);
        let judged = judge(settings, &inbound, trusted, &shared.counters);
        let identity = shared.identify(host, settings, &judged);
        let scene = Scene {
            settings,
            headers: &headers,
            inbound: &inbound,
            judged: &judged,
            counters: &shared.counters,
        };
        let plainly = match &identity {
            Ok(identity) => propagate::plainly(host, &scene, identity),
            Err(_) => Ok(false),
        };
        let as_it_is = matches!(plainly, Ok(true));
        let written = match plainly {
            Ok(false) => propagate::changes(&scene, identity.as_ref().ok()).apply(
                host,
                Map::Request,
                &headers,
            ),
            done => done.map(|_| ()),
        };
        if settings.tenant_id.is_some() || settings.user_id.is_some() {
            log::from_request(host, settings, &headers, &inbound);
            self.claims = settings.claims;
        }
        let sent = inbound.first(Field::RequestId);
        if !trusted || (judged.request_id.is_none() && sent.is_some()) {
            let parent = inbound.first(Field::Traceparent);
            log::refused(host, sent, parent.filter(|_| !trusted));
        }
        let identity = identity?;
        shared.counters.increment(if judged.trace.remote.is_some() {
            Count::TracesContinued
        } else {
            Count::TracesStarted
        });
        if settings.properties {
            log::ids(host, &identity);
        }
        if let Some(spans) = &shared.spans {
            if identity.position.sampled || spans.wants_errors() {
                let mut span = Server::begin(host, &headers);
                let came = inbound.has(Field::Tracestate);
                if came && keeps_tracestate(&judged, &inbound) {
                    // What was not changed need not be asked for.
                    let now;
                    let state = if as_it_is {
                        inbound.first(Field::Tracestate)
                    } else {
                        now = host.header(Map::Request, "tracestate").ok().flatten();
                        now.as_deref()
                    };
                    span.state(state.unwrap_or_default());
                }
                self.span = Some(span);
            }
        }
        self.identity = Some(identity);
        written
    }

    /// The request never came by here: it was answered before. It gets an identity of its own.
    #[inline(never)]
    fn unseen(&mut self, host: &dyn Host, shared: &Shared, settings: &Settings) {
        let nothing = Judged {
            request_id: None,
            trace: Extracted::NOTHING,
            trusted: true,
        };
        if let Ok(identity) = shared.identify(host, settings, &nothing) {
            log::ids(host, &identity);
            self.identity = Some(identity);
        }
    }

    /// What is left to do at the end, where there is something.
    #[inline(never)]
    fn conclude(&mut self, host: &dyn Host, shared: &Shared) {
        let (seen, settings) = match &self.settings {
            Some(settings) => (true, Rc::clone(settings)),
            None => (false, shared.settings(host)),
        };
        if !settings.enabled {
            return;
        }
        if !seen {
            // A filter before this one has answered, and the response did not come by either. Properties that are set here
            // still reach the access log.
            self.unseen(host, shared, &settings);
        }
        if self.claims {
            log::from_claims(host, &settings);
        }
        shared.record_latency(host);
        if let (Some(spans), Some(span), Some(identity)) =
            (&shared.spans, self.span.take(), &self.identity)
        {
            let duration = duration(host);
            if let Some(done) = span.end(host, &settings, identity, duration) {
                let wanted = identity.position.sampled || (spans.wants_errors() && done.failed);
                if wanted && spans.push(&shared.counters, done) {
                    shared.hurry(host);
                }
            }
        }
    }

    fn answer(&self, host: &dyn Host, settings: &Settings) -> Answer<()> {
        let Some(identity) = &self.identity else {
            return Ok(());
        };
        let mut done = Ok(());
        if settings.echo {
            done = host.set_header(
                Map::Response,
                &settings.request_id_header,
                identity.request_id.as_bytes(),
            );
        }
        if settings.server_timing == ServerTiming::Off && !settings.traceresponse {
            return done;
        }
        let position = identity.position.traceparent();
        if let Some(metric) = settings.server_timing.value(&position) {
            done = done.and(host.add_header(Map::Response, "server-timing", &metric));
        }
        if settings.traceresponse {
            done = done.and(host.set_header(Map::Response, "traceresponse", &position.value()));
        }
        done
    }
}

/// Whether the identity of this request's sender counts. What the host cannot tell does not.
#[inline(never)]
fn trusted(host: &dyn Host, settings: &Settings) -> bool {
    let read = |path: &str| host.property(path).ok().flatten().unwrap_or_default();
    match settings.trust {
        trust::Mode::Always => true,
        trust::Mode::Never => false,
        trust::Mode::Cidr => peer(&read("source\0address"))
            .is_some_and(|peer| settings.cidrs.iter().any(|cidr| cidr.contains(peer))),
        trust::Mode::Mtls => {
            let names = [
                "connection\0uri_san_peer_certificate",
                "connection\0dns_san_peer_certificate",
                "connection\0subject_peer_certificate",
            ];
            read("connection\0mtls") == [1]
                && (settings.peers.is_empty()
                    || names.iter().any(|name| {
                        let name = read(name);
                        settings.peers.iter().any(|peer| peer.as_bytes() == name)
                    }))
        }
    }
}

/// The duration of the request at hand, known in its last callback.
fn duration(host: &dyn Host) -> Option<Span> {
    let bytes = host.property("request\0duration").ok().flatten()?;
    let nanos = i64::from_le_bytes(bytes.try_into().ok()?);
    u64::try_from(nanos).ok().map(Span)
}

impl Stream for Request {
    fn request_headers(&mut self, host: &dyn Host, _end_of_stream: bool) -> Flow {
        let Some(shared) = self.shared.clone() else {
            return Flow::Continue;
        };
        let settings = shared.settings(host);
        self.settings = Some(Rc::clone(&settings));
        if settings.enabled {
            if let Err(failure) = self.receive(host, &shared, &settings) {
                shared.trouble(
                    host,
                    "the request goes on without a complete identity",
                    failure,
                );
            }
        }
        Flow::Continue
    }

    fn response_headers(&mut self, host: &dyn Host, _end_of_stream: bool) -> Flow {
        let Some(shared) = self.shared.clone() else {
            return Flow::Continue;
        };
        let seen = self.settings.is_some();
        let settings = match &self.settings {
            Some(settings) => Rc::clone(settings),
            None => shared.settings(host),
        };
        if !settings.enabled {
            return Flow::Continue;
        }
        if !seen {
            self.unseen(host, &shared, &settings);
            self.settings = Some(Rc::clone(&settings));
        }
        if settings.claims {
            self.claims = false;
            log::from_claims(host, &settings);
        }
        if let Err(failure) = self.answer(host, &settings) {
            shared.trouble(host, "the response goes on without an id", failure);
        }
        if let Some(span) = &mut self.span {
            span.response(host);
        }
        Flow::Continue
    }

    fn log(&mut self, host: &dyn Host) {
        let Some(shared) = self.shared.take() else {
            return;
        };
        if self.settings.is_none() || self.claims || shared.watches() {
            self.conclude(host, &shared);
        }
    }
}

impl Shared {
    /// Whether a request is looked at once more at its end.
    fn watches(&self) -> bool {
        self.spans.is_some() || self.routes.is_some() || self.upstreams.is_some()
    }

    fn record_latency(&self, host: &dyn Host) {
        if self.routes.is_none() && self.upstreams.is_none() {
            return;
        }
        let Some(duration) = duration(host) else {
            return;
        };
        let read = |path: &str| host.property(path).ok().flatten().unwrap_or_default();
        if let Some(routes) = &self.routes {
            routes.record(host, &read("xds\0route_name"), duration);
        }
        if let Some(upstreams) = &self.upstreams {
            // The cluster is the route's even where a filter has answered in its place; an address is only there once one of its
            // hosts was chosen.
            let reached = !read("upstream\0address").is_empty();
            let cluster = reached.then(|| read("xds\0cluster_name"));
            upstreams.record(host, &cluster.unwrap_or_default(), duration);
        }
    }

    #[cold]
    #[inline(never)]
    fn trouble(&self, host: &dyn Host, consequence: &str, failure: Failure) {
        self.counters.increment(Count::Errors);
        self.throttle.log(host, Level::Warn, || {
            format!("trace-headers: {consequence}: the host failed: {failure:?}")
        });
    }
}

//! Who a request is: which inbound ids count, and which are made.

use crate::config::Settings;
use crate::counters::{Count, Counters};
use crate::ids::random::Pool;
use crate::ids::request_id::{
    bytes_of, hyphenated, is_safe, plain, version_4, Generator, Kind, RequestId,
};
use crate::ids::{SpanId, TraceId};
use crate::interop::{extract, Decision, Extracted, Field, Format, Inbound, Outbound, Remote};
use crate::sampling::decide;
use seawall_core::host::{Answer, Host};
use seawall_core::time::Timestamp;

/// Where ids come from.
#[derive(Debug, Default)]
pub struct Ids {
    pool: Pool,
    generator: Generator,
}

/// Who a request is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// The request id.
    pub request_id: RequestId,
    /// The position in the trace that goes to the next hop.
    pub position: Outbound,
}

/// What the inbound headers say, judged.
#[derive(Debug, Clone)]
pub struct Judged<'a> {
    /// The request id to keep.
    pub request_id: Option<&'a [u8]>,
    /// The trace to continue.
    pub trace: Extracted,
    /// Whether the sender is trusted.
    pub trusted: bool,
}

/// Judges the inbound ids.
pub fn judge<'a>(
    settings: &Settings,
    inbound: &Inbound<'a>,
    trusted: bool,
    counters: &Counters,
) -> Judged<'a> {
    let sent = inbound.only(Field::RequestId);
    let request_id = sent.filter(|id| trusted && is_safe(id));
    counters.increment(match (request_id, inbound.has(Field::RequestId)) {
        (Some(_), _) => Count::RequestIdsKept,
        (None, false) => Count::RequestIdsCreated,
        (None, true) => Count::RequestIdsReplaced,
    });
    let trace = if inbound.has_no_trace() {
        Extracted::NOTHING
    } else {
        trace(settings, inbound, trusted, counters)
    };
    Judged {
        request_id,
        trace,
        trusted,
    }
}

/// The trace to continue, where something was sent that may be one.
#[inline(never)]
fn trace(
    settings: &Settings,
    inbound: &Inbound<'_>,
    trusted: bool,
    counters: &Counters,
) -> Extracted {
    let mut trace = extract(&settings.read, inbound);
    if !trusted {
        if trace.remote.is_some() {
            counters.increment(Count::TracesUntrusted);
        }
        return Extracted::NOTHING;
    }
    if trace.invalid {
        counters.increment(Count::TraceparentInvalid);
    }
    if trace.conflict {
        counters.increment(Count::Conflicts);
    }
    if let Some((format, remote)) = &mut trace.remote {
        // The random flag goes on with its trace, whatever format names that first; and only others may have no decision.
        if *format != Format::W3c {
            remote.decision = remote.decision.or(trace.decision);
            remote.random = parent_of(remote, inbound).is_some_and(|w3c| w3c.random);
        }
    }
    trace
}

/// The `traceparent`, where it names this trace.
fn parent_of(remote: &Remote, inbound: &Inbound<'_>) -> Option<Remote> {
    let (_, w3c) = extract(&[Format::W3c], inbound).remote?;
    (w3c.trace_id == remote.trace_id).then_some(w3c)
}

impl Ids {
    /// Completes what was kept with what must be made. `now` is asked only for an id that carries the time.
    ///
    /// # Errors
    /// When the host has no randomness.
    pub fn identify(
        &mut self,
        host: &dyn Host,
        settings: &Settings,
        judged: &Judged<'_>,
        now: &dyn Fn() -> Option<Timestamp>,
    ) -> Answer<Identity> {
        let remote = judged.trace.remote.map(|(_, remote)| remote);
        let (request_id, trace_id, random) = match (judged.request_id, remote) {
            (Some(id), Some(remote)) => {
                (RequestId::Kept(id.to_vec()), remote.trace_id, remote.random)
            }
            (Some(id), None) => match bytes_of(id).and_then(TraceId::new) {
                // Nobody says how much of a caller's id is random.
                Some(trace_id) if settings.one_id => {
                    (RequestId::Kept(id.to_vec()), trace_id, false)
                }
                _ => (RequestId::Kept(id.to_vec()), self.trace_id(host)?, true),
            },
            (None, Some(remote)) if settings.one_id => (
                text(settings.request_id_format, &remote.trace_id),
                remote.trace_id,
                remote.random,
            ),
            (None, Some(remote)) => (
                self.request_id(host, settings, now)?,
                remote.trace_id,
                remote.random,
            ),
            (None, None) if settings.one_id => {
                let trace_id = TraceId::from_random(match settings.request_id_format {
                    Kind::Uuidv4 => version_4(self.pool.take(host)?),
                    _ => self.generator.version_7(host, &mut self.pool, now())?,
                });
                (text(settings.request_id_format, &trace_id), trace_id, true)
            }
            (None, None) => (
                self.request_id(host, settings, now)?,
                self.trace_id(host)?,
                true,
            ),
        };
        let decision = remote.map_or(judged.trace.decision, |remote| remote.decision);
        let sampled = decide(settings.sampling, settings.ratio, decision, &trace_id);
        Ok(Identity {
            request_id,
            position: Outbound {
                trace_id,
                span_id: SpanId::from_random(self.pool.take(host)?),
                parent: remote.and_then(|remote| remote.span_id),
                sampled,
                random,
                debug: sampled && decision == Decision::Debug,
            },
        })
    }

    fn request_id(
        &mut self,
        host: &dyn Host,
        settings: &Settings,
        now: &dyn Fn() -> Option<Timestamp>,
    ) -> Answer<RequestId> {
        let kind = settings.request_id_format;
        let now = if kind == Kind::Uuidv7 { now() } else { None };
        self.generator.text(host, &mut self.pool, kind, now)
    }

    fn trace_id(&mut self, host: &dyn Host) -> Answer<TraceId> {
        self.pool.take(host).map(TraceId::from_random)
    }
}

/// A trace id as request id.
fn text(kind: Kind, trace_id: &TraceId) -> RequestId {
    match kind {
        Kind::Uuidv7 | Kind::Uuidv4 => RequestId::Uuid(hyphenated(trace_id.bytes())),
        Kind::Hex32 => RequestId::Digits(plain(trace_id.bytes())),
    }
}

/// True when `tracestate` belongs to the trace that is continued.
pub fn keeps_tracestate(judged: &Judged<'_>, inbound: &Inbound<'_>) -> bool {
    match &judged.trace.remote {
        Some((Format::W3c, _)) => true,
        Some((_, chosen)) => parent_of(chosen, inbound).is_some(),
        None => false,
    }
}

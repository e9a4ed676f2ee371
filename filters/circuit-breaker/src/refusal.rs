//! What is answered instead of a call, and when to come back.

use crate::accept::choose;
use crate::announce::name;
use crate::breaker::{Reason, Refusal};
use crate::failed::copy_stands_by;
use crate::filter::Shared;
use crate::settings::{Answer, Explain, Settings};
use seawall_core::host::{Host, Map};
use seawall_core::plugin::Flow;
use seawall_core::reply::Reply;
use seawall_core::time::Span;

/// The response header of refusals. By the details below response-cache knows them, and may answer with a stale copy instead.
pub const MARK: &str = "x-seawall-breaker";

/// The response header that says when to come back (RFC 9110, section 10.2.3).
const RETRY_AFTER: &str = "retry-after";

/// What `%RESPONSE_CODE_DETAILS%` of every answer of this filter begins with.
pub const DETAILS: &str = "seawall.circuit_breaker.";

/// The status of a gRPC refusal: UNAVAILABLE, which clients may retry.
const UNAVAILABLE: u32 = 14;

/// A call that is refused.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Refused<'a> {
    pub(crate) settings: &'a Settings,
    /// The values of its key, where it has one.
    pub(crate) values: &'a [Vec<u8>],
    pub(crate) on: Refusal,
    pub(crate) reason: Reason,
    /// The time left.
    pub(crate) after: Span,
}

/// Whether the request at hand is a gRPC call, as Envoy has it. What begins like one, such as gRPC-Web, is answered as HTTP.
pub(crate) fn is_grpc(host: &dyn Host) -> bool {
    let kind = host.header(Map::Request, "content-type").ok().flatten();
    kind.is_some_and(|kind| seawall_core::grpc::is_grpc(&kind))
}

/// The answer from the configuration that the request at hand gets.
pub(crate) fn answer_of(host: &dyn Host, settings: &Settings) -> Option<usize> {
    let answers = &settings.fallback.answers;
    // Without types there is nothing to choose.
    if answers.iter().all(|answer| answer.accepts.is_none()) {
        return (!answers.is_empty()).then_some(0);
    }
    let accept = host.header(Map::Request, "accept").ok().flatten();
    choose(answers, accept.as_deref())
}

impl Shared {
    /// Answers the request at hand instead of the upstream, or sends it elsewhere.
    pub(crate) fn refuse(&self, host: &dyn Host, refused: Refused<'_>) -> Flow {
        self.metrics.refused.increment(host);
        let settings = refused.settings;
        let grpc = is_grpc(host);
        let answer = if grpc {
            None
        } else {
            answer_of(host, settings).and_then(|at| settings.fallback.answers.get(at))
        };
        let counter = if answer.is_some() {
            self.metrics.fallback.answer
        } else if self.reroute(host, settings) {
            self.metrics.fallback.route.increment(host);
            return Flow::Continue;
        } else {
            self.metrics.fallback.unavailable
        };
        if send(host, refused, grpc, answer) {
            counter.increment(host);
            Flow::Pause
        } else {
            self.report(host, "the host sends no reply");
            Flow::Continue
        }
    }

    /// Sends the request at hand by another route, unless response-cache has a copy, which takes the place of a refusal. What
    /// another route answers would come first, and end the use of the copy.
    fn reroute(&self, host: &dyn Host, settings: &Settings) -> bool {
        let Some(route) = &settings.fallback.route else {
            return false;
        };
        if copy_stands_by(host) {
            return false;
        }
        let value = route.value.as_bytes();
        let sent = host
            .set_header(Map::Request, &route.header, value)
            .and_then(|()| host.foreign("clear_route_cache", b""));
        if sent.is_err() {
            self.report(host, "the host chooses no other route");
        }
        sent.is_ok()
    }
}

/// The text of the response header.
fn explanation(refused: &Refused<'_>, seconds: &str) -> Option<String> {
    let state = refused.on.word();
    match refused.settings.explain {
        Explain::None => None,
        Explain::State => Some(state.to_owned()),
        // By hand, and of no breaker in particular.
        Explain::Full if refused.on == Refusal::Forced => Some(format!("{state}; retry={seconds}")),
        Explain::Full => {
            let name = name(refused.settings, refused.values);
            // Whatever ends a quoted string has been escaped.
            Some(format!(
                "{state}; reason={}; key=\"{name}\"; retry={seconds}",
                refused.reason.word()
            ))
        }
    }
}

/// `after` is told in whole seconds, rounded up, so that who waits that long is admitted or is a probe (RFC 9110, section
/// 10.2.3).
fn send(host: &dyn Host, refused: Refused<'_>, grpc: bool, answer: Option<&Answer>) -> bool {
    let seconds = refused.after.as_secs_ceil().max(1).to_string();
    let millis = refused.after.as_millis().saturating_add(1).to_string();
    let explanation = explanation(&refused, &seconds);
    let mut headers: Vec<(&str, &[u8])> = Vec::with_capacity(8);
    // What the configuration says of these fields takes their place, for neither may come twice.
    let is_set = |name: &str| answer.is_some_and(|answer| answer.sets(name));
    if !is_set(RETRY_AFTER) {
        headers.push((RETRY_AFTER, seconds.as_bytes()));
    }
    if let Some(text) = explanation.as_ref().filter(|_| !is_set(MARK)) {
        headers.push((MARK, text.as_bytes()));
    }
    if grpc {
        // gRPC proposal A6: the server's word on when to try again.
        headers.push(("grpc-retry-pushback-ms", millis.as_bytes()));
    }
    let (status, body) = match answer {
        Some(answer) => {
            for (name, value) in &answer.headers {
                headers.push((name, value.as_bytes()));
            }
            (answer.status, answer.body.as_bytes())
        }
        None if grpc => (503, &b"circuit breaker open"[..]),
        None => (503, &b"the service is unavailable\n"[..]),
    };
    let mut details = String::with_capacity(40);
    details.push_str(DETAILS);
    details.push_str(refused.on.word());
    let reply = Reply {
        status,
        headers: &headers,
        body,
        grpc_status: grpc.then_some(UNAVAILABLE),
        details: &details,
    };
    host.reply(&reply).is_ok()
}

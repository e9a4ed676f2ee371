//! One request in all filters: forwards with the request, backwards with the response.

use crate::chain::{Chain, Held};
use crate::link::Link;
use crate::memo::Memo;
use seawall_circuit_breaker::CircuitBreaker;
use seawall_core::host::Host;
use seawall_core::plugin::{Flow, Plugin, Stream};
use seawall_rate_limit::RateLimit;
use seawall_response_cache::ResponseCache;
use seawall_trace_headers::TraceHeaders;
use std::cell::RefCell;
use std::rc::Rc;

/// How many filters there are.
const STAGES: usize = 4;

type TraceStream = <TraceHeaders as Plugin>::Stream;
type LimitStream = <RateLimit as Plugin>::Stream;
type CacheStream = <ResponseCache as Plugin>::Stream;
type BreakerStream = <CircuitBreaker as Plugin>::Stream;

/// The streams of a request; `None` for a filter that does not run.
pub(crate) struct Stages {
    pub(crate) trace: Option<TraceStream>,
    pub(crate) limit: Option<LimitStream>,
    pub(crate) cache: Option<CacheStream>,
    pub(crate) breaker: Option<BreakerStream>,
    /// Whether the request ended with its headers.
    ended: bool,
    /// Stages below this one have not seen the response headers yet, because a later one holds them.
    owed: usize,
}

/// Where a step takes place.
#[derive(Clone, Copy)]
pub(crate) struct Place<'a> {
    pub(crate) host: &'a dyn Host,
    pub(crate) chain: &'a Chain,
    pub(crate) context: u32,
    pub(crate) memo: &'a Memo,
}

impl<'a> Place<'a> {
    fn link(self, stage: usize) -> Link<'a> {
        Link::of_stream(self, stage)
    }
}

impl Stages {
    pub(crate) fn new(
        trace: Option<TraceStream>,
        limit: Option<LimitStream>,
        cache: Option<CacheStream>,
        breaker: Option<BreakerStream>,
    ) -> Self {
        Stages {
            trace,
            limit,
            cache,
            breaker,
            ended: false,
            owed: 0,
        }
    }

    fn stage(&mut self, at: usize) -> Option<&mut dyn Stream> {
        match at {
            0 => self.trace.as_mut().map(|stream| stream as &mut dyn Stream),
            1 => self.limit.as_mut().map(|stream| stream as &mut dyn Stream),
            2 => self.cache.as_mut().map(|stream| stream as &mut dyn Stream),
            3 => self
                .breaker
                .as_mut()
                .map(|stream| stream as &mut dyn Stream),
            _ => None,
        }
    }

    /// The request headers reach the first stage.
    pub(crate) fn begin(this: &Rc<RefCell<Self>>, place: Place<'_>, ended: bool) -> Flow {
        if let Ok(mut stages) = this.try_borrow_mut() {
            stages.ended = ended;
        }
        Self::request_from(this, place, 0)
    }

    /// The request headers reach a stage and those behind it. A stage that pauses has answered, or will resume.
    pub(crate) fn request_from(this: &Rc<RefCell<Self>>, place: Place<'_>, first: usize) -> Flow {
        let Ok(mut stages) = this.try_borrow_mut() else {
            return Flow::Continue;
        };
        let ended = stages.ended;
        for at in first..STAGES {
            let Some(stream) = stages.stage(at) else {
                continue;
            };
            if stream.request_headers(&place.link(at), ended) == Flow::Pause {
                let stages = Rc::clone(this);
                place.chain.hold(place.context, Held { stage: at, stages });
                return Flow::Pause;
            }
        }
        Flow::Continue
    }

    /// A part of the request body: the breaker alone wants to know when the request is complete.
    pub(crate) fn request_body(&mut self, place: Place<'_>, size: usize, ended: bool) {
        if let Some(stream) = &mut self.breaker {
            let _ = stream.request_body(&place.link(3), size, ended);
        }
    }

    /// The response headers reach the last stage.
    pub(crate) fn response_headers(&mut self, place: Place<'_>, ended: bool) -> Flow {
        self.response_from(place, STAGES, ended)
    }

    /// The response headers reach the stages before `last`, backwards.
    fn response_from(&mut self, place: Place<'_>, last: usize, ended: bool) -> Flow {
        self.owed = 0;
        for at in (0..last).rev() {
            let Some(stream) = self.stage(at) else {
                continue;
            };
            if stream.response_headers(&place.link(at), ended) == Flow::Pause {
                // An answer given here goes to the client directly: as in a chain, the stages before do not see it.
                if !place.memo.replied.get() {
                    self.owed = at;
                }
                return Flow::Pause;
            }
        }
        Flow::Continue
    }

    /// A part of the response body reaches all stages; when none holds it, headers that were held go on.
    pub(crate) fn response_body(&mut self, place: Place<'_>, size: usize, ended: bool) -> Flow {
        for at in (0..STAGES).rev() {
            let Some(stream) = self.stage(at) else {
                continue;
            };
            if stream.response_body(&place.link(at), size, ended) == Flow::Pause {
                return Flow::Pause;
            }
        }
        self.settle_debt(place)
    }

    pub(crate) fn response_trailers(&mut self, place: Place<'_>) -> Flow {
        for at in (0..STAGES).rev() {
            let Some(stream) = self.stage(at) else {
                continue;
            };
            if stream.response_trailers(&place.link(at)) == Flow::Pause {
                return Flow::Pause;
            }
        }
        self.settle_debt(place)
    }

    fn settle_debt(&mut self, place: Place<'_>) -> Flow {
        match self.owed {
            0 => Flow::Continue,
            owed => self.response_from(place, owed, false),
        }
    }

    /// The end: the trace last, as its span tells what the others decided.
    pub(crate) fn log(&mut self, place: Place<'_>) {
        for at in [1, 2, 3, 0] {
            if let Some(stream) = self.stage(at) {
                stream.log(&place.link(at));
            }
        }
    }
}

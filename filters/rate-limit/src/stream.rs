//! One request: asked on its way in, settled on its way out.

use crate::answer;
use crate::config::{OnError, Settings};
use crate::decide::{decide, Decided, Undecided};
use crate::exchange::{Exchange, Shared};
use crate::filter::Filter;
use crate::outcome::Outcome;
use seawall_core::host::Host;
use seawall_core::plugin::{Flow, Stream};
use std::rc::Rc;

/// A request on its way through the filter.
#[derive(Debug)]
pub struct Request {
    filter: Option<Rc<Filter>>,
    context: u32,
    exchange: Exchange,
    /// Where the rest is kept while the request waits for a service.
    waiting: Option<(u32, Shared)>,
}

impl Request {
    pub(crate) fn new(filter: Option<Rc<Filter>>, context: u32) -> Self {
        Request {
            filter,
            context,
            exchange: Exchange::default(),
            waiting: None,
        }
    }
}

/// Takes back what was kept elsewhere while a request waited. Nobody decides about it any more.
fn resume(filter: &Filter, waiting: &mut Option<(u32, Shared)>, exchange: &mut Exchange) {
    if let Some((token, shared)) = waiting.take() {
        filter.waiting.take(token);
        if let Ok(mut kept) = shared.try_borrow_mut() {
            *exchange = std::mem::take(&mut kept);
        }
    }
}

/// What becomes of a request that nobody can decide about.
#[cold]
fn undecided(
    host: &dyn Host,
    filter: &Filter,
    settings: &Settings,
    exchange: &Exchange,
    error: &Undecided,
) -> Flow {
    filter.trouble(host, || {
        format!("a request could not be decided about: {error:?}")
    });
    exchange.note(host, settings, Outcome::Error, None);
    match settings.on_error {
        OnError::Allow => Flow::Continue,
        // A request that is held without an answer would hang for ever.
        OnError::Deny => match answer::unavailable(host) {
            Ok(()) => Flow::Pause,
            Err(_) => Flow::Continue,
        },
    }
}

impl Stream for Request {
    fn request_headers(&mut self, host: &dyn Host, _end_of_stream: bool) -> Flow {
        let Some(filter) = &self.filter else {
            return Flow::Continue;
        };
        let settings = filter.settings(host);
        if !settings.enabled || settings.limits.is_empty() {
            return Flow::Continue;
        }
        let exchange = &mut self.exchange;
        match decide(host, filter, &settings, self.context, exchange) {
            Ok(Decided::Passes) => {
                if !exchange.told.is_empty() || !exchange.open.is_empty() {
                    exchange.settings = Some(settings);
                }
                Flow::Continue
            }
            Ok(Decided::Answered) => Flow::Pause,
            Ok(Decided::Waits(token, shared)) => {
                self.waiting = Some((token, shared));
                Flow::Pause
            }
            Err(error) => {
                let flow = undecided(host, filter, &settings, exchange, &error);
                // Something may have been admitted before.
                if !exchange.open.is_empty() {
                    exchange.settings = Some(settings);
                }
                flow
            }
        }
    }

    fn response_headers(&mut self, host: &dyn Host, _end_of_stream: bool) -> Flow {
        let Request {
            filter,
            exchange,
            waiting,
            ..
        } = self;
        let Some(filter) = filter else {
            return Flow::Continue;
        };
        resume(filter, waiting, exchange);
        let Some(settings) = exchange.settings.take() else {
            return Flow::Continue;
        };
        // First, so that the fields tell what is left after this response.
        exchange.charge_by_response(host, filter, &settings);
        let shown = exchange.shown(&settings);
        if let Err(error) = answer::add(host, settings.headers, &shown) {
            filter.trouble(host, || {
                format!("a response has no rate limit fields: {error:?}")
            });
        }
        if !exchange.open.is_empty() {
            exchange.settings = Some(settings);
        }
        Flow::Continue
    }

    fn log(&mut self, host: &dyn Host) {
        let Request {
            filter,
            exchange,
            waiting,
            ..
        } = self;
        let Some(filter) = filter else {
            return;
        };
        resume(filter, waiting, exchange);
        exchange.release(host, filter);
    }
}

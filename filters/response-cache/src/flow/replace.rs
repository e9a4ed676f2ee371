//! What is stored in the place of a response whose headers are at hand.

use super::answer::{push_age, Answer};
use super::exchange::{Exchange, Phase};
use super::status::{forwarded, Ended, Forward};
use super::Cx;
use crate::http::request::Method;
use crate::store::Found;
use seawall_core::headers::Headers;
use seawall_core::host::Map;
use seawall_core::plugin::Flow;

/// What follows the headers of a response that is replaced.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Rest {
    /// They are all.
    Nothing,
    /// Nothing that is promised: an end, trailers, or a body of unknown length.
    Something,
    /// A body.
    Body,
}

impl Rest {
    /// Of a response with these fields.
    pub(super) fn of(headers: &Headers, end_of_stream: bool) -> Self {
        let length = headers.get("content-length").map(<[u8]>::trim_ascii);
        match length {
            _ if end_of_stream => Rest::Nothing,
            None | Some(b"0") => Rest::Something,
            Some(_) => Rest::Body,
        }
    }

    /// Of a response that has no body by its status.
    pub(super) fn bodiless(end_of_stream: bool) -> Self {
        if end_of_stream {
            Rest::Nothing
        } else {
            Rest::Something
        }
    }
}

/// Replaces a response of this status, of which fields stay that are for this client alone.
///
/// A response with a body is changed as it passes, so that the filters before this one see it. One without cannot be
/// given a body that way: it is replaced by a local reply, which goes to the client directly. So is one that does not promise
/// any: where nothing but trailers follows, there would be no part to put ours into.
pub(super) fn replace(
    cx: Cx<'_>,
    exchange: &mut Exchange,
    stored: &Found,
    (status, own): (u16, &Headers),
    ended: Ended,
    rest: Rest,
) -> Flow {
    let entry = &stored.entry;
    let Some(mut answer) = Answer::of(entry, exchange) else {
        return Flow::Continue;
    };
    let named = own
        .iter()
        .filter_map(|(name, value)| Some((std::str::from_utf8(name).ok()?, value)));
    answer.fields.extend(named);
    let name = exchange.settings.cache_status.as_deref();
    let forward = exchange.forward.unwrap_or(Forward::Stale);
    let text = name.map(|name| forwarded(name, forward, status, ended));
    let mut age = String::new();
    push_age(&mut age, entry, cx.now);
    answer.fields.push(("age", age.as_bytes()));
    if let Some(text) = &text {
        answer.fields.push(("cache-status", text.as_bytes()));
    }
    if let Some(range) = &answer.content_range {
        answer.fields.push(("content-range", range.as_bytes()));
    }
    if exchange.settings.access_log {
        let word = text.as_deref().unwrap_or("revalidated");
        let _ = cx
            .host
            .set_property("seawall.response_cache", word.as_bytes());
    }
    let sends_body = exchange.request.method != Method::Head && !answer.body.is_empty();
    if rest != Rest::Body && sends_body {
        let request_id = exchange.request.headers.get("x-request-id");
        if let Some(id) = request_id {
            answer.fields.push(("x-request-id", id));
        }
        let replied = answer.send(cx.host, "seawall.response_cache.revalidated");
        exchange.retouch = answer.retouch(exchange.request.method);
        exchange.phase = Phase::Answered;
        return if replied.is_ok() {
            Flow::Pause
        } else {
            Flow::Continue
        };
    }
    let code = answer.status.to_string();
    let length = answer.length.to_string();
    let mut fields: Vec<(&str, &[u8])> = vec![(":status", code.as_bytes())];
    fields.extend(answer.all());
    if answer.status != 304 && answer.status != 204 {
        fields.push(("content-length", length.as_bytes()));
    }
    if cx
        .host
        .set_headers(Map::Response, &Headers::from_pairs(&fields))
        .is_err()
    {
        cx.core
            .failed(cx.host, "response headers could not be replaced");
        return Flow::Continue;
    }
    exchange.phase = if rest == Rest::Nothing {
        Phase::Answered
    } else {
        Phase::Replacing(Some(if sends_body {
            answer.body.to_vec()
        } else {
            Vec::new()
        }))
    };
    Flow::Continue
}

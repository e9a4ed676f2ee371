//! What is answered instead of a refused call.

use super::check::{header_name, within};
use super::raw::{RawAnswer, RawFallback, RawReroute};
use seawall_core::config::{fields, ConfigErrors};
use seawall_core::headers::{is_field_name, is_field_value};

/// An answer from the configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// The media type that a client must accept to get it; `None` is for everybody.
    pub accepts: Option<String>,
    /// The status.
    pub status: u32,
    /// Header fields.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: String,
}

impl Answer {
    /// Whether it has a header field of this name.
    pub(crate) fn sets(&self, name: &str) -> bool {
        self.headers.iter().any(|(field, _)| field == name)
    }
}

/// Another route: this request header is set, and the route is chosen again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reroute {
    /// The field.
    pub header: String,
    /// Its value.
    pub value: String,
}

/// What is answered instead, in this order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fallback {
    /// Answers from the configuration; the first that the client accepts.
    pub answers: Vec<Answer>,
    /// Another route.
    pub route: Option<Reroute>,
    /// Whether a call that fails while the breaker is closed gets an answer from the configuration, too.
    pub on_failure: bool,
}

/// A body in a configuration may be as long as this.
const MOST_BYTES: usize = 64 * 1024;

pub(super) fn validate(raw: RawFallback, errors: &mut ConfigErrors) -> Fallback {
    let mut answers = Vec::new();
    for (at, raw) in raw.by_type.unwrap_or_default().into_iter().enumerate() {
        answers.push(by_type(raw, &format!("fallback.by_type[{at}]"), errors));
    }
    if raw.status.is_some() || raw.headers.is_some() || raw.body.is_some() {
        let plain = RawAnswer {
            r#type: None,
            status: raw.status,
            headers: raw.headers,
            body: raw.body,
        };
        answers.push(answer(plain, "fallback", errors));
    }
    let on_failure = raw.on_failure.unwrap_or(false);
    if on_failure && answers.is_empty() {
        errors.add(
            "fallback.on_failure",
            "needs an answer: status, headers, body or by_type",
        );
    }
    Fallback {
        answers,
        route: raw.route.map(|raw| reroute(raw, errors)),
        on_failure,
    }
}

fn by_type(raw: RawAnswer, path: &str, errors: &mut ConfigErrors) -> Answer {
    let kind = raw.r#type.clone().unwrap_or_default().to_ascii_lowercase();
    if !kind
        .split_once('/')
        .is_some_and(|(kind, subtype)| is_field_name(kind) && is_field_name(subtype))
        || kind.contains('*')
    {
        errors.add(
            format!("{path}.type"),
            // A range is what clients ask for, and no type that an answer could have.
            format!("must be a media type such as application/json, got {kind:?}"),
        );
    }
    let mut answer = answer(raw, path, errors);
    if !answer.sets("content-type") {
        answer
            .headers
            .push(("content-type".to_owned(), kind.clone()));
    }
    answer.accepts = Some(kind);
    answer
}

fn answer(raw: RawAnswer, path: &str, errors: &mut ConfigErrors) -> Answer {
    let join = |field: &str| format!("{path}.{field}");
    let body = raw.body.unwrap_or_default();
    if body.len() > MOST_BYTES {
        errors.add(
            join("body"),
            format!("must be at most {MOST_BYTES} bytes, got {}", body.len()),
        );
    }
    let status = within(errors, &join("status"), raw.status.unwrap_or(503), 200, 599);
    if matches!(status, 204 | 205 | 304) && !body.is_empty() {
        // RFC 9110, sections 6.4.1 and 15.3.6: HTTP/1 clients take such a body for the next response.
        errors.add(
            join("body"),
            format!(
                "must be empty with status {status}, got {} bytes",
                body.len()
            ),
        );
    }
    Answer {
        accepts: None,
        status,
        headers: fields::of_answer(
            raw.headers.unwrap_or_default(),
            &join("headers"),
            &[],
            errors,
        ),
        body,
    }
}

fn reroute(raw: RawReroute, errors: &mut ConfigErrors) -> Reroute {
    let reroute = Reroute {
        header: header_name(
            &raw.header.unwrap_or_default(),
            "fallback.route.header",
            errors,
        ),
        value: raw.value.unwrap_or_else(|| "true".to_owned()),
    };
    if !is_field_value(&reroute.value) {
        errors.add("fallback.route.value", "must not hold control characters");
    }
    reroute
}

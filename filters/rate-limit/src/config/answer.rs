//! What refused requests are answered.

use super::check::within;
use super::raw::RawAnswer;
use super::Answers;
use seawall_core::config::{fields, ConfigErrors};
use seawall_core::time::Span;

/// What refusals say by themselves.
const OWN_FIELDS: [&str; 11] = [
    "content-type",
    "grpc-message",
    "grpc-retry-pushback-ms",
    "grpc-status",
    "ratelimit",
    "ratelimit-policy",
    "retry-after",
    "x-envoy-ratelimited",
    "x-ratelimit-limit",
    "x-ratelimit-remaining",
    "x-ratelimit-reset",
];

pub(super) fn answers(raw: RawAnswer, errors: &mut ConfigErrors) -> Answers {
    let status = within(raw.status, 429, 400, 599, "answer.status", errors);
    let body = raw
        .body
        .unwrap_or_else(|| "rate limit exceeded\n".to_owned());
    let longest = 65_536;
    if body.len() > longest {
        let problem = format!("must be at most {longest} bytes, got {}", body.len());
        errors.add("answer.body", problem);
    }
    let content_type = raw.content_type.unwrap_or_else(|| "text/plain".to_owned());
    if content_type
        .bytes()
        .any(|byte| !(b' '..=b'~').contains(&byte))
    {
        let problem = format!("must be printable ASCII, got {content_type:?}");
        errors.add("answer.content_type", problem);
    }
    let headers = fields::of_answer(
        raw.headers.unwrap_or_default(),
        "answer.headers",
        &OWN_FIELDS,
        errors,
    );
    let hour = Span::from_secs(3_600);
    Answers {
        status: u16::try_from(status).unwrap_or(429),
        body,
        content_type,
        headers,
        problem_json: raw.problem_json.unwrap_or(true),
        jitter: within(
            raw.retry_after_jitter,
            Span::ZERO,
            Span::ZERO,
            hour,
            "answer.retry_after_jitter",
            errors,
        ),
    }
}

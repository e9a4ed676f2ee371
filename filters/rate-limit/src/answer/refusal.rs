//! The answer to a refused request: plain, as a problem document (RFC 9457), or for a gRPC caller.

use super::fields::{policy, ratelimit, retry_after, text, x_ratelimit, Shown};
use crate::config::{Answers, HeaderFields};
use crate::key::Facts;
use seawall_core::grpc::is_grpc;
use seawall_core::host::{Answer, Host};
use seawall_core::reply::Reply;
use seawall_core::time::Span;
use serde_json::json;
use std::borrow::Cow;

/// Why a request is refused.
#[derive(Debug)]
pub struct Refusal<'a> {
    /// The limits that refused it.
    pub violated: &'a [&'a str],
    /// After this time it is admitted; `None` when waiting does not help.
    pub wait: Option<Span>,
    /// It is on account of a penalty.
    pub banned: bool,
    /// All limits that are shown.
    pub shown: &'a [Shown<'a>],
}

impl<'a> Refusal<'a> {
    /// Those of the limits shown that refused it, for which it has to wait; all where none is shown.
    fn to_blame(&self) -> Vec<Shown<'a>> {
        let shown = self.shown.iter().copied();
        let blamed: Vec<_> = shown
            .filter(|limit| self.violated.contains(&limit.name))
            .collect();
        if blamed.is_empty() {
            self.shown.to_vec()
        } else {
            blamed
        }
    }
}

/// `RESOURCE_EXHAUSTED`.
const EXHAUSTED: u32 = 8;

/// Answers the request.
///
/// # Errors
/// When the host fails.
pub fn refuse(
    host: &dyn Host,
    facts: &Facts<'_>,
    answers: &Answers,
    fields: HeaderFields,
    refusal: &Refusal<'_>,
) -> Answer<()> {
    let wait = refusal
        .wait
        .map(|wait| wait.saturating_add(jitter(host, answers.jitter)));
    let grpc = facts
        .header("content-type")?
        .is_some_and(|kind| is_grpc(&kind));
    let mut headers: Vec<(&str, Cow<'_, [u8]>)> = Vec::with_capacity(8);
    if let Some(wait) = wait {
        headers.push(("retry-after", text(retry_after(wait)).into()));
    }
    if fields.ietf && !refusal.shown.is_empty() {
        headers.push(("ratelimit-policy", policy(refusal.shown)));
        headers.push(("ratelimit", ratelimit(refusal.shown).into()));
    }
    if fields.x_ratelimit {
        let all = x_ratelimit(&refusal.to_blame());
        headers.extend(all.into_iter().map(|(name, value)| (name, value.into())));
    }
    // Tells an Envoy in front not to try again.
    headers.push(("x-envoy-ratelimited", b"true"[..].into()));
    let body: Cow<'_, [u8]> = if grpc {
        // Negative means: do not try again (gRPC proposal A6).
        // So is a time that does not fit into the 32 bits that a client reads, the 25th day.
        let millis = wait.map(|wait| wait.as_nanos().div_ceil(1_000_000).max(1));
        let fitting = millis.filter(|millis| i32::try_from(*millis).is_ok());
        let pushback = fitting.map_or_else(|| b"-1".to_vec(), text);
        headers.push(("grpc-retry-pushback-ms", pushback.into()));
        message(&answers.body).as_bytes().into()
    } else if answers.problem_json && accepts_problem(facts)? {
        headers.push(("content-type", b"application/problem+json"[..].into()));
        problem(answers.status, refusal).into()
    } else {
        headers.push(("content-type", answers.content_type.as_bytes().into()));
        answers.body.as_bytes().into()
    };
    let given = answers.headers.iter();
    let given = given.map(|(name, value)| (name.as_str(), value.as_bytes()));
    let headers: Vec<(&str, &[u8])> = headers
        .iter()
        .map(|(name, value)| (*name, &**value))
        .chain(given)
        .collect();
    // Put together without formatting, which takes several times as much.
    let mut details = String::with_capacity(96);
    details.push_str("seawall.rate_limit.refused.");
    details.push_str(refusal.violated.first().copied().unwrap_or_default());
    host.reply(&Reply {
        status: u32::from(answers.status),
        headers: &headers,
        body: &body,
        grpc_status: grpc.then_some(EXHAUSTED),
        details: &details,
    })
}

/// The body as a gRPC message. That is a header, of which clients take 8 KiB in all, and three bytes may be needed for one.
fn message(body: &str) -> &str {
    const LONGEST: usize = 1_024;
    let text = body.trim_end();
    let mut ends = (0..=text.len().min(LONGEST)).rev();
    let end = ends.find(|end| text.is_char_boundary(*end));
    text.get(..end.unwrap_or_default()).unwrap_or_default()
}

/// Answers a request of which nobody knows whether it would be admitted, where that is to mean no.
///
/// # Errors
/// When the host fails.
pub fn unavailable(host: &dyn Host) -> Answer<()> {
    host.reply(&Reply {
        status: 503,
        headers: &[("content-type", b"text/plain")],
        body: b"rate limit unavailable\n",
        grpc_status: None,
        details: "seawall.rate_limit.undecided",
    })
}

/// Whole seconds by chance, so that clients do not come back together.
fn jitter(host: &dyn Host, most: Span) -> Span {
    let choices = most.as_secs().saturating_add(1);
    if choices == 1 {
        return Span::ZERO;
    }
    let mut bytes = [0; 8];
    // Without chance there is no jitter, which is no reason to fail.
    let _ = host.random(&mut bytes);
    let chosen = u64::from_le_bytes(bytes).checked_rem(choices);
    Span::from_secs(chosen.unwrap_or_default())
}

/// True when the client names the type, or all of `application`. What it says of the type itself counts more (RFC 9110,
/// section 12.5.1).
fn accepts_problem(facts: &Facts<'_>) -> Answer<bool> {
    let Some(accept) = facts.header("accept")? else {
        return Ok(false);
    };
    let (mut named, mut range) = (None, None);
    for item in accept.split(|byte| *byte == b',') {
        let mut pieces = item.split(|byte| *byte == b';').map(<[u8]>::trim_ascii);
        let kind = pieces.next().unwrap_or_default();
        let accepted = !pieces.any(is_zero_weight);
        if kind.eq_ignore_ascii_case(b"application/problem+json") {
            named = Some(accepted);
        } else if kind.eq_ignore_ascii_case(b"application/*") {
            range = Some(accepted);
        }
    }
    Ok(named.or(range).unwrap_or_default())
}

fn is_zero_weight(parameter: &[u8]) -> bool {
    let weight = match parameter {
        [b'q' | b'Q', b'=', weight @ ..] => weight,
        _ => return false,
    };
    !weight.is_empty() && weight.iter().all(|byte| matches!(byte, b'0' | b'.'))
}

fn problem(status: u16, refusal: &Refusal<'_>) -> Vec<u8> {
    let (kind, title) = if refusal.banned {
        (
            "abnormal-usage-detected",
            "Request not satisfied due to detection of an abnormal request pattern",
        )
    } else if status == 503 {
        (
            "temporary-reduced-capacity",
            "Request cannot be satisfied due to temporary server capacity constraints",
        )
    } else {
        (
            "quota-exceeded",
            "Request cannot be satisfied as assigned quota has been exceeded",
        )
    };
    let document = json!({
        "type": format!("https://iana.org/assignments/http-problem-types#{kind}"),
        "title": title,
        "status": status,
        "violated-policies": refusal.violated,
    });
    document.to_string().into_bytes()
}

//! `RateLimit` and `RateLimit-Policy` (draft-ietf-httpapi-ratelimit-headers: lists of structured strings with parameters,
//! RFC 9651), and the older `X-RateLimit-*`.

use crate::config::HeaderFields;
use seawall_core::host::{Answer, Host, Map};
use seawall_core::time::Span;
use std::borrow::Cow;
use std::cmp::Reverse;

/// What is shown of one limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shown<'a> {
    /// The limit's name.
    pub name: &'a str,
    /// Its item in `RateLimit-Policy`.
    pub policy: &'a str,
    /// The most that can be left.
    pub most: u64,
    /// What is left.
    pub remaining: u64,
    /// When more is left.
    pub more: Option<Span>,
}

/// Integers of structured fields have at most 15 digits (RFC 9651, section 3.3.1).
const LARGEST: u64 = 999_999_999_999_999;

fn number(out: &mut Vec<u8>, number: u64) {
    out.extend_from_slice(itoa::Buffer::new().format(number.min(LARGEST)).as_bytes());
}

/// A number as text.
pub(super) fn text(value: u64) -> Vec<u8> {
    let mut out = Vec::with_capacity(20);
    number(&mut out, value);
    out
}

/// The value of `RateLimit`.
pub(super) fn ratelimit(shown: &[Shown<'_>]) -> Vec<u8> {
    let mut out = Vec::with_capacity(48);
    for limit in shown {
        if !out.is_empty() {
            out.extend_from_slice(b", ");
        }
        out.push(b'"');
        out.extend_from_slice(limit.name.as_bytes());
        out.extend_from_slice(b"\";r=");
        number(&mut out, limit.remaining);
        if let Some(more) = limit.more {
            out.extend_from_slice(b";t=");
            number(&mut out, more.as_secs_ceil());
        }
    }
    out
}

/// The value of `RateLimit-Policy`.
pub(super) fn policy<'s>(shown: &'s [Shown<'_>]) -> Cow<'s, [u8]> {
    if let [only] = shown {
        return Cow::Borrowed(only.policy.as_bytes());
    }
    let mut out = Vec::with_capacity(48);
    for limit in shown {
        if !out.is_empty() {
            out.extend_from_slice(b", ");
        }
        out.extend_from_slice(limit.policy.as_bytes());
    }
    Cow::Owned(out)
}

/// The limit of which least is left, for the longest time.
pub(super) fn tightest<'s, 'a>(shown: &'s [Shown<'a>]) -> Option<&'s Shown<'a>> {
    let order = |limit: &&Shown<'_>| (limit.remaining, Reverse(limit.more));
    shown.iter().min_by_key(order)
}

/// `X-RateLimit-Limit`, `-Remaining` and `-Reset` (in seconds from now) of the tightest limit.
pub(super) fn x_ratelimit(shown: &[Shown<'_>]) -> Vec<(&'static str, Vec<u8>)> {
    let Some(limit) = tightest(shown) else {
        return Vec::new();
    };
    let reset = limit.more.map_or(0, Span::as_secs_ceil);
    vec![
        ("x-ratelimit-limit", text(limit.most)),
        ("x-ratelimit-remaining", text(limit.remaining)),
        ("x-ratelimit-reset", text(reset)),
    ]
}

/// Adds the fields to the response at hand. What the upstream has set stays: both lists may have several lines, and of the
/// single-valued fields the stricter ones are kept.
///
/// # Errors
/// When the host fails.
pub fn add(host: &dyn Host, fields: HeaderFields, shown: &[Shown<'_>]) -> Answer<()> {
    let Some(tightest) = tightest(shown) else {
        return Ok(());
    };
    if tightest.remaining == 0 && is_redirect(host)? {
        // A client that is told to wait might not follow (section "Server Behavior" of the draft).
        return Ok(());
    }
    if fields.ietf {
        host.add_header(Map::Response, "ratelimit-policy", &policy(shown))?;
        host.add_header(Map::Response, "ratelimit", &ratelimit(shown))?;
    }
    if fields.x_ratelimit && left_upstream(host)?.is_none_or(|theirs| theirs > tightest.remaining) {
        for (name, value) in x_ratelimit(shown) {
            host.set_header(Map::Response, name, &value)?;
        }
    }
    Ok(())
}

/// What the upstream says is left: the least of its lines and of what stands in them. `None` where it says no number.
#[inline(never)]
fn left_upstream(host: &dyn Host) -> Answer<Option<u64>> {
    const NAME: &str = "x-ratelimit-remaining";
    if host.header(Map::Response, NAME)?.is_none() {
        return Ok(None);
    }
    let headers = host.headers(Map::Response)?;
    let items = headers
        .all(NAME)
        .flat_map(|line| line.split(|byte| *byte == b','));
    Ok(items.filter_map(whole_part).min())
}

/// The number that a text begins with, without what follows: a fraction, or parameters. Below zero there is nothing left.
fn whole_part(text: &[u8]) -> Option<u64> {
    let text = std::str::from_utf8(text).ok()?.trim();
    let end = text.find(|c: char| !c.is_ascii_digit());
    match text.get(..end.unwrap_or(text.len()))? {
        "" => text.starts_with('-').then_some(0),
        digits => Some(digits.parse().unwrap_or(u64::MAX)),
    }
}

fn is_redirect(host: &dyn Host) -> Answer<bool> {
    let status = host.header(Map::Response, ":status")?;
    // 304 sends nobody anywhere.
    Ok(status.is_some_and(|status| status.starts_with(b"3") && status != b"304"))
}

/// Whole seconds for `Retry-After`: rounded up, at least 1.
pub fn retry_after(wait: Span) -> u64 {
    wait.as_secs_ceil().max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(remaining: u64, more: Option<u64>) -> Shown<'static> {
        Shown {
            name: "a",
            policy: "\"a\";q=5;w=60",
            most: 5,
            remaining,
            more: more.map(Span),
        }
    }

    #[test]
    fn structured_fields() {
        let both = [shown(3, Some(1)), shown(u64::MAX, None)];
        assert_eq!(
            String::from_utf8(ratelimit(&both)).unwrap(),
            "\"a\";r=3;t=1, \"a\";r=999999999999999"
        );
        assert_eq!(
            String::from_utf8(policy(&both).into_owned()).unwrap(),
            "\"a\";q=5;w=60, \"a\";q=5;w=60"
        );
    }

    #[test]
    fn waiting_is_rounded_up_and_never_zero() {
        for (nanos, seconds) in [(0, 1), (1, 1), (1_000_000_000, 1), (1_000_000_001, 2)] {
            assert_eq!(retry_after(Span(nanos)), seconds);
        }
    }
}

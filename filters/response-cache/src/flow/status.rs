//! `Cache-Status` (RFC 9211), and the word for the access log.

use crate::entry::Meta;
use crate::http::storable::Refusal;
use crate::text::push_number;
use seawall_core::time::Timestamp;

/// Why a request went to the origin (RFC 9211, section 2.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Forward {
    /// A rule, another protocol, or the host's failure.
    Bypass,
    /// The method is not one that is answered from the cache.
    Method,
    /// Nothing is stored for the URL.
    UriMiss,
    /// Something is stored for the URL, but not for these request fields.
    VaryMiss,
    /// The request's `Cache-Control` wanted it.
    Request,
    /// What is stored is stale.
    Stale,
    /// What is stored is fresh; this request was chosen to refresh it early.
    Early,
}

impl Forward {
    /// Its token.
    pub fn token(self) -> &'static str {
        match self {
            Forward::Bypass => "bypass",
            Forward::Method => "method",
            Forward::UriMiss => "uri-miss",
            Forward::VaryMiss => "vary-miss",
            Forward::Request => "request",
            Forward::Stale | Forward::Early => "stale",
        }
    }
}

/// `ttl`: how long it stays fresh, negative since when it is not.
fn push_ttl(text: &mut String, meta: &Meta, now: Timestamp, purged: Option<Timestamp>) {
    let until = meta.fresh_until();
    let until = purged.map_or(until, |at| until.min(at));
    if until >= now {
        push_number(text, until.since(now).as_secs());
    } else {
        text.push('-');
        push_number(text, now.since(until).as_secs_ceil());
    }
}

/// For an answer from the cache without asking the origin.
pub fn hit(
    name: &str,
    meta: &Meta,
    now: Timestamp,
    purged: Option<Timestamp>,
    collapsed: Option<Forward>,
    detail: &str,
) -> String {
    // Room for what callers add.
    let mut text = String::with_capacity(96);
    text.push_str(name);
    // A collapsed request was answered by another one's trip to the origin (section 2.6).
    match collapsed {
        Some(forward) => {
            text.push_str("; fwd=");
            text.push_str(forward.token());
            text.push_str("; collapsed");
        }
        None => text.push_str("; hit"),
    }
    text.push_str("; ttl=");
    push_ttl(&mut text, meta, now, purged);
    if !detail.is_empty() {
        text.push_str("; detail=");
        text.push_str(detail);
    }
    text
}

/// How a trip to the origin ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    /// Its answer is passed on and stored.
    Stored,
    /// Its answer is passed on and not stored.
    NotStored(Option<Refusal>),
    /// It made what is stored fresh again.
    Revalidated,
    /// It failed, and what is stored stands in.
    StaleIfError,
}

/// For an answer that came by way of the origin.
pub fn forwarded(name: &str, forward: Forward, status: u16, ended: Ended) -> String {
    let mut text = String::with_capacity(96);
    text.push_str(name);
    text.push_str("; fwd=");
    text.push_str(forward.token());
    if ended != Ended::NotStored(None) {
        text.push_str("; fwd-status=");
        push_number(&mut text, u64::from(status));
    }
    match ended {
        Ended::Stored | Ended::Revalidated => {
            text.push_str("; stored");
            // RFC 9211 has no word for going to the origin while what is stored is fresh.
            if forward == Forward::Early {
                text.push_str("; detail=early-refresh");
            }
        }
        Ended::NotStored(Some(refusal)) => {
            text.push_str("; detail=");
            let name = refusal.name().chars();
            text.extend(name.map(|letter| if letter == '_' { '-' } else { letter }));
        }
        Ended::NotStored(None) => {}
        Ended::StaleIfError => text.push_str("; detail=stale-if-error"),
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use seawall_core::time::Span;

    #[test]
    fn says_what_happened() {
        let meta = Meta {
            arrived: Timestamp::from_secs(100),
            lifetime: Span::from_secs(60),
            ..Meta::default()
        };
        let at = Timestamp::from_secs;
        assert_eq!(hit("c", &meta, at(110), None, None, ""), "c; hit; ttl=50");
        assert_eq!(
            hit("c", &meta, at(170), None, None, "swr"),
            "c; hit; ttl=-10; detail=swr"
        );
        assert_eq!(
            hit("c", &meta, at(110), Some(at(105)), None, ""),
            "c; hit; ttl=-5"
        );
        assert_eq!(
            hit("c", &meta, at(100), None, Some(Forward::UriMiss), ""),
            "c; fwd=uri-miss; collapsed; ttl=60"
        );
        assert_eq!(
            forwarded("c", Forward::UriMiss, 200, Ended::Stored),
            "c; fwd=uri-miss; fwd-status=200; stored"
        );
        assert_eq!(
            forwarded("c", Forward::Early, 200, Ended::Stored),
            "c; fwd=stale; fwd-status=200; stored; detail=early-refresh"
        );
        assert_eq!(
            forwarded(
                "c",
                Forward::Stale,
                200,
                Ended::NotStored(Some(Refusal::NoStore))
            ),
            "c; fwd=stale; fwd-status=200; detail=no-store"
        );
        assert_eq!(
            forwarded("c", Forward::Bypass, 200, Ended::NotStored(None)),
            "c; fwd=bypass"
        );
    }
}

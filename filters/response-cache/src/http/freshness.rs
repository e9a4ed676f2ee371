//! How long a response is fresh (RFC 9111, section 4.2.1 and 4.2.2), and what the operator says instead.

use super::age::date_value;
use super::directives::ResponseDirectives;
use seawall_core::date;
use seawall_core::headers::Headers;
use seawall_core::time::{Span, Timestamp};

/// Where a lifetime comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Source {
    /// `s-maxage`, which forbids stale use as well (RFC 9111, section 5.2.2.10).
    SharedMaxAge,
    /// `max-age`
    MaxAge,
    /// `Expires`
    Expires,
    /// Guessed from `Last-Modified`, where the operator allows it.
    Heuristic,
    /// The operator's configuration, where the response says nothing.
    Configured,
    /// The operator's configuration, whatever the response says.
    Forced,
    /// Nobody said anything.
    None,
}

/// A freshness lifetime.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lifetime {
    /// How long; zero where nothing says anything.
    pub span: Span,
    /// Who says so.
    pub source: Source,
}

/// The operator's word on lifetimes.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Policy {
    /// Holds whatever the origin says.
    pub forced: Option<Span>,
    /// Holds where the origin says nothing.
    pub default: Option<Span>,
    /// The share of the time since `Last-Modified` that counts as fresh, and the most that it may give.
    pub heuristic: Option<(f64, Span)>,
}

/// Statuses that are fresh by heuristics unless something else is said (RFC 9110, section 15.1).
pub fn heuristically_cacheable(status: u16) -> bool {
    matches!(
        status,
        200 | 203 | 204 | 300 | 301 | 308 | 404 | 405 | 410 | 414 | 501
    )
}

/// True for streams that are made for who asks now and may have no end. Whoever asked meanwhile would wait for it, and an
/// `EventSource` would get the same events again whenever it comes back.
fn is_stream(headers: &Headers) -> bool {
    let kind = headers.get("content-type").unwrap_or_default();
    let kind = kind.split(|byte| *byte == b';').next().unwrap_or_default();
    let kind = kind.trim_ascii();
    kind.eq_ignore_ascii_case(b"text/event-stream")
        || kind.eq_ignore_ascii_case(b"multipart/x-mixed-replace")
}

/// The lifetime of a response. What the operator says is not for streams, which have one only where they say so themselves.
/// `targeted` says that `directives` come from a target field, for which `Expires` does not
/// count (RFC 9213, section 2.1).
pub fn lifetime(
    status: u16,
    headers: &Headers,
    directives: &ResponseDirectives,
    targeted: bool,
    arrived: Timestamp,
    policy: &Policy,
) -> Lifetime {
    let of = |span, source| Lifetime { span, source };
    let none = Policy::default();
    let policy = if *policy != none && is_stream(headers) {
        &none
    } else {
        policy
    };
    if let Some(forced) = policy.forced {
        return of(forced, Source::Forced);
    }
    if let Some(seconds) = directives.s_maxage {
        return of(Span::from_secs(seconds.or_zero()), Source::SharedMaxAge);
    }
    if let Some(seconds) = directives.max_age {
        return of(Span::from_secs(seconds.or_zero()), Source::MaxAge);
    }
    if !targeted {
        if let Some(span) = expires(headers, arrived) {
            return of(span, Source::Expires);
        }
    }
    if let Some(default) = policy.default {
        return of(default, Source::Configured);
    }
    let cacheable = heuristically_cacheable(status) || directives.public;
    match policy.heuristic.filter(|_| cacheable) {
        Some((fraction, most)) => match since_modification(headers, arrived) {
            Some(unchanged) => of(unchanged.scale(fraction).min(most), Source::Heuristic),
            None => of(Span::ZERO, Source::None),
        },
        None => of(Span::ZERO, Source::None),
    }
}

/// `Expires` minus `Date`. A field that is no date has expired (RFC 9111, section 5.3), and so have several that differ.
fn expires(headers: &Headers, arrived: Timestamp) -> Option<Span> {
    let mut lines = headers.all("expires");
    let first = lines.next()?;
    if lines.any(|line| line != first) {
        return Some(Span::ZERO);
    }
    let Some(expires) = date::parse(first, arrived) else {
        return Some(Span::ZERO);
    };
    Some(expires.since(date_value(headers, arrived)))
}

fn since_modification(headers: &Headers, arrived: Timestamp) -> Option<Span> {
    let modified = date::parse(headers.get("last-modified")?, arrived)?;
    Some(date_value(headers, arrived).since(modified))
}

#[cfg(test)]
mod tests {
    use super::*;
    use seawall_core::date::format;

    const NOW: Timestamp = Timestamp::from_secs(1_790_000_000);

    fn at(offset: i64) -> String {
        format(Timestamp::from_secs(
            1_790_000_000u64.saturating_add_signed(offset),
        ))
    }

    fn of(pairs: &[(&str, &str)], policy: Policy) -> (u64, Source) {
        let headers = Headers::from_pairs(pairs);
        let directives = ResponseDirectives::read(&headers, "cache-control").unwrap_or_default();
        let found = lifetime(200, &headers, &directives, false, NOW, &policy);
        (found.span.as_secs(), found.source)
    }

    #[test]
    fn an_event_stream_has_the_lifetime_that_it_says_itself_and_no_other() {
        let policy = Policy {
            forced: Some(Span::from_secs(1)),
            default: Some(Span::from_secs(2)),
            heuristic: Some((0.1, Span::from_secs(3))),
        };
        for kind in [
            "text/event-stream",
            "Text/Event-Stream ; charset=utf-8",
            "multipart/x-mixed-replace; boundary=frame",
        ] {
            let kind = ("content-type", kind);
            assert_eq!(of(&[kind], policy), (0, Source::None));
            let said = ("cache-control", "max-age=60");
            assert_eq!(of(&[kind, said], policy), (60, Source::MaxAge));
        }
        let text = ("content-type", "text/event-streams");
        assert_eq!(of(&[text], policy), (1, Source::Forced));
    }

    #[test]
    fn s_maxage_before_max_age_before_expires() {
        let policy = Policy::default();
        let expires = at(3600);
        assert_eq!(
            of(&[("cache-control", "max-age=60, s-maxage=10")], policy),
            (10, Source::SharedMaxAge)
        );
        assert_eq!(
            of(
                &[("expires", &expires), ("cache-control", "max-age=0")],
                policy
            ),
            (0, Source::MaxAge)
        );
        assert_eq!(
            of(&[("expires", &expires), ("date", &at(0))], policy),
            (3600, Source::Expires)
        );
        assert_eq!(of(&[], policy), (0, Source::None));
    }

    #[test]
    fn expires_in_all_its_invalid_forms_has_expired() {
        let policy = Policy::default();
        for text in ["0", "-1", "", "Thu, 18 Aug 2050 02:01:18 UTC"] {
            assert_eq!(
                of(&[("expires", text)], policy),
                (0, Source::Expires),
                "{text}"
            );
        }
        assert_eq!(
            of(&[("expires", &at(10)), ("expires", &at(3600))], policy),
            (0, Source::Expires)
        );
        assert_eq!(
            of(&[("expires", &at(300)), ("date", &at(400))], policy),
            (0, Source::Expires)
        );
        assert_eq!(
            of(&[("expires", &at(10)), ("date", "foo")], policy),
            (10, Source::Expires)
        );
    }

    #[test]
    fn the_operator_decides_where_asked() {
        let forced = Policy {
            forced: Some(Span::from_secs(7)),
            ..Policy::default()
        };
        let default = Policy {
            default: Some(Span::from_secs(7)),
            ..Policy::default()
        };
        assert_eq!(
            of(&[("cache-control", "max-age=60")], forced),
            (7, Source::Forced)
        );
        assert_eq!(
            of(&[("cache-control", "max-age=60")], default),
            (60, Source::MaxAge)
        );
        assert_eq!(of(&[], default), (7, Source::Configured));
    }

    #[test]
    fn heuristics_are_by_choice_and_bounded() {
        let modified = at(-1000);
        let pairs = [("last-modified", modified.as_str())];
        assert_eq!(of(&pairs, Policy::default()), (0, Source::None));
        let tenth = Policy {
            heuristic: Some((0.1, Span::from_secs(3600))),
            ..Policy::default()
        };
        assert_eq!(of(&pairs, tenth), (100, Source::Heuristic));
        let short = Policy {
            heuristic: Some((0.1, Span::from_secs(60))),
            ..Policy::default()
        };
        assert_eq!(of(&pairs, short), (60, Source::Heuristic));
        assert_eq!(of(&[], tenth), (0, Source::None));
    }
}

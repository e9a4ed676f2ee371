//! Whether a response may be stored (RFC 9111, section 3), and why not.

use super::directives::{Qualified, ResponseDirectives, Seconds};
use super::freshness::{heuristically_cacheable, Lifetime, Source};
use seawall_core::headers::Headers;

/// Why a response is not stored. Each has a metric and a word in `Cache-Status`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Refusal {
    /// The request said `no-store`.
    RequestNoStore,
    /// The response says `no-store`, or `must-understand` with a status that is not understood.
    NoStore,
    /// The response is for one client only.
    Private,
    /// The request had `Authorization` and the response does not allow sharing it.
    Authorization,
    /// The response sets a cookie.
    SetCookie,
    /// The response varies by everything, or by what cannot be read.
    VaryStar,
    /// Nothing says that it is ever fresh, nor can it be stored to be validated before each use.
    NoFreshness,
    /// A status that is never stored: partial, interim, not modified.
    Status,
    /// `Cache-Control` cannot be read, or keeps out a field without which the body is of no use.
    Malformed,
    /// The body is larger than `max_entry_bytes`.
    TooLarge,
    /// The body ended early.
    Incomplete,
    /// A rule of the configuration says so.
    Rule,
    /// All memory is used by entries that are asked for more often.
    Admission,
    /// It was invalidated or purged while it was on its way.
    Outdated,
    /// The host failed, or there was no place to keep the body meanwhile.
    Internal,
}

impl Refusal {
    /// All of them, for the metrics.
    pub const ALL: [Refusal; 15] = [
        Refusal::RequestNoStore,
        Refusal::NoStore,
        Refusal::Private,
        Refusal::Authorization,
        Refusal::SetCookie,
        Refusal::VaryStar,
        Refusal::NoFreshness,
        Refusal::Status,
        Refusal::Malformed,
        Refusal::TooLarge,
        Refusal::Incomplete,
        Refusal::Rule,
        Refusal::Admission,
        Refusal::Outdated,
        Refusal::Internal,
    ];

    /// Its name in metrics and, with dashes, in `Cache-Status`.
    pub fn name(self) -> &'static str {
        match self {
            Refusal::RequestNoStore => "request_no_store",
            Refusal::NoStore => "no_store",
            Refusal::Private => "private",
            Refusal::Authorization => "authorization",
            Refusal::SetCookie => "set_cookie",
            Refusal::VaryStar => "vary_star",
            Refusal::NoFreshness => "no_freshness",
            Refusal::Status => "status",
            Refusal::Malformed => "malformed",
            Refusal::TooLarge => "too_large",
            Refusal::Incomplete => "incomplete",
            Refusal::Rule => "rule",
            Refusal::Admission => "admission",
            Refusal::Outdated => "outdated",
            Refusal::Internal => "internal",
        }
    }

    /// True where the same request would most likely end so again: it is remembered, so that others do not wait for it.
    pub fn lasts(self) -> bool {
        !matches!(
            self,
            Refusal::RequestNoStore | Refusal::Incomplete | Refusal::Outdated | Refusal::Internal
        )
    }
}

/// What the decision needs besides the response.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Circumstances {
    /// The request had an `Authorization` field that is no part of the cache key.
    pub authorization: bool,
    /// Responses that set cookies may be stored (they are stripped, or the operator says so).
    pub cookies: bool,
}

/// Statuses whose caching requirements this cache knows and follows (RFC 9110, section 15).
fn understood(status: u16) -> bool {
    matches!(
        status,
        200..=205 | 300..=303 | 305 | 307 | 308 | 400..=415 | 417 | 421 | 422 | 426 | 451 | 500..=505
    )
}

/// Statuses that may be stored at all. A 416 is for one range, which is no part of the key; RFC 6585 rules out its four.
pub fn is_storable(status: u16) -> bool {
    (200..=599).contains(&status) && !matches!(status, 206 | 304 | 416 | 428 | 429 | 431 | 511)
}

/// Decides.
///
/// # Errors
/// Why it may not be stored.
pub fn decide(
    status: u16,
    headers: &Headers,
    directives: &ResponseDirectives,
    lifetime: Lifetime,
    given: Circumstances,
) -> Result<(), Refusal> {
    if !is_storable(status) {
        return Err(Refusal::Status);
    }
    if directives.malformed {
        return Err(Refusal::Malformed);
    }
    // `must-understand` makes `no-store` void for who understands the status (RFC 9111, section 5.2.2.3).
    if directives.must_understand {
        if !understood(status) {
            return Err(Refusal::NoStore);
        }
    } else if directives.no_store {
        return Err(Refusal::NoStore);
    }
    if directives.private == Qualified::Whole {
        return Err(Refusal::Private);
    }
    let shared = directives.public
        || directives.must_revalidate
        || matches!(directives.s_maxage, Some(Seconds::Of(_)));
    if given.authorization && !shared {
        return Err(Refusal::Authorization);
    }
    if headers.get("set-cookie").is_some() && !given.cookies && !stripped(directives, "set-cookie")
    {
        return Err(Refusal::SetCookie);
    }
    if super::vary::is_star(headers) {
        return Err(Refusal::VaryStar);
    }
    // `no-cache` says how it is used, and not that it may be stored (section 3).
    let told = directives.no_cache != Qualified::Absent
        && (directives.public || heuristically_cacheable(status));
    let explicit = told || lifetime.source != Source::None;
    if !explicit {
        return Err(Refusal::NoFreshness);
    }
    let validated = directives.no_cache == Qualified::Whole && lifetime.source != Source::Forced;
    let usable = !lifetime.span.is_zero() && !validated;
    if usable || has_validator(headers) {
        return Ok(());
    }
    // Stale use counts where it is granted for some time, and nothing takes it away again.
    let strict = directives.must_revalidate || directives.proxy_revalidate || validated;
    let grants = [directives.stale_while_revalidate, directives.stale_if_error];
    if strict || !grants.into_iter().flatten().any(|seconds| seconds > 0) {
        return Err(Refusal::NoFreshness);
    }
    // That to credentials is not what `s-maxage` shares; others may have it.
    if given.authorization && directives.s_maxage.is_some() && !directives.public {
        return Err(Refusal::Authorization);
    }
    Ok(())
}

/// True when the response can be revalidated.
pub fn has_validator(headers: &Headers) -> bool {
    headers.get("etag").is_some() || headers.get("last-modified").is_some()
}

fn stripped(directives: &ResponseDirectives, field: &str) -> bool {
    [&directives.no_cache, &directives.private].iter().any(
        |list| matches!(list, Qualified::Fields(names) if names.iter().any(|name| name == field)),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::directives::Seconds;
    use crate::http::freshness::{lifetime, Policy};
    use seawall_core::time::Timestamp;

    fn given() -> Circumstances {
        Circumstances {
            authorization: false,
            cookies: false,
        }
    }

    fn with(status: u16, pairs: &[(&str, &str)], given: Circumstances) -> Result<(), Refusal> {
        let headers = Headers::from_pairs(pairs);
        let directives = ResponseDirectives::read(&headers, "cache-control").unwrap_or_default();
        let now = Timestamp::from_secs(1_790_000_000);
        let lifetime = lifetime(
            status,
            &headers,
            &directives,
            false,
            now,
            &Policy::default(),
        );
        decide(status, &headers, &directives, lifetime, given)
    }

    fn cc(status: u16, line: &str) -> Result<(), Refusal> {
        with(status, &[("cache-control", line)], given())
    }

    #[test]
    fn what_is_stored_and_what_not() {
        for status in [
            200, 203, 204, 299, 301, 302, 307, 400, 404, 410, 499, 500, 503, 599,
        ] {
            assert_eq!(cc(status, "max-age=60"), Ok(()), "{status}");
        }
        for status in [100, 101, 206, 304, 416, 428, 429, 431, 511, 600, 999] {
            assert_eq!(cc(status, "max-age=60"), Err(Refusal::Status), "{status}");
        }
        assert_eq!(cc(200, "max-age=60, no-store"), Err(Refusal::NoStore));
        assert_eq!(cc(200, "max-age=60, private"), Err(Refusal::Private));
        assert_eq!(cc(200, "max-age=60, private=\"x-user\""), Ok(()));
        assert_eq!(cc(200, "max-age=60, ext=\""), Err(Refusal::Malformed));
        assert_eq!(cc(200, ""), Err(Refusal::NoFreshness));
        assert_eq!(cc(200, "max-age=0"), Err(Refusal::NoFreshness));
        assert_eq!(cc(200, "max-age=0, stale-if-error=60"), Ok(()));
        assert_eq!(
            with(200, &[("etag", "\"a\"")], given()),
            Err(Refusal::NoFreshness)
        );
        assert_eq!(
            with(
                200,
                &[("etag", "\"a\""), ("cache-control", "no-cache")],
                given()
            ),
            Ok(())
        );
        assert_eq!(
            with(
                200,
                &[("vary", "accept, *"), ("cache-control", "max-age=60")],
                given()
            ),
            Err(Refusal::VaryStar)
        );
    }

    #[test]
    fn what_can_never_be_used_is_not_stored() {
        for line in [
            "no-cache, stale-while-revalidate=60",
            "max-age=0, stale-if-error=0",
            "max-age=0, stale-while-revalidate=0",
            "max-age=0, stale-if-error=60, must-revalidate",
            "max-age=0, stale-while-revalidate=60, proxy-revalidate",
        ] {
            assert_eq!(cc(200, line), Err(Refusal::NoFreshness), "{line}");
            let tagged = [("etag", "\"a\""), ("cache-control", line)];
            assert_eq!(with(200, &tagged, given()), Ok(()), "{line}");
        }
        for line in [
            "max-age=0, stale-while-revalidate=60, stale-if-error=0",
            "max-age=0, stale-if-error=60, no-cache=\"x-user\"",
            "max-age=60, stale-if-error=0, must-revalidate",
        ] {
            assert_eq!(cc(200, line), Ok(()), "{line}");
        }
    }

    /// RFC 9111, section 3: `no-cache` is none of what lets a response be stored.
    #[test]
    fn what_is_only_to_be_validated_is_stored_where_its_status_lets_it_be() {
        let tagged = |status, line: &str| {
            let pairs = [("etag", "\"a\""), ("cache-control", line)];
            with(status, &pairs, given())
        };
        for line in ["no-cache", "no-cache=\"x-user\""] {
            for status in [200, 203, 204, 300, 301, 308, 404, 405, 410, 414, 501] {
                assert_eq!(tagged(status, line), Ok(()), "{status}");
            }
            for status in [201, 299, 302, 307, 400, 403, 500, 503] {
                let refused = Err(Refusal::NoFreshness);
                assert_eq!(tagged(status, line), refused, "{status}");
                for granted in ["public", "max-age=60", "max-age=0", "s-maxage=0"] {
                    let line = format!("{line}, {granted}");
                    assert_eq!(tagged(status, &line), Ok(()), "{status} {line}");
                }
                let expires = [("etag", "\"a\""), ("cache-control", line), ("expires", "0")];
                assert_eq!(with(status, &expires, given()), Ok(()), "{status}");
            }
        }
    }

    #[test]
    fn must_understand_needs_a_status_that_is_understood() {
        assert_eq!(
            cc(599, "max-age=60, no-store, must-understand"),
            Err(Refusal::NoStore)
        );
        assert_eq!(cc(200, "max-age=60, no-store, must-understand"), Ok(()));
    }

    #[test]
    fn authorization_needs_permission() {
        let given = Circumstances {
            authorization: true,
            ..given()
        };
        let cc = |line| with(200, &[("cache-control", line)], given);
        assert_eq!(cc("max-age=60"), Err(Refusal::Authorization));
        for line in [
            "max-age=60, public",
            "max-age=60, must-revalidate",
            "s-maxage=60",
        ] {
            assert_eq!(cc(line), Ok(()), "{line}");
        }
        assert_eq!(
            cc("max-age=60, proxy-revalidate"),
            Err(Refusal::Authorization)
        );
        // What `s-maxage` alone shares is not used stale.
        for line in [
            "s-maxage=0, stale-while-revalidate=60",
            "s-maxage=0, stale-if-error=60",
        ] {
            assert_eq!(cc(line), Err(Refusal::Authorization), "{line}");
            let tagged = [("etag", "\"a\""), ("cache-control", line)];
            assert_eq!(with(200, &tagged, given), Ok(()), "{line}");
            let public = format!("{line}, public");
            let public = [("cache-control", public.as_str())];
            assert_eq!(with(200, &public, given), Ok(()), "{line}");
            let without = [("cache-control", line)];
            assert_eq!(with(200, &without, self::given()), Ok(()), "{line}");
        }
    }

    #[test]
    fn cookies_are_not_shared() {
        let pairs = [
            ("cache-control", "max-age=60, public"),
            ("set-cookie", "a=b"),
        ];
        assert_eq!(with(200, &pairs, given()), Err(Refusal::SetCookie));
        assert_eq!(
            with(
                200,
                &pairs,
                Circumstances {
                    cookies: true,
                    ..given()
                }
            ),
            Ok(())
        );
        let listed = [
            ("cache-control", "max-age=60, no-cache=\"Set-Cookie\""),
            ("set-cookie", "a=b"),
        ];
        assert_eq!(with(200, &listed, given()), Ok(()));
    }

    #[test]
    fn invalid_numbers_are_no_freshness() {
        assert_eq!(Seconds::Invalid.or_zero(), 0);
        assert_eq!(cc(200, "max-age=-1"), Err(Refusal::NoFreshness));
    }
}

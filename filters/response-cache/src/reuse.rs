//! Whether a stored response may answer a request (RFC 9111, section 4), and what else may be done with it.

use crate::entry::Meta;
use crate::http::directives::RequestDirectives;
use seawall_core::time::{Span, Timestamp};

/// How a stored response may be used now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Use {
    /// It is fresh enough.
    Fresh,
    /// It is stale, and the client accepts that (`max-stale`).
    MaxStale,
    /// It is stale, and may be used while it is refreshed (RFC 5861, section 3).
    WhileRevalidate,
    /// It must be validated first.
    Validate(Why),
}

/// Why it must be validated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Why {
    /// It is stale, or was stored with `no-cache`.
    Stale,
    /// The request asked for it: `no-cache`, `max-age`, `min-fresh`.
    Request,
}

/// The operator's word on stale use; zero allows nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct StalePolicy {
    /// While it is refreshed.
    pub while_revalidate: Span,
    /// When the origin fails.
    pub if_error: Span,
}

/// The age at which a response that was purged softly counts as stale.
pub type PurgedAt = Option<Timestamp>;

fn fresh_until(meta: &Meta, purged: PurgedAt) -> Timestamp {
    let until = meta.fresh_until();
    purged.map_or(until, |at| until.min(at))
}

fn staleness(meta: &Meta, now: Timestamp, purged: PurgedAt) -> Option<Span> {
    let until = fresh_until(meta, purged);
    // A lifetime must exceed the age (section 4.2).
    (now >= until).then(|| now.since(until))
}

/// True while it may be used without the origin's, the operator's or the client's permission of stale use.
pub fn is_fresh(meta: &Meta, now: Timestamp, purged: PurgedAt) -> bool {
    !meta.no_cache && staleness(meta, now, purged).is_none()
}

/// True where nothing may make this response be used stale: the origin forbids it.
fn forbidden(meta: &Meta) -> bool {
    meta.must_revalidate || meta.no_cache
}

/// Decides for a request.
pub fn decide(meta: &Meta, now: Timestamp, request: &RequestDirectives, purged: PurgedAt) -> Use {
    let stale = staleness(meta, now, purged);
    if request.no_cache || request.no_store {
        return Use::Validate(Why::Request);
    }
    if meta.no_cache {
        return Use::Validate(Why::Stale);
    }
    let age = meta.age(now);
    // `max-age` of a request is an upper bound: an age equal to it still holds (section 5.2.1.1), but a request for zero
    // means to be sure.
    if request
        .max_age
        .is_some_and(|most| most == 0 || age > Span::from_secs(most))
    {
        return Use::Validate(Why::Request);
    }
    match stale {
        None => {
            let remaining = meta.fresh_until().since(now);
            match request.min_fresh {
                Some(least) if remaining < Span::from_secs(least) => Use::Validate(Why::Request),
                _ => Use::Fresh,
            }
        }
        Some(_) if forbidden(meta) || request.min_fresh.is_some() => Use::Validate(Why::Stale),
        Some(by) if by < meta.while_revalidate => Use::WhileRevalidate,
        Some(by) => match request.max_stale {
            Some(most) if !meta.no_max_stale && by <= Span::from_secs(most) => Use::MaxStale,
            _ => Use::Validate(Why::Stale),
        },
    }
}

/// True when the response may stand in for an error of the origin (RFC 5861, section 4).
pub fn on_error(
    meta: &Meta,
    now: Timestamp,
    request: &RequestDirectives,
    purged: PurgedAt,
) -> bool {
    on_error_until(meta, request, purged).is_some_and(|until| now < until)
}

/// Until when it may; `None` is never.
pub fn on_error_until(
    meta: &Meta,
    request: &RequestDirectives,
    purged: PurgedAt,
) -> Option<Timestamp> {
    if request.no_cache || request.no_store || meta.no_cache {
        return None;
    }
    // Fresh all the same: the request only wanted to be sure, or it was chosen to refresh early.
    let fresh_until = fresh_until(meta, purged);
    if forbidden(meta) {
        return Some(fresh_until);
    }
    // Where it may be used while somebody refreshes it, it is no worse for the one whose refresh fails.
    let allowed = meta.if_error.max(meta.while_revalidate);
    let most = request
        .stale_if_error
        .filter(|_| !meta.no_max_stale)
        .map_or(allowed, |asked| allowed.max(Span::from_secs(asked)));
    Some(fresh_until.saturating_add(most))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const ARRIVED: Timestamp = Timestamp::from_secs(1_000);

    fn meta() -> Meta {
        Meta {
            arrived: ARRIVED,
            lifetime: Span::from_secs(60),
            ..Meta::default()
        }
    }

    fn after(secs: u64) -> Timestamp {
        ARRIVED.saturating_add(Span::from_secs(secs))
    }

    fn request(line: &str) -> RequestDirectives {
        let mut directives = RequestDirectives::default();
        directives.add(line.as_bytes());
        directives
    }

    #[test]
    fn fresh_until_the_lifetime_is_over() {
        let meta = meta();
        assert_eq!(decide(&meta, after(59), &request(""), None), Use::Fresh);
        assert_eq!(
            decide(&meta, after(60), &request(""), None),
            Use::Validate(Why::Stale)
        );
        let old = Meta {
            initial_age: Span::from_secs(100),
            ..meta
        };
        assert_eq!(
            decide(&old, after(0), &request(""), None),
            Use::Validate(Why::Stale)
        );
    }

    #[test]
    fn what_clients_ask_for() {
        let meta = meta();
        for (line, at, expected) in [
            ("no-cache", 1, Use::Validate(Why::Request)),
            ("no-store", 1, Use::Validate(Why::Request)),
            ("max-age=0", 0, Use::Validate(Why::Request)),
            ("max-age=10", 11, Use::Validate(Why::Request)),
            ("max-age=10", 10, Use::Fresh),
            ("min-fresh=30", 31, Use::Validate(Why::Request)),
            ("min-fresh=30", 30, Use::Fresh),
            ("max-stale=10", 70, Use::MaxStale),
            ("max-stale=10", 71, Use::Validate(Why::Stale)),
            ("max-stale", 9_999, Use::MaxStale),
            ("max-stale, max-age=65", 66, Use::Validate(Why::Request)),
        ] {
            assert_eq!(
                decide(&meta, after(at), &request(line), None),
                expected,
                "{line} at {at}"
            );
        }
    }

    #[test]
    fn the_origin_may_forbid_stale_use() {
        let generous = Meta {
            while_revalidate: Span::from_secs(600),
            if_error: Span::from_secs(600),
            ..meta()
        };
        for strict in [
            Meta {
                must_revalidate: true,
                ..generous.clone()
            },
            Meta {
                no_cache: true,
                ..generous.clone()
            },
        ] {
            assert_eq!(
                decide(&strict, after(70), &request("max-stale"), None),
                Use::Validate(Why::Stale)
            );
            assert!(!on_error(&strict, after(70), &request(""), None));
        }
        assert_eq!(
            decide(&generous, after(70), &request(""), None),
            Use::WhileRevalidate
        );
        assert_eq!(
            decide(&generous, after(660), &request(""), None),
            Use::Validate(Why::Stale)
        );
        let no_max_stale = Meta {
            no_max_stale: true,
            ..meta()
        };
        assert_eq!(
            decide(&no_max_stale, after(70), &request("max-stale"), None),
            Use::Validate(Why::Stale)
        );
    }

    #[test]
    fn errors_are_bridged_as_long_as_allowed() {
        let bridged = Meta {
            if_error: Span::from_secs(10),
            ..meta()
        };
        assert!(on_error(&bridged, after(69), &request(""), None));
        assert!(!on_error(&bridged, after(70), &request(""), None));
        assert!(on_error(
            &bridged,
            after(75),
            &request("stale-if-error=20"),
            None
        ));
        assert!(!on_error(&bridged, after(65), &request("no-cache"), None));
        // The origin granted so much and no more, or `s-maxage` would forbid it.
        let granted = Meta {
            no_max_stale: true,
            ..bridged
        };
        let asks = request("stale-if-error=20");
        assert!(on_error(&granted, after(69), &asks, None));
        assert!(!on_error(&granted, after(75), &asks, None));
        assert!(on_error(&meta(), after(5), &request(""), None));
    }

    #[test]
    fn a_soft_purge_makes_it_stale_from_then_on() {
        let meta = Meta {
            while_revalidate: Span::from_secs(10),
            ..meta()
        };
        assert_eq!(
            decide(&meta, after(20), &request(""), Some(after(15))),
            Use::WhileRevalidate
        );
        assert_eq!(
            decide(&meta, after(25), &request(""), Some(after(15))),
            Use::Validate(Why::Stale)
        );
    }

    proptest! {
        #[test]
        fn nothing_stale_is_used_without_permission(arrived in any::<u64>(), lifetime in any::<u64>(), initial in any::<u64>(), now in any::<u64>()) {
            let meta = Meta { arrived: Timestamp(arrived), lifetime: Span(lifetime), initial_age: Span(initial), ..Meta::default() };
            if decide(&meta, Timestamp(now), &RequestDirectives::default(), None) == Use::Fresh {
                prop_assert!(meta.age(Timestamp(now)) < meta.lifetime || Timestamp(now) < meta.arrived);
            }
        }
    }
}

//! Unsafe methods invalidate what is stored (RFC 9111, section 4.4): the URL itself, and those that `Location` and
//! `Content-Location` name on the same origin.

use super::exchange::{Exchange, Phase};
use super::status::Forward;
use super::Cx;
use crate::flight::outdate;
use crate::marks::mark;
use crate::purge::number_of_url;
use seawall_core::headers::Headers;

/// A request with an unsafe method goes out.
pub fn prepare(exchange: &mut Exchange) {
    exchange.forward = Some(Forward::Method);
    exchange.phase = Phase::Unsafe;
}

/// It went well.
pub fn run(cx: Cx<'_>, exchange: &Exchange, response: &Headers) {
    let mut paths = vec![exchange.request.path().to_vec()];
    for field in ["location", "content-location"] {
        if let Some(path) = response
            .get(field)
            .and_then(|target| resolve(exchange, target))
        {
            if !paths.contains(&path) {
                paths.push(path);
            }
        }
    }
    let recipe = &exchange.settings.key;
    for path in paths {
        let request = exchange.request.of_path(&path);
        // Where other parts of requests make the key, other keys hold answers of the same URL.
        if recipe.is_parted() {
            let secret = cx.worker.table.secret();
            let number = number_of_url(secret, &recipe.url(&request));
            if mark(cx.host, number, cx.now).is_err() {
                cx.core.failed(cx.host, "an invalidation failed");
            }
        }
        let keys = [recipe.key(&request), recipe.key_of_url(&request)];
        let [own, plain] = keys;
        if let Some(plain) = plain.filter(|plain| own.as_ref() != Some(plain)) {
            forget(cx, &plain);
        }
        if let Some(own) = own {
            forget(cx, &own);
        }
    }
}

/// Forgets a key, and what is on its way for it.
pub(super) fn forget(cx: Cx<'_>, key: &[u8]) -> bool {
    outdate(cx.host, cx.worker.table.fingerprint(key), cx.now);
    let existed = cx.worker.table.invalidate(cx.host, key, cx.now);
    if existed {
        cx.core.metrics.invalidated.increment(cx.host);
    }
    existed
}

/// The path of a URI reference on the same origin (RFC 3986, section 5.2, without dot segments: those are never stored
/// under another form than they were asked for).
pub(super) fn resolve(exchange: &Exchange, target: &[u8]) -> Option<Vec<u8>> {
    let request = &exchange.request;
    let target = target.split(|byte| *byte == b'#').next()?;
    let after_scheme = if let Some(rest) = target.strip_prefix(b"//") {
        Some(rest)
    } else {
        [&b"http://"[..], b"https://"].iter().find_map(|scheme| {
            let (start, rest) = target.split_at_checked(scheme.len())?;
            start.eq_ignore_ascii_case(scheme).then_some(rest)
        })
    };
    if let Some(rest) = after_scheme {
        let end = rest
            .iter()
            .position(|byte| matches!(byte, b'/' | b'?'))
            .unwrap_or(rest.len());
        let (authority, path) = rest.split_at_checked(end)?;
        if !authority.eq_ignore_ascii_case(request.authority()) {
            return None;
        }
        return Some(if path.first() == Some(&b'/') {
            path.to_vec()
        } else {
            [b"/", path].concat()
        });
    }
    let base = request.path().split(|byte| *byte == b'?').next()?;
    match target.first() {
        None => Some(request.path().to_vec()),
        Some(b'/') => Some(target.to_vec()),
        Some(b'?') => Some([base, target].concat()),
        Some(_)
            if target
                .split(|byte| matches!(byte, b'/' | b'?'))
                .next()?
                .contains(&b':') =>
        {
            None
        }
        Some(_) => {
            let slash = base.iter().rposition(|byte| *byte == b'/')?;
            Some([base.get(..=slash)?, target].concat())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Settings;
    use crate::http::request::Request;
    use seawall_core::config::{ConfigErrors, Settings as _};
    use std::rc::Rc;

    #[test]
    fn references_on_the_same_origin_are_resolved() {
        let settings = Settings::validate(Default::default(), &mut ConfigErrors::default());
        let mut exchange = Exchange::new(1, Rc::new(settings), Default::default());
        exchange.request = Request::read(Headers::from_pairs(&[
            (":authority", "Example.com"),
            (":path", "/a/b?c"),
        ]));
        for (target, expected) in [
            ("/x?y#z", Some("/x?y")),
            ("x", Some("/a/x")),
            ("?q", Some("/a/b?q")),
            ("", Some("/a/b?c")),
            ("http://example.COM/x", Some("/x")),
            ("HTTPS://example.com", Some("/")),
            ("//example.com?x", Some("/?x")),
            ("http://other.com/x", None),
            ("//other.com/x", None),
            ("mailto:x", None),
        ] {
            let found = resolve(&exchange, target.as_bytes());
            assert_eq!(found.as_deref(), expected.map(str::as_bytes), "{target}");
        }
    }
}

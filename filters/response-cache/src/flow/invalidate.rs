//! Unsafe methods invalidate what is stored (RFC 9111, section 4.4): the URL itself, and those that `Location` and
//! `Content-Location` name on the same origin.

use super::exchange::{Exchange, Phase};
use super::status::Forward;
use super::Cx;
use crate::flight::outdate;
use crate::key::split;
use crate::marks::mark;
use crate::purge::number_of_url;
use seawall_core::headers::Headers;
use seawall_core::path::without_dots;

const FAILED: &str = "an invalidation failed";

/// A request with an unsafe method goes out.
pub fn prepare(cx: Cx<'_>, exchange: &mut Exchange) {
    // Purges since the last lookup of this worker hit its answer as well: too many rather than one too few.
    exchange.epoch = cx.worker.purges.known();
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
                cx.core.failed(cx.host, FAILED);
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
    if outdate(cx.host, cx.worker.table.fingerprint(key), cx.now).is_err() {
        cx.core.failed(cx.host, FAILED);
    }
    let existed = remove(cx, key);
    if existed {
        cx.core.metrics.invalidated.increment();
    }
    existed
}

/// Forgets a key alone. Where that fails, what is there is answered with until it expires.
pub(super) fn remove(cx: Cx<'_>, key: &[u8]) -> bool {
    let removed = cx.worker.table.invalidate(cx.host, key, cx.now);
    if removed.is_err() {
        cx.core.failed(cx.host, FAILED);
    }
    removed.unwrap_or(false)
}

/// The path of a URI reference on the same host (RFC 3986, section 5.2), as clients ask for it.
pub(super) fn resolve(exchange: &Exchange, target: &[u8]) -> Option<Vec<u8>> {
    let whole = refer(exchange, target)?;
    let (path, query) = split(&whole);
    Some([without_dots(path).as_slice(), query].concat())
}

/// A host and port without the port that the scheme has anyway.
fn without_default_port<'a>(authority: &'a [u8], scheme: &[u8]) -> &'a [u8] {
    let port: &[u8] = match scheme {
        b"http" => b":80",
        b"https" => b":443",
        _ => return authority,
    };
    authority.strip_suffix(port).unwrap_or(authority)
}

fn refer(exchange: &Exchange, target: &[u8]) -> Option<Vec<u8>> {
    let request = &exchange.request;
    let target = target.split(|byte| *byte == b'#').next()?;
    let after_scheme = if let Some(rest) = target.strip_prefix(b"//") {
        Some((request.scheme(), rest))
    } else {
        [&b"http"[..], b"https"].into_iter().find_map(|scheme| {
            let (start, rest) = target.split_at_checked(scheme.len())?;
            let rest = rest.strip_prefix(b"://")?;
            start.eq_ignore_ascii_case(scheme).then_some((scheme, rest))
        })
    };
    if let Some((scheme, rest)) = after_scheme {
        let end = rest
            .iter()
            .position(|byte| matches!(byte, b'/' | b'?'))
            .unwrap_or(rest.len());
        let (authority, path) = rest.split_at_checked(end)?;
        let theirs = without_default_port(authority, scheme);
        let ours = without_default_port(request.authority(), request.scheme());
        if !theirs.eq_ignore_ascii_case(ours) {
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
            (":scheme", "https"),
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
            ("../x", Some("/x")),
            ("../../x/./y", Some("/x/y")),
            ("/x/..", Some("/")),
            ("/x/.?y=..", Some("/x/?y=..")),
            ("/x/.../y/", Some("/x/.../y/")),
            ("/x//y", Some("/x//y")),
            ("https://example.com:443/x", Some("/x")),
            ("http://example.com:80/x", Some("/x")),
            ("//example.com:443/x", Some("/x")),
            ("https://example.com:80/x", None),
            ("//example.com:80/x", None),
            ("https:example.com", None),
            ("http://other.com/x", None),
            ("//other.com/x", None),
            ("mailto:x", None),
        ] {
            let found = resolve(&exchange, target.as_bytes());
            assert_eq!(found.as_deref(), expected.map(str::as_bytes), "{target}");
        }
    }
}

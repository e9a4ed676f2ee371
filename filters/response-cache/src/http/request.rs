//! What the cache needs to know of a request, read in one pass while its headers can still be read.

use super::conditions::Conditions;
use super::directives::RequestDirectives;
use seawall_core::bytes::same;
use seawall_core::grpc::is_grpc;
use seawall_core::headers::Headers;

/// What a method means to a cache (RFC 9110, section 9.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Method {
    /// `GET`: stored and served.
    #[default]
    Get,
    /// `HEAD`: served from a stored `GET`.
    Head,
    /// `OPTIONS`, `TRACE`, `PROPFIND` and other methods that are registered as safe: passed on.
    Safe,
    /// `CONNECT`: a tunnel.
    Connect,
    /// Everything else, methods nobody knows included: passed on, and invalidates.
    Unsafe,
}

/// Request fields that frameworks take for parts of the URL, for the method or for what they tell themselves: in the key
/// wherever they occur, so that what one client sends there never shapes an answer for others.
pub const UNKEYED_INPUT: [&str; 36] = [
    "forwarded",
    "front-end-https",
    "x-host",
    "x-http-host-override",
    "x-scheme",
    "x-url-scheme",
    "x-script-name",
    "x-forwarded-ssl",
    "x-forwarded-proto",
    "x-forwarded-protocol",
    "x-forwarded-host",
    "x-forwarded-scheme",
    "x-forwarded-port",
    "x-forwarded-prefix",
    "x-forwarded-path",
    "x-forwarded-uri",
    "x-forwarded-server",
    "x-original-host",
    "x-original-uri",
    "x-original-url",
    "x-rewrite-url",
    "x-real-host",
    "x-http-method-override",
    "x-http-method",
    "x-method-override",
    // Of CGI, where it is the proxy of what a script fetches.
    "proxy",
    // Of Next.js: another form of the page, an empty one, or an error.
    "rsc",
    "x-invoke-path",
    "x-invoke-status",
    "x-matched-path",
    "x-middleware-prefetch",
    "x-middleware-subrequest",
    "x-nextjs-data",
    "x-now-route-matches",
    // Of React Router, likewise.
    "x-react-router-prerender-data",
    "x-react-router-spa-mode",
];

/// The one that Envoy sends with every request: it counts only where it says something else than the scheme.
const PROTO: &[u8] = b"x-forwarded-proto";

/// Which of them have a length, a bit for each: most fields are told apart by it alone.
const OF_LENGTH: [u64; 32] = {
    let mut of_length = [0; 32];
    let (mut names, mut bit) = (UNKEYED_INPUT.as_slice(), 1u64);
    while let Some((name, rest)) = names.split_first() {
        let all: &mut [u64] = &mut of_length;
        if let Some((_, [place, ..])) = all.split_at_mut_checked(name.len()) {
            *place |= bit;
        }
        (names, bit) = (rest, bit.rotate_left(1));
    }
    of_length
};

fn is_unkeyed_input(name: &[u8]) -> bool {
    let mut left = OF_LENGTH.get(name.len()).copied().unwrap_or(0);
    while left != 0 {
        let known = UNKEYED_INPUT.get(left.trailing_zeros() as usize);
        if known.is_some_and(|known| same(known.as_bytes(), name)) {
            return true;
        }
        left &= left.wrapping_sub(1);
    }
    false
}

/// The facts.
#[derive(Debug, Clone, Default)]
pub struct Request {
    /// What its method means.
    pub method: Method,
    /// `Cache-Control`
    pub directives: RequestDirectives,
    /// Conditions that a cache answers.
    pub conditions: Conditions,
    /// Conditions that only the origin may evaluate: `If-Match`, `If-Unmodified-Since`.
    pub preconditions: bool,
    /// `Range`
    pub range: Option<Vec<u8>>,
    /// There is an `Authorization`.
    pub authorization: bool,
    /// It asks for another protocol, or speaks gRPC.
    pub not_http: bool,
    /// It speaks gRPC.
    pub grpc: bool,
    /// It has one of [`UNKEYED_INPUT`].
    pub unkeyed_input: bool,
    /// All fields.
    pub headers: Headers,
}

impl Request {
    /// Reads them.
    pub fn read(headers: Headers) -> Self {
        let mut request = Request::default();
        for (name, value) in headers.iter() {
            // Most fields are none of these, and are passed by their first letter.
            match name.first() {
                Some(b':') => request.pseudo(name, value),
                Some(b'a' | b'c' | b'i' | b'r' | b'u') => request.field(name, value),
                Some(b'f' | b'p' | b'x') if !request.unkeyed_input => {
                    let agrees = same(name, PROTO)
                        && headers
                            .get(":scheme")
                            .is_some_and(|scheme| same(scheme, value));
                    request.unkeyed_input = !agrees && is_unkeyed_input(name);
                }
                _ => {}
            }
        }
        request.headers = headers;
        request
    }

    /// `:scheme`
    pub fn scheme(&self) -> &[u8] {
        self.headers.get(":scheme").unwrap_or_default()
    }

    /// `:authority`
    pub fn authority(&self) -> &[u8] {
        self.headers.get(":authority").unwrap_or_default()
    }

    /// `:path`, query included.
    pub fn path(&self) -> &[u8] {
        self.headers.get(":path").unwrap_or_default()
    }

    /// The same request for another path.
    pub fn of_path(&self, path: &[u8]) -> Self {
        let mut fields: Vec<(&[u8], &[u8])> = self.headers.iter().collect();
        for (_, value) in fields.iter_mut().filter(|(name, _)| *name == b":path") {
            *value = path;
        }
        Request::read(Headers::from_pairs(&fields))
    }

    /// Of several lines, all of them as one: that is no range of anything.
    #[cold]
    fn range(&mut self, value: &[u8]) {
        self.range = Some(match self.range.take() {
            Some(range) => [&range, value].join(&b", "[..]),
            None => value.to_vec(),
        });
    }

    fn pseudo(&mut self, name: &[u8], value: &[u8]) {
        match name {
            b":method" => {
                self.method = match value {
                    b"GET" => Method::Get,
                    b"HEAD" => Method::Head,
                    b"OPTIONS" | b"TRACE" | b"PROPFIND" | b"REPORT" | b"SEARCH" | b"QUERY" => {
                        Method::Safe
                    }
                    b"CONNECT" => Method::Connect,
                    _ => Method::Unsafe,
                }
            }
            b":protocol" => self.not_http = true,
            _ => {}
        }
    }

    fn field(&mut self, name: &[u8], value: &[u8]) {
        match name {
            b"cache-control" => self.directives.add(value),
            b"if-none-match" => self.conditions.none_match.push(value.to_vec()),
            b"if-modified-since" => self.conditions.modified_since = Some(value.to_vec()),
            b"if-range" => self.conditions.range = Some(value.to_vec()),
            b"if-match" | b"if-unmodified-since" => self.preconditions = true,
            b"range" => self.range(value),
            b"rsc" => self.unkeyed_input = true,
            b"authorization" => self.authorization = true,
            b"upgrade" => self.not_http = true,
            b"content-type" => {
                self.grpc |= is_grpc(value);
                self.not_http |= value.starts_with(b"application/grpc");
            }
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn only_what_is_listed_is_unkeyed_input(at in 0..UNKEYED_INPUT.len(), cut in 0usize..30, other in "[a-z-]{0,12}") {
            let known = UNKEYED_INPUT[at];
            let mixed = format!("{}{other}", known.get(..cut).unwrap_or(known));
            let listed = UNKEYED_INPUT.iter().any(|known| *known == mixed);
            prop_assert_eq!(is_unkeyed_input(mixed.as_bytes()), listed);
        }
    }

    #[test]
    fn reads_what_matters() {
        let request = Request::read(Headers::from_pairs(&[
            (":method", "HEAD"),
            (":path", "/a?b"),
            (":authority", "x"),
            ("cache-control", "no-cache"),
            ("cache-control", "max-age=1"),
            ("range", "bytes=0-1"),
            ("if-match", "\"a\""),
            ("authorization", "b"),
        ]));
        assert_eq!(request.method, Method::Head);
        assert!(request.directives.no_cache && request.directives.max_age == Some(1));
        assert!(
            request.preconditions
                && request.authorization
                && request.range.is_some()
                && !request.not_http
        );
    }

    #[test]
    fn unkeyed_input_is_seen() {
        for name in UNKEYED_INPUT {
            assert!(
                Request::read(Headers::from_pairs(&[(name, "x")])).unkeyed_input,
                "{name}"
            );
        }
        let of_scheme = |proto: &str| {
            let fields = [(":scheme", "https"), ("x-forwarded-proto", proto)];
            Request::read(Headers::from_pairs(&fields)).unkeyed_input
        };
        assert!(!of_scheme("https") && of_scheme("http"));
        for name in ["x-forwarded-for", "from", "x-a"] {
            assert!(
                !Request::read(Headers::from_pairs(&[(name, "x")])).unkeyed_input,
                "{name}"
            );
        }
    }

    #[test]
    fn several_lines_of_a_range_are_one_that_nobody_can_read() {
        let lines = [("range", "bytes=0-1"), ("range", "bytes=3-4")];
        let request = Request::read(Headers::from_pairs(&lines));
        assert_eq!(request.range.as_deref(), Some(&b"bytes=0-1, bytes=3-4"[..]));
        let read = crate::http::range::read(&request.range.unwrap_or_default(), 10);
        assert_eq!(read, crate::http::range::Ranged::Whole);
    }

    #[test]
    fn a_request_for_another_path_is_the_same_otherwise() {
        let request = Request::read(Headers::from_pairs(&[(":path", "/a"), ("range", "b")]));
        let other = request.of_path(b"/b");
        assert_eq!((request.path(), other.path()), (&b"/a"[..], &b"/b"[..]));
        assert_eq!(other.range, request.range);
    }

    #[test]
    fn other_protocols_are_seen() {
        let typed = |value| Request::read(Headers::from_pairs(&[("content-type", value)])).grpc;
        assert!(typed("application/grpc+proto") && !typed("application/grpc-web"));
        for pair in [
            ("upgrade", "websocket"),
            (":protocol", "websocket"),
            ("content-type", "application/grpc+proto"),
        ] {
            assert!(Request::read(Headers::from_pairs(&[pair])).not_http);
        }
        assert_eq!(
            Request::read(Headers::from_pairs(&[(":method", "get")])).method,
            Method::Unsafe
        );
    }
}

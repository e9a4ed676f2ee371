//! What the cache needs to know of a request, read in one pass while its headers can still be read.

use super::conditions::Conditions;
use super::directives::RequestDirectives;
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

/// The facts.
#[derive(Debug, Clone, Default)]
pub struct Request {
    /// What its method means.
    pub method: Method,
    /// `:scheme`
    pub scheme: Vec<u8>,
    /// `:authority`
    pub authority: Vec<u8>,
    /// `:path`, query included.
    pub path: Vec<u8>,
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
    /// All fields.
    pub headers: Headers,
}

impl Request {
    /// Reads them.
    pub fn read(headers: Headers) -> Self {
        let mut request = Request::default();
        for (name, value) in headers.iter() {
            match name {
                b":method" => {
                    request.method = match value {
                        b"GET" => Method::Get,
                        b"HEAD" => Method::Head,
                        b"OPTIONS" | b"TRACE" | b"PROPFIND" | b"REPORT" | b"SEARCH" | b"QUERY" => {
                            Method::Safe
                        }
                        b"CONNECT" => Method::Connect,
                        _ => Method::Unsafe,
                    }
                }
                b":scheme" => request.scheme = value.to_vec(),
                b":authority" => request.authority = value.to_vec(),
                b":path" => request.path = value.to_vec(),
                b"cache-control" => request.directives.add(value),
                b"if-none-match" => request.conditions.none_match.push(value.to_vec()),
                b"if-modified-since" => request.conditions.modified_since = Some(value.to_vec()),
                b"if-range" => request.conditions.range = Some(value.to_vec()),
                b"if-match" | b"if-unmodified-since" => request.preconditions = true,
                b"range" => request.range = Some(value.to_vec()),
                b"authorization" => request.authorization = true,
                b":protocol" | b"upgrade" => request.not_http = true,
                b"content-type" => request.not_http |= value.starts_with(b"application/grpc"),
                _ => {}
            }
        }
        request.headers = headers;
        request
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
    fn other_protocols_are_seen() {
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

//! Requests that are sent with and without filters, over every version of HTTP.

use seawall_tests::prelude::*;

/// Fields that the filters add, and those that differ from one request to the next.
const OURS: [&str; 10] = [
    "x-request-id",
    "traceparent",
    "tracestate",
    "ratelimit",
    "ratelimit-policy",
    "cache-status",
    "age",
    "date",
    "x-envoy-upstream-service-time",
    "host",
];

/// Fields that are the same with and without filters.
pub fn others(fields: &[(String, Vec<u8>)]) -> Vec<(String, String)> {
    let mut others: Vec<_> = fields
        .iter()
        .filter(|(name, _)| !OURS.contains(&name.as_str()))
        .map(|(name, value)| (name.clone(), String::from_utf8_lossy(value).into_owned()))
        .collect();
    others.sort();
    others
}

/// Method, path, fields and body of a request.
pub type Case = (
    &'static str,
    &'static str,
    Vec<(&'static str, &'static str)>,
    Vec<u8>,
);

/// What the upstream answers.
pub fn answer(seen: &Seen) -> Reply {
    let path = seen.path.split('?').next().unwrap_or_default();
    match path {
        "/none" => Reply::status(204),
        "/redirect" => Reply::status(302).header("location", "/elsewhere"),
        "/error" => Reply::status(500).chunk("it broke"),
        "/fields" => Reply::ok("f")
            .header("set-cookie", "a=1")
            .header("set-cookie", "b=2")
            .header("x-latin", "gr\u{fc}n")
            .header("link", "</s.css>; rel=preload")
            .header("server-timing", "db;dur=5"),
        "/chunks" => Reply::ok("one ").chunk("two ").chunk("three"),
        "/echo" => Reply::ok(seen.body.clone()),
        _ => Reply::ok("plain").header("cache-control", "max-age=60"),
    }
}

/// What is sent.
pub fn cases() -> Vec<Case> {
    vec![
        ("GET", "/", vec![], b"".to_vec()),
        ("HEAD", "/", vec![], b"".to_vec()),
        (
            "OPTIONS",
            "/",
            vec![("origin", "http://a.example")],
            b"".to_vec(),
        ),
        ("DELETE", "/none", vec![], b"".to_vec()),
        (
            "POST",
            "/echo",
            vec![("content-type", "text/plain")],
            b"hello".to_vec(),
        ),
        ("PUT", "/echo", vec![], vec![b'b'; 100_000]),
        (
            "PATCH",
            "/echo",
            vec![("content-type", "application/json")],
            b"{}".to_vec(),
        ),
        ("REPORT", "/echo", vec![], b"a method of WebDAV".to_vec()),
        ("GET", "/redirect", vec![], b"".to_vec()),
        ("GET", "/error", vec![], b"".to_vec()),
        (
            "GET",
            "/fields",
            vec![
                ("accept-language", "de"),
                ("x-twice", "1"),
                ("x-twice", "2"),
            ],
            b"".to_vec(),
        ),
        (
            "GET",
            "/chunks",
            vec![("accept-encoding", "gzip")],
            b"".to_vec(),
        ),
        ("GET", "/%7Euser/..;/a%2Fb?q=%20&&x", vec![], b"".to_vec()),
        ("GET", "/fields", vec![("range", "bytes=0-1")], b"".to_vec()),
    ]
}

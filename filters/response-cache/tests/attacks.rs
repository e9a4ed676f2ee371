//! Attacks on a shared cache, as a table: what one client makes the cache store must not reach another.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "test code"
)]

mod common;

use common::{cache, ok, request, Cache, Origin};
use serde_json::{json, Value};

type Fields = &'static [(&'static str, &'static str)];

/// Who asks, and for what.
struct Asks {
    method: &'static str,
    path: &'static str,
    fields: Fields,
}

const fn get(path: &'static str, fields: Fields) -> Asks {
    Asks {
        method: "GET",
        path,
        fields,
    }
}

/// The first request makes the cache store something, if it can; the second must not get it.
struct Attack {
    name: &'static str,
    configuration: Value,
    first: Asks,
    answer: Fields,
    second: Asks,
}

fn attack(name: &'static str, first: Asks, answer: Fields, second: Asks) -> Attack {
    Attack {
        name,
        configuration: json!({}),
        first,
        answer,
        second,
    }
}

const FRESH: Fields = &[("cache-control", "max-age=600")];

fn attacks() -> Vec<Attack> {
    let plain = || get("/", &[]);
    let mut all = vec![
        attack(
            "the answer to somebody's credentials",
            get("/", &[("authorization", "Bearer alice")]),
            FRESH,
            plain(),
        ),
        attack(
            "the answer to other credentials",
            get("/", &[("authorization", "Bearer alice")]),
            FRESH,
            get("/", &[("authorization", "Bearer bob")]),
        ),
        attack(
            "a session that is set",
            plain(),
            &[
                ("cache-control", "max-age=600, public"),
                ("set-cookie", "session=1"),
            ],
            plain(),
        ),
        attack(
            "a private answer",
            plain(),
            &[("cache-control", "max-age=600, private")],
            plain(),
        ),
        attack(
            "a private answer that a target field calls private",
            plain(),
            &[
                ("cache-control", "max-age=600"),
                ("cdn-cache-control", "private"),
            ],
            plain(),
        ),
        attack(
            "an answer that depends on a cookie",
            get("/", &[("cookie", "session=alice")]),
            &[("cache-control", "max-age=600"), ("vary", "Cookie")],
            get("/", &[("cookie", "session=bob")]),
        ),
        attack(
            "an answer that depends on who knows what",
            plain(),
            &[("cache-control", "max-age=600"), ("vary", "*")],
            plain(),
        ),
        attack(
            "a page of an account under the name of a style sheet, without a word on caching",
            get("/account/x.css", &[("cookie", "session=alice")]),
            &[("content-type", "text/css")],
            get("/account/x.css", &[]),
        ),
        attack(
            "a body in a GET",
            get("/", &[("content-length", "5")]),
            FRESH,
            plain(),
        ),
        attack(
            "an answer to HEAD taken for one to GET",
            Asks {
                method: "HEAD",
                path: "/",
                fields: &[],
            },
            FRESH,
            plain(),
        ),
        attack(
            "an error that a malformed request causes",
            get("/", &[("x-oversized", "aaaaaaaaaaaaaaaaaaaaaaaa")]),
            &[(":status", "400")],
            plain(),
        ),
        attack(
            "a part taken for the whole",
            get("/", &[("range", "bytes=0-1")]),
            &[
                (":status", "206"),
                ("cache-control", "max-age=600"),
                ("content-range", "bytes 0-1/9"),
            ],
            plain(),
        ),
        attack(
            "another host",
            get("/", &[(":authority", "evil.example")]),
            FRESH,
            plain(),
        ),
        attack(
            "another port",
            get("/", &[(":authority", "example.com:8443")]),
            FRESH,
            plain(),
        ),
        attack(
            "another scheme",
            get("/", &[(":scheme", "http")]),
            FRESH,
            plain(),
        ),
        attack(
            "a path that a server may fold",
            get("/a/../", &[]),
            FRESH,
            plain(),
        ),
        attack(
            "a path that a server may decode",
            get("/%2e%2e/a", &[]),
            FRESH,
            get("/../a", &[]),
        ),
        attack("case", get("/Admin", &[]), FRESH, get("/admin", &[])),
        attack(
            "a host in a case that the origin does not know",
            get("/", &[(":authority", "Example.COM")]),
            &[(":status", "404"), ("cache-control", "max-age=600")],
            plain(),
        ),
        attack(
            "a line break in a path",
            get("/%0d%0aset-cookie:x", &[]),
            FRESH,
            plain(),
        ),
        attack(
            "a control character in a path",
            get("/\u{1}", &[]),
            FRESH,
            plain(),
        ),
        attack(
            "a zero byte in a path",
            get("/a\0b", &[]),
            FRESH,
            get("/a", &[]),
        ),
        attack(
            "what is encoded for others",
            get("/", &[("accept-encoding", "br")]),
            &[("cache-control", "max-age=600"), ("content-encoding", "br")],
            plain(),
        ),
    ];
    for (name, field) in [
        ("x-forwarded-host", ("x-forwarded-host", "evil.example")),
        ("x-forwarded-scheme", ("x-forwarded-scheme", "nothttps")),
        ("x-forwarded-port", ("x-forwarded-port", "1")),
        ("x-forwarded-prefix", ("x-forwarded-prefix", "//evil")),
        ("x-forwarded-server", ("x-forwarded-server", "evil")),
        ("x-original-url", ("x-original-url", "/admin")),
        ("x-rewrite-url", ("x-rewrite-url", "/admin")),
        ("x-http-method-override", ("x-http-method-override", "POST")),
        ("x-http-method", ("x-http-method", "POST")),
        ("x-method-override", ("x-method-override", "POST")),
        // What single frameworks and CGI let a client decide, each known by its advisory.
        ("CVE-2023-46298", ("x-middleware-prefetch", "1")),
        ("CVE-2024-46982", ("x-now-route-matches", "1")),
        ("CVE-2025-29927", ("x-middleware-subrequest", "middleware")),
        ("CVE-2026-44572", ("x-nextjs-data", "1")),
        ("CVE-2026-44576", ("rsc", "1")),
        ("CVE-2025-43864", ("x-react-router-spa-mode", "yes")),
        ("CVE-2025-43865", ("x-react-router-prerender-data", "[]")),
        ("a page of errors on demand", ("x-invoke-status", "888")),
        ("a page under another name", ("x-invoke-path", "/admin")),
        ("a page of another route", ("x-matched-path", "/admin")),
        ("CVE-2016-5385", ("proxy", "http://evil")),
    ] {
        let fields: Fields = vec![field].leak();
        all.push(attack(name, get("/", fields), FRESH, plain()));
    }
    let without_campaigns = json!({"key": {"exclude": ["utm_*"]}});
    for path in [
        "/?utm_source=1;callback=evil",
        "/?%75tm_source=1&callback=evil",
        "/?callback=evil&utm_source=1",
        "/?utm_source[]=1",
    ] {
        all.push(Attack {
            configuration: without_campaigns.clone(),
            ..attack(
                "a parameter smuggled past the key",
                get(path, &[]),
                FRESH,
                plain(),
            )
        });
    }
    let by_page = json!({"key": {"include": ["page_id"]}});
    for path in ["/?page_id=1&page.id=evil", "/?page_id=1&PAGE_ID=evil"] {
        all.push(Attack {
            configuration: by_page.clone(),
            ..attack(
                "a parameter that some take for one in the key",
                get(path, &[]),
                FRESH,
                get("/?page_id=1", &[]),
            )
        });
    }
    let tenants = json!({"key": {"tenant": "x-tenant-id"}});
    for second in [
        &[("x-tenant-id", "b")][..],
        &[],
        &[("x-tenant-id", "")],
        &[("x-tenant-id", ",a")],
    ] {
        all.push(Attack {
            configuration: tenants.clone(),
            ..attack(
                "another tenant",
                get("/", &[("x-tenant-id", "a")]),
                FRESH,
                get("/", second),
            )
        });
    }
    all.push(Attack {
        configuration: json!({"default_ttl": "1h", "bypass": [{"cookie": "session"}]}),
        ..attack(
            "a page of an account, with a default lifetime and the rule that it needs",
            get("/account/x.css", &[("cookie", "session=alice")]),
            &[],
            get("/account/x.css", &[]),
        )
    });
    all
}

fn send(cache: &mut Cache, asks: &Asks, answer: &Origin<'_>) -> common::Got {
    let mut headers = request(asks.method, asks.path, &[]);
    for (name, value) in asks.fields {
        match headers.iter_mut().find(|(known, _)| known == name) {
            Some(known) => known.1 = value,
            None => headers.push((name, value)),
        }
    }
    if asks
        .fields
        .iter()
        .any(|(name, _)| *name == "content-length")
    {
        return cache.send_with_body(&headers, answer);
    }
    cache.send(&headers, answer)
}

#[test]
fn none_of_them_reaches_another_client() {
    for attack in attacks() {
        let mut configuration = attack.configuration.clone();
        configuration["refresh"] = json!({"algorithm": "off"});
        let mut cache = Cache::alone(&configuration);
        let mut poison = Origin {
            status: "200",
            headers: attack.answer.to_vec(),
            body: b"poison",
        };
        poison.headers.retain(|(name, value)| {
            if *name == ":status" {
                poison.status = value;
            }
            *name != ":status"
        });
        send(&mut cache, &attack.first, &poison);
        let got = send(&mut cache, &attack.second, &ok("no-store", "good"));
        assert!(
            !got.is_hit() && got.body == b"good",
            "{}: {}",
            attack.name,
            attack.first.path
        );
    }
}

#[test]
fn fields_of_the_connection_are_not_replayed() {
    let mut cache = cache();
    let answer = ok(
        "max-age=60, private=\"x-user\", no-cache=\"x-session\"",
        "x",
    )
    .with("connection", "x-nominated, close")
    .with("x-nominated", "1")
    .with("keep-alive", "timeout=5")
    .with("proxy-authenticate", "Basic")
    .with("proxy-authentication-info", "x")
    .with("te", "trailers")
    .with("trailer", "x-t")
    .with("upgrade", "h2c")
    .with("x-user", "alice")
    .with("x-session", "1")
    .with("x-kept", "1");
    cache.get("/", &answer);
    let hit = cache.get("/", &Origin::default());
    let names: Vec<&str> = hit.headers.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(
        names,
        ["cache-control", "x-kept", "date", "age", "cache-status"]
    );
}

#[test]
fn what_is_too_large_for_a_key_passes_and_is_not_stored() {
    let mut cache = cache();
    let path = format!("/{}", "a".repeat(9_000));
    for _ in 0..2 {
        let got = cache.get(&path, &ok("max-age=60", "x"));
        assert_eq!(
            (got.is_hit(), got.status_line()),
            (false, "seawall; fwd=bypass")
        );
    }
}

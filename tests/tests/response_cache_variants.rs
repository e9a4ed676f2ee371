//! Which of several stored answers serves whom, as requests come over the wire.

use seawall_tests::prelude::*;

const FRESH: &str = "max-age=600";

async fn cached(upstream: &Upstream, configuration: Value) -> Envoy {
    Envoy::to(upstream)
        .filter("response-cache", configuration)
        .start()
        .await
}

#[tokio::test(flavor = "multi_thread")]
async fn of_several_variants_that_match_the_most_recent_serves_on_every_worker() {
    // Each says that it was sent a minute after the one before, in whose place it may come.
    let upstream = Upstream::serving(|seen| {
        let (field, minute) = match seen.header("a") {
            Some("1") => ("a", "01"),
            Some("2") => ("b", "02"),
            _ => ("a", "03"),
        };
        Reply::ok(format!("minute {minute}"))
            .header("cache-control", "max-age=9999999999")
            .header("date", &format!("Thu, 01 Oct 2026 00:{minute}:00 GMT"))
            .header("vary", field)
    })
    .await;
    let envoy = cached(&upstream, json!({})).await;
    for number in ["1", "2", "3"] {
        envoy.get_with("/", &[("a", number), ("b", number)]).await;
    }
    assert_eq!(upstream.hits(), 3);
    for (a, b, expected) in [("1", "2", "minute 02"), ("3", "2", "minute 03")] {
        for _ in 0..20 {
            let client = Client::fresh(envoy.address);
            let got = client.get_with("/", &[("a", a), ("b", b)]).await;
            assert_eq!(got.text(), expected, "{a} {b}");
        }
    }
    assert_eq!(upstream.hits(), 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_host_in_another_case_never_poisons_the_host_and_is_invalidated_with_it() {
    // As a service that compares the host byte by byte.
    let upstream = Upstream::serving(|seen| {
        let known = seen.header("host") == Some("shop.example");
        Reply::status(if known { 200 } else { 404 }).header("cache-control", FRESH)
    })
    .await;
    let envoy = cached(&upstream, json!({})).await;
    let odd = [("host", "Shop.Example")];
    let plain = [("host", "shop.example")];
    assert_eq!(envoy.get_with("/", &odd).await.status, 404);
    assert_eq!(envoy.get_with("/", &plain).await.status, 200);
    assert_eq!(envoy.get_with("/", &odd).await.status, 404);
    assert_eq!(upstream.hits(), 2);
    // An unsafe method by either name changes what the usual one gets.
    upstream.always(Reply::ok("").header("cache-control", FRESH));
    envoy.send("PUT", "/", &odd, b"").await;
    assert_eq!(envoy.get_with("/", &plain).await.header("age"), None);
    assert_eq!(upstream.hits(), 4);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_304_says_of_fields_it_varies_by_holds_for_what_was_stored_before_on_every_worker() {
    let upstream = Upstream::serving(|seen| {
        let (status, vary) = match seen.header("if-none-match") {
            Some(_) => (304, "a, b"),
            None => (200, "a"),
        };
        let reply = match status {
            304 => Reply::status(304),
            _ => Reply::ok(format!("b {}", seen.header("b").unwrap_or(""))),
        };
        reply
            .header("cache-control", FRESH)
            .header("etag", "\"x\"")
            .header("vary", vary)
    })
    .await;
    let envoy = cached(&upstream, json!({})).await;
    let first = [("a", "1"), ("b", "1")];
    envoy.get_with("/", &first).await;
    let anew = [("a", "1"), ("b", "1"), ("cache-control", "no-cache")];
    assert_eq!(envoy.get_with("/", &anew).await.text(), "b 1");
    for b in ["1", "2"] {
        for _ in 0..20 {
            let client = Client::fresh(envoy.address);
            let got = client.get_with("/", &[("a", "1"), ("b", b)]).await;
            assert_eq!(got.text(), format!("b {b}"));
        }
    }
    assert_eq!(upstream.hits(), 3);
}

/// Tokens of two users, signed with the key below.
const ALICE: &str = "eyJhbGciOiJIUzI1NiJ9.eyJpc3MiOiJpIiwic3ViIjoiYWxpY2UifQ.g3FUZdQ-O_wXOxHdAwBcWdTlwq7ciXhcS1p1w_9AY20";
const BOB: &str = "eyJhbGciOiJIUzI1NiJ9.eyJpc3MiOiJpIiwic3ViIjoiYm9iIn0.cSIGHp0UZGUJir8pGHyL-Zvz4dWV9SSeBKcRvignZYE";

fn jwt_authn(forward: bool) -> Value {
    let key =
        json!({"kty": "oct", "alg": "HS256", "k": "YSBrZXkgb2YgdGhpcyB0ZXN0LCBhbmQgbm8gc2VjcmV0"});
    json!({
        "name": "envoy.filters.http.jwt_authn",
        "typed_config": {
            "@type": "type.googleapis.com/envoy.extensions.filters.http.jwt_authn.v3.JwtAuthentication",
            "providers": {"users": {
                "issuer": "i",
                "forward": forward,
                "local_jwks": {"inline_string": json!({"keys": [key]}).to_string()},
                "claim_to_headers": [{"header_name": "x-user", "claim_name": "sub"}],
            }},
            "rules": [{"match": {"prefix": "/"}, "requires": {"provider_name": "users"}}],
        },
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn behind_jwt_authn_each_user_gets_their_own() {
    let upstream = Upstream::serving(|seen| {
        let user = seen.header("x-user").unwrap_or("nobody").to_owned();
        Reply::ok(user).header("cache-control", FRESH)
    })
    .await;
    for (forward, configuration, stored) in [
        (true, json!({}), false),
        (false, json!({"key": {"headers": ["x-user"]}}), true),
    ] {
        let envoy = Envoy::to(&upstream)
            .native_filter(jwt_authn(forward))
            .filter("response-cache", configuration)
            .start()
            .await;
        for round in 0..2 {
            for (token, user) in [(ALICE, "alice"), (BOB, "bob")] {
                let bearer = format!("Bearer {token}");
                let got = envoy
                    .get_with("/me", &[("authorization", bearer.as_str())])
                    .await;
                assert_eq!(got.text(), user, "{forward}");
                assert_eq!(
                    got.header("age").is_some(),
                    stored && round > 0,
                    "{forward}"
                );
            }
        }
        assert_eq!(envoy.get("/me").await.status, 401);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_route_that_a_field_chooses_keeps_its_answers_where_its_key_has_the_field() {
    let upstream = Upstream::serving(|seen| {
        Reply::ok(seen.header("x-served-by").unwrap_or_default()).header("cache-control", FRESH)
    })
    .await;
    let served_by = |name: &str| {
        let added = json!([{"header": {"key": "x-served-by", "value": name}}]);
        Route::prefix("/").field("request_headers_to_add", added)
    };
    let by_canary =
        json!({"prefix": "/", "headers": [{"name": "x-canary", "present_match": true}]});
    let envoy = Envoy::to(&upstream)
        .filter("response-cache", json!({}))
        .route(served_by("canary").field("match", by_canary).metadata(
            "seawall.response_cache",
            json!({"key": {"headers": ["x-canary"]}}),
        ))
        .route(served_by("all"))
        .start()
        .await;
    let canary = [("x-canary", "1")];
    for _ in 0..4 {
        assert_eq!(envoy.get_with("/a", &canary).await.text(), "canary");
        assert_eq!(envoy.get_fresh("/a").await.text(), "all");
        assert_eq!(envoy.get_fresh("/b").await.text(), "all");
        assert_eq!(envoy.get_with("/b", &canary).await.text(), "canary");
    }
    assert_eq!(upstream.hits(), 4);
}

/// A comma in them separates nothing.
#[tokio::test(flavor = "multi_thread")]
async fn white_space_counts_in_fields_that_are_no_lists() {
    let upstream = Upstream::serving(|seen| {
        let (cookie, list) = (seen.header("cookie"), seen.header("x-list"));
        Reply::ok(format!("{cookie:?} {list:?}"))
            .header("cache-control", FRESH)
            .header("vary", "cookie, x-list")
    })
    .await;
    let envoy = cached(&upstream, json!({})).await;
    for (cookie, list, hits) in [
        ("a=1, 2", "1, 2", 1),
        ("a=1, 2", "1,2", 1),
        ("a=1,2", "1, 2", 2),
        ("a=1,2", "1,2", 2),
        ("a=1, 2", "1 ,2", 2),
    ] {
        let got = envoy
            .get_with("/", &[("cookie", cookie), ("x-list", list)])
            .await;
        assert!(
            got.text().contains(&format!("{cookie:?}")),
            "{}",
            got.text()
        );
        assert_eq!(upstream.hits(), hits, "{cookie} {list}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tenant_without_a_name_on_a_route_leaves_that_of_the_plugin() {
    let upstream = Upstream::start().await;
    let envoy = Envoy::to(&upstream)
        .filter("response-cache", json!({"key": {"tenant": "x-tenant"}}))
        .route(
            Route::prefix("/")
                .metadata("seawall.response_cache", json!({"key": {"tenant": null}}))
                .named("tenants"),
        )
        .start()
        .await;
    upstream.always(Reply::ok("").header("cache-control", FRESH));
    for tenant in ["a", "b"] {
        let answer = envoy.get_with("/", &[("x-tenant", tenant)]).await;
        let status = answer.header("cache-status").unwrap_or_default();
        assert!(status.contains("fwd=uri-miss"), "{tenant}: {status}");
    }
    envoy.wait_for_log("tenants").await;
    envoy.wait_for_log("key.tenant: invalid type: null").await;
}

//! rate-limit in a real Envoy: keys from what the proxy knows of a request and its connection.

use seawall_tests::prelude::*;

#[tokio::test(flavor = "multi_thread")]
async fn keys_from_the_real_proxy() {
    let upstream = Upstream::start().await;
    let by =
        |key: Value| json!({"limits": [{"name": "a", "key": key, "requests": 1, "per": "1d"}]});
    let envoy = Envoy::to(&upstream)
        .manager("use_remote_address", json!(true))
        .filter(
            "rate-limit",
            json!({"limits": [{"name": "a", "requests": 1000, "per": "1d"}]}),
        )
        .route(
            Route::prefix("/address")
                .metadata("seawall.rate_limit", by(json!(["path", "client_address"]))),
        )
        .route(Route::prefix("/hops").metadata(
            "seawall.rate_limit",
            by(json!(["path", {"client_address": {"trusted_hops": 1}}])),
        ))
        .route(
            Route::prefix("/route1")
                .named("r1")
                .metadata("seawall.rate_limit", by(json!(["route", "cluster"]))),
        )
        .route(
            Route::prefix("/route2")
                .named("r2")
                .metadata("seawall.rate_limit", by(json!(["route", "cluster"]))),
        )
        .route(
            Route::prefix("/cookie").metadata("seawall.rate_limit", by(json!([{"cookie": "sid"}]))),
        )
        .route(Route::prefix("/query").metadata("seawall.rate_limit", by(json!([{"query": "q"}]))))
        .route(
            Route::prefix("/claim")
                .metadata("seawall.rate_limit", by(json!([{"jwt_claim": "sub"}]))),
        )
        .start()
        .await;
    assert_eq!(
        envoy
            .statuses("/address", &[("x-forwarded-for", "1.2.3.4")], 1)
            .await,
        [200]
    );
    assert_eq!(
        envoy
            .statuses("/address", &[("x-forwarded-for", "4.3.2.1")], 1)
            .await,
        [429],
        "not theirs to choose"
    );
    assert_eq!(
        envoy
            .statuses("/hops", &[("x-forwarded-for", "6.6.6.6, 1.2.3.4")], 2)
            .await,
        [200, 429]
    );
    assert_eq!(
        envoy
            .statuses("/hops", &[("x-forwarded-for", "7.7.7.7, 1.2.3.4")], 1)
            .await,
        [429]
    );
    assert_eq!(
        envoy
            .statuses("/hops", &[("x-forwarded-for", "1.2.3.4, 6.6.6.6")], 1)
            .await,
        [200]
    );
    assert_eq!(envoy.statuses("/route1", &[], 2).await, [200, 429]);
    assert_eq!(envoy.statuses("/route2", &[], 2).await, [200, 429]);
    assert_eq!(
        envoy
            .statuses("/cookie", &[("cookie", "a=1; sid=x")], 2)
            .await,
        [200, 429]
    );
    assert_eq!(
        envoy.statuses("/cookie", &[("cookie", "sid=y")], 2).await,
        [200, 429]
    );
    assert_eq!(envoy.statuses("/query?q=a%20b", &[], 1).await, [200]);
    assert_eq!(envoy.statuses("/query?x=1&q=a+b", &[], 1).await, [429]);
    assert_eq!(
        envoy.statuses("/claim", &[], 2).await,
        [200, 429],
        "without a token all are one"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn hops_where_envoy_itself_believes_the_header() {
    let upstream = Upstream::start().await;
    let key = json!([{"client_address": {"trusted_hops": 1}}]);
    let limits = json!({"limits": [{"name": "a", "key": key, "requests": 1, "per": "1d"}]});
    let envoy = Envoy::to(&upstream)
        .manager("use_remote_address", json!(false))
        .filter("rate-limit", limits)
        .start()
        .await;
    for (forwarded, status) in [
        ("6.6.6.6, 1.2.3.4", 200),
        ("7.7.7.7, 1.2.3.4", 429),
        ("1.2.3.4, 6.6.6.6", 200),
    ] {
        let answer = envoy.get_with("/", &[("x-forwarded-for", forwarded)]).await;
        assert_eq!(answer.status, status, "{forwarded}");
    }
}

/// `{"alg":"none"}` tokens are refused by Envoy's filter, so this one is signed: HS256 with the key "seawall-seawall-seawall-seawall-".
const JWKS: &str = r#"{"keys":[{"kty":"oct","alg":"HS256","kid":"k","k":"c2Vhd2FsbC1zZWF3YWxsLXNlYXdhbGwtc2Vhd2FsbC0"}]}"#;

#[tokio::test(flavor = "multi_thread")]
async fn claims_of_verified_tokens() {
    // Both for {"iss":"i","sub":…}, header {"alg":"HS256","kid":"k"}.
    let ada = "eyJhbGciOiJIUzI1NiIsImtpZCI6ImsifQ.eyJpc3MiOiJpIiwic3ViIjoiYWRhIn0.Ai5a9dIai9_K2XKfBabYGvxGaxnh6FEkW_8oODIgt-M";
    let bob = "eyJhbGciOiJIUzI1NiIsImtpZCI6ImsifQ.eyJpc3MiOiJpIiwic3ViIjoiYm9iIn0.Z5DaDDiGbIT60XIKODOF-VrZAiiWrDAL3FZz8-PAIRw";
    let verify = json!({
        "name": "envoy.filters.http.jwt_authn",
        "typed_config": {
            "@type": "type.googleapis.com/envoy.extensions.filters.http.jwt_authn.v3.JwtAuthentication",
            "providers": {"p": {"issuer": "i", "local_jwks": {"inline_string": JWKS}, "payload_in_metadata": "jwt_payload"}},
            "rules": [{"match": {"prefix": "/"}, "requires": {"provider_name": "p"}}],
        },
    });
    let upstream = Upstream::start().await;
    let envoy = Envoy::to(&upstream)
        .native_filter(verify)
        .filter(
            "rate-limit",
            json!({"limits": [{"name": "a", "requests": 2, "per": "1d", "key": [{"jwt_claim": "sub"}], "missing": "deny"}]}),
        )
        .start()
        .await;
    for token in [ada, bob] {
        let bearer = format!("Bearer {token}");
        let headers = [("authorization", bearer.as_str())];
        assert_eq!(envoy.statuses("/", &headers, 3).await, [200, 200, 429]);
    }
    assert_eq!(
        envoy
            .statuses("/", &[("authorization", "Bearer x.y.z")], 1)
            .await,
        [401]
    );
}

/// {"iss":"i","number":42,"large":1099511627776,"yes":true,"nothing":null,"list":["a","b"],"in":{"side":"x"}}, signed as above.
const OF_ALL_KINDS: &str = "eyJhbGciOiJIUzI1NiIsImtpZCI6ImsifQ.eyJpc3MiOiJpIiwibnVtYmVyIjo0MiwibGFyZ2UiOjEwOTk1MTE2Mjc3NzYsInllcyI6dHJ1ZSwibm90aGluZyI6bnVsbCwibGlzdCI6WyJhIiwiYiJdLCJpbiI6eyJzaWRlIjoieCJ9fQ.1vir8HGGt5iXI6Ut3y9qAzgRA2mu3zrU4OY77vCH2wg";
/// The same with 43, one more, false, null, ["a","c"] and "y".
const OF_OTHERS: &str = "eyJhbGciOiJIUzI1NiIsImtpZCI6ImsifQ.eyJpc3MiOiJpIiwibnVtYmVyIjo0MywibGFyZ2UiOjEwOTk1MTE2Mjc3NzcsInllcyI6ZmFsc2UsIm5vdGhpbmciOm51bGwsImxpc3QiOlsiYSIsImMiXSwiaW4iOnsic2lkZSI6InkifX0.PYOD0_ukaOANyMyM5RKunwiEcSL5a3dVQayWXZEpYQc";

/// {"iss":"i","many":{"a":1,"b":[2],"c":{"d":3,"e":4},"f":""}}, signed as above.
const OF_MANY: &str = "eyJhbGciOiJIUzI1NiIsImtpZCI6ImsifQ.eyJpc3MiOiJpIiwibWFueSI6eyJhIjoxLCJiIjpbMl0sImMiOnsiZCI6MywiZSI6NH0sImYiOiIifX0.MtPcHUQ8yeTdVFNgiRx0nbc_ZIVewVbmmV4jYpMil_U";

#[tokio::test(flavor = "multi_thread")]
async fn claims_of_every_kind() {
    let verify = json!({
        "name": "envoy.filters.http.jwt_authn",
        "typed_config": {
            "@type": "type.googleapis.com/envoy.extensions.filters.http.jwt_authn.v3.JwtAuthentication",
            "providers": {"p": {"issuer": "i", "local_jwks": {"inline_string": JWKS}, "payload_in_metadata": "jwt_payload"}},
            "rules": [{"match": {"prefix": "/"}, "requires": {"provider_name": "p"}}],
        },
    });
    let upstream = Upstream::start().await;
    let limit = |name: &str, claim: Value, more: Value| {
        let mut limit = json!({"name": name, "requests": 1, "per": "1d", "key": [{"jwt_claim": claim}], "missing": "deny",
            "match": {"path": format!("/{name}")}});
        for (field, value) in more.as_object().unwrap() {
            limit[field] = value.clone();
        }
        limit
    };
    let tier = |value: &str| json!({"overrides": [{"key": [value], "requests": 2}]});
    let envoy = Envoy::to(&upstream)
        .native_filter(verify)
        .filter(
            "rate-limit",
            json!({"on_error": "deny", "limits": [
                limit("number", json!("number"), tier("42")),
                limit("large", json!("large"), tier("1099511627776")),
                limit("yes", json!("yes"), tier("true")),
                limit("list", json!("list"), json!({})),
                limit("inside", json!(["in", "side"]), tier("x")),
                limit("nothing", json!("nothing"), json!({})),
                limit("shared", json!("nothing"), json!({"missing": "shared"})),
                limit("many", json!("many"), json!({})),
            ]}),
        )
        .start()
        .await;
    let statuses = async |path: &str, token: &str| {
        let bearer = format!("Bearer {token}");
        let headers = [("authorization", bearer.as_str())];
        envoy.statuses(path, &headers, 3).await
    };
    for path in ["/number", "/large", "/yes", "/inside"] {
        assert_eq!(
            statuses(path, OF_ALL_KINDS).await,
            [200, 200, 429],
            "{path}"
        );
        assert_eq!(statuses(path, OF_OTHERS).await, [200, 429, 429], "{path}");
    }
    for token in [OF_ALL_KINDS, OF_OTHERS] {
        assert_eq!(statuses("/list", token).await, [200, 429, 429]);
        // What is null is missing, and no reason to be at a loss.
        assert_eq!(statuses("/nothing", token).await, [429, 429, 429]);
    }
    assert_eq!(statuses("/shared", OF_ALL_KINDS).await, [200, 429, 429]);
    assert_eq!(statuses("/shared", OF_OTHERS).await, [429, 429, 429]);
    // Envoy writes an object in another order each time.
    let mut admitted = Vec::new();
    for _ in 0..10 {
        admitted.extend(statuses("/many", OF_MANY).await);
    }
    admitted.retain(|status| *status == 200);
    assert_eq!(admitted.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cookie_hides_in_no_line() {
    let upstream = Upstream::start().await;
    let envoy = Envoy::to(&upstream)
        .filter(
            "rate-limit",
            json!({"limits": [{"name": "a", "requests": 1, "per": "1d", "key": [{"cookie": "sid"}], "missing": "skip"}]}),
        )
        .start()
        .await;
    let of = |lines: &[&'static str]| -> Vec<(&'static str, &'static str)> {
        lines.iter().map(|line| ("cookie", *line)).collect()
    };
    assert_eq!(envoy.statuses("/", &of(&["a=1; sid=x"]), 1).await, [200]);
    for lines in [
        &["sid=x"][..],
        &["a=1", "sid=x"],
        &["a=1", "b=2", "c=3; sid=x"],
    ] {
        assert_eq!(envoy.statuses("/", &of(lines), 1).await, [429], "{lines:?}");
    }
    assert_eq!(
        envoy.statuses("/", &of(&["a=1", "b=2"]), 2).await,
        [200, 200]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn the_host_is_a_header_like_others_however_many_are_needed() {
    let upstream = Upstream::start().await;
    for others in [&[][..], &["x-1", "x-2", "x-3"]] {
        let by_host = json!({"name": "host", "requests": 1, "per": "1d", "key": [{"header": "Host"}], "missing": "skip"});
        let limits = others.iter().map(|name| {
            json!({"name": name, "requests": 100, "per": "1d", "key": [{"header": name}], "missing": "skip"})
        });
        let limits: Vec<Value> = limits.chain([by_host]).collect();
        let envoy = Envoy::to(&upstream)
            .filter("rate-limit", json!({ "limits": limits }))
            .start()
            .await;
        assert_eq!(envoy.statuses("/", &[], 2).await, [200, 429], "{others:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn no_spelling_of_a_host_passes_by_its_limit() {
    let upstream = Upstream::start().await;
    let limits =
        json!([{"name": "shop", "requests": 1, "per": "1d", "match": {"host": "shop.example"}}]);
    let envoy = Envoy::to(&upstream)
        .filter("rate-limit", json!({ "limits": limits }))
        .start()
        .await;
    for (host, status) in [
        ("shop.example", 200),
        ("Shop.Example", 429),
        ("shop.example:80", 429),
        ("shop.example:", 429),
        ("other.example", 200),
    ] {
        assert_eq!(
            envoy.get_with("/", &[("host", host)]).await.status,
            status,
            "{host}"
        );
    }
}

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

//! All four filters behind Envoy's own `cors`, as browsers need them: its fields are on answers that the filters make, too.

use seawall_tests::prelude::*;

const HERE: (&str, &str) = ("origin", "https://here.test");
const THERE: (&str, &str) = ("origin", "https://there.test");

fn cors() -> Value {
    json!({
        "name": "envoy.filters.http.cors",
        "typed_config": {"@type": "type.googleapis.com/envoy.extensions.filters.http.cors.v3.Cors"},
    })
}

fn policy() -> Value {
    json!({"envoy.filters.http.cors": {
        "@type": "type.googleapis.com/envoy.extensions.filters.http.cors.v3.CorsPolicy",
        "allow_origin_string_match": [{"suffix": ".test"}],
        "allow_methods": "GET",
        "expose_headers": "retry-after, ratelimit, ratelimit-policy",
    }})
}

#[tokio::test(flavor = "multi_thread")]
async fn scripts_of_other_origins_read_hits_and_refusals_and_their_preflights_are_not_counted() {
    let upstream =
        Upstream::serving(|_| Reply::ok("one").header("cache-control", "max-age=600")).await;
    let limits = json!({"limits": [{"name": "all", "requests": 2, "per": "1h"}]});
    let envoy = Envoy::to(&upstream)
        .native_filter(cors())
        .all_filters_with(&[("rate-limit", limits)])
        .route(Route::prefix("/").field("typed_per_filter_config", policy()))
        .start()
        .await;
    let asks = [HERE, ("access-control-request-method", "GET")];
    for _ in 0..3 {
        let preflight = envoy.send("OPTIONS", "/", &asks, b"").await;
        assert_eq!(preflight.status, 200);
        assert_eq!(
            preflight.header("access-control-allow-origin"),
            Some(HERE.1)
        );
    }
    for (from, status) in [(HERE, 200), (THERE, 200), (THERE, 429)] {
        let got = envoy.get_with("/", &[from]).await;
        assert_eq!(got.status, status);
        assert_eq!(got.all("access-control-allow-origin"), [from.1]);
        let shown = got.header("access-control-expose-headers");
        assert_eq!(shown, Some("retry-after, ratelimit, ratelimit-policy"));
    }
    assert_eq!(upstream.hits(), 1);
}

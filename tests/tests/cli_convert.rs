//! What `seawall convert` writes limits as the original does, in a real Envoy. Refills take minutes, so that a slow machine sees
//! the same as a fast one.

use seawall_cli::convert;
use seawall_cli::document::read;
use seawall_tests::prelude::*;

const LOCAL_RATELIMIT: &str = r#"
http_filters:
  - name: envoy.filters.http.local_ratelimit
    typed_config:
      "@type": type.googleapis.com/envoy.extensions.filters.http.local_ratelimit.v3.LocalRateLimit
      stat_prefix: edge
      token_bucket: { max_tokens: 9, tokens_per_fill: 1, fill_interval: 600s }
      filter_enabled: { default_value: { numerator: 100, denominator: HUNDRED } }
      filter_enforced: { default_value: { numerator: 100, denominator: HUNDRED } }
      rate_limits:
        - actions:
            - request_headers: { header_name: x-tenant-id, descriptor_key: tenant }
      descriptors:
        - entries: [{ key: tenant, value: acme }]
          token_bucket: { max_tokens: 3, tokens_per_fill: 3, fill_interval: 1800s }
route_config:
  virtual_hosts:
    - name: all
      domains: ["*"]
      routes:
        - name: reports
          match: { prefix: /reports }
          route: { cluster: upstream }
          typed_per_filter_config:
            envoy.filters.http.local_ratelimit:
              "@type": type.googleapis.com/envoy.extensions.filters.http.local_ratelimit.v3.LocalRateLimit
              stat_prefix: reports
              token_bucket: { max_tokens: 2, fill_interval: 600s }
              filter_enabled: { default_value: { numerator: 100, denominator: HUNDRED } }
              filter_enforced: { default_value: { numerator: 100, denominator: HUNDRED } }
"#;

const NGINX: &str = "
limit_req_zone $binary_remote_addr zone=address:1m rate=1r/m;
limit_req_zone $http_x_tenant_id zone=tenant:1m rate=2r/m;
limit_req_status 429;
server {
    limit_req zone=address burst=4 nodelay;
    location / { proxy_pass http://backend; }
    location /login { limit_req zone=tenant burst=1 nodelay; }
}
";

/// The plugin configuration, and the settings of the one route, in the text that is pasted.
fn pasted(converted: &convert::Converted) -> (Value, Value) {
    let documents = read(&converted.yaml()).expect("it is YAML");
    assert_eq!(documents.len(), 2);
    let plugin = documents[0].json()["configuration"]["value"].clone();
    let route = documents[1].json()["metadata"]["filter_metadata"]["seawall.rate_limit"].clone();
    (plugin, route)
}

/// Requests of each kind in turn, and what they get.
async fn statuses(envoy: &Envoy, requests: &[(&str, Option<&str>, usize)]) -> Vec<Vec<u16>> {
    let mut all = Vec::new();
    for (path, tenant, count) in requests {
        let field = tenant.map(|tenant| ("x-tenant-id", tenant));
        all.push(envoy.statuses(path, field.as_slice(), *count).await);
    }
    all
}

#[tokio::test(flavor = "multi_thread")]
async fn local_ratelimit_and_what_it_becomes_refuse_the_same_requests() {
    let documents = read(LOCAL_RATELIMIT).expect("YAML");
    let original = documents[0].json();
    let (plugin, route) = pasted(&convert::envoy(&documents).expect("it is converted"));
    let upstream = Upstream::start().await;
    let routes = &original["route_config"]["virtual_hosts"][0]["routes"];
    let kept = routes[0]["typed_per_filter_config"].clone();
    let before = Envoy::to(&upstream)
        .native_filter(original["http_filters"][0].clone())
        .route(Route::prefix("/reports").field("typed_per_filter_config", kept))
        .route(Route::prefix("/"))
        .start()
        .await;
    let after = Envoy::to(&upstream)
        .filter("rate-limit", plugin)
        .route(Route::prefix("/reports").metadata("seawall.rate_limit", route))
        .route(Route::prefix("/"))
        .start()
        .await;
    // Three of the one tenant, so many as are left of the nine for another, two on the route.
    let requests = [
        ("/", Some("acme"), 4),
        ("/", Some("other"), 7),
        ("/reports", None, 4),
    ];
    let expected = statuses(&before, &requests).await;
    assert_eq!(statuses(&after, &requests).await, expected);
    assert_eq!(expected[0], [200, 200, 200, 429]);
    assert_eq!(expected[2], [200, 200, 429, 429]);
}

#[tokio::test(flavor = "multi_thread")]
async fn limit_req_admits_its_burst_and_refuses_the_next() {
    let (plugin, route) = pasted(&convert::nginx(NGINX).expect("it is converted"));
    let upstream = Upstream::start().await;
    let envoy = Envoy::to(&upstream)
        .filter("rate-limit", plugin)
        .route(Route::prefix("/login").metadata("seawall.rate_limit", route))
        .route(Route::prefix("/"))
        .start()
        .await;
    let requests = [
        ("/", None, 7),
        ("/login", Some("a"), 3),
        ("/login", Some("b"), 3),
        ("/login", None, 4),
    ];
    assert_eq!(
        statuses(&envoy, &requests).await,
        [
            // One at the rate, and the burst of four.
            vec![200, 200, 200, 200, 200, 429, 429],
            vec![200, 200, 429],
            vec![200, 200, 429],
            // nginx does not count what has no value for the key.
            vec![200; 4],
        ]
    );
}

//! rate-limit in a real Envoy with many routes, each with settings of its own.

use seawall_tests::client::burst;
use seawall_tests::prelude::*;

const ROUTES: usize = 1_600;

/// Every second route has settings that are refused, which counts each time that they are made.
fn settings(route: usize) -> Value {
    let requests = if route.is_multiple_of(2) {
        1_000 + route
    } else {
        0
    };
    json!({"limits": [{"name": "a", "requests": requests, "per": "1h", "burst": 500 + route}]})
}

#[tokio::test(flavor = "multi_thread")]
async fn settings_hold_on_every_route_and_are_made_once() {
    let upstream = Upstream::start().await;
    let plugin = json!({"limits": [{"name": "a", "requests": 7_000_000, "per": "1h"}]});
    let envoy = Envoy::to(&upstream).workers(1).filter("rate-limit", plugin);
    let envoy = (0..ROUTES).fold(envoy, |envoy, route| {
        let settings = settings(route);
        envoy.route(Route::prefix(&format!("/{route}/")).metadata("seawall.rate_limit", settings))
    });
    let envoy = envoy.start().await;
    let in_turns = 0..ROUTES;
    let mixed = (0..ROUTES).map(|number| number * 7_919 % ROUTES);
    for route in in_turns.clone().chain(mixed).chain(in_turns) {
        let answer = envoy.get(&format!("/{route}/")).await;
        assert_eq!(answer.status, 200, "{route}");
        let expected = if route.is_multiple_of(2) {
            let (requests, burst) = (1_000 + route, 500 + route);
            format!("\"a\";q={requests};w=3600;seawall-burst={burst}")
        } else {
            "\"a\";q=7000000;w=3600".to_owned()
        };
        assert_eq!(
            answer.header("ratelimit-policy"),
            Some(&*expected),
            "{route}"
        );
    }
    let made = envoy.stat("wasmcustom.seawall.rate_limit.config_errors");
    assert_eq!(made.await, ROUTES as u64 / 2, "once for each bad one");
}

/// The counters of one key share a slot of shared data, however many routes they belong to.
#[tokio::test(flavor = "multi_thread")]
async fn who_goes_from_route_to_route_is_limited_on_each() {
    const KEYED: usize = 24;
    const OPEN: usize = 70;
    let upstream = Upstream::start().await;
    let envoy = Envoy::to(&upstream).filter("rate-limit", json!({}));
    let limited = |name: String, key: Value| {
        let limit = json!({"name": name, "key": key, "requests": 2, "per": "1d"});
        let route = Route::prefix(&format!("/{name}/"));
        route.metadata("seawall.rate_limit", json!({"limits": [limit]}))
    };
    let keyed = |route: usize| limited(format!("k{route}"), json!([{"header": "x-tenant"}]));
    let envoy = (0..KEYED).fold(envoy, |envoy, route| envoy.route(keyed(route)));
    let open = |route: usize| limited(format!("o{route}"), json!([]));
    let envoy = (0..OPEN).fold(envoy, |envoy, route| envoy.route(open(route)));
    let envoy = envoy.start().await;
    let of_kind = |kind: usize| [("k", KEYED), ("o", OPEN)][kind];
    for (kind, routes) in [(0, KEYED), (1, OPEN)] {
        let path = |request: usize| format!("/{}{}/", of_kind(kind).0, request % routes);
        let request = |number| (path(number), vec![("x-tenant".to_owned(), "a".to_owned())]);
        let answers = burst(envoy.address, 5 * routes, 16, request).await;
        let passed = answers.iter().filter(|answer| answer.status == 200);
        assert_eq!(passed.count(), 2 * routes, "{}", of_kind(kind).0);
    }
}

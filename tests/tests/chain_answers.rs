//! Answers that one filter puts in the place of a response which came in its headers alone, or failed: they go to the client
//! directly, past the filters before it, which must not take that for something else; and answers of another route. As a chain
//! and as one module.

use seawall_tests::prelude::*;

fn both(upstream: &Upstream, configurations: &[(&str, Value)]) -> [EnvoyBuilder; 2] {
    let mut chain = Envoy::to(upstream);
    for filter in [
        "trace-headers",
        "rate-limit",
        "response-cache",
        "circuit-breaker",
    ] {
        let found = configurations.iter().find(|(name, _)| *name == filter);
        let configuration = found.map_or(json!({}), |(_, value)| value.clone());
        chain = chain.filter(filter, configuration);
    }
    [chain, Envoy::to(upstream).all_as_one(configurations)]
}

fn answered() -> (&'static str, Value) {
    let fallback = json!({"status": 200, "body": "fallback", "on_failure": true});
    (
        "circuit-breaker",
        json!({"failure_threshold": 1000, "failure_percentage": 0, "fallback": fallback}),
    )
}

fn cache() -> (&'static str, Value) {
    (
        "response-cache",
        json!({"refresh": {"algorithm": "off"}, "coalesce": {"wait": "10m"}}),
    )
}

/// Only missing pages cost. A page that is revalidated with a 304 is not missing.
#[tokio::test(flavor = "multi_thread")]
async fn a_revalidated_answer_is_charged_by_the_status_that_the_client_gets() {
    let upstream = Upstream::serving(|seen| {
        let reply = match (seen.path.as_str(), seen.header("if-none-match")) {
            ("/page", None) => Reply::ok("x".repeat(3000)),
            ("/page", Some(_)) => Reply::status(304),
            _ => Reply::status(404),
        };
        reply
            .header("etag", "\"1\"")
            .header("cache-control", "no-cache")
    })
    .await;
    let limits = json!({"limits": [{"name": "missing", "requests": 2, "per": "1h", "charge": {"status": 404}}]});
    for builder in both(&upstream, &[("rate-limit", limits), cache()]) {
        let envoy = builder.start().await;
        for _ in 0..10 {
            let page = envoy.get("/page").await;
            assert_eq!((page.status, page.body.len()), (200, 3000));
            assert_eq!(page.all("x-request-id").len(), 1);
        }
        for expected in [404, 404, 429] {
            assert_eq!(envoy.get("/none").await.status, expected);
        }
    }
}

/// Who waited for a call that fails goes to the upstream with all the others, and not one after the other.
#[tokio::test(flavor = "multi_thread")]
async fn who_waited_for_a_failed_call_is_let_go_with_the_others() {
    for as_one in [0, 1] {
        let (first, rest) = (Gate::new(), Gate::new());
        let gates = (first.clone(), rest.clone());
        let upstream = Upstream::serving(move |seen| {
            let gate = if seen.number == 0 { &gates.0 } else { &gates.1 };
            Reply::status(500).chunk("trouble").gated(gate)
        })
        .await;
        let [chain, one] = both(&upstream, &[cache(), answered()]);
        let envoy = if as_one == 1 { one } else { chain }.start().await;
        let (answers, ()) = tokio::join!(envoy.burst("/", 20, 20), async {
            envoy
                .wait_for_stat("wasmcustom.seawall.response_cache.coalesced", 19)
                .await;
            first.open();
            upstream.wait_for_in_flight(19).await;
            rest.open();
        });
        assert_eq!(answers.len(), 20);
        for answer in answers {
            assert_eq!((answer.status, answer.text().as_str()), (200, "fallback"));
            assert_eq!(answer.all("x-request-id").len(), 1);
        }
    }
}

/// What a client never got is in no cache either.
#[tokio::test(flavor = "multi_thread")]
async fn a_failed_call_that_was_answered_is_not_stored() {
    let upstream = Upstream::start().await;
    for builder in both(&upstream, &[cache(), answered()]) {
        for body in ["", "trouble"] {
            upstream.behave(move |_| {
                let failed = Reply::status(500).header("cache-control", "max-age=600");
                if body.is_empty() {
                    failed
                } else {
                    failed.chunk(body)
                }
            });
            let envoy = builder.clone().start().await;
            assert_eq!(envoy.get("/").await.text(), "fallback");
            upstream.always(Reply::ok("well").header("cache-control", "max-age=600"));
            for _ in 0..2 {
                assert_eq!(envoy.get("/").await.text(), "well");
            }
        }
    }
}

/// The route that stands in where the breaker says so, as the cookbook has it: nobody else chooses it, and its answers are not
/// kept.
fn with_route(builder: EnvoyBuilder, stand_in: &Upstream) -> EnvoyBuilder {
    let strip = json!([{"name": "strip", "typed_config": {
        "@type": "type.googleapis.com/envoy.extensions.http.early_header_mutation.header_mutation.v3.HeaderMutation",
        "mutations": [{"remove": "x-degraded"}],
    }}]);
    let no_store = json!([{
        "header": {"key": "cache-control", "value": "no-store"},
        "append_action": "OVERWRITE_IF_EXISTS_OR_ADD",
    }]);
    let matched =
        json!({"prefix": "/", "headers": [{"name": "x-degraded", "present_match": true}]});
    builder
        .cluster("other", stand_in.address, json!({}))
        .manager("early_header_mutation_extensions", strip)
        .route(
            Route::prefix("/")
                .to("other")
                .field("match", matched)
                .field("response_headers_to_add", no_store),
        )
        .route(Route::prefix("/"))
}

/// With what the cookbook says for it, nobody but the breaker chooses the route that stands in, and what it answers is not kept.
#[tokio::test(flavor = "multi_thread")]
async fn a_route_that_stands_in_is_for_the_breaker_alone_and_is_not_stored() {
    let page = |body: &str| Reply::ok(body).header("cache-control", "max-age=600");
    let upstream = Upstream::start().await;
    let other = Upstream::start().await;
    other.always(page("other"));
    let breaker = json!({"failure_threshold": 2, "open_for": "50ms", "max_open_for": "50ms", "jitter": 0, "ramp": "0s",
        "successes": 1, "fallback": {"route": {"header": "x-degraded"}}});
    for builder in both(&upstream, &[cache(), ("circuit-breaker", breaker)]) {
        upstream.always(page("page"));
        let envoy = with_route(builder, &other).start().await;
        let asked = envoy.get_with("/", &[("x-degraded", "true")]).await;
        assert_eq!(asked.text(), "page");
        upstream.always(Reply::status(500));
        eventually("the other route stands in", || async {
            (envoy.get("/down").await.text() == "other").then_some(())
        })
        .await;
        upstream.always(page("page"));
        eventually("the page is back", || async {
            (envoy.get("/down").await.text() == "page").then_some(())
        })
        .await;
    }
}

/// The copy is what comes first, and it is still there afterwards: what another route answers would end its use.
#[tokio::test(flavor = "multi_thread")]
async fn a_stale_copy_comes_before_another_route() {
    let upstream = Upstream::start().await;
    let other = Upstream::serving(|_| Reply::ok("other")).await;
    let breaker = json!({"failure_threshold": 2, "open_for": "1h", "max_open_for": "1h",
        "fallback": {"route": {"header": "x-degraded"}}});
    for builder in both(&upstream, &[cache(), ("circuit-breaker", breaker)]) {
        // Stale from its beginning on.
        let page = "max-age=0, stale-if-error=3600";
        upstream.always(Reply::ok("page").header("cache-control", page));
        let envoy = with_route(builder, &other).start().await;
        assert_eq!(envoy.get("/").await.text(), "page");
        upstream.always(Reply::status(500));
        // The two that open the breaker, and those that it refuses.
        for _ in 0..5 {
            assert_eq!(envoy.get("/").await.text(), "page");
        }
        assert_eq!(envoy.get("/new").await.text(), "other");
        assert_eq!(envoy.get("/").await.text(), "page");
        let route = "wasmcustom.seawall.circuit_breaker.fallback.route";
        assert_eq!(envoy.stat(route).await, 1);
    }
}

/// To Envoy gRPC-Web is HTTP, unless its own filter translates it: so it gets what HTTP gets, from both filters that refuse.
#[tokio::test(flavor = "multi_thread")]
async fn grpc_web_is_refused_as_http() {
    let upstream = Upstream::serving(|_| Reply::status(500)).await;
    let limits = json!({"limits": [{"name": "few", "requests": 3, "per": "1h"}]});
    let fallback = json!({"status": 503, "body": "fallback"});
    let breaker = json!({"failure_threshold": 2, "open_for": "1h", "max_open_for": "1h", "fallback": fallback});
    for builder in both(
        &upstream,
        &[("rate-limit", limits), ("circuit-breaker", breaker)],
    ) {
        let envoy = builder.start().await;
        let mut answers = Vec::new();
        for _ in 0..4 {
            let kind = [("content-type", "application/grpc-web+proto")];
            answers.push(envoy.send("POST", "/service/method", &kind, &[0; 5]).await);
        }
        let seen: Vec<_> = answers
            .iter()
            .map(|answer| (answer.status, answer.text()))
            .collect();
        let seen: Vec<_> = seen
            .iter()
            .map(|(status, text)| (*status, text.as_str()))
            .collect();
        let expected = [
            (500, ""),
            (500, ""),
            (503, "fallback"),
            (429, "rate limit exceeded\n"),
        ];
        assert_eq!(seen, expected);
        assert_eq!(answers[2].header("grpc-retry-pushback-ms"), None);
    }
}
